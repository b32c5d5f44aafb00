/** Attributes between the file system's words (nanoseconds, numbers) and the wire's (fattr3, sattr3, wcc_data). Pure. */
import type {
  fattr3,
  ftype3,
  nfstime3,
  sattr3,
  set_time,
  wcc_attr,
  wcc_data,
} from '../../protocol/nfs3/types.js';
import { FsError } from '../fs/errors.js';
import type { AttributeChanges, Attributes, ChangeReport, FileType } from '../fs/file-system.js';

const NS_PER_SECOND = 1_000_000_000n;
const SECONDS_MAX = 0xffff_ffffn;
const MODE_BITS = 0o7777;
const NO_DEVICE = Object.freeze({ specdata1: 0, specdata2: 0 });

const TYPE_ON_WIRE: { readonly [T in FileType]: ftype3 } = {
  file: 'NF3REG',
  directory: 'NF3DIR',
  symlink: 'NF3LNK',
};

/** Nanoseconds since the epoch as nfstime3, which reaches from 1970 to 2106: times outside are given as the nearest end. */
export function toNfstime3(ns: bigint): nfstime3 {
  if (ns < 0n) return { seconds: 0, nseconds: 0 };
  const seconds = ns / NS_PER_SECOND;
  if (seconds > SECONDS_MAX) return { seconds: Number(SECONDS_MAX), nseconds: 999_999_999 };
  return { seconds: Number(seconds), nseconds: Number(ns % NS_PER_SECOND) };
}

/** nfstime3 as nanoseconds since the epoch. EINVAL if it has more than a second's nanoseconds. */
export function fromNfstime3(time: nfstime3): bigint {
  if (time.nseconds >= 1_000_000_000) {
    throw new FsError('EINVAL', `expected less than 1e9 nanoseconds in a time, got ${time.nseconds}`);
  }
  return BigInt(time.seconds) * NS_PER_SECOND + BigInt(time.nseconds);
}

/** fattr3 (RFC 1813 2.6). There are no devices, so rdev is 0. */
export function toFattr3(attributes: Attributes): fattr3 {
  const { atimeNs, mtimeNs } = attributes;
  const size = BigInt(attributes.size);
  const mtime = toNfstime3(mtimeNs);
  return {
    type: TYPE_ON_WIRE[attributes.type],
    mode: attributes.mode,
    nlink: attributes.nlink,
    uid: attributes.uid,
    gid: attributes.gid,
    size,
    used: attributes.used === attributes.size ? size : BigInt(attributes.used),
    rdev: NO_DEVICE,
    fsid: attributes.fsid,
    fileid: attributes.fileid,
    // Mostly the same: few objects say when they were read.
    atime: atimeNs === mtimeNs ? mtime : toNfstime3(atimeNs),
    mtime,
    ctime: toNfstime3(attributes.ctimeNs),
  };
}

/** wcc_data: `before` only where the file system vouches that nothing else came in between (RFC 1813 2.6, pre_op_attr). */
export function toWccData({ before, after }: ChangeReport): wcc_data {
  return {
    before: before && toWccAttr(before),
    after: after && toFattr3(after),
  };
}

/** What a failed call says about a directory or file: nothing, since to find out could cost a request to the store. */
export const UNKNOWN_WCC: wcc_data = Object.freeze({ before: undefined, after: undefined });

/** sattr3 as changes. EINVAL for an impossible time, EFBIG for a size beyond what a number holds. */
export function toAttributeChanges(sattr: sattr3): AttributeChanges {
  const atimeNs = timeChange(sattr.atime);
  const mtimeNs = timeChange(sattr.mtime);
  return {
    ...(sattr.mode !== undefined && { mode: sattr.mode & MODE_BITS }),
    ...(sattr.uid !== undefined && { uid: sattr.uid }),
    ...(sattr.gid !== undefined && { gid: sattr.gid }),
    ...(sattr.size !== undefined && { size: toSize(sattr.size) }),
    ...(atimeNs !== undefined && { atimeNs }),
    ...(mtimeNs !== undefined && { mtimeNs }),
  };
}

function toWccAttr(before: NonNullable<ChangeReport['before']>): wcc_attr {
  return {
    size: BigInt(before.size),
    mtime: toNfstime3(before.mtimeNs),
    ctime: toNfstime3(before.ctimeNs),
  };
}

function timeChange(change: set_time): bigint | 'now' | undefined {
  switch (change.set_it) {
    case 'DONT_CHANGE':
      return undefined;
    case 'SET_TO_SERVER_TIME':
      return 'now';
    case 'SET_TO_CLIENT_TIME':
      return fromNfstime3(change.time);
  }
}

function toSize(size: bigint): number {
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new FsError('EFBIG', `expected a size below 2^53 bytes, got ${size}`);
  }
  return Number(size);
}
