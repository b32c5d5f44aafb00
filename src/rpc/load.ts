/** What all connections and sockets hold together: the total bound, what close() waits for, and what is shown to an operator. */

export class Load {
  readonly #requestBytesMax: number;
  #calls = 0;
  #requestBytes = 0;
  #replyBytes = 0;
  readonly #waitForRoom = new Set<() => void>();
  readonly #waitForIdle = new Set<() => void>();

  constructor(requestBytesMax: number) {
    this.#requestBytesMax = requestBytesMax;
  }

  /** Calls that run. */
  get calls(): number {
    return this.#calls;
  }

  /** Bytes of the calls that run. */
  get requestBytes(): number {
    return this.#requestBytes;
  }

  /** Bytes of replies that were not handed over yet. */
  get replyBytes(): number {
    return this.#replyBytes;
  }

  /** True when no further call may begin. */
  get full(): boolean {
    return this.#requestBytes >= this.#requestBytesMax;
  }

  beginCall(requestBytes: number): void {
    this.#calls++;
    this.#requestBytes += requestBytes;
  }

  endCall(requestBytes: number): void {
    this.#calls--;
    this.#requestBytes -= requestBytes;
    this.#settle();
  }

  queueReply(bytes: number): void {
    this.#replyBytes += bytes;
  }

  settleReply(bytes: number): void {
    this.#replyBytes -= bytes;
    this.#settle();
  }

  /** Calls `resume` once when there is room again. The same function is kept once. */
  onRoom(resume: () => void): void {
    this.#waitForRoom.add(resume);
  }

  /** Forgets a function given to `onRoom`. */
  offRoom(resume: () => void): void {
    this.#waitForRoom.delete(resume);
  }

  /** Resolves when no call runs and no reply waits. */
  async whenIdle(): Promise<void> {
    if (this.#idle) return;
    await new Promise<void>((resolve) => this.#waitForIdle.add(resolve));
  }

  get #idle(): boolean {
    return this.#calls === 0 && this.#replyBytes === 0;
  }

  #settle(): void {
    // In the order of waiting, so that no connection starves; one that finds the room taken comes back to the end of the line.
    if (this.#waitForRoom.size > 0) {
      for (const resume of [...this.#waitForRoom]) {
        if (this.full) break;
        this.#waitForRoom.delete(resume);
        resume();
      }
    }
    if (!this.#idle) return;
    for (const resolve of this.#waitForIdle) resolve();
    this.#waitForIdle.clear();
  }
}
