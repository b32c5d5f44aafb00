/**
 * The MOUNT protocol: version 3 (RFC 1813 appendix I) and version 1 (RFC 1094 appendix A), types under the RFCs' names. The lists that the RFCs
 * write as chains of pointers are arrays here.
 */
import { program } from '../program.js';
import {
  arm,
  array,
  bytestring,
  fixedOpaque,
  i32,
  list,
  opaque,
  struct,
  union,
  xenum,
  xvoid,
  type Infer,
} from '../xdr.js';

/** Bytes of a path (RFC 1813 I.4.1 MNTPATHLEN). */
export const MNTPATHLEN = 1024;
/** Bytes of a name (MNTNAMLEN). */
const MNTNAMLEN = 255;
/** Bytes of a handle of version 3 (FHSIZE3) and of version 1 (RFC 1094 2.3.3). */
const FHSIZE3 = 64;
const FHSIZE = 32;
/** Longer than MNTPATHLEN, so that a long path is answered MNT3ERR_NAMETOOLONG, not GARBAGE_ARGS. Linux's PATH_MAX. */
const PATH_BYTES_MAX = 4096;
/** Bounds of what a client decodes; a server's own lists are shorter. */
const LIST_MAX = 65_536;
const FLAVORS_MAX = 32;

const dirpath = bytestring(PATH_BYTES_MAX);
const name = bytestring(MNTNAMLEN);

export const mountstat3 = xenum({
  MNT3_OK: 0,
  MNT3ERR_PERM: 1,
  MNT3ERR_NOENT: 2,
  MNT3ERR_IO: 5,
  MNT3ERR_ACCES: 13,
  MNT3ERR_NOTDIR: 20,
  MNT3ERR_INVAL: 22,
  MNT3ERR_NAMETOOLONG: 63,
  MNT3ERR_NOTSUPP: 10004,
  MNT3ERR_SERVERFAULT: 10006,
});
export type mountstat3 = Infer<typeof mountstat3>;
export type MountFailure = Exclude<mountstat3, 'MNT3_OK'>;

const mountres3_ok = struct({ fhandle: opaque(FHSIZE3), auth_flavors: array(i32, FLAVORS_MAX) });

export const mountres3 = union('fhs_status', mountstat3, { MNT3_OK: arm('mountinfo', mountres3_ok) }, arm());
export type mountres3 = Infer<typeof mountres3>;

/** mountlist: who has mounted what, as far as the server knows. */
export const mountlist = list(struct({ ml_hostname: name, ml_directory: dirpath }), LIST_MAX);

/** exports: the paths that can be mounted, and by whom; no groups means by everybody. */
export const exports = list(struct({ ex_dir: dirpath, ex_groups: list(name, LIST_MAX) }), LIST_MAX);

export const MOUNT3 = program({
  name: 'MOUNT3',
  number: 100005,
  version: 3,
  procedures: {
    NULL: { number: 0, args: xvoid, result: xvoid },
    MNT: { number: 1, args: dirpath, result: mountres3 },
    DUMP: { number: 2, args: xvoid, result: mountlist },
    UMNT: { number: 3, args: dirpath, result: xvoid },
    UMNTALL: { number: 4, args: xvoid, result: xvoid },
    EXPORT: { number: 5, args: xvoid, result: exports },
  },
});

/** fhstatus (RFC 1094 A.5): zero, or an error number of UNIX; these are the ones of RFC 1094 2.3.1 that fit a mount. */
const mountstat1 = xenum({
  OK: 0,
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  EACCES: 13,
  ENOTDIR: 20,
  EINVAL: 22,
  ENAMETOOLONG: 63,
});

export const fhstatus = union('status', mountstat1, { OK: arm('directory', fixedOpaque(FHSIZE)) }, arm());

/** Spoken by clients that ask for the exports or say goodbye in version 1, whatever version they mount with. */
export const MOUNT1 = program({
  name: 'MOUNT1',
  number: 100005,
  version: 1,
  procedures: {
    NULL: { number: 0, args: xvoid, result: xvoid },
    MNT: { number: 1, args: dirpath, result: fhstatus },
    DUMP: { number: 2, args: xvoid, result: mountlist },
    UMNT: { number: 3, args: dirpath, result: xvoid },
    UMNTALL: { number: 4, args: xvoid, result: xvoid },
    EXPORT: { number: 5, args: xvoid, result: exports },
  },
});
