/**
 * Reads fault plans: one rule as a line (`error code=SlowDown rate=5% operation=PutObject`), or a YAML or JSON document with a seed and
 * rules. A rule is a flat mapping in both; docs/faults.md lists the names.
 */
import { parse as parseYaml } from 'yaml';
import { parseFault, FAULT_FIELDS } from './parse-fault.js';
import { duration, FaultPlanError, Fields, fraction, spanOf, wholeNumber } from './plan-fields.js';
import type { FaultPlan, FaultRule, RequestFilter, Schedule } from './plan.js';

const FILTER_FIELDS = ['operation', 'method', 'bucket', 'key'] as const;
const SCHEDULE_FIELDS = ['nth', 'every', 'requests', 'from', 'until', 'period', 'rate', 'limit'] as const;
const RULE_FIELDS: readonly string[] = ['fault', 'name', ...FILTER_FIELDS, ...SCHEDULE_FIELDS];

const SEED_DEFAULT = 1;

/** A plan without a seed of its own has seed 1. Fails with FaultPlanError. */
export function faultPlan(rules: readonly FaultRule[], seed = SEED_DEFAULT): FaultPlan {
  return { seed, rules };
}

/** Reads a document: a mapping with `seed` and `rules`, or the list of rules alone. Fails with FaultPlanError. */
export function parseFaultPlan(text: string): FaultPlan {
  let document: unknown;
  try {
    // All scalars stay the text they were written in: 5% and 8MiB/s are read here, and so is 5.
    document = parseYaml(text, { schema: 'failsafe', prettyErrors: false, uniqueKeys: true });
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new FaultPlanError(`expected YAML or JSON: ${reason}`, { cause: error });
  }
  const { rules, seed } = partsOf(document);
  return faultPlan(
    rules.map((rule, index) => parseRule(rule, `rule ${index + 1}`)),
    seed,
  );
}

function partsOf(document: unknown): { readonly rules: readonly unknown[]; readonly seed?: number } {
  if (Array.isArray(document)) return { rules: document as readonly unknown[] };
  if (typeof document !== 'object' || document === null) {
    throw new FaultPlanError('expected a mapping with rules, or a list of rules');
  }
  const { rules = [], seed, ...others } = document as Record<string, unknown>;
  const [other] = Object.keys(others);
  if (other !== undefined) throw new FaultPlanError(`unknown name ${other}; a plan has seed and rules`);
  if (!Array.isArray(rules)) throw new FaultPlanError('rules: expected a list');
  if (seed === undefined) return { rules: rules as readonly unknown[] };
  if (typeof seed !== 'string') throw new FaultPlanError('seed: expected a whole number');
  return { rules: rules as readonly unknown[], seed: wholeNumber('seed', seed, 0) };
}

/** Reads one rule, a line or a mapping. `where` begins the message of a FaultPlanError. */
export function parseRule(input: unknown, where: string): FaultRule {
  try {
    return ruleOf(typeof input === 'string' ? fieldsOfLine(input) : fieldsOfMapping(input));
  } catch (error) {
    if (!(error instanceof FaultPlanError)) throw error;
    throw new FaultPlanError(`${where}: ${error.message}`, { cause: error });
  }
}

/** `FAULT name=value ...`. */
function fieldsOfLine(line: string): Record<string, string> {
  const [fault = '', ...pairs] = line.trim().split(/\s+/);
  const fields: Record<string, string> = { fault };
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at < 1) throw new FaultPlanError(`expected NAME=VALUE, got ${pair}`);
    const name = pair.slice(0, at);
    if (Object.hasOwn(fields, name)) throw new FaultPlanError(`${name} is given twice`);
    fields[name] = pair.slice(at + 1);
  }
  return fields;
}

function fieldsOfMapping(input: unknown): Record<string, string> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new FaultPlanError('expected a mapping, or a line such as "error code=SlowDown rate=5%"');
  }
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(input as Record<string, unknown>)) {
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (!items.every((item) => typeof item === 'string' || typeof item === 'number')) {
      throw new FaultPlanError(`${name}: expected text, a number or a list of them`);
    }
    fields[name] = items.map(String).join(',');
  }
  return fields;
}

function ruleOf(source: Record<string, string>): FaultRule {
  const fields = new Fields(source);
  const kind = fields.choice('fault', Object.keys(FAULT_FIELDS) as (keyof typeof FAULT_FIELDS)[]);
  if (kind === undefined)
    throw new FaultPlanError(`fault: expected one of ${Object.keys(FAULT_FIELDS).join(', ')}`);
  const known = [...RULE_FIELDS, ...FAULT_FIELDS[kind]];
  const unknown = Object.keys(source).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new FaultPlanError(`${kind} has no ${unknown}; it has ${known.slice(1).join(', ')}`);
  }
  return {
    name: fields.text('name'),
    filter: filterOf(fields),
    schedule: scheduleOf(fields),
    fault: parseFault(kind, fields),
    source,
  };
}

function filterOf(fields: Fields): RequestFilter {
  const operations = fields.list('operation');
  const methods = fields.list('method')?.map((method) => method.toUpperCase());
  const buckets = fields.list('bucket')?.map(pattern);
  const keys = fields.list('key')?.map(pattern);
  return {
    ...(operations === undefined ? {} : { operations }),
    ...(methods === undefined ? {} : { methods }),
    ...(buckets === undefined ? {} : { buckets }),
    ...(keys === undefined ? {} : { keys }),
  };
}

/** As in policies of IAM: `*` is any characters, slashes included, and `?` is one. */
function pattern(glob: string): RegExp {
  const source = glob
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 'su');
}

function scheduleOf(fields: Fields): Schedule {
  const nth = fields.read('nth', (text) => spanOf('nth', text, (each) => wholeNumber('nth', each, 1)));
  const every = fields.read('every', (text) => wholeNumber('every', text, 1));
  const requests = fields.read('requests', (text) =>
    spanOf('requests', text, (each) => wholeNumber('requests', each, 1)),
  );
  const fromMs = fields.read('from', (text) => duration('from', text));
  const untilMs = fields.read('until', (text) => duration('until', text));
  const periodMs = fields.read('period', (text) => duration('period', text));
  const rate = fields.read('rate', (text) => fraction('rate', text));
  const limit = fields.read('limit', (text) => wholeNumber('limit', text, 0));
  if (untilMs !== undefined && untilMs <= (fromMs ?? 0))
    throw new FaultPlanError('until: expected a time after from');
  if (periodMs !== undefined && (periodMs < 1 || (fromMs ?? 0) >= periodMs)) {
    throw new FaultPlanError('period: expected a time after from');
  }
  if (every !== undefined && nth !== undefined && nth.from > every) {
    throw new FaultPlanError(`nth: expected a number up to ${every}, as every has it`);
  }
  return {
    ...(nth === undefined ? {} : { nth }),
    ...(every === undefined ? {} : { every }),
    ...(requests === undefined ? {} : { requests }),
    ...(fromMs === undefined ? {} : { fromMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
    ...(periodMs === undefined ? {} : { periodMs }),
    ...(rate === undefined ? {} : { rate }),
    ...(limit === undefined ? {} : { limit }),
  };
}
