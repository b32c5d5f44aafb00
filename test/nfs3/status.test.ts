import t from 'tap';

import type { FsErrorCode } from '../../src/fs/errors.js';
import { statusOf } from '../../src/nfs3/status.js';
import type { NfsFailure } from '../../protocol/nfs3/types.js';

/** A second, independent spelling of the table: a code that is added or changed must be changed here too. */
const EXPECTED: { readonly [C in FsErrorCode]: NfsFailure } = {
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

await t.test('every error code of the file system has the nfsstat3 of the same meaning', async (t) => {
  for (const [code, status] of Object.entries(EXPECTED)) t.equal(statusOf(code as FsErrorCode), status);
  t.equal(new Set(Object.values(EXPECTED)).size, Object.keys(EXPECTED).length);
});
