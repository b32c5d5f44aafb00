/**
 * Files that the journal knows, where the inode tree has them. The two are written side by side: a kill may come when one of them has a
 * rename or a removal and the other has not, and answers wait for both. So, of files whose bytes or attributes are in the journal alone:
 * - a rename is in the journal first, and is carried out in the tree here;
 * - a removal is in the tree first: what the journal still has of the file goes.
 * By its id a file keeps its handles; a path alone would make another file of it.
 */
import type { Intent } from './intent-log.js';
import { dropUnpublished, unpublishedRefs } from './journaling.js';
import type { FileNode } from './node.js';
import type { Volume } from './volume.js';

/** No client can have made such a name: it is longer than names may be. */
const AWAY_BYTES = 300;

interface Misplaced {
  readonly node: FileNode;
  readonly path: readonly string[];
}

/** Makes the tree agree with the journal. Nothing is asked of the store. May be done again. */
export async function placeFiles(volume: Volume): Promise<void> {
  const { intents, nodes, table } = volume;
  const ids = new Set<bigint>();
  const keys = new Set<string>();
  const misplaced: Misplaced[] = [];
  for (const [ref, intent] of [...intents.live()].sort(bytesFirst)) {
    const id = idOf(ref);
    if (intent.volume !== volume.name || id === undefined || ids.has(id) || !('path' in intent)) continue;
    ids.add(id);
    const key = intent.path.join('/');
    if (table.get(id)?.removed === true) {
      volume.log.info({ key }, 'finishing a removal that a crash interrupted');
      await dropRemoved(volume, id);
      continue;
    }
    const node = nodes.get(id);
    // The file of a lost state directory is found by its path.
    if (node?.kind !== 'file' || table.volumeOf(id) !== volume.name || keys.has(key)) continue;
    keys.add(key);
    if (table.path(id)?.join('/') !== key) misplaced.push({ node, path: intent.path });
  }
  // Files may have changed names with each other: none must find another one at its own, and end it.
  for (const { node } of misplaced) nodes.move(node, volume.root, `${node.id}`.padEnd(AWAY_BYTES, '.'));
  for (const { node, path } of misplaced) {
    let directory = volume.root;
    for (const segment of path.slice(0, -1)) directory = nodes.entry(directory, segment, 'directory');
    nodes.move(node, directory, path.at(-1) ?? '');
  }
  // Before anything is published and its intent ends: the journal is the only one that knows.
  await nodes.settled();
}

/** What the journal has of a file that is removed. Bytes that lost a conflict stay: they are journaled by another name as well. */
async function dropRemoved(volume: Volume, id: bigint): Promise<void> {
  const { intents } = volume;
  if ([...intents.live().keys()].some((ref) => ref.startsWith(`loser:${id}:`)))
    await Promise.all(unpublishedRefs(id).map((ref) => intents.drop(ref)));
  else await dropUnpublished(volume, String(id));
}

/** What is said of a file beside its bytes is in their intent, and newer there: also its name. */
function bytesFirst([a]: readonly [string, Intent], [b]: readonly [string, Intent]): number {
  return Number(b.startsWith('written:')) - Number(a.startsWith('written:'));
}

/** Of the file's own intents; losers and what was put aside are no file's. */
function idOf(ref: string): bigint | undefined {
  const id = /^(?:create|change|written):(\d+)$/.exec(ref)?.[1];
  return id === undefined ? undefined : BigInt(id);
}
