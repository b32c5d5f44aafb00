/**
 * What the first page of LIST tells of a directory: whether it exists, its entries, and its marker. One page confirms up to a thousand files, and
 * answers everything else that is asked about the directory. Changes made here while the LIST is under way are put over it (name-changes.ts).
 */
import type { ListPage } from '../store/object-store.js';
import { applyMarker, markerIn } from './marker-news.js';
import type { NameChanges } from './name-changes.js';
import type { DirectoryNode, FileNode, FsNode, ListedEntry } from './node.js';
import { seenOf, type SeenVersion } from './seen-version.js';
import { entriesOf, isEmptyPage, lastSortKeyOf, LIST_KEYS_MAX, sameEntries } from './store-answers.js';
import { rethrowAsFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** Called with what was found. */
interface Listeners {
  /** The store doesn't have the directory any more. */
  readonly vanished: (node: FsNode) => void;
  /** The listing shows this version of a file that is in memory. `takenMs`: when the LIST was asked for (milliseconds since the epoch). */
  readonly shown: (node: FileNode, seen: SeenVersion, takenMs: number) => void;
}

/** A page of a directory, when it was asked for (milliseconds since the epoch), and what was changed here since. */
interface Listed {
  readonly page: ListPage;
  readonly takenMs: number;
  readonly changes: NameChanges<ListedEntry>;
}

export class DirectoryLooks {
  readonly #volume: Volume;
  readonly #listeners: Listeners;

  constructor(volume: Volume, listeners: Listeners) {
    this.#volume = volume;
    this.#listeners = listeners;
  }

  /** Lists the first page and applies it to the node. Resolves to whether the directory exists. Errors: FsError. */
  look(node: DirectoryNode): Promise<boolean> {
    return node.during((changes) => this.#lookDuring(node, changes));
  }

  async #lookDuring(node: DirectoryNode, changes: NameChanges<ListedEntry>): Promise<boolean> {
    const volume = this.#volume;
    const prefix = volume.prefixOf(node);
    const takenMs = volume.clock.nowMs();
    const page = await volume.store
      .list({ prefix, delimiter: '/', maxKeys: LIST_KEYS_MAX })
      .catch(rethrowAsFsError);
    if (node.gone) return false;
    if (volume.prefixOf(node) !== prefix) return this.look(node);
    const marker = await markerIn(volume, page, prefix);
    if (isEmptyPage(page) && changes.isEmpty && !volume.nodes.isHeld(node)) {
      this.#listeners.vanished(node);
      return false;
    }
    await applyMarker(volume, node, prefix, marker);
    node.onlyListedMs = undefined;
    if (node.ctimeNs === 0n) {
      node.touchCtime(volume.nowNs);
      if (node.mtimeNs === 0n) node.mtimeNs = node.ctimeNs;
      node.atimeNs = node.mtimeNs;
    }
    if (!changes.isUnknown) this.#applyListing(node, prefix, { page, takenMs, changes });
    node.validatedMs = takenMs;
    volume.nodes.save(node);
    return true;
  }

  #applyListing(node: DirectoryNode, prefix: string, { page, takenMs, changes }: Listed): void {
    const volume = this.#volume;
    const known = node.listing?.entries;
    const entries = new Map(entriesOf(page, prefix, volume.hidden).map((entry) => [entry.name, entry]));
    const isWhole = page.continuationToken === undefined;
    const until = isWhole ? undefined : lastSortKeyOf(page, prefix);
    changes.putOver(entries, until);
    node.listing = isWhole ? { takenMs, entries } : undefined;
    const tells = volume.store.capabilities.orderedListing && until !== undefined;
    const { continuationToken: token } = page;
    const { entryChanges } = node;
    // What was made here meanwhile may stand where the page doesn't tell.
    const goesOn = token === undefined || !changes.isEmpty ? undefined : { prefix, token, entryChanges };
    node.beginning = tells ? { takenMs, entries, until, ...(goesOn && { goesOn }) } : undefined;
    // Of a directory of more than one page only a whole scan could tell whether entries changed: a new ctime makes clients look again.
    if (!isWhole) node.touchCtime(volume.nowNs);
    else if (
      known !== undefined &&
      !sameEntries(known, entries, node.unpublishedFiles, volume.kept.namesIn(node))
    ) {
      node.touchCtime(volume.nowNs);
      node.mtimeNs = node.ctimeNs;
    }
    for (const entry of entries.values()) {
      node.noteListed(entry.name, takenMs);
      const id = volume.table.childId(node.id, entry.name);
      const child = id === undefined ? undefined : volume.nodes.peek(id);
      const seen = changes.concerns(entry.name) ? undefined : seenOf(entry.version);
      if (child?.kind === 'file' && seen !== undefined) this.#listeners.shown(child, seen, takenMs);
    }
  }
}
