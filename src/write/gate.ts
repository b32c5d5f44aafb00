/** Many may pass together, or one alone; in the order of arrival, so that neither kind starves the other. */

interface Waiter {
  readonly alone: boolean;
  readonly enter: () => void;
}

export class Gate {
  #inside = 0;
  #alone = false;
  readonly #waiters: Waiter[] = [];

  /** Runs `work` together with others that share. */
  shared<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#pass(false, work);
  }

  /** Runs `work` when all who came before have left, and keeps others out meanwhile. */
  exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#pass(true, work);
  }

  async #pass<Result>(alone: boolean, work: () => Promise<Result>): Promise<Result> {
    if (this.#waiters.length > 0 || !this.#admits(alone)) {
      await new Promise<void>((enter) => this.#waiters.push({ alone, enter }));
    } else {
      this.#take(alone);
    }
    try {
      return await work();
    } finally {
      this.#inside -= 1;
      this.#alone = false;
      this.#admitNext();
    }
  }

  #admits(alone: boolean): boolean {
    return alone ? this.#inside === 0 : !this.#alone;
  }

  #take(alone: boolean): void {
    this.#inside += 1;
    this.#alone = alone;
  }

  #admitNext(): void {
    for (
      let next = this.#waiters[0];
      next !== undefined && this.#admits(next.alone);
      next = this.#waiters[0]
    ) {
      this.#waiters.shift();
      this.#take(next.alone);
      next.enter();
    }
  }
}
