/**
 * How fast the store's GETs are, and so how many of them a stream wants in flight. One connection to S3 gives some tens of MB/s
 * after a first byte that takes tens of milliseconds; a store on the same machine gives hundreds. A stream has as many GETs as it
 * takes to reach the wanted rate at the pace of one.
 */

/** The rate a stream is to reach, in bytes a millisecond: 1 GB/s, about what one client takes. */
const WANTED_BYTES_PER_MS = 1_000_000;
/** Weight of the newest GET: the last dozen count. */
const NEWEST = 1 / 8;
/** With the event loop busy for a greater share than this, it is this process that a GET waited for: more of them would wait longer. */
const LOOP_USE_MAX = 0.8;

export interface PaceOptions {
  readonly getsMin: number;
  readonly getsMax: number;
  /** GETs of fewer bytes say nothing: most of their time is the way there. */
  readonly bytesMin: number;
}

export class Pace {
  readonly #options: PaceOptions;
  #msPerByte: number | undefined;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** A GET of so many bytes took so long, from its request to its last byte; the event loop was busy for this share (0 to 1) of it. */
  observe(bytes: number, ms: number, loopUse: number): void {
    if (bytes < this.#options.bytesMin || loopUse > LOOP_USE_MAX) return;
    const newest = ms / bytes;
    // The time and not the rate is what is averaged: what has become slow is noticed sooner than what has become fast.
    this.#msPerByte =
      this.#msPerByte === undefined ? newest : this.#msPerByte + (newest - this.#msPerByte) * NEWEST;
  }

  /** GETs for one stream to have in flight. */
  get gets(): number {
    const { getsMin, getsMax } = this.#options;
    if (this.#msPerByte === undefined) return getsMin;
    return Math.min(Math.max(Math.ceil(WANTED_BYTES_PER_MS * this.#msPerByte), getsMin), getsMax);
  }
}
