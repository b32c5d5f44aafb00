/** The nodes of the in-memory file system: what a file, a directory and a symbolic link hold, and their attributes. */
import type { Attributes } from '../../src/fs/file-system.js';

interface Common {
  readonly id: bigint;
  mode: number;
  uid: number;
  gid: number;
  atimeNs: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
}

export interface FileNode extends Common {
  readonly type: 'file';
  /** At least `size` bytes; what lies beyond `size` is zero. */
  buffer: Buffer;
  size: number;
  /** Of an exclusive create, until the SETATTR that follows it. */
  createVerifier: Buffer | undefined;
}

export interface SymlinkNode extends Common {
  readonly type: 'symlink';
  readonly target: Buffer;
}

export interface Entry {
  readonly name: Buffer;
  readonly node: Node;
  readonly cookie: bigint;
}

export interface DirectoryNode extends Common {
  readonly type: 'directory';
  /** By the name's bytes as latin1, in the order of their cookies. */
  readonly entries: Map<string, Entry>;
  nextCookie: bigint;
  parent: DirectoryNode;
}

export type Node = FileNode | SymlinkNode | DirectoryNode;

/** `.` is cookie 1, `..` is 2. */
const FIRST_COOKIE = 3n;
const DIRECTORY_SIZE_BYTES = 4096;
const FSID = 1n;

/** What every new node starts from. */
export interface NewNode {
  readonly id: bigint;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nowNs: bigint;
}

const common = ({ id, mode, uid, gid, nowNs }: NewNode): Common => ({
  id,
  mode,
  uid,
  gid,
  atimeNs: nowNs,
  mtimeNs: nowNs,
  ctimeNs: nowNs,
});

export const newFile = (start: NewNode): FileNode => ({
  ...common(start),
  type: 'file',
  buffer: Buffer.alloc(0),
  size: 0,
  createVerifier: undefined,
});

export const newSymlink = (start: NewNode, target: Buffer): SymlinkNode => ({
  ...common(start),
  type: 'symlink',
  target: Buffer.from(target),
});

export function newDirectory(start: NewNode, parent: DirectoryNode): DirectoryNode {
  return { ...common(start), type: 'directory', entries: new Map(), nextCookie: FIRST_COOKIE, parent };
}

/** A directory that is its own parent. */
export function newRoot(start: NewNode): DirectoryNode {
  const root: Omit<DirectoryNode, 'parent'> & { parent?: DirectoryNode } = {
    ...common(start),
    type: 'directory',
    entries: new Map(),
    nextCookie: FIRST_COOKIE,
  };
  return Object.assign(root, { parent: root as DirectoryNode });
}

const keyOf = (name: Buffer): string => name.toString('latin1');

export const entryOf = (directory: DirectoryNode, name: Buffer): Entry | undefined =>
  directory.entries.get(keyOf(name));

export function putEntry(directory: DirectoryNode, name: Buffer, node: Node): void {
  const key = keyOf(name);
  // Deleted first: a Map keeps the place of a key that is set again, and the cookies are to ascend.
  directory.entries.delete(key);
  directory.entries.set(key, { name: Buffer.from(name), node, cookie: directory.nextCookie++ });
  if (node.type === 'directory') node.parent = directory;
}

export const dropEntry = (directory: DirectoryNode, name: Buffer): boolean =>
  directory.entries.delete(keyOf(name));

/** True if `node` is `directory` or above it. */
export function isAtOrAbove(node: Node, directory: DirectoryNode): boolean {
  for (let at = directory; ; at = at.parent) {
    if (at === node) return true;
    if (at === at.parent) return false;
  }
}

export function attributesOf(node: Node): Attributes {
  const { type, id: fileid, mode, uid, gid, atimeNs, mtimeNs, ctimeNs } = node;
  const size = sizeOf(node);
  const nlink = linksOf(node);
  return { type, mode, nlink, uid, gid, size, used: size, fsid: FSID, fileid, atimeNs, mtimeNs, ctimeNs };
}

function sizeOf(node: Node): number {
  switch (node.type) {
    case 'file':
      return node.size;
    case 'symlink':
      return node.target.length;
    case 'directory':
      return DIRECTORY_SIZE_BYTES;
  }
}

/** POSIX: a directory's links are its name, its `.` and the `..` of each directory in it. */
function linksOf(node: Node): number {
  if (node.type !== 'directory') return 1;
  let links = 2;
  for (const entry of node.entries.values()) if (entry.node.type === 'directory') links++;
  return links;
}

/** Cuts a file or lengthens it with zeros. */
export function resize(file: FileNode, size: number): void {
  if (size < file.size) file.buffer.fill(0, size, file.size);
  reserve(file, size);
  file.size = size;
}

export function writeAt(file: FileNode, offset: number, data: Buffer): void {
  const end = offset + data.length;
  reserve(file, end);
  data.copy(file.buffer, offset);
  file.size = Math.max(file.size, end);
}

function reserve(file: FileNode, bytes: number): void {
  if (bytes <= file.buffer.length) return;
  const larger = Buffer.alloc(Math.max(bytes, file.buffer.length * 2));
  file.buffer.copy(larger);
  file.buffer = larger;
}
