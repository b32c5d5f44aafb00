/**
 * NFSv3 basic data types and constants (RFC 1813 2.3 to 2.6), named and ordered as the RFC has them.
 *
 * Two liberties: names and paths are bounded opaques (the RFC's strings have no bound of their own, and judging a name is
 * the file system's business), and the RFC's unions over a boolean are `optional` values.
 */
import {
  arm,
  bytestring,
  fixedOpaque,
  opaque,
  optional,
  struct,
  u32,
  u64,
  union,
  xenum,
  type Codec,
  type Infer,
} from '../xdr.js';
import type { XdrWriter } from '../xdr-cursors.js';

/** Largest file handle (RFC 1813 2.4). */
export const NFS3_FHSIZE = 64;
/** Bytes of READDIR's cookie verifier, of CREATE's and of WRITE's (RFC 1813 2.4). */
export const NFS3_COOKIEVERFSIZE = 8;
export const NFS3_CREATEVERFSIZE = 8;
export const NFS3_WRITEVERFSIZE = 8;

/** Most data in one READ or WRITE: what Linux asks for at most, and what FSINFO announces. */
export const DATA_BYTES_MAX = 1024 * 1024;
/** Longer than any name that can exist (255), so that a long name is answered NFS3ERR_NAMETOOLONG, not GARBAGE_ARGS. */
export const FILENAME_BYTES_MAX = 1024;
/** Linux's PATH_MAX. */
export const PATH_BYTES_MAX = 4096;

/** nfsstat3 (RFC 1813 2.6). */
const NFSSTAT3 = {
  NFS3_OK: 0,
  NFS3ERR_PERM: 1,
  NFS3ERR_NOENT: 2,
  NFS3ERR_IO: 5,
  NFS3ERR_NXIO: 6,
  NFS3ERR_ACCES: 13,
  NFS3ERR_EXIST: 17,
  NFS3ERR_XDEV: 18,
  NFS3ERR_NODEV: 19,
  NFS3ERR_NOTDIR: 20,
  NFS3ERR_ISDIR: 21,
  NFS3ERR_INVAL: 22,
  NFS3ERR_FBIG: 27,
  NFS3ERR_NOSPC: 28,
  NFS3ERR_ROFS: 30,
  NFS3ERR_MLINK: 31,
  NFS3ERR_NAMETOOLONG: 63,
  NFS3ERR_NOTEMPTY: 66,
  NFS3ERR_DQUOT: 69,
  NFS3ERR_STALE: 70,
  NFS3ERR_REMOTE: 71,
  NFS3ERR_BADHANDLE: 10001,
  NFS3ERR_NOT_SYNC: 10002,
  NFS3ERR_BAD_COOKIE: 10003,
  NFS3ERR_NOTSUPP: 10004,
  NFS3ERR_TOOSMALL: 10005,
  NFS3ERR_SERVERFAULT: 10006,
  NFS3ERR_BADTYPE: 10007,
  NFS3ERR_JUKEBOX: 10008,
} as const;
export const nfsstat3 = xenum(NFSSTAT3);
export type nfsstat3 = Infer<typeof nfsstat3>;
/** A status that isn't NFS3_OK. */
export type NfsFailure = Exclude<nfsstat3, 'NFS3_OK'>;

export const ftype3 = xenum({
  NF3REG: 1,
  NF3DIR: 2,
  NF3BLK: 3,
  NF3CHR: 4,
  NF3LNK: 5,
  NF3SOCK: 6,
  NF3FIFO: 7,
});
export type ftype3 = Infer<typeof ftype3>;

export const filename3 = bytestring(FILENAME_BYTES_MAX);
export const nfspath3 = bytestring(PATH_BYTES_MAX);
export const cookieverf3 = fixedOpaque(NFS3_COOKIEVERFSIZE);
export const createverf3 = fixedOpaque(NFS3_CREATEVERFSIZE);
export const writeverf3 = fixedOpaque(NFS3_WRITEVERFSIZE);
export const nfs_fh3 = opaque(NFS3_FHSIZE);

