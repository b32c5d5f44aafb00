/**
 * A complete FileSystem in memory with one export, `/bucket`: the reference model that the real one is compared with. Every
 * operation runs to its end without waiting, so operations never interleave, and a failed one has changed nothing.
 */
import { isUtf8 } from 'node:buffer';

import { FsError, type FsErrorCode } from '../../src/fs/errors.js';
import type {
  Caller,
  AttributeChanges,
  Attributes,
  ChangeReport,
  CommitResult,
  Context,
  CreatedFile,
  CreateMode,
  DirectoryEntry,
  DirectoryPage,
  ExportEntry,
  FileSystem,
  FoundFile,
  Handle,
  Limits,
  ReadResult,
  SpaceReport,
  Stability,
  WriteResult,
} from '../../src/fs/file-system.js';
import * as permissions from './memory-permissions.js';
import {
  attributesOf,
  dropEntry,
  entryOf,
  isAtOrAbove,
  newDirectory,
  newFile,
  newRoot,
  newSymlink,
  putEntry,
  resize,
  writeAt,
  type DirectoryNode,
  type Entry,
  type FileNode,
  type NewNode,
  type Node,
} from './memory-tree.js';

const EXPORT_PATH = '/bucket';
const NAME_BYTES_MAX = 255;
const TARGET_BYTES_MAX = 1024;
const HANDLE_TAG = Buffer.from('memfs\0\0\0');
const HANDLE_BYTES = 16;
const FILES_MAX = 1n << 32n;

export interface MemoryFileSystemOptions {
  /** Nanoseconds since the epoch; needn't move between calls. Default: the system's clock. */
  readonly now?: () => bigint;
  /** Largest file. Default 1 GiB: holes take memory here. */
  readonly fileBytesMax?: number;
  /** Largest READ and WRITE. Default 1 MiB. */
  readonly transferBytesMax?: number;
  /** Most entries in a page of readdir, whatever is asked for. Default: no limit. */
  readonly pageEntriesMax?: number;
}

export class MemoryFileSystem implements FileSystem {
  readonly #nodes = new Map<bigint, Node>();
  readonly #root: DirectoryNode;
  readonly #options: Required<MemoryFileSystemOptions>;
  #lastId = 1n;
  #lastNs = 0n;
  #readsHeld = 0;
  #verifier = Buffer.from('memory01');

