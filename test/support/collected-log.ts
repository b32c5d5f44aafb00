/** A log that keeps its lines for tests to look at. */
import { createLogger, type Logger } from '../../src/telemetry/log.js';

export interface CollectedLog {
  readonly log: Logger;
  /** The lines so far, parsed. */
  readonly lines: Record<string, unknown>[];
}

export function collectLog(): CollectedLog {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger('debug', {
    write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  return { log, lines };
}
