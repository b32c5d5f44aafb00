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

/** The name was found to be a directory's: whether it still is its own LIST tells. */
export function knowsDirectory({ table, nodes }: Volume, parent: DirectoryNode, name: string): boolean {
  const id = table.childId(parent.id, name);
  return id !== undefined && nodes.get(id)?.kind === 'directory';
}
