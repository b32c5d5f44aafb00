/**
 * What each stream may have ahead of itself: memory, and GETs in flight. Both are shared by all sequential streams.
 *
 * A stream among few has half of its part of the budget for readahead; the rest is for READs, for blocks that were read already and for
 * writes. Among many, what its READs hold is more than half: readahead that took half there would keep READs waiting for memory, and those
 * that wait fetch what they need in pieces.
 *
 * More GETs than a stream's part of the slots couldn't run at the same time: to cut its window for them would only make more requests of it.
 */
import type { MemoryBudget } from '../memory/memory-budget.js';
import type { GetsWanted } from './parts.js';

/** What a reader's READs hold: two of 1 MiB, the largest of a usual client, and blocks that they have in part only. */
const HELD_BYTES = 2.5 * 1024 * 1024;
/** For readahead at least, where it isn't more than half: the smallest GET. READs of many clients are shorter than 1 MiB. */
const AHEAD_BYTES_MIN = 512 * 1024;

export class ReadaheadShare {
  readonly #budget: MemoryBudget;
  readonly #getsMax: number;
  #streams = 0;

  /** `getsMax`: GETs of readahead in flight, of all streams together. */
  constructor(budget: MemoryBudget, getsMax: number) {
    this.#budget = budget;
    this.#getsMax = getsMax;
  }

  /** Bytes a stream may read ahead. */
  get bytes(): number {
    const each = this.#budget.limitBytes / Math.max(1, this.#streams);
    return Math.floor(Math.min(each / 2, Math.max(each - HELD_BYTES, AHEAD_BYTES_MIN)));
  }

  /** GETs a stream may have in flight, at least one. */
  get gets(): number {
    return Math.max(1, Math.floor(this.#getsMax / Math.max(1, this.#streams)));
  }

  /** What a stream wants at the store's pace, as far as it may have it. */
  of(wanted: GetsWanted): GetsWanted {
    return wanted.gets <= this.gets ? wanted : { ...wanted, gets: this.gets };
  }

  /** An object's sequential streams were `before` and are `after`. */
  recount(before: number, after: number): void {
    this.#streams += after - before;
  }
}
