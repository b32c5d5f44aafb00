/** NFS version 3 (RFC 1813) as data: program 100003, 22 procedures. */
import { program } from '../program.js';
import { xvoid } from '../xdr.js';
import * as m from './messages.js';
import type { nfsstat3 } from './types.js';

/** A client that was told to come back must find a fresh answer, not the JUKEBOX it got last time. */
const cacheable = ({ status }: { readonly status: nfsstat3 }): boolean => status !== 'NFS3ERR_JUKEBOX';

/** What a procedure that changes something has besides its codecs. */
const changing = { nonIdempotent: true, cacheable } as const;

export const NFS3 = program({
  name: 'NFS3',
  number: 100003,
  version: 3,
  procedures: {
    NULL: { number: 0, args: xvoid, result: xvoid },
    GETATTR: { number: 1, args: m.GETATTR3args, result: m.GETATTR3res },
    SETATTR: { number: 2, args: m.SETATTR3args, result: m.SETATTR3res, ...changing },
    LOOKUP: { number: 3, args: m.LOOKUP3args, result: m.LOOKUP3res },
    ACCESS: { number: 4, args: m.ACCESS3args, result: m.ACCESS3res },
    READLINK: { number: 5, args: m.READLINK3args, result: m.READLINK3res },
    READ: { number: 6, args: m.READ3args, result: m.READ3res },
    WRITE: { number: 7, args: m.WRITE3args, result: m.WRITE3res, ...changing, bulk: true },
    CREATE: { number: 8, args: m.CREATE3args, result: m.CREATE3res, ...changing },
    MKDIR: { number: 9, args: m.MKDIR3args, result: m.MKDIR3res, ...changing },
    SYMLINK: { number: 10, args: m.SYMLINK3args, result: m.SYMLINK3res, ...changing },
    MKNOD: { number: 11, args: m.MKNOD3args, result: m.MKNOD3res, ...changing },
    REMOVE: { number: 12, args: m.REMOVE3args, result: m.REMOVE3res, ...changing },
    RMDIR: { number: 13, args: m.RMDIR3args, result: m.RMDIR3res, ...changing },
    RENAME: { number: 14, args: m.RENAME3args, result: m.RENAME3res, ...changing },
    LINK: { number: 15, args: m.LINK3args, result: m.LINK3res, ...changing },
    READDIR: { number: 16, args: m.READDIR3args, result: m.READDIR3res },
    READDIRPLUS: { number: 17, args: m.READDIRPLUS3args, result: m.READDIRPLUS3res },
    FSSTAT: { number: 18, args: m.FSSTAT3args, result: m.FSSTAT3res },
    FSINFO: { number: 19, args: m.FSINFO3args, result: m.FSINFO3res },
    PATHCONF: { number: 20, args: m.PATHCONF3args, result: m.PATHCONF3res },
    COMMIT: { number: 21, args: m.COMMIT3args, result: m.COMMIT3res },
  },
});
