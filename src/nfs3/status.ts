/** The one place where a domain error becomes an nfsstat3. Without a default arm: a new FsErrorCode doesn't compile until it is mapped. */
import type { NfsFailure } from '../../protocol/nfs3/types.js';
import type { FsErrorCode } from '../fs/errors.js';

const STATUS_OF_CODE: { readonly [C in FsErrorCode]: NfsFailure } = {
  EPERM: 'NFS3ERR_PERM',
  ENOENT: 'NFS3ERR_NOENT',
  EIO: 'NFS3ERR_IO',
  EACCES: 'NFS3ERR_ACCES',
  EEXIST: 'NFS3ERR_EXIST',
  EXDEV: 'NFS3ERR_XDEV',
  ENOTDIR: 'NFS3ERR_NOTDIR',
  EISDIR: 'NFS3ERR_ISDIR',
  EINVAL: 'NFS3ERR_INVAL',
  EFBIG: 'NFS3ERR_FBIG',
  ENOSPC: 'NFS3ERR_NOSPC',
  EROFS: 'NFS3ERR_ROFS',
  ENAMETOOLONG: 'NFS3ERR_NAMETOOLONG',
  ENOTEMPTY: 'NFS3ERR_NOTEMPTY',
  EDQUOT: 'NFS3ERR_DQUOT',
  ESTALE: 'NFS3ERR_STALE',
  EBADHANDLE: 'NFS3ERR_BADHANDLE',
  EBADCOOKIE: 'NFS3ERR_BAD_COOKIE',
  ENOTSYNC: 'NFS3ERR_NOT_SYNC',
  ENOTSUP: 'NFS3ERR_NOTSUPP',
  ETOOSMALL: 'NFS3ERR_TOOSMALL',
  EJUKEBOX: 'NFS3ERR_JUKEBOX',
  EFAULT: 'NFS3ERR_SERVERFAULT',
};

/** The nfsstat3 of an FsError's code (RFC 1813 2.6). */
export function statusOf(code: FsErrorCode): NfsFailure {
  return STATUS_OF_CODE[code];
}