  constructor(options: MemoryFileSystemOptions = {}) {
    this.#options = {
      now: () => BigInt(Date.now()) * 1_000_000n,
      fileBytesMax: 1024 ** 3,
      transferBytesMax: 1024 ** 2,
      pageEntriesMax: Infinity,
      ...options,
    };
    this.#root = newRoot({ id: this.#lastId, mode: 0o777, uid: 0, gid: 0, nowNs: this.#tick() });
    this.#nodes.set(this.#root.id, this.#root);
  }

  /** Reads whose buffers have not been released. */
  get readsHeld(): number {
    return this.#readsHeld;
  }

  /** Has WRITE and COMMIT answer with another verifier, as after a crash. The data stays. */
  changeVerifier(verifier: Buffer): void {
    this.#verifier = Buffer.from(verifier);
  }

  exports(): readonly ExportEntry[] {
    return [{ path: EXPORT_PATH, allow: [] }];
  }

  async mount(context: Context, path: string): Promise<Handle> {
    const [first, ...rest] = path.split('/').filter((segment) => segment !== '');
    if (first !== EXPORT_PATH.slice(1)) throw failure('ENOENT', `no export at ${path}`);
    let node: Node = this.#root;
    for (const segment of rest) {
      node = this.#child(this.#searchable(context, node), Buffer.from(segment)).node;
    }
    if (node.type !== 'directory') throw failure('ENOTDIR', `${path} is a ${node.type}`);
    return handleOf(node);
  }

  async getattr(_context: Context, file: Handle): Promise<Attributes> {
    return attributesOf(this.#node(file));
  }

  async setattr(
    { caller }: Context,
    file: Handle,
    changes: AttributeChanges,
    guardCtimeNs?: bigint,
  ): Promise<ChangeReport> {
    const node = this.#node(file);
    permissions.needSetattr(caller, node, changes);
    if (changes.size !== undefined && node.type === 'directory') asFile(node);
    if (guardCtimeNs !== undefined && guardCtimeNs !== node.ctimeNs) {
      throw failure('ENOTSYNC', `expected ctime ${guardCtimeNs}, it is ${node.ctimeNs}`);
    }
    if (changes.size !== undefined) {
      asFile(node);
      this.#checkSize(changes.size);
    }
    return this.#change(node, () => {
      if (node.type === 'file') node.createVerifier = undefined;
      if (changes.size !== undefined) losesSetId(node, caller);
      this.#apply(node, changes);
    });
  }

  async lookup(context: Context, directory: Handle, name: Buffer): Promise<FoundFile> {
    const parent = this.#searchable(context, this.#node(directory));
    return found(this.#child(parent, name).node);
  }

  async access({ caller }: Context, file: Handle) {
    const node = this.#node(file);
    return { rights: permissions.rightsOf(caller, node), attributes: attributesOf(node) };
  }

  async readlink(_context: Context, file: Handle) {
    const node = this.#node(file);
    if (node.type !== 'symlink') throw failure('EINVAL', `file ${node.id} is a ${node.type}`);
    return { target: Buffer.from(node.target), attributes: attributesOf(node) };
  }

  async read({ caller }: Context, file: Handle, offset: number, count: number): Promise<ReadResult> {
    const node = asFile(this.#node(file));
    permissions.needRead(caller, node);
    const end = Math.min(offset + count, node.size);
    const bytes = Buffer.from(node.buffer.subarray(Math.min(offset, node.size), end));
    node.atimeNs = this.#tick();
    this.#readsHeld++;
    let held = true;
    return {
      // Two slices where there can be two, so that nobody comes to rely on one.
      slices: bytes.length < 2 ? [bytes] : [bytes.subarray(0, 1), bytes.subarray(1)],
      count: bytes.length,
      eof: offset + count >= node.size,
      attributes: attributesOf(node),
      release: () => {
        if (!held) throw new Error('expected one release of a read, got two');
        held = false;
        this.#readsHeld--;
        // What is sent after its release is seen to be wrong.
        bytes.fill(0xdd);
      },
    };
  }

  async write(
    { caller }: Context,
    file: Handle,
    offset: number,
    data: Buffer,
    stability: Stability,
  ): Promise<WriteResult> {
    const node = asFile(this.#node(file));
    permissions.needWrite(caller, node);
    // "If count is 0, the WRITE will succeed" (RFC 1813, 3.3.7), wherever.
    if (data.length > 0) this.#checkSize(offset + data.length);
    const report = this.#change(node, () => {
      if (data.length === 0) return;
      writeAt(node, offset, data);
      losesSetId(node, caller);
      node.mtimeNs = node.ctimeNs = this.#tick();
    });
    return { count: data.length, committed: stability, verifier: this.#verifier, file: report };
  }

  async commit(_context: Context, file: Handle): Promise<CommitResult> {
    const node = asFile(this.#node(file));
    return { verifier: this.#verifier, file: this.#change(node, () => undefined) };
  }

  async create(context: Context, directory: Handle, name: Buffer, mode: CreateMode): Promise<CreatedFile> {
    const parent = this.#searchable(context, this.#node(directory));
    const existing = this.#existing(parent, name);
    if (existing !== undefined) return this.#recreate(context, parent, existing, mode);
    const attributes = mode.how === 'exclusive' ? {} : mode.attributes;
    if (attributes.size !== undefined) this.#checkSize(attributes.size);
    return this.#add(context, parent, name, attributes, 0o644, (start) => {
      const node = newFile(start);
      if (mode.how === 'exclusive') node.createVerifier = Buffer.from(mode.verifier);
      return node;
    });
  }

  async mkdir(
    context: Context,
    directory: Handle,
    name: Buffer,
    attributes: AttributeChanges,
  ): Promise<CreatedFile> {
    const parent = this.#vacant(context, directory, name);
    if (attributes.size !== undefined) throw failure('EINVAL', 'a directory has no size to set');
    return this.#add(context, parent, name, attributes, 0o755, (start) => newDirectory(start, parent));
  }

  async symlink(
    context: Context,
    directory: Handle,
    name: Buffer,
    target: Buffer,
    attributes: AttributeChanges,
  ): Promise<CreatedFile> {
    const parent = this.#vacant(context, directory, name);
    if (target.length === 0) throw failure('EINVAL', 'expected a target, got an empty one');
    if (target.length > TARGET_BYTES_MAX) throw failure('ENAMETOOLONG', `target of ${target.length} bytes`);
    return this.#add(context, parent, name, { ...attributes, mode: 0o777 }, 0o777, (start) =>
      newSymlink(start, target),
    );
  }

  async remove(context: Context, directory: Handle, name: Buffer): Promise<ChangeReport> {
    const { parent, node } = this.#removable(context, directory, name);
    if (node.type === 'directory') throw failure('EISDIR', `${printable(name)} is a directory`);
    return this.#drop(parent, name, node);
  }

  async rmdir(context: Context, directory: Handle, name: Buffer): Promise<ChangeReport> {
    if (name.equals(DOT)) throw failure('EINVAL', 'the directory itself (.) is not removed');
    if (name.equals(DOT_DOT)) throw failure('ENOTEMPTY', 'the parent (..) is not removed');
    const { parent, node } = this.#removable(context, directory, name);
    checkEmptyDirectory(node, name);
    return this.#drop(parent, name, node);
  }

  async rename(
    context: Context,
    fromDirectory: Handle,
    fromName: Buffer,
    toDirectory: Handle,
    toName: Buffer,
  ): Promise<{ readonly from: ChangeReport; readonly to: ChangeReport }> {
    for (const name of [fromName, toName]) {
      if (isDots(name)) throw failure('EINVAL', `${printable(name)} is not renamed`);
    }
    // Both handles are looked at before any name, as servers do.
    this.#searchable(context, this.#node(fromDirectory));
    const to = this.#searchable(context, this.#node(toDirectory));
    const { parent: from, node } = this.#removable(context, fromDirectory, fromName);
    const target = this.#existing(to, toName);
    if (target === node) return { from: unchanged(from), to: unchanged(to) };
    if (isAtOrAbove(node, to)) throw failure('EINVAL', `${printable(fromName)} would move into itself`);
    if (target === undefined) permissions.needChange(context.caller, to);
    else {
      permissions.needDelete(context.caller, to, target);
      checkReplaceable(node, target, toName);
    }
    const before = { from: beforeOf(from), to: beforeOf(to) };
    dropEntry(from, fromName);
    if (target !== undefined) this.#nodes.delete(target.id);
    putEntry(to, toName, node);
    const nowNs = this.#tick();
    for (const directory of [from, to]) directory.mtimeNs = directory.ctimeNs = nowNs;
    node.ctimeNs = nowNs;
    return {
      from: { before: before.from, after: attributesOf(from) },
      to: { before: before.to, after: attributesOf(to) },
    };
  }

  async readdir(
    { caller }: Context,
    directory: Handle,
    cookie: bigint,
    entriesMax: number,
  ): Promise<DirectoryPage> {
    const node = asDirectory(this.#node(directory));
    permissions.needList(caller, node);
    const all: readonly Entry[] = [
      { name: DOT, cookie: 1n, node },
      { name: DOT_DOT, cookie: 2n, node: node.parent },
      ...node.entries.values(),
    ];
    const rest = all.filter((candidate) => candidate.cookie > cookie);
    const entries = rest.slice(0, Math.min(entriesMax, this.#options.pageEntriesMax)).map(toDirectoryEntry);
    return { entries, end: entries.length === rest.length, attributes: attributesOf(node) };
  }

  async space(_context: Context, file: Handle): Promise<SpaceReport & { readonly attributes: Attributes }> {
    const files = BigInt(this.#nodes.size);
    return {
      totalBytes: 1n << 60n,
      freeBytes: 1n << 59n,
      totalFiles: FILES_MAX,
      freeFiles: FILES_MAX - files,
      attributes: attributesOf(this.#node(file)),
    };
  }

  async limits(_context: Context, file: Handle): Promise<Limits & { readonly attributes: Attributes }> {
    return {
      readBytesMax: this.#options.transferBytesMax,
      writeBytesMax: this.#options.transferBytesMax,
      fileBytesMax: this.#options.fileBytesMax,
      nameBytesMax: NAME_BYTES_MAX,
      attributes: attributesOf(this.#node(file)),
    };
  }

  /** The time, later than any given before: a ctime moves at every change. */
  #tick(): bigint {
    const now = this.#options.now();
    this.#lastNs = now > this.#lastNs ? now : this.#lastNs + 1n;
    return this.#lastNs;
  }

  #node(handle: Handle): Node {
    if (handle.length !== HANDLE_BYTES || !handle.subarray(0, 8).equals(HANDLE_TAG)) {
      throw failure('EBADHANDLE', `not a handle of this file system: ${handle.toString('hex')}`);
    }
    const id = handle.readBigUInt64BE(8);
    const node = this.#nodes.get(id);
    if (node === undefined) throw failure('ESTALE', `file ${id} is gone`);
    return node;
  }

  #searchable({ caller }: Context, node: Node): DirectoryNode {
    const directory = asDirectory(node);
    permissions.needSearch(caller, directory);
    return directory;
  }

  #existing(parent: DirectoryNode, name: Buffer): Node | undefined {
    checkName(name);
    if (name.equals(DOT)) return parent;
    if (name.equals(DOT_DOT)) return parent.parent;
    return entryOf(parent, name)?.node;
  }

  #child(parent: DirectoryNode, name: Buffer): { readonly node: Node } {
    const node = this.#existing(parent, name);
    if (node === undefined) throw failure('ENOENT', `no ${printable(name)} in directory ${parent.id}`);
    return { node };
  }

  #vacant(context: Context, directory: Handle, name: Buffer): DirectoryNode {
    const parent = this.#searchable(context, this.#node(directory));
    if (this.#existing(parent, name) !== undefined) throw failure('EEXIST', `${printable(name)} exists`);
    return parent;
  }

  #removable(context: Context, directory: Handle, name: Buffer): { parent: DirectoryNode; node: Node } {
    const parent = this.#searchable(context, this.#node(directory));
    const { node } = this.#child(parent, name);
    if (!isDots(name)) permissions.needDelete(context.caller, parent, node);
    return { parent, node };
  }

  /** CREATE where the name is taken (RFC 1813 3.3.8). */
  #recreate({ caller }: Context, parent: DirectoryNode, node: Node, mode: CreateMode): CreatedFile {
    const sameExclusive =
      mode.how === 'exclusive' && node.type === 'file' && node.createVerifier?.equals(mode.verifier) === true;
    if (!sameExclusive && (mode.how !== 'unchecked' || node.type !== 'file')) {
      throw failure('EEXIST', `file ${node.id} has that name`);
    }
    // Of an existing file's attributes only the size is set: open(2) with O_TRUNC.
    if (mode.how === 'unchecked' && mode.attributes.size !== undefined) {
      permissions.needWrite(caller, node);
      this.#checkSize(mode.attributes.size);
      losesSetId(node, caller);
      this.#apply(node, { size: mode.attributes.size });
    }
    return { ...found(node), parent: unchanged(parent) };
  }

  #add(
    { caller }: Context,
    parent: DirectoryNode,
    name: Buffer,
    attributes: AttributeChanges,
    modeDefault: number,
    make: (start: NewNode) => Node,
  ): CreatedFile {
    permissions.needChange(caller, parent);
    const { uid, gid } = caller;
    const node = make({ id: this.#lastId + 1n, mode: modeDefault, uid, gid, nowNs: this.#tick() });
    permissions.needSetattr(caller, node, attributes);
    this.#lastId = node.id;
    this.#nodes.set(node.id, node);
    const report = this.#change(parent, () => {
      putEntry(parent, name, node);
      parent.mtimeNs = parent.ctimeNs = this.#tick();
    });
    this.#apply(node, attributes);
    return { ...found(node), parent: report };
  }

  #drop(parent: DirectoryNode, name: Buffer, node: Node): ChangeReport {
    return this.#change(parent, () => {
      dropEntry(parent, name);
      this.#nodes.delete(node.id);
      parent.mtimeNs = parent.ctimeNs = this.#tick();
    });
  }

  #change(node: Node, change: () => void): ChangeReport {
    const before = beforeOf(node);
    change();
    return { before, after: attributesOf(node) };
  }

  #apply(node: Node, changes: AttributeChanges): void {
    if (Object.keys(changes).length === 0) return;
    const nowNs = this.#tick();
    const timeOf = (time: bigint | 'now'): bigint => (time === 'now' ? nowNs : time);
    if (changes.size !== undefined && node.type === 'file') {
      resize(node, changes.size);
      node.mtimeNs = nowNs;
    }
    const isChown = changes.uid !== undefined || changes.gid !== undefined;
    // A symlink's mode is no one's to change: it lets everybody through.
    if (changes.mode !== undefined && node.type !== 'symlink') node.mode = changes.mode;
    // As chown(2): setuid goes, and setgid where the group may run it.
    else if (isChown) node.mode = withoutSetId(node);
    if (changes.uid !== undefined) node.uid = changes.uid;
    if (changes.gid !== undefined) node.gid = changes.gid;
    if (changes.atimeNs !== undefined) node.atimeNs = timeOf(changes.atimeNs);
    if (changes.mtimeNs !== undefined) node.mtimeNs = timeOf(changes.mtimeNs);
    node.ctimeNs = nowNs;
  }

  #checkSize(size: number): void {
    const { fileBytesMax } = this.#options;
    if (size > fileBytesMax) throw failure('EFBIG', `expected at most ${fileBytesMax} bytes, got ${size}`);
  }
}

