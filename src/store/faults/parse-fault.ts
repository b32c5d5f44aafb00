/** Reads what a rule does: the fields of each kind of fault. */
import { parseDelay, parseSpeed } from '../../../config/shaping.js';
import { INJECTED_ERRORS } from './injected-error.js';
import {
  expected,
  FaultPlanError,
  offsetOf,
  signedDuration,
  wholeNumber,
  type Fields,
} from './plan-fields.js';
import type { Direction, Fault, FaultKind, Offset } from './plan.js';

/** The fields of each kind, beside those that every rule has. */
export const FAULT_FIELDS: Readonly<Record<FaultKind, readonly string[]>> = {
  latency: ['time'],
  bandwidth: ['speed', 'scope', 'in'],
  error: ['code', 'status', 'message', 'moment'],
  reset: ['in', 'at'],
  truncate: ['at', 'framing'],
  corrupt: ['in', 'at', 'flips'],
  stall: ['in', 'at', 'time'],
  skew: ['time'],
  kill: ['moment'],
};

const DIRECTIONS = ['request', 'answer'] as const satisfies readonly Direction[];
const MOMENTS = ['before', 'after'] as const;
const FROM_THE_START: Offset = { from: 0, to: 0 };
const FLIPS_MAX = 10_000;

const delay = (text: string) =>
  parseDelay(text) ?? expected('time', 'a time such as 30ms, 10ms..50ms or lognormal(30ms,0.5)', text);

/** Fails with FaultPlanError. */
export function parseFault(kind: FaultKind, fields: Fields): Fault {
  const direction = (): Direction => fields.choice('in', DIRECTIONS) ?? 'answer';
  const at = (fallback: Offset): Offset => fields.read('at', (text) => offsetOf('at', text)) ?? fallback;
  switch (kind) {
    case 'latency':
      return { kind, time: fields.read('time', delay) ?? missing('time') };
    case 'bandwidth':
      return bandwidth(fields);
    case 'error':
      return error(fields);
    case 'reset':
      return { kind, in: direction(), at: at(FROM_THE_START) };
    case 'truncate':
      return {
        kind,
        at: at('anywhere'),
        framing: fields.choice('framing', ['length', 'chunked-cut', 'chunked']) ?? 'length',
      };
    case 'corrupt': {
      const flips = fields.read('flips', (text) => wholeNumber('flips', text, 1, FLIPS_MAX)) ?? 1;
      return { kind, in: direction(), at: at('anywhere'), flips };
    }
    case 'stall': {
      const time = fields.read('time', (text) => (text === 'indefinite' ? undefined : delay(text)));
      return { kind, in: direction(), at: at(FROM_THE_START), time };
    }
    case 'skew':
      return { kind, ms: fields.read('time', (text) => signedDuration('time', text)) ?? missing('time') };
    case 'kill':
      return { kind, moment: fields.choice('moment', MOMENTS) ?? 'before' };
  }
}

function bandwidth(fields: Fields): Fault {
  const speed = (text: string) => parseSpeed(text) ?? expected('speed', 'a speed such as 8MiB/s', text);
  const direction = fields.choice('in', ['both', ...DIRECTIONS]) ?? 'both';
  return {
    kind: 'bandwidth',
    bytesPerSecond: fields.read('speed', speed) ?? missing('speed'),
    scope: fields.choice('scope', ['connection', 'total']) ?? 'connection',
    directions: direction === 'both' ? DIRECTIONS : [direction],
  };
}

/** The status of codes that are known need not be told. */
function error(fields: Fields): Fault {
  const code = fields.text('code') ?? 'InternalError';
  const known = INJECTED_ERRORS.get(code);
  const status = fields.read('status', (text) => wholeNumber('status', text, 400, 599)) ?? known?.status;
  if (status === undefined) {
    const codes = [...INJECTED_ERRORS.keys()].join(', ');
    throw new FaultPlanError(`status: ${code} needs one; known are ${codes}`);
  }
  return {
    kind: 'error',
    code,
    status,
    message: fields.text('message') ?? known?.message ?? 'By the fault plan.',
    moment: fields.choice('moment', MOMENTS) ?? 'before',
  };
}

function missing(name: string): never {
  throw new FaultPlanError(`${name}: expected a value`);
}
