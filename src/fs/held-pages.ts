/**
 * Pages of listings that scans haven't used up. One LIST brings a thousand entries, a reply takes some dozens to some hundreds, and
 * where the reply ended is known only by the cookie of the next call: any entry of a held page is a place to go on from.
 */
import { LRUCache } from 'lru-cache';
import { compareKeys } from './names.js';
import { sortKeyOf, type ListedEntry } from './node.js';

/** Where a listing goes on: behind a sort key. The store's token leads there where there is one. */
export interface Continuation {
  readonly after: string;
  readonly token?: string;
}

/** Entries in order, and where the listing goes on after them; without `more` it ends with them. */
export interface ListedPage {
  readonly entries: readonly ListedEntry[];
  readonly more?: Continuation;
}

/** A page and when the store was asked for it (milliseconds since the epoch). */
export interface TakenPage extends ListedPage {
  readonly takenMs: number;
}

export interface HeldPage extends TakenPage {
  /** Sort key that the page begins after. */
  readonly after: string;
}

/** Directories with pages held, and pages of one: several clients scan a directory at a time, at different places. */
const DIRECTORIES_MAX = 32;
const PAGES_MAX = 4;
const HELD_MS_MAX = 60_000;

export class HeldPages {
  readonly #pages = new LRUCache<bigint, readonly HeldPage[]>({ max: DIRECTORIES_MAX, ttl: HELD_MS_MAX });

  /** What follows the sort key `after`, if a page of the directory reaches there. */
  after(directoryId: bigint, after: string): TakenPage | undefined {
    for (const page of this.#pages.get(directoryId) ?? []) {
      const last = page.entries.at(-1);
      if (last === undefined || compareKeys(after, page.after) < 0) continue;
      if (compareKeys(after, sortKeyOf(last)) > 0) continue;
      return { ...page, entries: page.entries.slice(firstAfter(page.entries, after)) };
    }
    return undefined;
  }

  /** The page that begins after the sort key `after` and nowhere else. */
  beginningAfter(directoryId: bigint, after: string): TakenPage | undefined {
    return this.#pages.get(directoryId)?.find((page) => page.after === after);
  }

  /** The page in which the sort key stands, whole. */
  around(directoryId: bigint, key: string): HeldPage | undefined {
    return this.#pages.get(directoryId)?.find((page) => {
      const last = page.entries.at(-1);
      return last !== undefined && compareKeys(key, page.after) > 0 && compareKeys(key, sortKeyOf(last)) <= 0;
    });
  }

  /** Keeps a page that begins after the sort key `after`. */
  add(directoryId: bigint, after: string, page: TakenPage): void {
    const others = (this.#pages.get(directoryId) ?? []).slice(0, PAGES_MAX - 1);
    this.#pages.set(directoryId, [{ ...page, after }, ...others]);
  }

  /** A scan from the start sees the directory as it is then. */
  drop(directoryId: bigint): void {
    this.#pages.delete(directoryId);
  }
}

/** Index of the first entry behind the sort key, of entries in order. */
export function firstAfter(entries: readonly ListedEntry[], after: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = entries[middle];
    if (entry !== undefined && compareKeys(sortKeyOf(entry), after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
