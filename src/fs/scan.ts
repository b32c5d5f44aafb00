/**
 * Directory scans for READDIR and READDIRPLUS. A cookie stands for the name of the entry it resumes after, which the state database knows: a
 * scan goes on from there though the entry has another name by now, or is gone, or the daemon was restarted. Entries come in S3's order, a page of
 * LIST at a time; what a page holds beyond one call is held for the next call, and while a client reads on, the next page is under way.
 */
import { LRUCache } from 'lru-cache';
import { kindOf } from './facts.js';
import type { Freshness } from './freshness.js';
import { DirectoryPages } from './directory-pages.js';
import { isPlaceTold, listingTellsAll } from './known-places.js';
import { firstAfter, type Continuation, type HeldPage, type ScannedRun } from './listed-page.js';
import type { ListedNode } from './node-cache.js';
import type { ListingWalk, PageSource } from './listing-walk.js';
import { ListingWalks } from './listing-walks.js';
import { inOrder } from './store-answers.js';
import {
  NEVER_MS,
  sortKeyOf,
  type DirectoryNode,
  type FsNode,
  type ListedEntry,
  type Listing,
} from './node.js';
import type { RoutePage } from './route.js';
import { runOf } from './scanned-run.js';
import { seenOf } from './seen-version.js';
import type { Volume } from './volume.js';

export interface ScannedEntry {
  readonly id: bigint;
  readonly cookie: bigint;
  readonly name: string;
  /** Where its attributes are proven without a request to the store. */
  readonly node?: FsNode;
}

/** One call: how many entries it takes, when it began (milliseconds since the epoch), and what it has of them. */
export interface ScanCall {
  readonly max: number;
  readonly begunMs: number;
  readonly wanted: 'names' | 'attributes';
  /** Who takes no runs is given entries alone. */
  readonly form: 'entries' | 'runs';
}

/** Entries, and what comes behind them: those of the run from that index on. */
export interface ScannedPage {
  readonly entries: readonly ScannedEntry[];
  readonly more?: { readonly run: ScannedRun; readonly from: number };
  readonly end: boolean;
}

/** The entries of a listing in order, with the files that weren't published then, as long as neither has changed since. */
interface Order {
  readonly entries: readonly ListedEntry[];
  readonly entryChanges: number;
  readonly unpublished: number;
  /** How many directories the volume keeps without markers. */
  readonly kept: number;
}

/** Directories that clients have listed lately. */
const LISTED_MAX = 1024;
const LISTED_MS_MAX = 600_000;

export class Scans {
  readonly #volume: Volume;
  readonly #freshness: Freshness;
  readonly #walks: ListingWalks;
  readonly #orders = new WeakMap<Listing, Order>();
  /** By id. */
  readonly #listed = new LRUCache<bigint, true>({ max: LISTED_MAX, ttl: LISTED_MS_MAX });

  constructor(volume: Volume, freshness: Freshness) {
    this.#volume = volume;
    this.#freshness = freshness;
    this.#walks = new ListingWalks(volume.clock, volume.budget);
  }

  /** Gives back the memory of all listings that are under way. */
  close(): void {
    this.#walks.end();
  }

  /** Entries after `cookie` (0n: from the start), without `.` and `..`. */
  async read(directory: DirectoryNode, cookie: bigint, call: ScanCall): Promise<ScannedPage> {
    this.#listed.set(directory.id, true);
    return this.#readAfter(directory, this.#positionOf(cookie), call, cookie === 0n ? 'anew' : undefined);
  }