/** As write(2) and ftruncate(2) have it for others than root. */
function losesSetId(node: Node, { uid }: Caller): void {
  if (uid !== 0) node.mode = withoutSetId(node);
}

/** Of files setuid goes, and setgid where the group may run them. */
function withoutSetId({ type, mode }: Node): number {
  if (type !== 'file') return mode;
  return mode & (mode & 0o010 ? 0o1777 : 0o3777);
}

const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');
const isDots = (name: Buffer): boolean => name.equals(DOT) || name.equals(DOT_DOT);
const printable = (name: Buffer): string => JSON.stringify(name.toString('utf8'));
const failure = (code: FsErrorCode, message: string): FsError => new FsError(code, message);

function checkName(name: Buffer): void {
  if (name.length > NAME_BYTES_MAX) throw failure('ENAMETOOLONG', `name of ${name.length} bytes`);
  if (name.length === 0 || name.includes(0x2f) || name.includes(0) || !isUtf8(name)) {
    throw failure('EINVAL', `not a file name: ${name.toString('hex')}`);
  }
}

function asDirectory(node: Node): DirectoryNode {
  if (node.type !== 'directory') throw failure('ENOTDIR', `file ${node.id} is a ${node.type}`);
  return node;
}

function asFile(node: Node): FileNode {
  if (node.type === 'file') return node;
  throw failure(node.type === 'directory' ? 'EISDIR' : 'EINVAL', `file ${node.id} is a ${node.type}`);
}

