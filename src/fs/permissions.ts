/** POSIX permission checks over mode bits, as the caller stands after squashing. Root (uid 0) passes them all. */
import { FsError } from './errors.js';
import type { AccessRights, AttributeChanges, Attributes, Caller } from './file-system.js';

interface Permission {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
}

/** The caller's three bits on a file. */
export function permissionOf(attributes: Attributes, caller: Caller): Permission {
  if (caller.uid === 0) {
    const anyExecute = (attributes.mode & 0o111) !== 0 || attributes.type === 'directory';
    return { read: true, write: true, execute: anyExecute };
  }
  const shift = caller.uid === attributes.uid ? 6 : inGroup(caller, attributes.gid) ? 3 : 0;
  const bits = attributes.mode >> shift;
  return { read: (bits & 4) !== 0, write: (bits & 2) !== 0, execute: (bits & 1) !== 0 };
}

/** ACCESS (RFC 1813 3.3.4): what the caller may do to a file, or with a directory and its entries. */
export function rightsOf(attributes: Attributes, caller: Caller, readOnly: boolean): AccessRights {
  const { read, write, execute } = permissionOf(attributes, caller);
  const isDirectory = attributes.type === 'directory';
  const change = write && !readOnly;
  return {
    read,
    lookup: isDirectory && execute,
    modify: change,
    extend: change,
    delete: isDirectory && change,
    execute: !isDirectory && execute,
  };
}

const inGroup = (caller: Caller, gid: number): boolean => caller.gid === gid || caller.gids.includes(gid);

const denied = (what: string): FsError =>
  new FsError('EACCES', `${what}: the mode bits don't allow it to the caller`);

/** LOOKUP and everything below a directory need to search it. */
export function requireSearch(directory: Attributes, caller: Caller): void {
  if (!permissionOf(directory, caller).execute) throw denied('search of a directory');
}

/** Making, removing and renaming entries need to write and search their directory. */
export function requireEntryChange(directory: Attributes, caller: Caller): void {
  const permission = permissionOf(directory, caller);
  if (!permission.write || !permission.execute) throw denied('change of a directory');
}

/** Whether the owner of an entry decides if the caller may remove or rename it: the directory is sticky, and neither the caller's nor the caller root. */
export function ownerDecides(directory: Attributes, caller: Caller): boolean {
  const sticky = (directory.mode & 0o1000) !== 0;
  return sticky && caller.uid !== 0 && caller.uid !== directory.uid;
}

/** In a sticky directory only the owner of the file or of the directory removes or renames it. */
export function requireUnlink(directory: Attributes, file: Attributes, caller: Caller): void {
  if (ownerDecides(directory, caller) && caller.uid !== file.uid) {
    throw new FsError('EPERM', 'the directory is sticky and the caller owns neither it nor the file');
  }
}

/**
 * NFSv3 has no open: access was checked when the client opened the file, and the mode may have changed since. So the owner
 * always reads and writes, as other NFS servers have it; and whoever may execute a file may read it.
 */
export function requireRead(file: Attributes, caller: Caller): void {
  const permission = permissionOf(file, caller);
  if (!permission.read && !permission.execute && caller.uid !== file.uid) throw denied('read');
}

export function requireWrite(file: Attributes, caller: Caller): void {
  if (!permissionOf(file, caller).write && caller.uid !== file.uid) throw denied('write');
}

/** SETATTR: chmod by the owner; chown by root, chgrp by the owner to a group of the owner's; times by the owner, or "now" by a writer. */
export function requireSetattr(file: Attributes, changes: AttributeChanges, caller: Caller): void {
  if (caller.uid === 0) return;
  const owner = caller.uid === file.uid;
  // Even to what they are already: chown(2) asks first whose the file is, and ctime moves.
  if (changes.uid !== undefined && !(owner && changes.uid === file.uid))
    throw new FsError('EPERM', 'only root gives files away');
  const isOwnGroup = changes.gid === file.gid || (changes.gid !== undefined && inGroup(caller, changes.gid));
  if (changes.gid !== undefined && !(owner && isOwnGroup)) {
    throw new FsError('EPERM', 'only the owner changes the group, and only to a group of theirs');
  }
  if (changes.mode !== undefined && !owner) throw new FsError('EPERM', 'only the owner changes the mode');
  const explicitTime = typeof changes.atimeNs === 'bigint' || typeof changes.mtimeNs === 'bigint';
  if (explicitTime && !owner) throw new FsError('EPERM', 'only the owner sets times');
  if (changes.size !== undefined || changes.atimeNs === 'now' || changes.mtimeNs === 'now')
    requireWrite(file, caller);
}
