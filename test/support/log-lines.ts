/** A logger whose lines are kept as objects. */
import { createLogger, type Logger } from '../../src/telemetry/log.js';

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export const LOG_LEVEL = { debug: 20, warn: 40, error: 50 } as const;

export function logLines(): { readonly log: Logger; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const log = createLogger('trace', { write: (line) => void lines.push(JSON.parse(line) as LogLine) });
  return { log, lines };
}
