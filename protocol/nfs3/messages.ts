/**
 * Arguments and results of the 22 procedures of NFSv3 (RFC 1813 3.3), in the RFC's order. Every result is
 * `{ status: 'NFS3_OK', resok } | { status: <a failure>, resfail }`; GETATTR's failure alone has no body.
 */
import { directoryList } from './directory-list.js';
import {
  arm,
  bool,
  opaque,
  opaqueSlices,
  optional,
  struct,
  u32,
  u64,
  union,
  type Codec,
  type Infer,
} from '../xdr.js';
import {
  cookieverf3,
  createmode3,
  createverf3,
  DATA_BYTES_MAX,
  diropargs3,
  fattr3,
  filename3,
  ftype3,
  nfs_fh3,
  nfspath3,
  nfsstat3,
  nfstime3,
  post_op_attr,
  post_op_fh3,
  sattr3,
  specdata3,
  stable_how,
  wcc_data,
  writeverf3,
} from './types.js';

/** Most entries that a directory page may hold: more than fit DATA_BYTES_MAX at 24 bytes each. */
const ENTRIES_MAX = 65536;

function result<Ok, Fail>(ok: Codec<Ok>, fail: Codec<Fail>) {
  return union('status', nfsstat3, { NFS3_OK: arm('resok', ok) }, arm('resfail', fail));
}

// Bodies that several procedures share.
const objectFailure = struct({ obj_attributes: post_op_attr });
const directoryFailure = struct({ dir_attributes: post_op_attr });
const changedDirectory = struct({ dir_wcc: wcc_data });
const changedFile = struct({ file_wcc: wcc_data });
const createdObject = struct({ obj: post_op_fh3, obj_attributes: post_op_attr, dir_wcc: wcc_data });

export const GETATTR3args = struct({ object: nfs_fh3 });
export const GETATTR3res = union(
  'status',
  nfsstat3,
  { NFS3_OK: arm('resok', struct({ obj_attributes: fattr3 })) },
  arm(),
);

export const SETATTR3args = struct({
  object: nfs_fh3,
  new_attributes: sattr3,
  /** sattrguard3: the ctime that the object must have. */
  guard: optional(nfstime3),
});
export const SETATTR3res = result(struct({ obj_wcc: wcc_data }), struct({ obj_wcc: wcc_data }));

export const LOOKUP3args = struct({ what: diropargs3 });
export const LOOKUP3res = result(
  struct({ object: nfs_fh3, obj_attributes: post_op_attr, dir_attributes: post_op_attr }),
  directoryFailure,
);

export const ACCESS3args = struct({ object: nfs_fh3, access: u32 });
export const ACCESS3res = result(struct({ obj_attributes: post_op_attr, access: u32 }), objectFailure);

export const READLINK3args = struct({ symlink: nfs_fh3 });
export const READLINK3res = result(
  struct({ symlink_attributes: post_op_attr, data: nfspath3 }),
  struct({ symlink_attributes: post_op_attr }),
);

export const READ3args = struct({ file: nfs_fh3, offset: u64, count: u32 });
export const READ3res = result(
  struct({ file_attributes: post_op_attr, count: u32, eof: bool, data: opaqueSlices(DATA_BYTES_MAX) }),
  struct({ file_attributes: post_op_attr }),
);

export const WRITE3args = struct({
  file: nfs_fh3,
  offset: u64,
  count: u32,
  stable: stable_how,
  data: opaque(DATA_BYTES_MAX),
});
export const WRITE3res = result(
  struct({ file_wcc: wcc_data, count: u32, committed: stable_how, verf: writeverf3 }),
  changedFile,
);

export const createhow3 = union('mode', createmode3, {
  UNCHECKED: arm('obj_attributes', sattr3),
  GUARDED: arm('obj_attributes', sattr3),
  EXCLUSIVE: arm('verf', createverf3),
});
export type createhow3 = Infer<typeof createhow3>;
export const CREATE3args = struct({ where: diropargs3, how: createhow3 });
export const CREATE3res = result(createdObject, changedDirectory);

export const MKDIR3args = struct({ where: diropargs3, attributes: sattr3 });
export const MKDIR3res = result(createdObject, changedDirectory);

