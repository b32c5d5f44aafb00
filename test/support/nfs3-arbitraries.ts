/** Arbitrary arguments and results of all 22 procedures of NFSv3. */
import fc from 'fast-check';

import type { NFS3 } from '../../protocol/nfs3/program.js';
import * as types from '../../protocol/nfs3/types.js';
import type { ArgsOf, ProcedureName, ResultOf } from '../../protocol/program.js';

type Name = ProcedureName<typeof NFS3>;
type Arbitraries = {
  readonly [N in Name]: {
    readonly args: fc.Arbitrary<ArgsOf<typeof NFS3, N>>;
    readonly result: fc.Arbitrary<ResultOf<typeof NFS3, N>>;
  };
};

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record<T>(model, { noNullPrototype: true });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const bytes = (maxLength: number, minLength = 0) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array));
const constant = <const T>(value: T) => fc.constant(value);

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const handle = bytes(types.NFS3_FHSIZE);
const name = bytes(40);
const verifier = bytes(8, 8);
const time = record<types.nfstime3>({ seconds: u32, nseconds: u32 });
const fileType = fc.constantFrom<types.ftype3[]>(
  'NF3REG',
  'NF3DIR',
  'NF3BLK',
  'NF3CHR',
  'NF3LNK',
  'NF3SOCK',
  'NF3FIFO',
);
const attributes = record<types.fattr3>({
  type: fileType,
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  size: u64,
  used: u64,
  rdev: record({ specdata1: u32, specdata2: u32 }),
  fsid: u64,
  fileid: u64,
  atime: time,
  mtime: time,
  ctime: time,
});
const postOp = maybe(attributes);
const wcc = record<types.wcc_data>({
  before: maybe(record<types.wcc_attr>({ size: u64, mtime: time, ctime: time })),
  after: postOp,
});
const setTime: fc.Arbitrary<types.set_time> = fc.oneof(
  record({ set_it: constant('DONT_CHANGE') }),
  record({ set_it: constant('SET_TO_SERVER_TIME') }),
  record({ set_it: constant('SET_TO_CLIENT_TIME'), time }),
);
const setAttributes = record<types.sattr3>({
  mode: maybe(u32),
  uid: maybe(u32),
  gid: maybe(u32),
  size: maybe(u64),
  atime: setTime,
  mtime: setTime,
});
const where = record<types.diropargs3>({ dir: handle, name });
const stable = fc.constantFrom<types.stable_how[]>('UNSTABLE', 'DATA_SYNC', 'FILE_SYNC');

/** Every status but NFS3_OK. */
export const FAILURES: readonly types.NfsFailure[] = [
  'NFS3ERR_PERM',
  'NFS3ERR_NOENT',
  'NFS3ERR_IO',
  'NFS3ERR_NXIO',
  'NFS3ERR_ACCES',
  'NFS3ERR_EXIST',
  'NFS3ERR_XDEV',
  'NFS3ERR_NODEV',
  'NFS3ERR_NOTDIR',
  'NFS3ERR_ISDIR',
  'NFS3ERR_INVAL',
  'NFS3ERR_FBIG',
  'NFS3ERR_NOSPC',
  'NFS3ERR_ROFS',
  'NFS3ERR_MLINK',
  'NFS3ERR_NAMETOOLONG',
  'NFS3ERR_NOTEMPTY',
  'NFS3ERR_DQUOT',
  'NFS3ERR_STALE',
  'NFS3ERR_REMOTE',
  'NFS3ERR_BADHANDLE',
  'NFS3ERR_NOT_SYNC',
  'NFS3ERR_BAD_COOKIE',
  'NFS3ERR_NOTSUPP',
  'NFS3ERR_TOOSMALL',
  'NFS3ERR_SERVERFAULT',
  'NFS3ERR_BADTYPE',
  'NFS3ERR_JUKEBOX',
];
const failure = fc.constantFrom(...FAILURES);

const result = <Ok, Fail>(resok: fc.Arbitrary<Ok>, resfail: fc.Arbitrary<Fail>) =>
  fc.oneof(record({ status: constant('NFS3_OK'), resok }), record({ status: failure, resfail }));

const objectFailure = record({ obj_attributes: postOp });
const directoryFailure = record({ dir_attributes: postOp });
const changedDirectory = record({ dir_wcc: wcc });
const changedFile = record({ file_wcc: wcc });
const created = result(
  record({ obj: maybe(handle), obj_attributes: postOp, dir_wcc: wcc }),
  changedDirectory,
);
const renamed = record({ fromdir_wcc: wcc, todir_wcc: wcc });
const linked = record({ file_attributes: postOp, linkdir_wcc: wcc });
const device = record({ dev_attributes: setAttributes, spec: record({ specdata1: u32, specdata2: u32 }) });
const nothing = { args: constant(undefined), result: constant(undefined) };
const page = <T>(entry: fc.Arbitrary<T>) =>
  result(
    record({
      dir_attributes: postOp,
      cookieverf: verifier,
      reply: record({ entries: fc.array(entry, { maxLength: 5 }), eof: fc.boolean() }),
    }),
    directoryFailure,
  );

