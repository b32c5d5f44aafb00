/**
 * Which blocks are on disk, and where: a table of fixed size in one typed array, 24 bytes a block, so that neither the heap nor the
 * collector knows how many there are. Set-associative: a bucket has eight places, and a ninth block takes that of the one in the oldest
 * segment. A cell's blocks go into one bucket, but for small ones: those go by eighths of a cell, or random READs of a page would push one
 * another out. A segment goes by not being live any more; its entries are overwritten when their place is needed.
 *
 * What is found may be another's with the chance of two random 64-bit numbers being alike; the block's checksum tells then.
 */
import { CELL_BYTES, PAGE_BYTES, type Entry } from './entry.js';

/** A block on disk. Offsets are within the cell. */
export interface Place {
  readonly segment: number;
  readonly page: number;
  readonly start: number;
  readonly length: number;
  readonly checksum: number;
}

const WAYS = 8;
const FIELDS = 6;
const SEGMENT = 2;
const PAGE = 3;
const RANGE = 4;
const CHECKSUM = 5;

const TABLE_ENTRY_BYTES = FIELDS * 4;

/** The range in one number: 19 bits of length, and above them the page of the cell at which it starts. */
const LENGTH_SPAN = 2 ** 19;

/** Blocks that lie in such a piece of the object are small. */
const SMALL_BYTES = CELL_BYTES / WAYS;

/** 64 bits that are looked for, as two numbers. */
type Tag = readonly [number, number];

export class BlockTable {
  readonly #isLive: (segment: number) => boolean;
  readonly #buckets: number;
  readonly #fields: Uint32Array;

  /** In `memory`, as long as `bytesFor` says and on its own, which is cleared. Segments are numbered from 1. */
  constructor(memory: Buffer, isLive: (segment: number) => boolean) {
    this.#isLive = isLive;
    this.#buckets = memory.length / (WAYS * TABLE_ENTRY_BYTES);
    this.#fields = new Uint32Array(memory.buffer, memory.byteOffset, memory.length / 4).fill(0);
  }

  /** Bytes that a table for at least so many entries takes. */
  static bytesFor(entries: number): number {
    return Math.max(1, Math.ceil(entries / WAYS)) * WAYS * TABLE_ENTRY_BYTES;
  }

  /** A block that holds all of the range, which lies within one cell; the shortest such. */
  find(id: Buffer, offset: number, length: number): Place | undefined {
    const start = offset % CELL_BYTES;
    let best: Place | undefined;
    for (const tag of isSmall(offset, length)
      ? [smallTag(id, offset), cellTag(id, offset)]
      : [cellTag(id, offset)]) {
      for (const at of this.#matching(tag)) {
        const place = this.#placeAt(at);
        if (place.start > start || place.start + place.length < start + length) continue;
        if (best === undefined || place.length < best.length) best = place;
      }
    }
    return best;
  }

  /** Enters a block, in place of those of its version that it covers. */
  add(entry: Entry, segment: number): void {
    const start = entry.offset % CELL_BYTES;
    const tag = tagOf(entry.id, entry.offset, entry.length);
    let own: number | undefined;
    for (const at of this.#matching(tag)) {
      const place = this.#placeAt(at);
      if (place.start < start || place.start + place.length > start + entry.length) continue;
      this.#fields[at + SEGMENT] = 0;
      own = at;
    }
    const at = own ?? this.#roomFor(tag);
    const range = (start / PAGE_BYTES) * LENGTH_SPAN + entry.length;
    this.#fields.set([...tag, segment, entry.page, range, entry.checksum], at);
  }

  /** Forgets the block at this place; `offset` is any in its cell. */
  remove(id: Buffer, offset: number, { segment, page, start, length }: Place): void {
    for (const at of this.#matching(tagOf(id, offset - (offset % CELL_BYTES) + start, length))) {
      if (this.#fields[at + SEGMENT] === segment && this.#fields[at + PAGE] === page)
        this.#fields[at + SEGMENT] = 0;
    }
  }

  /** Forgets all blocks of a version of so many bytes. */
  removeAll(id: Buffer, size: number): void {
    for (let offset = 0; offset < size; offset += SMALL_BYTES) {
      const tags = [smallTag(id, offset), ...(offset % CELL_BYTES === 0 ? [cellTag(id, offset)] : [])];
      for (const tag of tags) for (const at of this.#matching(tag)) this.#fields[at + SEGMENT] = 0;
    }
  }

  /** Blocks in live segments: goes through the whole table. */
  get size(): number {
    let size = 0;
    for (let at = 0; at < this.#fields.length; at += FIELDS) if (this.#isUsed(at)) size += 1;
    return size;
  }

  /** Where entries with the tag stand. */
  *#matching([a, b]: Tag): Generator<number> {
    const first = this.#bucketOf(a);
    for (let at = first; at < first + WAYS * FIELDS; at += FIELDS) {
      if (this.#fields[at] === a && this.#fields[at + 1] === b && this.#isUsed(at)) yield at;
    }
  }

  #roomFor([a]: Tag): number {
    const first = this.#bucketOf(a);
    let oldest = first;
    for (let at = first; at < first + WAYS * FIELDS; at += FIELDS) {
      if (!this.#isUsed(at)) return at;
      if ((this.#fields[at + SEGMENT] ?? 0) < (this.#fields[oldest + SEGMENT] ?? 0)) oldest = at;
    }
    return oldest;
  }

  #isUsed(at: number): boolean {
    const segment = this.#fields[at + SEGMENT] ?? 0;
    return segment !== 0 && this.#isLive(segment);
  }

  #bucketOf(tag: number): number {
    return (tag % this.#buckets) * WAYS * FIELDS;
  }

  #placeAt(at: number): Place {
    const range = this.#fields[at + RANGE] ?? 0;
    return {
      segment: this.#fields[at + SEGMENT] ?? 0,
      page: this.#fields[at + PAGE] ?? 0,
      start: Math.floor(range / LENGTH_SPAN) * PAGE_BYTES,
      length: range % LENGTH_SPAN,
      checksum: this.#fields[at + CHECKSUM] ?? 0,
    };
  }
}

function isSmall(offset: number, length: number): boolean {
  return (offset % SMALL_BYTES) + length <= SMALL_BYTES;
}

function tagOf(id: Buffer, offset: number, length: number): Tag {
  return isSmall(offset, length) ? smallTag(id, offset) : cellTag(id, offset);
}

/** Those bits of the id, which are random, moved by a permutation of the cell's number: cells of one object never meet. */
function cellTag(id: Buffer, offset: number): Tag {
  return [(id.readUInt32LE(0) ^ scattered(Math.floor(offset / CELL_BYTES))) >>> 0, id.readUInt32LE(4)];
}

/** Others of them, for eighths of cells. */
function smallTag(id: Buffer, offset: number): Tag {
  return [(id.readUInt32LE(8) ^ scattered(Math.floor(offset / SMALL_BYTES))) >>> 0, id.readUInt32LE(12)];
}

/** A permutation of 32-bit numbers: the finalizer of MurmurHash3 (Appleby, public domain). */
function scattered(number: number): number {
  let bits = number;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}
