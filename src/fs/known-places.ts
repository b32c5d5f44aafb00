/** What is known of an entry from listings alone, without a request of its own. */
import { NEVER_MS, type DirectoryNode, type FsNode } from './node.js';
import type { Volume } from './volume.js';

/** Whether a listing tells as much of such an entry as any request. Not of directories in directory buckets: those list prefixes that only an unfinished upload has. */
export function listingTellsAll({ metadata, store }: Volume, kind: FsNode['kind']): boolean {
  return metadata === 'none' && (kind === 'file' || store.capabilities.orderedListing);
}

/** Whether a listing showed the directory within the time to live, and nobody has looked into it. */
export function isPlaceTold(volume: Volume, node: DirectoryNode, nowMs = volume.clock.nowMs()): boolean {
  const { onlyListedMs = NEVER_MS } = node;
  return !node.gone && nowMs - onlyListedMs < volume.metadataTtlMs;
}

/** The directory that had the name when it was last looked at or listed, however long ago. Whether it still exists is told by a LIST of its own. */
export function directoryOnceAt(
  { table, nodes }: Volume,
  parent: DirectoryNode,
  name: string,
): DirectoryNode | undefined {
  const id = table.childId(parent.id, name);
  const known = id === undefined ? undefined : nodes.get(id);
  if (known !== undefined) return known.kind === 'directory' ? known : undefined;
  const isListed = parent.listingOf(name)?.entries.get(name)?.kind === 'directory';
  return isListed ? nodes.entry(parent, name, 'directory') : undefined;
}
