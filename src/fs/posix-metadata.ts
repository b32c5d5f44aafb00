/**
 * POSIX attributes in object metadata. Written in the dialect of FSx for Lustre and DataSync; read in theirs and in those of
 * s3fs, rclone and GeeseFS. All other metadata of an object is foreign and kept as it is.
 */
import { isDeepStrictEqual } from 'node:util';
import type { FileType } from './file-system.js';

/** What the metadata tells; what it doesn't tell takes the export's defaults or the object's LastModified. */
export interface PosixMetadata {
  readonly type?: FileType;
  /** Permission bits. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtimeNs?: bigint;
  readonly atimeNs?: bigint;
  /** A symlink target kept in metadata (GeeseFS); elsewhere the body is the target. */
  readonly symlinkTarget?: string;
}

const TYPE_MASK = 0o170000;
const TYPE_BITS: Readonly<Record<FileType, number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
};
const PERMISSION_MASK = 0o7777;

/** Keys that writing replaces: ours, and those of the dialects that would contradict it. */
const OWN_KEYS = new Set(['file-permissions', 'file-owner', 'file-group', 'file-mtime', 'file-atime']);
const TIME_KEYS = new Set(['file-mtime', 'file-atime', 'mtime', 'atime', 'ctime']);
const OTHER_KEYS = new Set(['mode', 'uid', 'gid', 'mtime', 'atime', 'ctime']);

/** Reads every dialect; ours wins where several speak. Values that don't parse are passed over. */
export function readPosixMetadata(metadata: Readonly<Record<string, string>>): PosixMetadata {
  const typeAndMode = parseInteger(metadata['file-permissions'], 8) ?? parseInteger(metadata['mode'], 10);
  const uid = parseInteger(metadata['file-owner'], 10) ?? parseInteger(metadata['uid'], 10);
  const gid = parseInteger(metadata['file-group'], 10) ?? parseInteger(metadata['gid'], 10);
  const mtimeNs = parseNs(metadata['file-mtime']) ?? parseSeconds(metadata['mtime']);
  const atimeNs = parseNs(metadata['file-atime']) ?? parseSeconds(metadata['atime']);
  const symlinkTarget = metadata['--symlink-target'];
  const type =
    symlinkTarget !== undefined ? 'symlink' : typeAndMode === undefined ? undefined : typeOf(typeAndMode);
  return {
    ...(type !== undefined && { type }),
    ...(typeAndMode !== undefined && { mode: typeAndMode & PERMISSION_MASK }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(mtimeNs !== undefined && { mtimeNs }),
    ...(atimeNs !== undefined && { atimeNs }),
    ...(symlinkTarget !== undefined && { symlinkTarget }),
  };
}

/** What is written with an object. What nobody gave it is left out: each export has defaults of its own for that. */
export interface OwnAttributes {
  readonly type: FileType;
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Left out of an upload that is opened before they are known. */
  readonly mtimeNs?: bigint;
  readonly atimeNs?: bigint;
}

/** `foreign` with the attributes in our dialect; the keys of other dialects that ours replaces are dropped. */
export function writePosixMetadata(
  foreign: Readonly<Record<string, string>>,
  attributes: OwnAttributes,
): Record<string, string> {
  const kept = Object.fromEntries(
    Object.entries(foreign).filter(([key]) => !OWN_KEYS.has(key) && !OTHER_KEYS.has(key)),
  );
  const { type, uid, gid } = attributes;
  // The type is told with the mode.
  const mode = attributes.mode ?? (type === 'symlink' ? 0o777 : undefined);
  return {
    ...kept,
    ...(mode !== undefined && { 'file-permissions': `0${(TYPE_BITS[type] | mode).toString(8)}` }),
    ...(uid !== undefined && { 'file-owner': String(uid) }),
    ...(gid !== undefined && { 'file-group': String(gid) }),
    ...(attributes.mtimeNs !== undefined && { 'file-mtime': `${attributes.mtimeNs}ns` }),
    ...(attributes.atimeNs !== undefined && { 'file-atime': `${attributes.atimeNs}ns` }),
  };
}

/** `foreign` without the times of any dialect: they belong to the object's former bytes. */
export function withoutTimes(foreign: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(foreign).filter(([key]) => !TIME_KEYS.has(key)));
}

/** The least metadata that makes an object a symlink for everybody who reads our dialect. */
export const SYMLINK_METADATA: Readonly<Record<string, string>> = { 'file-permissions': '0120777' };

/** True where two objects' metadata differ in nothing but the times of our dialect. */
export function differsInTimesOnly(
  a: Readonly<Record<string, string>>,
  b: Readonly<Record<string, string>>,
): boolean {
  const withoutTimes = ({
    'file-mtime': _mtime,
    'file-atime': _atime,
    ...rest
  }: Readonly<Record<string, string>>): unknown => rest;
  return isDeepStrictEqual(withoutTimes(a), withoutTimes(b));
}

function typeOf(mode: number): FileType | undefined {
  const bits = mode & TYPE_MASK;
  if (bits === TYPE_BITS.symlink) return 'symlink';
  if (bits === TYPE_BITS.directory) return 'directory';
  return bits === TYPE_BITS.file ? 'file' : undefined;
}

function parseInteger(text: string | undefined, radix: 8 | 10): number | undefined {
  if (text === undefined || !(radix === 8 ? /^[0-7]{1,11}$/ : /^[0-9]{1,10}$/).test(text)) return undefined;
  const value = Number.parseInt(text, radix);
  return value <= 0xffffffff ? value : undefined;
}

/** FSx for Lustre: nanoseconds with the suffix `ns`. */
function parseNs(text: string | undefined): bigint | undefined {
  const match = text === undefined ? null : /^([0-9]{1,20})ns$/.exec(text);
  return match?.[1] === undefined ? undefined : BigInt(match[1]);
}

/** s3fs, rclone, GeeseFS: seconds, with decimals or without. */
function parseSeconds(text: string | undefined): bigint | undefined {
  const match = text === undefined ? null : /^([0-9]{1,11})(?:\.([0-9]{1,18}))?$/.exec(text);
  if (match?.[1] === undefined) return undefined;
  const fraction = (match[2] ?? '').slice(0, 9).padEnd(9, '0');
  return BigInt(match[1]) * 1_000_000_000n + BigInt(fraction);
}
