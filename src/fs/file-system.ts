/**
 * The FileSystem seam: what files and directories mean, in domain types. nfs3/ and mount3/ speak to it; it knows no XDR and
 * no AWS. Every operation takes the caller's context first, throws FsError, and is safe to call concurrently.
 *
 * What must be fast: getattr, lookup, access and read of what is cached answer without the store, and the first three then give a
 * value, not a promise, and throw instead of rejecting. What must be true: write
 * with a stability above `unstable`, commit, and every call that changes the namespace resolve only when a crash of this
 * process loses nothing of them (docs/SEMANTICS.md).
 */

import type { Soon } from './soon.js';

/** Who asks, after the RPC layer has read the credential. Squashing has not happened yet when the outermost layer sees it. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly gids: readonly number[];
  /** Numeric IP address of the client. */
  readonly address: string;
}

/** The caller and the call's life. */
export interface Context {
  readonly caller: Caller;
  readonly signal: AbortSignal;
}

/** Opaque bytes, at most 64, that name one file for as long as it exists, across renames and restarts. */
export type Handle = Buffer;

export type FileType = 'file' | 'directory' | 'symlink';

/** Attributes of one file. Times are nanoseconds since the epoch; sizes are bytes. */
export interface Attributes {
  readonly type: FileType;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Bytes of storage used. */
  readonly used: number;
  /** Constant for an export. */
  readonly fsid: bigint;
  /** Unique within an export, never reused. */
  readonly fileid: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  /** Moves at every change. */
  readonly ctimeNs: bigint;
}

/** What SETATTR and the create calls may set. A time is a number of nanoseconds or the server's clock. */
export interface AttributeChanges {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atimeNs?: bigint | 'now';
  readonly mtimeNs?: bigint | 'now';
}

/** Attributes of an object around a change (wcc_data). `before` is there only if nothing else changed in between. */
export interface ChangeReport {
  readonly before?: Pick<Attributes, 'size' | 'mtimeNs' | 'ctimeNs'>;
  readonly after?: Attributes;
}

/** A file just found or made. */
export interface FoundFile {
  readonly handle: Handle;
  readonly attributes: Attributes;
}

export interface CreatedFile extends FoundFile {
  /** The directory that the file was made in. */
  readonly parent: ChangeReport;
}

/** NFSv3 access bits (RFC 1813 3.3.4), as domain words. */
export interface AccessRights {
  readonly read: boolean;
  readonly lookup: boolean;
  readonly modify: boolean;
  readonly extend: boolean;
  readonly delete: boolean;
  readonly execute: boolean;
}

export interface ReadResult {
  /** The bytes, in order, as slices of buffers that stay unchanged until `release` is called. */
  readonly slices: readonly Buffer[];
  /** Bytes in `slices`. */
  readonly count: number;
  /** True when the bytes reach the end of the file as it was when they were chosen. */
  readonly eof: boolean;
  /** None where the file changed meanwhile: who keeps the bytes would take them for those of the file as it is now. */
  readonly attributes: Attributes | undefined;
  /** Gives the buffers back. Called exactly once. */
  release(): void;
}

/** How safe a write is or must be (stable_how, RFC 1813 3.3.7). */
export type Stability = 'unstable' | 'dataSync' | 'fileSync';

export interface WriteResult {
  readonly count: number;
  readonly committed: Stability;
  /** 8 bytes; changes only when unstable data that was acknowledged has been lost. */
  readonly verifier: Buffer;
  readonly file: ChangeReport;
}

export interface CommitResult {
  readonly verifier: Buffer;
  readonly file: ChangeReport;
}

/** CREATE's three modes (RFC 1813 3.3.8). The exclusive verifier is 8 bytes. */
export type CreateMode =
  | { readonly how: 'unchecked' | 'guarded'; readonly attributes: AttributeChanges }
  | { readonly how: 'exclusive'; readonly verifier: Buffer };

export interface DirectoryEntry {
  readonly fileid: bigint;
  /** Name as bytes (UTF-8). */
  readonly name: Buffer;
  /** Resumes after this entry, also when the entry is gone. Below 2^63. `.` is 1 and `..` is 2. */
  readonly cookie: bigint;
  /** Left out where only a request to the store could tell them. */
  readonly attributes?: Attributes | undefined;
  readonly handle?: Handle;
}

/**
 * Entries in order, of which nothing is told but what each has here. One object is given out for many calls, and nothing in it changes: what is made
 * of it may be kept beside it.
 */
