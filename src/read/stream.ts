/**
 * One run of READs through an object: bytes one after the other, or pieces of one length at equal distances (strided).
 *
 *   start          next               ahead          next + window
 *     |--- covered --|=== fetched ======|- - - parts - - -|
 *
 * READs arrive in roughly ascending order and not in exact order: NFS clients send many at once.
 */
import type { Span } from './span.js';

/** READs of so many times a READ's size may overtake one another. 16 of 1 MiB are what clients send at once by default. */
export const REORDERED_READS = 16;

/**
 * What makes a stream: two READs of 64 KiB, as clients that read files through send them at least, or eight of any size. Two
 * small random READs may be neighbours by chance.
 */
const EVIDENCE_READS = 8;
const EVIDENCE_BYTES = 128 * 1024;

/** Weight of the newest time between two READs of a stream. */
const NEWEST = 1 / 8;

/** Where more than this part of the bytes was read twice, somebody follows close behind. */
const TWICE_SHARE = 16;

/** Distance from one piece's start to the next one's, and bytes of each. */
export interface Stride {
  readonly every: number;
  readonly bytes: number;
}

export class Stream {
  /** Undefined: one byte after the other. */
  readonly stride: Stride | undefined;
  /** Lowest offset read and highest end read. */
  start: number;
  next: number;
  /** Bytes read; no more than lie between `start` and `next`. */
  covered: number;
  reads = 1;
  /** Bytes of all its READs, those that were read before counted again. */
  #readBytes: number;
  /** Up to here fetches were started. */
  ahead: number;
  usedMs: number;
  /** Which READ of the object the last one of this stream was. */
  usedAt: number;
  /** Which READ of the object began the latest 16 of this stream. */
  sixteenAt: number;
  /** Nobody follows it any more. */
  dropped = false;
  /** Its reader seems to have gone elsewhere: nothing is read ahead until it comes back. */
  abandoned = false;
  /** Mean time between its READs. */
  gapMs = 0;

  /** `at`: which READ of the object this is. */
  constructor(read: Span, nowMs: number, at: number, stride?: Stride) {
    this.start = read.start;
    this.next = read.end;
    this.covered = read.end - read.start;
    this.#readBytes = this.covered;
    this.ahead = read.end;
    this.usedMs = nowMs;
    this.usedAt = at;
    this.sixteenAt = at;
    this.stride = stride;
  }

  /** Several READs that lie close together, or at equal distances. */
  get sequential(): boolean {
    if (this.stride !== undefined) return true;
    const enough = this.reads >= EVIDENCE_READS || (this.reads > 1 && this.covered >= EVIDENCE_BYTES);
    return enough && this.covered * 2 >= this.next - this.start;
  }

  /** More than one reader goes this way: bytes are read again. */
  get shared(): boolean {
    return (this.#readBytes - this.covered) * TWICE_SHARE > this.covered;
  }

  /** Bytes between its position and the READ; undefined where the READ can't belong to it. */
  distance(read: Span): number | undefined {
    if (this.stride !== undefined) return this.#strideDistance(read, this.stride);
    const slack = REORDERED_READS * (read.end - read.start);
    const fits = read.start >= this.next - slack && read.start <= Math.max(this.ahead, this.next) + slack;
    return fits ? Math.abs(read.start - this.next) : undefined;
  }

  /** Adds a READ; false when the stream would be none any more: the READs are scattered. */
  advance(read: Span, nowMs: number, at: number): boolean {
    const start = Math.min(this.start, read.start);
    const next = Math.max(this.next, read.end);
    const covered = Math.min(this.covered + read.end - read.start, next - start);
    if (this.stride === undefined) {
      // READs that arrive out of order leave gaps at first: so long as they are few, their span says nothing yet.
      const early = this.reads < REORDERED_READS && next - start <= REORDERED_READS * (read.end - read.start);
      if (covered * 2 < next - start && !early) return false;
    }
    this.start = start;
    this.next = next;
    this.covered = covered;
    this.reads += 1;
    this.#readBytes += read.end - read.start;
    const gapMs = nowMs - this.usedMs;
    this.gapMs += (gapMs - this.gapMs) * (this.reads === 2 ? 1 : NEWEST);
    this.usedMs = nowMs;
    this.usedAt = at;
    this.abandoned = false;
    this.ahead = Math.max(this.ahead, read.end);
    return true;
  }

  /** Its next pieces from `ahead` on that lie below `end`. */
  *pieces(end: number): Generator<Span> {
    if (this.stride === undefined) return;
    const { every, bytes } = this.stride;
    // The first piece that ends behind what was fetched.
    let at = Math.max(0, Math.floor((this.ahead - this.start - bytes) / every) + 1);
    for (;;) {
      const start = this.start + at++ * every;
      if (start >= end) return;
      yield { start, end: Math.min(start + bytes, end) };
    }
  }

  /** As long as no piece is skipped by more than those that may have been overtaken. */
  #strideDistance(read: Span, { every, bytes }: Stride): number | undefined {
    if (read.end - read.start > bytes || (read.start - this.start) % every !== 0) return undefined;
    const due = this.next - bytes + every;
    const off = Math.abs(read.start - due);
    const fits = off <= Math.max(REORDERED_READS * every, this.ahead - this.next);
    return fits ? off : undefined;
  }
}
