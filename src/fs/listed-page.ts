/** Pages of a directory's listing: entries in order, and where the listing goes on. */
import { compareKeys } from './names.js';
import { sortKeyOf, type ListedEntry } from './node.js';

/** Where a listing goes on: behind a sort key. */
export interface Continuation {
  readonly after: string;
  /** How far the store was read for it, where that is further: the entries between are below, and `token` is the store's own from there. */
  readonly read?: {
    /** Prefix of the directory when the store was asked: `token` is good for that prefix only. */
    readonly prefix: string;
    readonly last: string;
    readonly token: string;
    /** Entries that the next page may show to be hidden by a directory. */
    readonly undecided: readonly ListedEntry[];
  };
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

/** A page, and the sort key that it begins after. */
export interface HeldPage extends TakenPage {
  readonly after: string;
}

/** Index of the first entry behind the sort key, of entries in order. */
export function firstAfter(entries: readonly ListedEntry[], after: string): number {
  if (after === '') return 0;
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