function checkEmptyDirectory(node: Node, name: Buffer): void {
  if (node.type !== 'directory') throw failure('ENOTDIR', `${printable(name)} is a ${node.type}`);
  if (node.entries.size > 0)
    throw failure('ENOTEMPTY', `${printable(name)} has ${node.entries.size} entries`);
}

/** A directory replaces an empty directory, anything else replaces anything but a directory. */
function checkReplaceable(node: Node, target: Node, toName: Buffer): void {
  if (node.type === 'directory') checkEmptyDirectory(target, toName);
  else if (target.type === 'directory') throw failure('EISDIR', `${printable(toName)} is a directory`);
}

function handleOf(node: Node): Handle {
  const handle = Buffer.alloc(HANDLE_BYTES);
  HANDLE_TAG.copy(handle);
  handle.writeBigUInt64BE(node.id, 8);
  return handle;
}

const found = (node: Node): FoundFile => ({ handle: handleOf(node), attributes: attributesOf(node) });

const toDirectoryEntry = ({ name, cookie, node }: Entry): DirectoryEntry => ({
  fileid: node.id,
  name: Buffer.from(name),
  cookie,
  attributes: attributesOf(node),
  handle: handleOf(node),
});

function beforeOf(node: Node): NonNullable<ChangeReport['before']> {
  const { size, mtimeNs, ctimeNs } = attributesOf(node);
  return { size, mtimeNs, ctimeNs };
}

const unchanged = (node: Node): ChangeReport => ({ before: beforeOf(node), after: attributesOf(node) });
