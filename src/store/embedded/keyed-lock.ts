/** Changes of one key one after another, of different keys side by side; and now and then one that has everything to itself. */

export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();
  /** While somebody has or wants everything, newcomers wait for this. */
  #gate: Promise<void> | undefined;
  #running = 0;
  #idle: (() => void) | undefined;

  /** Runs `work` when no other work of any of `keys` runs. They are taken together: no two wait for each other. */
  async shared<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    while (this.#gate !== undefined) await this.#gate;
    this.#running++;
    const before = keys.flatMap((key) => this.#tails.get(key) ?? []);
    let done = (): void => undefined;
    const tail = new Promise<void>((resolve) => {
      done = resolve;
    });
    for (const key of keys) this.#tails.set(key, tail);
    try {
      await Promise.all(before);
      return await work();
    } finally {
      for (const key of keys) if (this.#tails.get(key) === tail) this.#tails.delete(key);
      done();
      this.#running--;
      if (this.#running === 0) this.#idle?.();
    }
  }

  /** Runs `work` when nothing else runs. */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    while (this.#gate !== undefined) await this.#gate;
    let open = (): void => undefined;
    this.#gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    try {
      if (this.#running > 0) {
        await new Promise<void>((resolve) => {
          this.#idle = resolve;
        });
      }
      return await work();
    } finally {
      this.#idle = undefined;
      this.#gate = undefined;
      open();
    }
  }
}
