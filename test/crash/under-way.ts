/** Calls that are under way together. A failure is kept for whoever waits for their end. */
export class UnderWay {
  #calls: Promise<void>[] = [];
  #failure: Error | undefined;

  get count(): number {
    return this.#calls.length;
  }

  add(call: Promise<void>): void {
    this.#calls.push(
      call.catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      }),
    );
  }

  /** Rejects with the first failure once all have ended. */
  async ended(): Promise<void> {
    const calls = this.#calls;
    this.#calls = [];
    await Promise.all(calls);
    if (this.#failure !== undefined) throw this.#failure;
  }
}
