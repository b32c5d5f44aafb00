/**
 * How fast the store's GETs are, and so how many of them a stream wants in flight. One connection to S3 gives some tens of MB/s
 * after a first byte that takes tens of milliseconds; a store on the same machine gives hundreds. A stream has as many GETs as it
 * takes to reach the wanted rate at the pace of one.
 */

/** The rate a stream is to reach, in bytes a millisecond: 1 GB/s, about what one client takes. */
const WANTED_BYTES_PER_MS = 1_000_000;
/** Weight of the newest GET: the last dozen count. */
const NEWEST = 1 / 8;

export class Pace {
  readonly #getsMin: number;
  readonly #getsMax: number;
  readonly #bytesMin: number;
  #msPerByte: number | undefined;

  /** GETs below `bytesMin` say nothing: most of their time is the way there. */
  constructor(options: { readonly getsMin: number; readonly getsMax: number; readonly bytesMin: number }) {
    this.#getsMin = options.getsMin;
    this.#getsMax = options.getsMax;
    this.#bytesMin = options.bytesMin;
  }

  /** A GET of so many bytes took so long, from its request to its last byte. */
  observe(bytes: number, ms: number): void {
    if (bytes < this.#bytesMin) return;
    const newest = ms / bytes;
    // The time and not the rate is what is averaged: what has become slow is noticed sooner than what has become fast.
    this.#msPerByte =
      this.#msPerByte === undefined ? newest : this.#msPerByte + (newest - this.#msPerByte) * NEWEST;
  }

  /** GETs for one stream to have in flight. */
  get gets(): number {
    if (this.#msPerByte === undefined) return this.#getsMin;
    const wanted = Math.ceil(WANTED_BYTES_PER_MS * this.#msPerByte);
    return Math.min(Math.max(wanted, this.#getsMin), this.#getsMax);
  }
}
