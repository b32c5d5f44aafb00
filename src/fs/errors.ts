/** The one domain error: made from store errors in store-errors.ts, mapped to nfsstat3 in nfs3/status.ts. */

/**
 * Error codes of the file system, named after errno where one exists. `EJUKEBOX` asks the client to try again later
 * (NFS3ERR_JUKEBOX); `EFAULT` is a defect of this program.
 */
export type FsErrorCode =
  | 'EPERM'
  | 'ENOENT'
  | 'EIO'
  | 'EACCES'
  | 'EEXIST'
  | 'EXDEV'
  | 'ENOTDIR'
  | 'EISDIR'
  | 'EINVAL'
  | 'EFBIG'
  | 'ENOSPC'
  | 'EROFS'
  | 'ENAMETOOLONG'
  | 'ENOTEMPTY'
  | 'EDQUOT'
  | 'ESTALE'
  | 'EBADHANDLE'
  | 'EBADCOOKIE'
  | 'ENOTSYNC'
  | 'ENOTSUP'
  | 'ETOOSMALL'
  | 'EJUKEBOX'
  | 'EFAULT';

/** A failed file system operation. The message says what happened, to which export and key, and what can be done. */
export class FsError extends Error {
  override readonly name = 'FsError';
  readonly code: FsErrorCode;

  constructor(code: FsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
