/**
 * How long a GET waits for bytes before it is asked again, as arithmetic. A few of S3's requests take many times as long as the others, and the
 * same request over another connection comes at once as a rule ("Timeouts and retries for latency-sensitive applications" in S3's performance
 * guidelines). What is usual is told by the answers of late. Only a small share of the requests is asked again: when all have become slow, it is
 * the store that is slow, and twice the requests would make it slower.
 */

/** First bytes that are looked at. */
const REMEMBERED = 64;
/** Before so many nothing is usual. */
const KNOWN_MIN = 8;
/** Times the median that is far behind. */
const BEHIND = 6;
/** Waits in milliseconds that are never called long: what a pause of this process or a lost packet takes. Between bytes of one body, and before its first. */
const FIRST_BYTE_MS_MIN = 300;
const STALL_MS_MIN = 1_000;
/** Of the answers, one in so many may be asked for again; so many of them at once. */
const ANSWERS_EACH = 50;
const AT_ONCE_MAX = 4;

export interface Waits {
  /** Milliseconds to the first byte, and between two pieces of a body. */
  readonly firstByteMs: number;
  readonly stallMs: number;
}

export class Patience {
  readonly #firstBytesMs: number[] = [];
  #next = 0;
  #left = AT_ONCE_MAX;
  #waits: Waits | undefined;

  /** An answer began so many milliseconds after its request. */
  observe(firstByteMs: number): void {
    this.#firstBytesMs[this.#next] = firstByteMs;
    this.#next = (this.#next + 1) % REMEMBERED;
    this.#left = Math.min(this.#left + 1 / ANSWERS_EACH, AT_ONCE_MAX);
    if (this.#next % KNOWN_MIN === 0) this.#waits = this.#usual();
  }

  /** What is too long now; undefined while nothing is known. */
  get waits(): Waits | undefined {
    return this.#waits;
  }

  /** True when one more may be asked again: it is counted. */
  tryAskAgain(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  #usual(): Waits {
    // Of numbers alone: sorted without a call for each pair.
    const sorted = Float64Array.from(this.#firstBytesMs).sort();
    const behindMs = BEHIND * (sorted[sorted.length >> 1] ?? Infinity);
    return {
      firstByteMs: Math.max(behindMs, FIRST_BYTE_MS_MIN),
      stallMs: Math.max(behindMs, STALL_MS_MIN),
    };
  }
}
