/**
 * Directory scans for READDIR and READDIRPLUS. A cookie stands for the name of the entry it resumes after, which the state database knows: a
 * scan goes on from there though the entry has another name by now, or is gone, or the daemon was restarted. Entries come in S3's order, a page of
 * LIST at a time; what a page holds beyond one call is held for the next call, and while a client reads on, the next page is under way.
 */
import { LRUCache } from 'lru-cache';
import type { ListPage } from '../store/object-store.js';
import { kindOf } from './facts.js';
import type { Freshness } from './freshness.js';
import { LIST_KEYS_MAX, entriesOf } from './store-answers.js';
import { HeldPages, firstAfter, type Continuation, type ListedPage, type TakenPage } from './held-pages.js';
import { compareKeys } from './names.js';
import {
  NEVER_MS,
  sortKeyOf,
  type DirectoryNode,
  type FsNode,
  type ListedEntry,
  type Listing,
} from './node.js';
import { toFsError } from './store-errors.js';
import type { RoutePage } from './route.js';
import { firstUnordered, mayBeShadowed, withoutShadowed } from './unordered.js';
import type { Volume } from './volume.js';

export interface ScannedEntry {
  readonly id: bigint;
  readonly cookie: bigint;
  readonly name: string;
  /** Where its attributes are proven without a request to the store. */
  readonly node?: FsNode;
}

/** One call: how many entries it takes, and when it began (milliseconds since the epoch). */
interface ScanCall {
  readonly max: number;
  readonly begunMs: number;
}

/** The entries of a listing in order, with the files that weren't published then, as long as neither has changed since. */
interface Order {
  readonly entries: readonly ListedEntry[];
  readonly entryChanges: number;
  readonly unpublished: number;
}

/** A page that was asked for, beginning after a sort key. */
interface AskedPage {
  readonly after: string;
  readonly page: Promise<TakenPage>;
}

/** Directories that clients have listed lately. */
const LISTED_MAX = 1024;
const LISTED_MS_MAX = 600_000;
/**
 * Entries of a store without order that are sorted and held at a time, some 4 MB of them: a directory of more is listed whole once for
 * each so many.
 */
const UNORDERED_MAX = 20_000;
/** Sorts after every key that continues a prefix. */
const AFTER_ALL = '\u{10FFFF}';

export class Scans {
  readonly #volume: Volume;
  readonly #freshness: Freshness;
  readonly #held = new HeldPages();
  /** The newest page of each directory that is under way. */
  readonly #asked = new Map<bigint, AskedPage>();
  readonly #orders = new WeakMap<Listing, Order>();
  /** By id. */
  readonly #listed = new LRUCache<bigint, true>({ max: LISTED_MAX, ttl: LISTED_MS_MAX });

  constructor(volume: Volume, freshness: Freshness) {
    this.#volume = volume;
    this.#freshness = freshness;
  }

