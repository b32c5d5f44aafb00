/**
 * The entries of a held page of which a scan tells nothing but names and ids: those that nobody asked for by name, which are nearly all of a large directory
 * that is listed for the first time. They are made once a page and given out in pieces, call by call, as long as nothing has changed that could tell more of one of them,
 * or hide it; then each call looks them up by itself again.
 */
import type { HeldPage, ScannedRun } from './listed-page.js';
import type { DirectoryNode } from './node.js';
import type { Volume } from './volume.js';

/** Names are put in one turn of the event loop: pages of stores without order have many more. */
const ENTRIES_MAX = 2048;

/** The run of a page: the one that was made of it, while it is good, or one that is made now. Undefined where entries are to be looked up. ESTALE when the directory was removed. */
export function runOf(volume: Volume, directory: DirectoryNode, page: HeldPage): ScannedRun | undefined {
  const { readings } = page;
  if (readings === undefined || !isUndisturbed(directory, page)) return undefined;
  if (readings.run === undefined) {
    // Whoever comes to a page of which there is none doesn't try again.
    readings.run = 'none';
    readings.run = madeOf(volume, directory, page) ?? 'none';
  }
  const { run } = readings;
  if (run === 'none') return undefined;
  return run.changes === volume.nodes.changes && run.entryChanges === directory.entryChanges
    ? run
    : undefined;
}

/** No name was found absent, or removed, since the page was taken. */
const isUndisturbed = ({ negatives }: DirectoryNode, { takenMs }: HeldPage): boolean =>
  negatives.latestMs < takenMs;

function madeOf(volume: Volume, directory: DirectoryNode, page: HeldPage): ScannedRun | undefined {
  const { nodes } = volume;
  const { entries, takenMs } = page;
  // There a listing has attributes of all files.
  if (volume.metadata === 'none' || entries.length === 0 || entries.length > ENTRIES_MAX) return undefined;
  // Where one has a node, most have: one is asked for before all are.
  if (nodes.bareIds(directory, entries.slice(0, 1)) === undefined) return undefined;
  const ids = nodes.bareIds(directory, entries);
  if (ids === undefined) return undefined;
  for (const [at, { name, version }] of entries.entries()) {
    directory.noteListed(name, takenMs);
    if (version !== undefined) nodes.noteListed(ids[at] ?? 0n, { version, takenMs });
  }
  const names = Buffer.from(entries.map(({ name }) => name).join(''));
  const nameEnds = new Uint32Array(entries.length);
  let end = 0;
  for (const [at, { name }] of entries.entries()) nameEnds[at] = end += Buffer.byteLength(name);
  return { ids, names, nameEnds, changes: nodes.changes, entryChanges: directory.entryChanges };
}
