/** How fast a client goes through the pages of a listing. The time that it waits for the store doesn't count. */

/** Share of the time for which a page is good that may pass until the client comes to it. */
const SHARE_MAX = 0.5;
/** Pages asked for ahead, however slow the client is. */
const PAGES_MIN = 1;
/** Weight of a new interval in the moving mean. */
const WEIGHT = 0.25;
/** The store counts as slower than the client when the client waits for it longer than this share of the time that it takes itself. */
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

  /** By one LIST after another the store doesn't bring pages as fast as the client takes them: it had to wait for some behind the first. */
  get isStoreSlower(): boolean {
    return this.#isStoreSlower;
  }

  /** Called with a LIST that the client waits for; resolves when it has ended. Rejects as it does. */
  async waiting(asking: Promise<void>): Promise<void> {
    const beganMs = this.#nowMs();
    try {
      await asking;
    } finally {
      this.#waitedMs += this.#nowMs() - beganMs;
    }
  }

  /** Called when the client has come to another page. Returns how many pages ahead would still be good when it comes to them. */
  came(): number {
    const nowMs = this.#nowMs();
    const tookMs = Math.max(0, nowMs - this.#lastMs - this.#waitedMs);
    // Every client waits for its first page: that tells nothing.
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
