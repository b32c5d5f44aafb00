/** What is known of a directory by its name alone, without a look into it. */
import { NEVER_MS, type DirectoryNode, type FsNode } from './node.js';
import type { Volume } from './volume.js';

/** No request tells more of such an entry than a listing. Directory buckets list prefixes that only an unfinished upload has. */
export function listingTellsAll({ metadata, store }: Volume, kind: FsNode['kind']): boolean {
  return metadata === 'none' && (kind === 'file' || store.capabilities.orderedListing);
}

/** Nobody looked into the directory, and a listing had it within the time to live. */
export function isPlaceTold(volume: Volume, node: DirectoryNode, nowMs = volume.clock.nowMs()): boolean {
  const { onlyListedMs = NEVER_MS } = node;
  return !node.gone && nowMs - onlyListedMs < volume.metadataTtlMs;
}

/** The directory that had the name when it was looked at or listed last, however long ago: whether it still is there its own LIST tells. */
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