export interface EntryRun {
  /** File ids, which are the cookies as well. */
  readonly ids: BigUint64Array;
  /** Names as bytes (UTF-8), one behind the other, and where each ends. */
  readonly names: Buffer;
  readonly nameEnds: Uint32Array;
  /** Of each, one behind the other, all of one length. */
  readonly handles: Buffer;
}

export interface DirectoryPage {
  readonly entries: readonly DirectoryEntry[];
  /** What comes behind `entries`: those of the run from that index on. */
  readonly more?: { readonly run: EntryRun; readonly from: number };
  /** True when the last entry of the directory is in `entries` or the run. */
  readonly end: boolean;
  /** Of the directory; undefined in the middle of a scan, where telling them would take a request to the store. */
  readonly attributes: Attributes | undefined;
}

/** FSSTAT (RFC 1813 3.3.18). Bytes and files. Answers without the store. */
export interface SpaceReport {
  readonly totalBytes: bigint;
  readonly freeBytes: bigint;
  readonly totalFiles: bigint;
  readonly freeFiles: bigint;
}

/** FSINFO and PATHCONF (RFC 1813 3.3.19, 3.3.20): limits of the file system behind a handle. */
export interface Limits {
  /** Largest READ and WRITE, in bytes. */
  readonly readBytesMax: number;
  readonly writeBytesMax: number;
  /** Largest offset: what is there already may be larger than what can be written, which WRITE answers with EFBIG. */
  readonly fileBytesMax: number;
  readonly nameBytesMax: number;
}

/** An export, as MOUNT's EXPORT lists it. */
export interface ExportEntry {
  /** Path to mount, such as `/bucket/prefix`. */
  readonly path: string;
  /** The addresses that may mount it (CIDR). Empty: everybody who can reach the server. */
  readonly allow: readonly string[];
}

export interface FileSystem {
  /** Exports that the caller may see. */
  exports(context: Context): readonly ExportEntry[];
  /** MNT: the handle of an export, a directory below one, or `/`. ENOENT, ENOTDIR, EACCES. */
  mount(context: Context, path: string): Promise<Handle>;

  getattr(context: Context, file: Handle): Soon<Attributes>;
  /** With `guardCtimeNs`, ENOTSYNC unless the file's ctime is that. */
  setattr(
    context: Context,
    file: Handle,
    changes: AttributeChanges,
    guardCtimeNs?: bigint,
  ): Promise<ChangeReport>;
  lookup(context: Context, directory: Handle, name: Buffer): Soon<FoundFile>;
  access(
    context: Context,
    file: Handle,
  ): Soon<{ readonly rights: AccessRights; readonly attributes: Attributes }>;
  readlink(
    context: Context,
    file: Handle,
  ): Promise<{ readonly target: Buffer; readonly attributes: Attributes }>;
  /** `offset` and `count` in bytes. Beyond the end: no bytes and `eof`. Fewer bytes than asked only at the end. */
  read(context: Context, file: Handle, offset: number, count: number): Soon<ReadResult>;
  /** Takes all of `data` or fails. The bytes are copied or written before it resolves. */
  write(
    context: Context,
    file: Handle,
    offset: number,
    data: Buffer,
    stability: Stability,
  ): Promise<WriteResult>;
  commit(context: Context, file: Handle): Promise<CommitResult>;
  create(context: Context, directory: Handle, name: Buffer, mode: CreateMode): Promise<CreatedFile>;
  mkdir(
    context: Context,
    directory: Handle,
    name: Buffer,
    attributes: AttributeChanges,
  ): Promise<CreatedFile>;
  symlink(
    context: Context,
    directory: Handle,
    name: Buffer,
    target: Buffer,
    attributes: AttributeChanges,
  ): Promise<CreatedFile>;
  remove(context: Context, directory: Handle, name: Buffer): Promise<ChangeReport>;
  rmdir(context: Context, directory: Handle, name: Buffer): Promise<ChangeReport>;
  rename(
    context: Context,
    fromDirectory: Handle,
    fromName: Buffer,
    toDirectory: Handle,
    toName: Buffer,
  ): Promise<{ readonly from: ChangeReport; readonly to: ChangeReport }>;
  /**
   * At most `entriesMax` entries after `cookie` (0: from the start). Fewer than that doesn't mean the end. Only to who takes `runs` are some given as such, be
   * they more than that.
   */
  readdir(
    context: Context,
    directory: Handle,
    cookie: bigint,
    entriesMax: number,
    wanted?: 'names' | 'attributes',
    form?: 'entries' | 'runs',
  ): Promise<DirectoryPage>;
  space(context: Context, file: Handle): Promise<SpaceReport & { readonly attributes: Attributes }>;
  limits(context: Context, file: Handle): Promise<Limits & { readonly attributes: Attributes }>;
}