export const symlinkdata3 = struct({ symlink_attributes: sattr3, symlink_data: nfspath3 });
export const SYMLINK3args = struct({ where: diropargs3, symlink: symlinkdata3 });
export const SYMLINK3res = result(createdObject, changedDirectory);

const devicedata3 = struct({ dev_attributes: sattr3, spec: specdata3 });
export const mknoddata3 = union(
  'type',
  ftype3,
  {
    NF3CHR: arm('device', devicedata3),
    NF3BLK: arm('device', devicedata3),
    NF3SOCK: arm('pipe_attributes', sattr3),
    NF3FIFO: arm('pipe_attributes', sattr3),
  },
  arm(),
);
export const MKNOD3args = struct({ where: diropargs3, what: mknoddata3 });
export const MKNOD3res = result(createdObject, changedDirectory);

export const REMOVE3args = struct({ object: diropargs3 });
export const REMOVE3res = result(changedDirectory, changedDirectory);

export const RMDIR3args = struct({ object: diropargs3 });
export const RMDIR3res = result(changedDirectory, changedDirectory);

export const RENAME3args = struct({ from: diropargs3, to: diropargs3 });
const renamed = struct({ fromdir_wcc: wcc_data, todir_wcc: wcc_data });
export const RENAME3res = result(renamed, renamed);

export const LINK3args = struct({ file: nfs_fh3, link: diropargs3 });
const linked = struct({ file_attributes: post_op_attr, linkdir_wcc: wcc_data });
export const LINK3res = result(linked, linked);

export const READDIR3args = struct({ dir: nfs_fh3, cookie: u64, cookieverf: cookieverf3, count: u32 });
export const entry3 = struct({ fileid: u64, name: filename3, cookie: u64 });
export type entry3 = Infer<typeof entry3>;
export const READDIR3resok = struct({
  dir_attributes: post_op_attr,
  cookieverf: cookieverf3,
  reply: directoryList(entry3, ENTRIES_MAX),
});
export const READDIR3res = result(READDIR3resok, directoryFailure);

export const READDIRPLUS3args = struct({
  dir: nfs_fh3,
  cookie: u64,
  cookieverf: cookieverf3,
  dircount: u32,
  maxcount: u32,
});
export const entryplus3 = struct({
  fileid: u64,
  name: filename3,
  cookie: u64,
  name_attributes: post_op_attr,
  name_handle: post_op_fh3,
});
export type entryplus3 = Infer<typeof entryplus3>;
export const READDIRPLUS3resok = struct({
  dir_attributes: post_op_attr,
  cookieverf: cookieverf3,
  reply: directoryList(entryplus3, ENTRIES_MAX),
});
export const READDIRPLUS3res = result(READDIRPLUS3resok, directoryFailure);

export const FSSTAT3args = struct({ fsroot: nfs_fh3 });
export const FSSTAT3res = result(
  struct({
    obj_attributes: post_op_attr,
    tbytes: u64,
    fbytes: u64,
    abytes: u64,
    tfiles: u64,
    ffiles: u64,
    afiles: u64,
    invarsec: u32,
  }),
  objectFailure,
);

export const FSINFO3args = struct({ fsroot: nfs_fh3 });
export const FSINFO3res = result(
  struct({
    obj_attributes: post_op_attr,
    rtmax: u32,
    rtpref: u32,
    rtmult: u32,
    wtmax: u32,
    wtpref: u32,
    wtmult: u32,
    dtpref: u32,
    maxfilesize: u64,
    time_delta: nfstime3,
    properties: u32,
  }),
  objectFailure,
);

export const PATHCONF3args = struct({ object: nfs_fh3 });
export const PATHCONF3res = result(
  struct({
    obj_attributes: post_op_attr,
    linkmax: u32,
    name_max: u32,
    no_trunc: bool,
    chown_restricted: bool,
    case_insensitive: bool,
    case_preserving: bool,
  }),
  objectFailure,
);

export const COMMIT3args = struct({ file: nfs_fh3, offset: u64, count: u32 });
export const COMMIT3res = result(struct({ file_wcc: wcc_data, verf: writeverf3 }), changedFile);
