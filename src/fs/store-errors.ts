/** Store errors become file system errors here and nowhere else. */
import { isErrorCode } from '../state/durable-file.js';
import { StoreError, type StoreErrorKind } from '../store/errors.js';
import { LostUploadError } from '../write/lost-upload.js';
import { SpoolFullError } from '../write/spool-full.js';
import { FsError, type FsErrorCode } from './errors.js';

const CODES: Readonly<Record<StoreErrorKind, FsErrorCode>> = {
  'not-found': 'ENOENT',
  'no-such-bucket': 'ESTALE',
  'precondition-failed': 'ESTALE',
  'access-denied': 'EACCES',
  // Credentials rotate and clocks are set right: the client waits while the log says what is wrong.
  credentials: 'EJUKEBOX',
  throttled: 'EJUKEBOX',
  unavailable: 'EJUKEBOX',
  range: 'EIO',
  'too-large': 'EFBIG',
  checksum: 'EIO',
  archived: 'EIO',
  unsupported: 'ENOTSUP',
  invalid: 'EIO',
  aborted: 'EJUKEBOX',
};

/**
 * `error` as an FsError; FsErrors pass. What is of none of the kinds known here is a defect, and EFAULT. `overrides` says what a kind of store error
 * means to the operation.
 */
export function toFsError(
  error: unknown,
  overrides: Partial<Record<StoreErrorKind, FsErrorCode>> = {},
): FsError {
  if (error instanceof FsError) return error;
  if (error instanceof StoreError) {
    return new FsError(overrides[error.kind] ?? CODES[error.kind], error.message, { cause: error });
  }
  if (error instanceof Error && error.name === 'AbortError') {
    return new FsError('EJUKEBOX', 'the call was given up before it ended', { cause: error });
  }
  if (error instanceof Error && error.name === 'SpoolFullError') {
    return new FsError('ENOSPC', error.message, { cause: error });
  }
  if (error instanceof LostUploadError) return new FsError('EIO', error.message, { cause: error });
  if (error instanceof Error && (error.name === 'JournalError' || error.name === 'NodeLogError')) {
    return isErrorCode(error.cause, 'ENOSPC', 'EDQUOT')
      ? new FsError('ENOSPC', `${error.message}; goes on when there is room on that disk`, { cause: error })
      : new FsError('EIO', error.message, { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new FsError('EFAULT', `unexpected: ${message}`, { cause: error });
}

/** Rejects with the error as an FsError: `store.head(key).catch(rethrowAsFsError)`. */
export function rethrowAsFsError(error: unknown): never {
  throw toFsError(error);
}

/** Another write of the object was under way (409 ConditionalRequestConflict): the condition may hold all the same. */
export const isUndecided = (error: unknown): boolean =>
  error instanceof StoreError && error.kind === 'precondition-failed' && error.httpStatus === 409;

/** The object isn't the version that was expected: somebody replaced or removed it. */
export const isReplaced = (error: unknown): boolean =>
  error instanceof StoreError && (error.kind === 'precondition-failed' || error.kind === 'not-found');

/** The store refused the request: it has changed nothing, and will change nothing later. */
const REFUSALS: ReadonlySet<StoreErrorKind> = new Set([
  'access-denied',
  'credentials',
  'no-such-bucket',
  'too-large',
  'archived',
  'unsupported',
]);

function isRefusal({ kind, httpStatus = 0 }: StoreError): boolean {
  if (REFUSALS.has(kind)) return true;
  // Something between here and S3, or an answer that can't be read, is of these kinds too, without such a status.
  return (kind === 'invalid' || kind === 'checksum') && httpStatus >= 400 && httpStatus < 500;
}

/** Requests that make an object. The others of a publication (HEAD, CreateMultipartUpload, UploadPart) only prepare for one. */
const MAKE_OBJECTS: ReadonlySet<string> = new Set(['PutObject', 'CopyObject', 'CompleteMultipartUpload']);

/** Whether a publication that failed with `error`, or an earlier one, may have made the object all the same, or may make it yet. */
export function mayHaveHadEffect(error: unknown): boolean {
  if (isReplaced(error)) return true;
  if (error instanceof StoreError)
    return MAKE_OBJECTS.has(error.operation) && (error.isAfterUnanswered || !isRefusal(error));
  return !(error instanceof SpoolFullError || error instanceof LostUploadError);
}
