/**
 * The window policy of one object: from the READs seen so far, which bytes to fetch next. Pure: it knows neither store nor
 * memory; whoever asks subtracts what it already has.
 *
 * READs are sorted into streams. A READ belongs to the stream whose position it is nearest to, as long as it could be a
 * neighbour that was overtaken on its way (NFS clients send many READs at once, and they arrive in roughly ascending order).
 * A stream is sequential once a few READs have covered at least half of the span they lie in; then:
 *
 *   start          next               ahead          next + window
 *     |--- covered --|=== fetched ======|- - - parts - - -|
 *
 * `window` is a power of two near four times what was read, so that it doubles while the stream goes on and never more than
 * four times of what is used is fetched in vain. Parts are as large as the GETs that are wanted in flight (pace.ts) leave them, at
 * most a quarter of the window. A READ that fits no stream begins one, and only what it asked for is fetched; at the start of the
 * file somewhat more, for most readers go on from there.
 */
import type { ReadOptions } from './options.js';

/** Bytes from `start` up to `end`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export function lengthOf(span: Span): number {
  return span.end - span.start;
}

/** READs of so many times a READ's size may overtake one another. 16 of 1 MiB are what clients send at once by default. */
const REORDERED_READS = 16;

/**
 * What makes a stream: two READs of 64 KiB, as clients that read files through send them at least, or eight of any size. Two
 * small random READs may be neighbours by chance.
 */
const EVIDENCE_READS = 8;
const EVIDENCE_BYTES = 128 * 1024;

/** GETs in flight that a window is cut for at least: one that is read from, and more on their way. */
export const GETS_MIN = 4;

/** One run of READs through an object. */
export class Stream {
  /** Lowest offset read and highest end read. */
  start: number;
  next: number;
  /** Bytes read; no more than lie between `start` and `next`. */
  covered: number;
  reads = 1;
  /** Up to here fetches were started. */
  ahead: number;
  usedMs: number;
  /** Nobody follows it any more. */
  dropped = false;

  constructor(read: Span, nowMs: number) {
    this.start = read.start;
    this.next = read.end;
    this.covered = read.end - read.start;
    this.ahead = read.end;
    this.usedMs = nowMs;
  }

  /** Several READs that lie close together. */
  get sequential(): boolean {
    const enough = this.reads >= EVIDENCE_READS || (this.reads > 1 && this.covered >= EVIDENCE_BYTES);
    return enough && this.covered * 2 >= this.next - this.start;
  }
}

export interface Plan {
  readonly stream: Stream;
  /** The READ's range, widened: what to fetch for it if there is memory for more than the READ itself. */
  readonly demand: Span;
  /** What to fetch then, in order, as long as there is memory. Parts of it may have been fetched. */
  readonly ahead: readonly Span[];
  /** Streams that ended by this READ. */
  readonly dropped: readonly Stream[];
}

export class Window {
  readonly #size: number;
  readonly #options: ReadOptions;
  /** In order of use. */
  readonly #streams: Stream[] = [];

  /** `size`: bytes of the object. */
  constructor(size: number, options: ReadOptions) {
    this.#size = size;
    this.#options = options;
  }

  get streams(): readonly Stream[] {
    return this.#streams;
  }