export const specdata3 = struct({ specdata1: u32, specdata2: u32 });
export const nfstime3 = struct({ seconds: u32, nseconds: u32 });
export type nfstime3 = Infer<typeof nfstime3>;

/** fattr3 as a structure like any other: what the codec below is compared with. */
export const plainFattr3 = struct({
  type: ftype3,
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  size: u64,
  used: u64,
  rdev: specdata3,
  fsid: u64,
  fileid: u64,
  atime: nfstime3,
  mtime: nfstime3,
  ctime: nfstime3,
});
export type fattr3 = Infer<typeof plainFattr3>;
/** Nearly every reply has one: its fields are written one by one instead of by their names, in a third of the time. */
export const fattr3: Codec<fattr3> = {
  decode: (reader) => plainFattr3.decode(reader),
  encode: (writer, value) => {
    ftype3.encode(writer, value.type);
    u32.encode(writer, value.mode);
    u32.encode(writer, value.nlink);
    u32.encode(writer, value.uid);
    u32.encode(writer, value.gid);
    u64.encode(writer, value.size);
    u64.encode(writer, value.used);
    u32.encode(writer, value.rdev.specdata1);
    u32.encode(writer, value.rdev.specdata2);
    u64.encode(writer, value.fsid);
    u64.encode(writer, value.fileid);
    encodeTime(writer, value.atime);
    encodeTime(writer, value.mtime);
    encodeTime(writer, value.ctime);
  },
};

function encodeTime(writer: XdrWriter, { seconds, nseconds }: nfstime3): void {
  u32.encode(writer, seconds);
  u32.encode(writer, nseconds);
}

/** Bytes of an encoded fattr3. */
export const FATTR3_BYTES = 84;

export const post_op_attr = optional(fattr3);
export type post_op_attr = Infer<typeof post_op_attr>;
export const post_op_fh3 = optional(nfs_fh3);

export const wcc_attr = struct({ size: u64, mtime: nfstime3, ctime: nfstime3 });
export type wcc_attr = Infer<typeof wcc_attr>;
export const pre_op_attr = optional(wcc_attr);
export const wcc_data = struct({ before: pre_op_attr, after: post_op_attr });
export type wcc_data = Infer<typeof wcc_data>;

export const time_how = xenum({ DONT_CHANGE: 0, SET_TO_SERVER_TIME: 1, SET_TO_CLIENT_TIME: 2 });
export const set_time = union('set_it', time_how, {
  DONT_CHANGE: arm(),
  SET_TO_SERVER_TIME: arm(),
  SET_TO_CLIENT_TIME: arm('time', nfstime3),
});
/** set_atime and set_mtime. */
export type set_time = Infer<typeof set_time>;

export const sattr3 = struct({
  mode: optional(u32),
  uid: optional(u32),
  gid: optional(u32),
  size: optional(u64),
  atime: set_time,
  mtime: set_time,
});
export type sattr3 = Infer<typeof sattr3>;

export const diropargs3 = struct({ dir: nfs_fh3, name: filename3 });
export type diropargs3 = Infer<typeof diropargs3>;

/** ACCESS's bits (RFC 1813 3.3.4). */
export const ACCESS3_READ = 0x01;
export const ACCESS3_LOOKUP = 0x02;
export const ACCESS3_MODIFY = 0x04;
export const ACCESS3_EXTEND = 0x08;
export const ACCESS3_DELETE = 0x10;
export const ACCESS3_EXECUTE = 0x20;

/** FSINFO's properties (RFC 1813 3.3.19). */
export const FSF3_SYMLINK = 0x02;
export const FSF3_HOMOGENEOUS = 0x08;
export const FSF3_CANSETTIME = 0x10;

export const stable_how = xenum({ UNSTABLE: 0, DATA_SYNC: 1, FILE_SYNC: 2 });
export type stable_how = Infer<typeof stable_how>;
export const createmode3 = xenum({ UNCHECKED: 0, GUARDED: 1, EXCLUSIVE: 2 });
