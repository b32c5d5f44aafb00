/** Gives a node another name or directory, once its object has another key. */
import { NEVER_MS, type DirectoryNode, type FsNode } from './node.js';
import type { Volume } from './volume.js';

/** A name in a directory. */
export interface NamedEntry {
  readonly directory: DirectoryNode;
  readonly name: string;
}

/** Moves the node of an interrupted rename, unless it was moved before the crash. */
export function finishMove(volume: Volume, source: FsNode | undefined, toPath: readonly string[]): void {
  const name = toPath.at(-1);
  if (source === undefined || name === undefined) return;
  source.validatedMs = NEVER_MS;
  const path = volume.table.path(source.id);
  // Without a path, somebody else removed a directory above it: the next look there finds what is there.
  if (path === undefined || path.join('/') === toPath.join('/')) return;
  let directory = volume.root;
  for (const segment of toPath.slice(0, -1)) directory = volume.nodes.entry(directory, segment, 'directory');
  volume.nodes.move(source, directory, name);
}

/** A file that the store has never seen, and of which it has no part: it has another name without a request. */
export function movesAlone(volume: Volume, node: FsNode): boolean {
  if (node.kind !== 'file' || !node.created) return false;
  if (node.version !== undefined || node.attempted !== undefined) return false;
  // Bytes go with it where COMMITs don't wait for S3. An upload would be bound to the old name.
  return node.session === undefined || (volume.commit.policy === 'journal' && node.session.isOnePut);
}