export const NFS3_ARBITRARIES: Arbitraries = {
  NULL: nothing,
  GETATTR: {
    args: record({ object: handle }),
    result: fc.oneof(
      record({ status: constant('NFS3_OK'), resok: record({ obj_attributes: attributes }) }),
      record({ status: failure }),
    ),
  },
  SETATTR: {
    args: record({ object: handle, new_attributes: setAttributes, guard: maybe(time) }),
    result: result(record({ obj_wcc: wcc }), record({ obj_wcc: wcc })),
  },
  LOOKUP: {
    args: record({ what: where }),
    result: result(
      record({ object: handle, obj_attributes: postOp, dir_attributes: postOp }),
      directoryFailure,
    ),
  },
  ACCESS: {
    args: record({ object: handle, access: u32 }),
    result: result(record({ obj_attributes: postOp, access: u32 }), objectFailure),
  },
  READLINK: {
    args: record({ symlink: handle }),
    result: result(
      record({ symlink_attributes: postOp, data: bytes(100) }),
      record({ symlink_attributes: postOp }),
    ),
  },
  READ: {
    args: record({ file: handle, offset: u64, count: u32 }),
    result: result(
      record({
        file_attributes: postOp,
        count: u32,
        eof: fc.boolean(),
        // Decoding gives one slice, whatever the number that was encoded.
        data: bytes(100).map((slice): readonly Buffer[] => [slice]),
      }),
      record({ file_attributes: postOp }),
    ),
  },
  WRITE: {
    args: record({ file: handle, offset: u64, count: u32, stable, data: bytes(100) }),
    result: result(record({ file_wcc: wcc, count: u32, committed: stable, verf: verifier }), changedFile),
  },
  CREATE: {
    args: record({
      where,
      how: fc.oneof(
        record({ mode: constant('UNCHECKED'), obj_attributes: setAttributes }),
        record({ mode: constant('GUARDED'), obj_attributes: setAttributes }),
        record({ mode: constant('EXCLUSIVE'), verf: verifier }),
      ),
    }),
    result: created,
  },
  MKDIR: { args: record({ where, attributes: setAttributes }), result: created },
  SYMLINK: {
    args: record({
      where,
      symlink: record({ symlink_attributes: setAttributes, symlink_data: bytes(100) }),
    }),
    result: created,
  },
  MKNOD: {
    args: record({
      where,
      what: fc.oneof(
        record({ type: constant('NF3CHR'), device }),
        record({ type: constant('NF3BLK'), device }),
        record({ type: constant('NF3SOCK'), pipe_attributes: setAttributes }),
        record({ type: constant('NF3FIFO'), pipe_attributes: setAttributes }),
        record({ type: fc.constantFrom('NF3REG' as const, 'NF3DIR' as const, 'NF3LNK' as const) }),
      ),
    }),
    result: created,
  },
  REMOVE: { args: record({ object: where }), result: result(changedDirectory, changedDirectory) },
  RMDIR: { args: record({ object: where }), result: result(changedDirectory, changedDirectory) },
  RENAME: { args: record({ from: where, to: where }), result: result(renamed, renamed) },
  LINK: { args: record({ file: handle, link: where }), result: result(linked, linked) },
  READDIR: {
    args: record({ dir: handle, cookie: u64, cookieverf: verifier, count: u32 }),
    result: page(record({ fileid: u64, name, cookie: u64 })),
  },
  READDIRPLUS: {
    args: record({ dir: handle, cookie: u64, cookieverf: verifier, dircount: u32, maxcount: u32 }),
    result: page(
      record({ fileid: u64, name, cookie: u64, name_attributes: postOp, name_handle: maybe(handle) }),
    ),
  },
  FSSTAT: {
    args: record({ fsroot: handle }),
    result: result(
      record({
        obj_attributes: postOp,
        tbytes: u64,
        fbytes: u64,
        abytes: u64,
        tfiles: u64,
        ffiles: u64,
        afiles: u64,
        invarsec: u32,
      }),
      objectFailure,
    ),
  },
  FSINFO: {
    args: record({ fsroot: handle }),
    result: result(
      record({
        obj_attributes: postOp,
        rtmax: u32,
        rtpref: u32,
        rtmult: u32,
        wtmax: u32,
        wtpref: u32,
        wtmult: u32,
        dtpref: u32,
        maxfilesize: u64,
        time_delta: time,
        properties: u32,
      }),
      objectFailure,
    ),
  },
  PATHCONF: {
    args: record({ object: handle }),
    result: result(
      record({
        obj_attributes: postOp,
        linkmax: u32,
        name_max: u32,
        no_trunc: fc.boolean(),
        chown_restricted: fc.boolean(),
        case_insensitive: fc.boolean(),
        case_preserving: fc.boolean(),
      }),
      objectFailure,
    ),
  },
  COMMIT: {
    args: record({ file: handle, offset: u64, count: u32 }),
    result: result(record({ file_wcc: wcc, verf: verifier }), changedFile),
  },
};
