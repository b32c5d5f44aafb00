/**
 * Whether a connection is worth the shared buffer that its half-arrived record lies in, while others wait for one: it must move
 * some bytes within each stretch of time. A pace, not a silence: a byte now and then is no progress.
 */

export class RecordPace {
  readonly #bytesMin: number;
  readonly #stretchMs: number;
  #since: { readonly ms: number; readonly movedBytes: number } | undefined;

  /** At least `bytesMin` within `stretchMs`. */
  constructor(bytesMin: number, stretchMs: number) {
    this.#bytesMin = bytesMin;
    this.#stretchMs = stretchMs;
  }

  /** Nobody waits, or it isn't the client who is slow: the next stretch begins anew. */
  reset(): void {
    this.#since = undefined;
  }

  /** True when a stretch has passed in which too little was moved. `movedBytes` only ever grows. */
  late(nowMs: number, movedBytes: number): boolean {
    if (this.#since === undefined || movedBytes - this.#since.movedBytes >= this.#bytesMin) {
      this.#since = { ms: nowMs, movedBytes };
      return false;
    }
    return nowMs - this.#since.ms > this.#stretchMs;
  }
}
