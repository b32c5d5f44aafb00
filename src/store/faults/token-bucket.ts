/**
 * A bandwidth: who wants to pass bytes reserves them and learns how long to wait. Time is given by the caller, so the arithmetic is
 * pure. Reservations are made at once and in order: nothing is lost when many wait.
 */

/** Timers are late by this much on a busy machine; so much is caught up with, while bytes are flowing. */
const CATCH_UP_MS = 250;

export class TokenBucket {
  readonly bytesPerSecond: number;
  /** When all that is reserved will have passed. */
  #freeAtMs = -Infinity;
  #flows = 0;

  constructor(bytesPerSecond: number) {
    this.bytesPerSecond = bytesPerSecond;
  }

  /** A body begins to flow. Time in which nothing flowed is no credit: the first byte is as slow as the last. */
  open(nowMs: number): void {
    if (this.#flows++ === 0) this.#freeAtMs = Math.max(this.#freeAtMs, nowMs);
  }

  close(): void {
    this.#flows--;
  }

  /** Milliseconds from now until these bytes have passed. */
  reserve(bytes: number, nowMs: number): number {
    const startMs = Math.max(this.#freeAtMs, nowMs - CATCH_UP_MS);
    this.#freeAtMs = startMs + (bytes / this.bytesPerSecond) * 1000;
    return Math.max(0, this.#freeAtMs - nowMs);
  }
}
