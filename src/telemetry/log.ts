/** Logging through pino. Secrets never enter a log line: they are not passed in, and the known names are redacted besides. */
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';

export type Logger = PinoLogger;
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

const REDACTED = ['secretAccessKey', 'sessionToken', 'authorization', 'handleSecret'];

/** A logger of one JSON object a line, to standard error unless told otherwise: standard output is for the `ready` line. */
export function createLogger(
  level: LogLevel,
  destination: DestinationStream = pino.destination({ fd: 2, sync: true }),
): Logger {
  return pino(
    {
      level,
      base: null,
      redact: { paths: [...REDACTED, ...REDACTED.map((name) => `*.${name}`)], censor: '[redacted]' },
    },
    destination,
  );
}