  /** At most `max` entries after `cookie` (0n: from the start), without `.` and `..`. */
  async read(
    directory: DirectoryNode,
    cookie: bigint,
    max: number,
  ): Promise<{ readonly entries: readonly ScannedEntry[]; readonly end: boolean }> {
    if (cookie === 0n) {
      this.#held.drop(directory.id);
      this.#asked.delete(directory.id);
    }
    this.#listed.set(directory.id, true);
    const call = { max, begunMs: this.#volume.clock.nowMs() };
    return this.#readAfter(directory, this.#positionOf(cookie), call);
  }

  async #readAfter(
    directory: DirectoryNode,
    after: string,
    call: ScanCall,
  ): Promise<{ readonly entries: readonly ScannedEntry[]; readonly end: boolean }> {
    const { listing } = directory;
    const { max } = call;
    // A listing that changes made here overtook says nothing about changes made elsewhere.
    if (listing !== undefined && listing.takenMs >= directory.validatedMs) {
      const { entries } = this.#orderOf(directory, listing);
      const from = firstAfter(entries, after);
      const taken = entries.slice(from, from + max);
      return {
        entries: this.#scanned(directory, taken, listing.takenMs, call),
        end: from + max >= entries.length,
      };
    }
    let page = this.#held.after(directory.id, after);
    while (page === undefined || (page.entries.length === 0 && page.more !== undefined)) {
      const next: TakenPage = await this.#page(directory, page?.more ?? { after });
      page = { ...next, entries: next.entries.slice(firstAfter(next.entries, after)) };
    }
    if (after !== '' && page.more !== undefined)
      void this.#page(directory, page.more).catch(leftToTheNextCall);
    const { takenMs } = page;
    const taken = page.entries.slice(0, max);
    const end = page.entries.length <= max && page.more === undefined;
    const there = taken.filter(({ name }) => (directory.negatives.get(name) ?? NEVER_MS) < takenMs);
    const last = taken.at(-1);
    // What was removed since the page was taken is left out; with nothing left the scan goes on behind it.
    if (there.length === 0 && last !== undefined && !end)
      return this.#readAfter(directory, sortKeyOf(last), call);
    return { entries: this.#scanned(directory, there, takenMs, call), end };
  }

  /** A client has listed the directory lately, and a page of it costs one LIST. */
  isListed(directory: DirectoryNode): boolean {
    return this.#listed.has(directory.id) && this.#volume.store.capabilities.orderedListing;
  }

  /** What is held of the directory's listing around a name. */
  held(directory: DirectoryNode, name: string): RoutePage | undefined {
    const { listing } = directory;
    if (listing !== undefined) {
      const { entries } = this.#orderOf(directory, listing);
      return { after: '', entries, next: undefined, takenMs: listing.takenMs };
    }
    const page = this.#held.around(directory.id, name);
    return page && routePage(page.after, page);
  }

  /** A page of the directory: one that is held or under way, else LIST is asked, and READDIR finds it held. Fails with FsError. */
  async pageAfter(directory: DirectoryNode, from: Continuation): Promise<RoutePage> {
    return routePage(from.after, await this.#page(directory, from));
  }

  /** Sort key that a cookie resumes after. One that the state database lost starts over. */
  #positionOf(cookie: bigint): string {
    const place = cookie === 0n ? undefined : this.#volume.table.placeOf(cookie);
    return place === undefined ? '' : sortKeyOf({ name: place.name, kind: kindOf(place.facts) ?? 'file' });
  }

  /** The page there: held, or under way, or asked for now. */
  #page(directory: DirectoryNode, from: Continuation): Promise<TakenPage> {
    const held = this.#held.beginningAfter(directory.id, from.after);
    if (held !== undefined) return Promise.resolve(held);
    const asked = this.#asked.get(directory.id);
    if (asked?.after === from.after) return asked.page;
    const takenMs = this.#volume.clock.nowMs();
    const asking: AskedPage = {
      after: from.after,
      page: this.#nextPage(directory, from)
        .then((listed) => {
          const page = { ...listed, takenMs };
          // Else somebody began anew meanwhile, or went elsewhere.
          if (this.#asked.get(directory.id) === asking) this.#held.add(directory.id, from.after, page);
          return page;
        })
        .finally(() => {
          if (this.#asked.get(directory.id) === asking) this.#asked.delete(directory.id);
        }),
    };
    this.#asked.set(directory.id, asking);
    return asking.page;
  }

  async #nextPage(directory: DirectoryNode, { after, token }: Continuation): Promise<ListedPage> {
    const volume = this.#volume;
    const prefix = volume.prefixOf(directory);
    if (!volume.store.capabilities.orderedListing) {
      const { entries: listed, last } = await firstUnordered(
        volume.store,
        prefix,
        after,
        UNORDERED_MAX,
        volume.hidden,
      );
      const entries = this.#withUnpublished(directory, listed, after, last);
      return { entries, ...(last !== undefined && { more: { after: last } }) };
    }
    const page = await volume.store
      .list({
        prefix,
        delimiter: '/',
        maxKeys: LIST_KEYS_MAX,
        ...(token !== undefined
          ? { continuationToken: token }
          : after !== '' && { startAfter: prefix + after + (after.endsWith('/') ? AFTER_ALL : '') }),
      })
      .catch((error: unknown) => {
        throw toFsError(error);
      });
    const listed = inOrder(entriesOf(page, prefix, volume.hidden));
    if (page.continuationToken === undefined)
      return { entries: this.#withUnpublished(directory, listed, after, undefined) };
    const last = lastKeyOf(page).slice(prefix.length);
    const cut = listed.findIndex((entry) => mayBeShadowed(entry, last));
    const lastDecided = listed[cut - 1];
    if (lastDecided !== undefined) {
      // The next page begins with what isn't decided, and decides it.
      const more = { after: sortKeyOf(lastDecided) };
      return { entries: this.#withUnpublished(directory, listed.slice(0, cut), after, more.after), more };
    }
    const visible = await withoutShadowed(volume.store, listed, prefix, last, volume.hidden);
    return {
      entries: this.#withUnpublished(directory, visible, after, last),
      more: { after: last, token: page.continuationToken },
    };
  }

  /** Sorting a thousand names takes longer than answering a page of them: it is done once, until an entry comes or goes. */
  #orderOf(directory: DirectoryNode, listing: Listing): Order {
    const { entryChanges, unpublishedFiles } = directory;
    const known = this.#orders.get(listing);
    if (known?.entryChanges === entryChanges && known.unpublished === unpublishedFiles.size) return known;
    const entries = this.#withUnpublished(directory, [...listing.entries.values()], '', undefined);
    const order = { entries, entryChanges, unpublished: unpublishedFiles.size };
    this.#orders.set(listing, order);
    return order;
  }

  /** Entries after a position, with the files that the store doesn't have yet up to `last`, in order. */
  #withUnpublished(
    directory: DirectoryNode,
    listed: readonly ListedEntry[],
    after: string,
    last: string | undefined,
  ): ListedEntry[] {
    const byName = new Map(listed.map((entry) => [entry.name, entry]));
    for (const name of directory.unpublishedFiles.keys()) {
      if (last === undefined || compareKeys(name, last) <= 0) byName.set(name, { name, kind: 'file' });
    }
    const entries = inOrder([...byName.values()]);
    return entries.slice(firstAfter(entries, after));
  }

  #scanned(
    directory: DirectoryNode,
    entries: readonly ListedEntry[],
    takenMs: number,
    { begunMs }: ScanCall,
  ): ScannedEntry[] {
    const volume = this.#volume;
    // A held page is as old as it is: it proves nothing once a time to live has passed.
    const proves = takenMs >= begunMs || volume.clock.nowMs() - takenMs < volume.metadataTtlMs;
    return entries.map((entry) => {
      directory.noteListed(entry.name, takenMs);
      const { id, cookie } = volume.nodes.listed(directory, entry.name, entry.kind);
      const node = volume.nodes.get(id);
      const proven = node !== undefined && this.#isProven(node, entry, proves ? takenMs : undefined);
      if (node?.kind === 'file')
        node.listed = proven || entry.version === undefined ? undefined : { version: entry.version, takenMs };
      return { id, cookie, name: entry.name, ...(proven && { node }) };
    });
  }

