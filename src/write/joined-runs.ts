/** Runs of a task that serves everybody who asked before it began: one at a time, and those who ask while one runs share the next. */
export class JoinedRuns {
  /** One that hasn't begun. */
  #next: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();

  /** Resolves, or rejects, as the run does that begins after this call. `run` says when it begins: who asks later is not served by it. */
  async join(run: (begun: () => void) => Promise<void>): Promise<void> {
    const begun = (): void => {
      this.#next = undefined;
    };
    this.#next ??= this.#last.then(() => run(begun));
    const joined = this.#next;
    this.#last = joined.catch(() => undefined);
    await joined;
  }
}
