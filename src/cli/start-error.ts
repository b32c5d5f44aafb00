/** Failures to start that the user can do something about, and how any failure is told in one line. */
import { ConfigError } from '../../config/config-error.js';
import { StoreError } from '../store/errors.js';

/** A start that failed for a reason outside this program. The message is one line and says what to do where that is known. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

/** An end at which not everything that was acknowledged could be published. */
export class StopError extends Error {
  override readonly name = 'StopError';
}

/** Failures that come from what the user gave or from outside; anything else is a defect of this program. */
export function isForeseen(error: unknown): boolean {
  return (
    error instanceof ConfigError ||
    error instanceof StartError ||
    error instanceof StopError ||
    error instanceof StoreError ||
    isSystemError(error)
  );
}

/** One line for standard error, without the program's name. */
export function failureLine(error: unknown): string {
  if (!(error instanceof Error)) return firstLine(String(error));
  // The name of a defect helps those who look for it.
  return firstLine(isForeseen(error) ? error.message : `${error.name}: ${error.message}`);
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text;
}

/** Errors of the operating system carry a code such as EADDRINUSE. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return (
    error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string' && 'syscall' in error
  );
}

/** What a failed probe of a bucket means to the one who starts the daemon. */
export function probeFailure(source: string, endpoint: string | undefined, error: unknown): StartError {
  return new StartError(`cannot serve ${source}: ${probeReason(endpoint, error)}`, { cause: error });
}

function probeReason(endpoint: string | undefined, error: unknown): string {
  const where = endpoint ?? 'AWS';
  if (!(error instanceof StoreError)) return failureLine(error);
  const detail = firstLine(error.message);
  switch (error.kind) {
    case 'no-such-bucket':
    case 'not-found':
      return `there is no bucket ${error.bucket} at ${where}`;
    case 'credentials':
      return `${where} does not accept the credentials (${detail}); check AWS_ACCESS_KEY_ID or --profile`;
    case 'access-denied':
      return `access denied (${detail}); the credentials need s3:ListBucket on ${error.bucket}`;
    case 'throttled':
    case 'unavailable':
      return `${where} does not answer (${detail})`;
    case 'precondition-failed':
    case 'range':
    case 'too-large':
    case 'checksum':
    case 'archived':
    case 'unsupported':
    case 'invalid':
    case 'aborted':
      return detail;
  }
}
