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

/** The entries of a page of which nothing is known but names and ids (scanned-run.ts). */
export interface ScannedRun {
  /** Of each entry, in the page's order. They are cookies as well. */
  readonly ids: BigUint64Array;
  /** Names (UTF-8), one behind the other, and where each ends. */
  readonly names: Buffer;
  readonly nameEnds: Uint32Array;
  /** `changes` of the volume's nodes, and of the directory's entries, as they were. */
  readonly changes: number;
  readonly entryChanges: number;
}

/** What readers made of a held page, for the next of them: a scan's run of it, once it was tried to make one (scanned-run.ts). */
export interface PageReadings {
  run?: ScannedRun | 'none';
}

/** A page, and the sort key that it begins after. */
export interface HeldPage extends TakenPage {
  readonly after: string;
  /** Absent where the page serves one call. */
  readonly readings?: PageReadings;
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