  async #readAfter(
    directory: DirectoryNode,
    after: string,
    call: ScanCall,
    begins: 'anew' | undefined,
  ): Promise<ScannedPage> {
    const { listing } = directory;
    const { max } = call;
    // A listing that changes made here overtook says nothing about changes made elsewhere.
    if (listing !== undefined && listing.takenMs >= directory.validatedMs) {
      const { entries } = this.#orderOf(directory, listing);
      const from = firstAfter(entries, after);
      const taken = entries.slice(from, from + max);
      const nodes = this.#volume.nodes.listed(directory, taken, listing.takenMs);
      if (this.#isWorthAsking(taken, nodes, listing.takenMs, call)) {
        await this.#freshness.directory(directory);
        return this.#readAfter(directory, after, { ...call, wanted: 'names' }, undefined);
      }
      return {
        entries: this.#scanned(directory, taken, nodes, { ...call, takenMs: listing.takenMs }),
        end: from + max >= entries.length,
      };
    }
    const { page, from } = await this.#taken(directory, after, begins, call.begunMs);
    const run = call.form === 'runs' ? runOf(this.#volume, directory, page) : undefined;
    if (run !== undefined) return { entries: [], more: { run, from }, end: page.more === undefined };
    const { takenMs } = page;
    const taken = page.entries.slice(from, from + max);
    const end = page.more === undefined && from + max >= page.entries.length;
    const { there, nodes } = this.#stillThere(directory, taken, takenMs);
    const last = taken.at(-1);
    // With nothing left of what was taken the scan goes on behind it.
    if (there.length === 0 && last !== undefined && !end)
      return this.#readAfter(directory, sortKeyOf(last), call, undefined);
    if (begins !== 'anew' && this.#isWorthAsking(there, nodes, takenMs, call))
      return this.#readAfter(directory, after, call, 'anew');
    return { entries: this.#scanned(directory, there, nodes, { ...call, takenMs }), end };
  }

  /** Without what was removed since the page was taken, and what became a file or directory instead: a scan that has begun by then needn't have that. */
  #stillThere(
    directory: DirectoryNode,
    taken: readonly ListedEntry[],
    takenMs: number,
  ): { readonly there: readonly ListedEntry[]; readonly nodes: readonly ListedNode[] } {
    const there = taken.filter(({ name }) => (directory.negatives.get(name) ?? NEVER_MS) < takenMs);
    const nodes = this.#volume.nodes.listed(directory, there, takenMs);
    if (!nodes.some(({ isOutdated }) => isOutdated)) return { there, nodes };
    const isThere = (_: unknown, at: number): boolean => nodes[at]?.isOutdated !== true;
    return { there: there.filter(isThere), nodes: nodes.filter(isThere) };
  }

  /**
   * What is held is too old to prove attributes that it would prove if it were asked for again: one LIST in place of a HEAD for each of them. With
   * a time to live of 0 clients ask for each all the same.
   */
  #isWorthAsking(
    entries: readonly ListedEntry[],
    nodes: readonly ListedNode[],
    takenMs: number,
    { begunMs, wanted }: ScanCall,
  ): boolean {
    const volume = this.#volume;
    const { metadataTtlMs: ttlMs } = volume;
    if (wanted === 'names' || ttlMs === 0 || takenMs >= begunMs) return false;
    // Without order a page takes a listing of the whole directory.
    if (!volume.store.capabilities.orderedListing) return false;
    if (volume.clock.nowMs() - takenMs < ttlMs) return false;
    if (volume.metadata === 'none') return entries.some(({ kind }) => kind === 'file');
    return nodes.some(({ node }) => node?.kind === 'file' && node.proven && !volume.isFresh(node));
  }

  /** The page that holds what is behind the sort key. */
  async #taken(
    directory: DirectoryNode,
    after: string,
    begins: 'anew' | undefined,
    sinceMs: number,
    reads = true,
  ): Promise<{ readonly page: HeldPage; readonly from: number }> {
    for (let anew = begins; ; anew = 'anew') {
      const found = await this.#walkAt(directory, after, anew, sinceMs).take(after, reads);
      // Else what was to be gone on with is gone: a walk of its own finds it.
      if (found !== undefined) return found;
    }
  }

  #walkAt(directory: DirectoryNode, after: string, begins: 'anew' | undefined, sinceMs: number): ListingWalk {
    const volume = this.#volume;
    const source = (): PageSource => new DirectoryPages(volume, directory, sinceMs);
    const { clock, metadataTtlMs } = volume;
    const options = {
      splits: volume.store.capabilities.orderedListing,
      pace: { nowMs: (): number => clock.nowMs(), goodMs: metadataTtlMs },
    };
    if (begins === 'anew') return this.#walks.anew(directory.id, after, source, options);
    return this.#walks.at(directory.id, after, source, options);
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
    const page = this.#walks.around(directory.id, name);
    return page && routePage(page);
  }

  /** A page of the directory: one that is held or under way, else LIST is asked, and READDIR finds it held. Fails with FsError. */
  async pageAfter(directory: DirectoryNode, from: Continuation): Promise<RoutePage> {
    const { page, from: first } = await this.#taken(directory, from.after, undefined, Infinity, false);
    return routePage({ ...page, after: from.after, entries: page.entries.slice(first) });
  }

  /** Sort key that a cookie resumes after. One that the state database lost starts over. */
  #positionOf(cookie: bigint): string {
    const place = cookie === 0n ? undefined : this.#volume.table.placeOf(cookie);
    return place === undefined ? '' : sortKeyOf({ name: place.name, kind: kindOf(place.facts) ?? 'file' });
  }

  /** Sorting a thousand names takes longer than answering a page of them: it is done once, until an entry comes or goes. */
  #orderOf(directory: DirectoryNode, listing: Listing): Order {
    const { entryChanges, unpublishedFiles } = directory;
    const known = this.#orders.get(listing);
    const kept = this.#volume.kept.size;
    const isSame = known?.entryChanges === entryChanges && known.kept === kept;
    if (isSame && known.unpublished === unpublishedFiles.size) return known;
    const pages = new DirectoryPages(this.#volume, directory);
    const entries = pages.complete(inOrder([...listing.entries.values()]), [], '', undefined);
    const order = { entries, entryChanges, unpublished: unpublishedFiles.size, kept };
    this.#orders.set(listing, order);
    return order;
  }

  #scanned(
    directory: DirectoryNode,
    entries: readonly ListedEntry[],
    nodes: readonly ListedNode[],
    { begunMs, takenMs }: ScanCall & { readonly takenMs: number },
  ): ScannedEntry[] {
    const volume = this.#volume;
    // A held page is as old as it is: it proves nothing once a time to live has passed.
    const proves = takenMs >= begunMs || volume.clock.nowMs() - takenMs < volume.metadataTtlMs;
    return entries.map((entry, at) => {
      directory.noteListed(entry.name, takenMs);
      const { id, cookie, node: known } = nodes[at] as ListedNode;
      // With `--metadata none` a listing has the attributes of every file, and all that there is of directories that nobody looked into.
      const isTold = proves && listingTellsAll(volume, entry.kind);
      const node = known ?? (isTold ? volume.nodes.get(id) : undefined);
      if (isTold && node?.kind === 'directory') node.notePlace(takenMs, volume.nowNs);
      const proven = node !== undefined && this.#isProven(node, entry, proves ? takenMs : undefined);
      const listed = proven || entry.version === undefined ? undefined : { version: entry.version, takenMs };
      if (node?.kind === 'file') node.listed = listed;
      else if (node === undefined && listed !== undefined) volume.nodes.noteListed(id, listed);
      return { id, cookie, name: entry.name, ...(proven && { node }) };
    });
  }

  #isProven(node: FsNode, entry: ListedEntry, takenMs: number | undefined): boolean {
    const volume = this.#volume;
    if (node.kind === 'directory') return volume.isFresh(node) || isPlaceTold(volume, node);
    if (node.unpublished || volume.isFresh(node)) return true;
    const seen = seenOf(entry.version);
    return takenMs !== undefined && seen !== undefined && this.#freshness.adopt(node, seen, takenMs);
  }
}

const routePage = (page: HeldPage): RoutePage => ({
  after: page.after,
  entries: page.entries,
  next: page.more,
  takenMs: page.takenMs,
});
