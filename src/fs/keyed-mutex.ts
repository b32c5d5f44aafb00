/** Mutual exclusion by name: namespace changes to the same directory entry run one after the other. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs `task` alone among the tasks that share one of `keys`. Keys are taken in sorted order, so no two tasks wait for each other. */
  async run<T>(keys: readonly string[], task: () => Promise<T>): Promise<T> {
    const [key, ...rest] = [...new Set(keys)].sort();
    if (key === undefined) return task();
    const before = this.#tails.get(key) ?? Promise.resolve();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const tail = before.then(() => held);
    this.#tails.set(key, tail);
    await before;
    try {
      return await this.run(rest, task);
    } finally {
      release();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}