  #isProven(node: FsNode, entry: ListedEntry, takenMs: number | undefined): boolean {
    const volume = this.#volume;
    if (node.kind === 'directory') return volume.isFresh(node);
    if (node.unpublished || volume.isFresh(node)) return true;
    const { version } = entry;
    if (takenMs === undefined || version?.lastModifiedMs === undefined) return false;
    return this.#freshness.adopt(node, { ...version, lastModifiedMs: version.lastModifiedMs }, takenMs);
  }
}

function inOrder(entries: readonly ListedEntry[]): ListedEntry[] {
  return entries
    .map((entry) => ({ entry, key: Buffer.from(sortKeyOf(entry), 'utf8') }))
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map(({ entry }) => entry);
}

/** The call that comes to a page which couldn't be had ahead asks for it again, and is told. */
const leftToTheNextCall = (): void => undefined;

const routePage = (after: string, page: TakenPage): RoutePage => ({
  after,
  entries: page.entries,
  next: page.more,
  takenMs: page.takenMs,
});

/** The last key or prefix of a page, in S3's order. */
function lastKeyOf(page: ListPage): string {
  const keys = [page.objects.at(-1)?.key ?? '', page.prefixes.at(-1) ?? ''];
  return keys.sort(compareKeys).at(-1) ?? '';
}
