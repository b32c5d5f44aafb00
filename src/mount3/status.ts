/** The one place where a domain error becomes a mountstat3. A new FsErrorCode doesn't compile until it is mapped. */
import type { MountFailure } from '../../protocol/mount3/program.js';
import type { FsErrorCode } from '../fs/errors.js';

const STATUS_OF_CODE: { readonly [C in FsErrorCode]: MountFailure } = {
  EPERM: 'MNT3ERR_PERM',
  ENOENT: 'MNT3ERR_NOENT',
  EIO: 'MNT3ERR_IO',
  EACCES: 'MNT3ERR_ACCES',
  EEXIST: 'MNT3ERR_IO',
  EXDEV: 'MNT3ERR_IO',
  ENOTDIR: 'MNT3ERR_NOTDIR',
  EISDIR: 'MNT3ERR_INVAL',
  EINVAL: 'MNT3ERR_INVAL',
  EFBIG: 'MNT3ERR_IO',
  ENOSPC: 'MNT3ERR_IO',
  EROFS: 'MNT3ERR_ACCES',
  ENAMETOOLONG: 'MNT3ERR_NAMETOOLONG',
  ENOTEMPTY: 'MNT3ERR_IO',
  EDQUOT: 'MNT3ERR_IO',
  // The bucket behind the path is gone.
  ESTALE: 'MNT3ERR_NOENT',
  EBADHANDLE: 'MNT3ERR_NOENT',
  EBADCOOKIE: 'MNT3ERR_INVAL',
  ENOTSYNC: 'MNT3ERR_INVAL',
  ENOTSUP: 'MNT3ERR_NOTSUPP',
  ETOOSMALL: 'MNT3ERR_INVAL',
  // MOUNT has no "try again later".
  EJUKEBOX: 'MNT3ERR_IO',
  EFAULT: 'MNT3ERR_SERVERFAULT',
};

/** The mountstat3 of an FsError's code (RFC 1813 I.4.2). */
export function statusOf(code: FsErrorCode): MountFailure {
  return STATUS_OF_CODE[code];
}
