/** What each stream may have in memory ahead of itself: half of the budget, shared by all sequential streams. */
import type { MemoryBudget } from '../memory/memory-budget.js';

export class ReadaheadShare {
  readonly #budget: MemoryBudget;
  #streams = 0;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  /** Bytes a stream may read ahead. */
  get bytes(): number {
    return Math.floor(this.#budget.limitBytes / 2 / Math.max(1, this.#streams));
  }

  /** An object's sequential streams were `before` and are `after`. */
  recount(before: number, after: number): void {
    this.#streams += after - before;
  }
}
