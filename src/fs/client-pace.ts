/** How fast a client goes through pages, by its own doing: what it waits for the store doesn't count. */

/** Of the time for which a page is good, what may pass until the client comes to it. */
const SHARE_MAX = 0.5;
/** Pages ahead, however slow the client. */
const PAGES_MIN = 1;
/** Of a new interval in the mean. */
const WEIGHT = 0.25;
/** What a client waits for the store, of the time that it takes itself, from which on the store is the slower one. */
const WAITS_MIN = 0.25;

export class ClientPace {
  readonly #nowMs: () => number;
  readonly #goodMs: number;
  #lastMs: number;
  #waitedMs = 0;
  /** Milliseconds a page. */
  #meanMs: number | undefined;
  #takenMs = 0;
  #waitedBeforeMs = 0;
  #isStoreSlower = false;

  /** Pages are good for `goodMs` milliseconds. */
  constructor({ nowMs, goodMs }: { readonly nowMs: () => number; readonly goodMs: number }) {
    this.#nowMs = nowMs;
    this.#goodMs = goodMs;
    this.#lastMs = nowMs();
  }

  /** Asked one LIST after another, the store doesn't bring pages as fast as the client takes them: it has waited for some behind the first. */
  get isStoreSlower(): boolean {
    return this.#isStoreSlower;
  }

  /** The client waits for the store meanwhile. */
  async waiting(asking: Promise<void>): Promise<void> {
    const beganMs = this.#nowMs();
    try {
      await asking;
    } finally {
      this.#waitedMs += this.#nowMs() - beganMs;
    }
  }

  /** The client came to another page. How many pages ahead of it will be good when it comes to them. */
  came(): number {
    const nowMs = this.#nowMs();
    const tookMs = Math.max(0, nowMs - this.#lastMs - this.#waitedMs);
    // For its first page every client waits.
    if (this.#meanMs !== undefined) {
      this.#takenMs += tookMs;
      this.#waitedBeforeMs += this.#waitedMs;
    }
    if (this.#waitedBeforeMs > WAITS_MIN * this.#takenMs) this.#isStoreSlower = true;
    this.#lastMs = nowMs;
    this.#waitedMs = 0;
    this.#meanMs = this.#meanMs === undefined ? tookMs : this.#meanMs + WEIGHT * (tookMs - this.#meanMs);
    if (this.#meanMs === 0) return Infinity;
    return Math.max(PAGES_MIN, Math.floor((SHARE_MAX * this.#goodMs) / this.#meanMs));
  }
}