  /** Streams that have bytes left to read ahead: those that share the memory for it. */
  get sequentialStreams(): number {
    let streams = 0;
    for (const stream of this.#streams)
      if (this.#isSequential(stream) && stream.ahead < this.#size) streams += 1;
    return streams;
  }

  /**
   * A READ of `read`, within the object and not empty. `windowBytesMax` is this stream's share of memory now; `missing` tells
   * that bytes of the READ are neither there nor under way; `gets` are wanted in flight.
   */
  observe(read: Span, windowBytesMax: number, missing: boolean, gets = GETS_MIN): Plan {
    const nowMs = this.#options.now();
    const dropped: Stream[] = [];
    const stream = this.#follow(read, nowMs, dropped);
    // Readahead was lost to memory pressure or an error: begin again from here.
    if (missing) stream.ahead = Math.min(stream.ahead, Math.max(read.start, stream.start));
    const windowBytes = this.windowOf(stream, windowBytesMax, gets);
    const partBytes = this.#partOf(windowBytes, gets);
    const demand = this.#demandOf(stream, read, windowBytes, partBytes);
    return { stream, demand, ahead: this.#aheadOf(stream, demand, windowBytes, partBytes), dropped };
  }

  /** Fetches of this stream were started up to `end`. */
  started(stream: Stream, end: number): void {
    stream.ahead = Math.max(stream.ahead, end);
  }

  /** Drops the streams that weren't read since `beforeMs`, and returns them. */
  expire(beforeMs: number): readonly Stream[] {
    const idle = this.#streams.filter((stream) => stream.usedMs < beforeMs);
    for (const stream of idle) this.#drop(stream);
    return idle;
  }

  /** Bytes to have fetched beyond the stream's position; 0 while it isn't sequential. */
  windowOf(stream: Stream, windowBytesMax: number, gets = GETS_MIN): number {
    if (!this.#isSequential(stream)) return 0;
    const { windowBytesMin, partBytesMax } = this.#options;
    const most = Math.min(windowBytesMax, Math.max(this.#options.windowBytesMax, gets * partBytesMax));
    const wanted = this.#options.policy === 'sequential' ? most : 4 * stream.covered;
    return powerOfTwoUpTo(Math.min(Math.max(wanted, windowBytesMin), most));
  }

  #isSequential(stream: Stream): boolean {
    if (this.#options.policy === 'adaptive') return stream.sequential;
    return this.#options.policy === 'sequential';
  }

  /** The stream this READ belongs to, moved on by it; put last in the order of use. */
  #follow(read: Span, nowMs: number, dropped: Stream[]): Stream {
    const near = this.#nearest(read);
    if (near !== undefined) {
      this.#streams.splice(this.#streams.indexOf(near), 1);
      const moved = advanced(near, read, nowMs);
      if (moved) {
        this.#streams.push(near);
        return near;
      }
      near.dropped = true;
      dropped.push(near);
    }
    const stream = new Stream(read, nowMs);
    this.#streams.push(stream);
    const oldest = this.#streams[0];
    if (oldest !== undefined && this.#streams.length > this.#options.streamsMax) {
      this.#drop(oldest);
      dropped.push(oldest);
    }
    return stream;
  }

  #nearest(read: Span): Stream | undefined {
    const slack = REORDERED_READS * (read.end - read.start);
    let best: Stream | undefined;
    let bestDistance = Infinity;
    for (const stream of this.#streams) {
      const distance = Math.abs(read.start - stream.next);
      const fits =
        read.start >= stream.next - slack && read.start <= Math.max(stream.ahead, stream.next) + slack;
      if (!fits || distance >= bestDistance) continue;
      best = stream;
      bestDistance = distance;
    }
    return best;
  }

  #drop(stream: Stream): void {
    stream.dropped = true;
    this.#streams.splice(this.#streams.indexOf(stream), 1);
  }

  #demandOf(stream: Stream, read: Span, windowBytes: number, partBytes: number): Span {
    const { policy, alignBytes, smallFileBytes, windowBytesMin } = this.#options;
    const start = read.start - (read.start % alignBytes);
    const end = this.#clip(Math.ceil(read.end / alignBytes) * alignBytes);
    if (policy === 'random') return { start, end };
    if (read.start === 0 && this.#size <= smallFileBytes) return { start, end: this.#size };
    if (read.start === 0 && windowBytes === 0)
      return { start, end: Math.max(end, this.#clip(windowBytesMin)) };
    if (partBytes > windowBytes || end <= stream.ahead) return { start, end };
    return { start, end: Math.max(end, this.#partEnd(end, partBytes)) };
  }

  #aheadOf(stream: Stream, demand: Span, windowBytes: number, partBytes: number): Span[] {
    const spans: Span[] = [];
    // Memory is too short for a part: nothing is read ahead, for small GETs cost more than they gain.
    if (partBytes > windowBytes) return spans;
    const most = stream.next + windowBytes;
    let from = Math.max(stream.ahead, demand.end);
    while (from < this.#size) {
      const end = this.#partEnd(from, partBytes);
      if (end > most) break;
      spans.push({ start: from, end });
      from = end;
    }
    return spans;
  }

  #partOf(windowBytes: number, gets: number): number {
    const { partBytesMin, partBytesMax, partBytesEfficient } = this.#options;
    const quarter = powerOfTwoUpTo(windowBytes / GETS_MIN);
    const shared = Math.max(powerOfTwoUpTo(windowBytes / gets), partBytesEfficient);
    return Math.min(Math.max(Math.min(quarter, shared), partBytesMin), partBytesMax);
  }

  /** Parts end at multiples of their size; one that would be shorter than half goes on to the next multiple. */
  #partEnd(from: number, partBytes: number): number {
    const end = (Math.floor(from / partBytes) + 1) * partBytes;
    return this.#clip(end - from < partBytes / 2 ? end + partBytes : end);
  }

  #clip(offset: number): number {
    return Math.min(offset, this.#size);
  }
}

/** Adds a READ to a stream; false when the stream would be none any more: the READs are scattered. */
function advanced(stream: Stream, read: Span, nowMs: number): boolean {
  const start = Math.min(stream.start, read.start);
  const next = Math.max(stream.next, read.end);
  const covered = Math.min(stream.covered + read.end - read.start, next - start);
  // READs that arrive out of order leave gaps at first: so long as they are few, their span says nothing yet.
  const early = stream.reads < REORDERED_READS && next - start <= REORDERED_READS * (read.end - read.start);
  if (covered * 2 < next - start && !early) return false;
  stream.start = start;
  stream.next = next;
  stream.covered = covered;
  stream.reads += 1;
  stream.usedMs = nowMs;
  stream.ahead = Math.max(stream.ahead, read.end);
  return true;
}

/** The greatest power of two not above `bytes`; 0 below 1. */
function powerOfTwoUpTo(bytes: number): number {
  return bytes < 1 ? 0 : 2 ** Math.floor(Math.log2(bytes));
}
