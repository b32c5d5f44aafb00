/**
 * How fast the store's GETs are, and so how many of them a stream wants in flight, and how large. One connection to S3 gives some tens
 * of MB/s after a first byte that takes tens of milliseconds; a store on the same machine gives hundreds. A stream has as many GETs as
 * it takes to reach the wanted rate at the pace of one.
 */
import type { GetsWanted } from './parts.js';

/** The rate a stream is to reach, in bytes a millisecond: 1 GB/s, about what one client takes. */
const WANTED_BYTES_PER_MS = 1_000_000;
/** Weight of the newest GET: the last dozen count. */
const NEWEST = 1 / 8;
/** With the event loop busy for a greater share than this, it is this process that a GET waited for: more of them would wait longer. */
const LOOP_USE_MAX = 0.8;

export interface PaceOptions {
  readonly getsMin: number;
  readonly getsMax: number;
  /** Of a GET when many bytes are wanted: it is for these that GETs are counted. */
  readonly partBytes: number;
  /** GETs of fewer bytes say nothing: they come at once when they come. */
  readonly bytesMin: number;
}

/** What a GET took. */
export interface GetTimes {
  /** From the request to the first byte. */
  readonly firstByteMs: number;
  /** Bytes behind those that came first, and the time from those to the last. */
  readonly restBytes: number;
  readonly restMs: number;
}

export class Pace {
  readonly #options: PaceOptions;
  #firstByteMs = 0;
  /** Times and not rates are averaged: what has become slow is noticed sooner than what has become fast. */
  #msPerByte: number | undefined;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** Bytes of a GET that says something. */
  get bytesMin(): number {
    return this.#options.bytesMin;
  }

  /** A GET took so long; the event loop was busy for this share (0 to 1) of it. */
  observe({ firstByteMs, restBytes, restMs }: GetTimes, loopUse: number): void {
    if (restBytes < this.#options.bytesMin || loopUse > LOOP_USE_MAX) return;
    const msPerByte = restMs / restBytes;
    const weight = this.#msPerByte === undefined ? 1 : NEWEST;
    this.#firstByteMs += (firstByteMs - this.#firstByteMs) * weight;
    this.#msPerByte = (this.#msPerByte ?? 0) + (msPerByte - (this.#msPerByte ?? 0)) * weight;
  }

  /** What a stream wants now. */
  get wanted(): GetsWanted {
    const { getsMin, getsMax, partBytes } = this.#options;
    if (this.#msPerByte === undefined) return { gets: getsMin, worthBytes: Infinity };
    const gets = Math.ceil(WANTED_BYTES_PER_MS * (this.#firstByteMs / partBytes + this.#msPerByte));
    return {
      gets: Math.min(Math.max(gets, getsMin), getsMax),
      worthBytes: this.#msPerByte === 0 ? Infinity : this.#firstByteMs / this.#msPerByte,
    };
  }
}

/** Takes the times of one GET. */
export class GetTiming {
  readonly #now: () => number;
  readonly #beganMs: number;
  readonly #loop = performance.eventLoopUtilization();
  #firstMs: number | undefined;
  #restBytes = 0;

  /** `now`: milliseconds, monotonic. */
  constructor(now: () => number) {
    this.#now = now;
    this.#beganMs = now();
  }

  received(bytes: number): void {
    if (this.#firstMs === undefined) this.#firstMs = this.#now();
    else this.#restBytes += bytes;
  }

  /** The last byte is there. */
  tell(pace: Pace): void {
    if (this.#firstMs === undefined) return;
    const { utilization } = performance.eventLoopUtilization(this.#loop);
    const restMs = this.#now() - this.#firstMs;
    const times = { firstByteMs: this.#firstMs - this.#beganMs, restBytes: this.#restBytes, restMs };
    pace.observe(times, utilization);
  }
}
