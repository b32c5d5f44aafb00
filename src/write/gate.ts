/** Many may pass together, or one alone; in the order of arrival, so that neither kind starves the other. */
import { reasonOf } from './unless-aborted.js';

interface Waiter {
  readonly alone: boolean;
  readonly enter: () => void;
}

export class Gate {
  #inside = 0;
  #alone = false;
  readonly #waiters: Waiter[] = [];

  /** Runs `work` together with others that share; not at all when the signal ends the wait, with its reason. */
  shared<Result>(work: () => Promise<Result>, patience?: AbortSignal): Promise<Result> {
    return this.#pass(false, work, patience);
  }

  /** Runs `work` when all who came before have left, and keeps others out meanwhile. The signal as of `shared`. */
  exclusive<Result>(work: () => Promise<Result>, patience?: AbortSignal): Promise<Result> {
    return this.#pass(true, work, patience);
  }

  async #pass<Result>(
    alone: boolean,
    work: () => Promise<Result>,
    patience: AbortSignal | undefined,
  ): Promise<Result> {
    patience?.throwIfAborted();
    if (this.#waiters.length > 0 || !this.#admits(alone)) await this.#wait(alone, patience);
    else this.#take(alone);
    try {
      return await work();
    } finally {
      this.#inside -= 1;
      this.#alone = false;
      this.#admitNext();
    }
  }

  async #wait(alone: boolean, patience: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        if (patience !== undefined) reject(reasonOf(patience));
        // Whoever stood behind may pass together with those inside.
        this.#admitNext();
      };
      const waiter: Waiter = {
        alone,
        enter: () => {
          patience?.removeEventListener('abort', leave);
          resolve();
        },
      };
      patience?.addEventListener('abort', leave, { once: true });
      this.#waiters.push(waiter);
    });
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
