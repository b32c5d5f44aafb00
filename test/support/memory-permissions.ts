/** POSIX permission rules of the in-memory file system: root may do everything, others what mode bits and ownership allow. */
import { FsError } from '../../src/fs/errors.js';
import type { AccessRights, AttributeChanges, Caller } from '../../src/fs/file-system.js';
import type { DirectoryNode, Node } from './memory-tree.js';

const READ = 4;
const WRITE = 2;
const EXECUTE = 1;
const STICKY = 0o1000;

const inGroup = (caller: Caller, gid: number): boolean => caller.gid === gid || caller.gids.includes(gid);

/** The three bits that apply to the caller: the owner's, else the group's, else the others'. */
function bitsFor(caller: Caller, node: Node): number {
  if (caller.uid === 0) {
    // Root passes every check but executing a file that nobody may execute.
    return node.type === 'file' && (node.mode & 0o111) === 0 ? READ | WRITE : READ | WRITE | EXECUTE;
  }
  if (caller.uid === node.uid) return (node.mode >> 6) & 7;
  if (inGroup(caller, node.gid)) return (node.mode >> 3) & 7;
  return node.mode & 7;
}

function need(caller: Caller, node: Node, bits: number): void {
  if ((bitsFor(caller, node) & bits) !== bits) {
    throw new FsError('EACCES', `expected permission ${bits} on file ${node.id}, uid ${caller.uid} lacks it`);
  }
}

export const needList = (caller: Caller, directory: DirectoryNode): void => need(caller, directory, READ);
export const needSearch = (caller: Caller, directory: DirectoryNode): void =>
  need(caller, directory, EXECUTE);
export const needChange = (caller: Caller, directory: DirectoryNode): void =>
  need(caller, directory, WRITE | EXECUTE);

/** The owner may always read and write: an NFS server can't tell a file that was open before its mode changed. */
export function needRead(caller: Caller, node: Node): void {
  if (caller.uid === node.uid || (bitsFor(caller, node) & EXECUTE) !== 0) return;
  need(caller, node, READ);
}

export function needWrite(caller: Caller, node: Node): void {
  if (caller.uid !== node.uid) need(caller, node, WRITE);
}

/** Removing or renaming an entry: in a sticky directory only its owner, the entry's owner and root may. */
export function needDelete(caller: Caller, directory: DirectoryNode, node: Node): void {
  needChange(caller, directory);
  if ((directory.mode & STICKY) === 0 || caller.uid === 0) return;
  if (caller.uid !== directory.uid && caller.uid !== node.uid) {
    throw new FsError('EPERM', `file ${node.id} in a sticky directory belongs to uid ${node.uid}`);
  }
}

/** chmod, chown and utimes by the rules of POSIX with restricted chown; a new size needs write permission. */
export function needSetattr(caller: Caller, node: Node, changes: AttributeChanges): void {
  if (caller.uid === 0) return;
  const owner = caller.uid === node.uid;
  const chowns = changes.uid !== undefined && (changes.uid !== node.uid || !owner);
  const foreignGroup =
    changes.gid !== undefined && (!owner || (changes.gid !== node.gid && !inGroup(caller, changes.gid)));
  const touches = changes.atimeNs !== undefined || changes.mtimeNs !== undefined;
  const setsTimes = typeof changes.atimeNs === 'bigint' || typeof changes.mtimeNs === 'bigint';
  if (chowns || foreignGroup || ((changes.mode !== undefined || setsTimes) && !owner)) {
    throw new FsError('EPERM', `file ${node.id} belongs to uid ${node.uid}, not to ${caller.uid}`);
  }
  if (changes.size !== undefined) needWrite(caller, node);
  if (touches && !owner) need(caller, node, WRITE);
}

export function rightsOf(caller: Caller, node: Node): AccessRights {
  const bits = bitsFor(caller, node);
  const directory = node.type === 'directory';
  const write = (bits & WRITE) !== 0;
  const execute = (bits & EXECUTE) !== 0;
  return {
    read: (bits & READ) !== 0,
    lookup: directory && execute,
    modify: write,
    extend: write,
    delete: directory && write,
    execute: !directory && execute,
  };
}
