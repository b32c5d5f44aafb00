/**
 * Listings that clients are reading, by directory. One LIST brings a thousand entries, a reply takes some dozens to some hundreds, and where
 * the reply ended is known only by the cookie of the next call: any entry of a held page is a place to go on from. Several clients read a directory
 * at a time, at different places.
 */
import type { MemoryBudget } from '../memory/memory-budget.js';
import type { Clock } from './clock.js';
import type { HeldPage } from './listed-page.js';
import { ListingWalk, type PageSource, type WalkOptions } from './listing-walk.js';
import type { PageMemory } from './walk-page.js';

/** Directories with walks, and walks of one. */
const DIRECTORIES_MAX = 32;
const WALKS_MAX = 4;
const IDLE_MS_MAX = 60_000;
/** Of a walk that is left when another one of the directory begins: rather the same client anew than another one. */
const IDLE_MS_MAX_AT_BEGINNING = 5000;
/** A page of 1,000 entries with their names, sizes, times and ETags, packed; names of 50 bytes. */
const PAGE_BYTES = 100 * 1024;

interface OpenWalk {
  readonly walk: ListingWalk;
  usedMs: number;
}

export class ListingWalks {
  readonly #clock: Clock;
  readonly #memory: PageMemory;
  /** By directory, the one that was used last at the end; walks, the newest first. */
  readonly #open = new Map<bigint, OpenWalk[]>();

  constructor(clock: Clock, budget: MemoryBudget) {
    this.#clock = clock;
    this.#memory = {
      take: () => budget.tryReserveFree(PAGE_BYTES),
      give: () => budget.release(PAGE_BYTES),
      hold: (bytes) => budget.tryReserve(bytes),
      release: (bytes) => budget.release(bytes),
    };
    // All of it can be listed again.
    budget.addRelief((bytes) => {
      const before = budget.usedBytes;
      for (const id of [...this.#open.keys()]) {
        if (before - budget.usedBytes >= bytes) break;
        this.#drop(id, () => true);
      }
      return Math.max(0, before - budget.usedBytes);
    });
  }

  /** The walk that covers the sort key, a new one where there is none. */
  at(directoryId: bigint, after: string, source: () => PageSource, options: WalkOptions): ListingWalk {
    const known = this.#of(directoryId).find(({ walk }) => walk.covers(after));
    if (known === undefined) return this.#begin(directoryId, after, source(), options);
    known.usedMs = this.#clock.nowMs();
    return known.walk;
  }

  /** A new walk from behind the sort key `after`, which shares no pages with earlier ones: a client that begins a scan sees the directory as it is now. */
  anew(directoryId: bigint, after: string, source: () => PageSource, options: WalkOptions): ListingWalk {
    const nowMs = this.#clock.nowMs();
    this.#drop(directoryId, ({ usedMs }) => nowMs - usedMs > IDLE_MS_MAX_AT_BEGINNING);
    return this.#begin(directoryId, after, source(), options);
  }

  /** The page in which the sort key stands, if one is held. */
  around(directoryId: bigint, key: string): HeldPage | undefined {
    for (const { walk } of this.#of(directoryId)) {
      const page = walk.around(key);
      if (page !== undefined) return page;
    }
    return undefined;
  }

  /** Gives back all pages. */
  end(): void {
    for (const id of [...this.#open.keys()]) this.#drop(id, () => true);
  }

  #begin(directoryId: bigint, after: string, source: PageSource, options: WalkOptions): ListingWalk {
    const walk = new ListingWalk(source, this.#memory, after, options);
    const others = this.#of(directoryId);
    for (const { walk: oldest } of others.splice(WALKS_MAX - 1)) oldest.end();
    this.#open.delete(directoryId);
    this.#open.set(directoryId, [{ walk, usedMs: this.#clock.nowMs() }, ...others]);
    for (const id of this.#open.keys()) {
      if (this.#open.size <= DIRECTORIES_MAX) break;
      this.#drop(id, () => true);
    }
    return walk;
  }

  /** Those that are in use. */
  #of(directoryId: bigint): OpenWalk[] {
    const nowMs = this.#clock.nowMs();
    for (const id of this.#open.keys()) this.#drop(id, ({ usedMs }) => nowMs - usedMs > IDLE_MS_MAX);
    return this.#open.get(directoryId) ?? [];
  }

  #drop(directoryId: bigint, which: (open: OpenWalk) => boolean): void {
    const walks = this.#open.get(directoryId) ?? [];
    if (!walks.some(which)) return;
    for (const open of walks) if (which(open)) open.walk.end();
    const left = walks.filter((open) => !which(open));
    if (left.length === 0) this.#open.delete(directoryId);
    else this.#open.set(directoryId, left);
  }
}
