/**
 * The memory of one part: chunks allocated as data comes, so that a file of ten bytes holds a page and not a part. Chunks never
 * overlap; which of their bytes are data is what `held` says. Allocation is planned first and paid for by the caller (the budget is
 * asynchronous), then made by `write`.
 */
import { BLOCK_BYTES, type Blocks } from '../memory/blocks.js';
import { ExtentMap, type Extent } from './extent-map.js';

/** Chunks start and end on this boundary, in bytes, so that scattered small writes can't make more chunks than pages. */
const PAGE_BYTES = 4096;

interface Chunk {
  readonly start: number;
  readonly end: number;
  readonly buffer: Buffer;
}

export class PartMemory {
  readonly #start: number;
  readonly #end: number;
  /** Sequential small writes double their chunks up to this many bytes. */
  readonly #chunkBytesMax: number;
  /** By offset. */
  readonly #chunks: Chunk[] = [];
  #capacity = 0;
  /** The ranges that are data, in file offsets. */
  readonly held = new ExtentMap();

  readonly #blocks: Blocks;

  /** For the bytes from `start` to `end` of the file; whole blocks of it are taken from `blocks` and given back. */
  constructor(start: number, end: number, chunkBytesMax: number, blocks: Blocks) {
    this.#blocks = blocks;
    this.#start = start;
    this.#end = end;
    this.#chunkBytesMax = chunkBytesMax;
  }

  /** Bytes allocated. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Bytes that writing to this range would allocate now. */
  needed(start: number, end: number): number {
    let bytes = 0;
    for (const extent of this.#missing(start, end)) bytes += extent.end - extent.start;
    return bytes;
  }

  /** Copies data in, replacing what was there; allocates what `needed` said. */
  write(start: number, data: Uint8Array): void {
    const end = start + data.length;
    for (const extent of this.#missing(start, end)) {
      const chunks = this.#allocate(extent);
      this.#chunks.splice(this.#firstEndingAfter(extent.start), 0, ...chunks);
      this.#capacity += extent.end - extent.start;
    }
    for (let at = this.#firstEndingAfter(start); at < this.#chunks.length; at += 1) {
      const chunk = this.#chunks[at];
      if (chunk === undefined || chunk.start >= end) break;
      const from = Math.max(start, chunk.start);
      chunk.buffer.set(data.subarray(from - start, Math.min(end, chunk.end) - start), from - chunk.start);
    }
    this.held.add(start, end);
  }

  /** The bytes of a range that is held, uncopied: they change with the next write to it. */
  slices(start: number, end: number): Buffer[] {
    const slices: Buffer[] = [];
    for (let at = this.#firstEndingAfter(start); at < this.#chunks.length; at += 1) {
      const chunk = this.#chunks[at];
      if (chunk === undefined || chunk.start >= end) break;
      slices.push(
        chunk.buffer.subarray(
          Math.max(start, chunk.start) - chunk.start,
          Math.min(end, chunk.end) - chunk.start,
        ),
      );
    }
    return slices;
  }

  /** Forgets everything from `offset` on; the bytes freed. */
  truncate(offset: number): number {
    this.held.remove(offset, this.#end);
    let freed = 0;
    for (
      let last = this.#chunks.at(-1);
      last !== undefined && last.start >= offset;
      last = this.#chunks.at(-1)
    ) {
      this.#chunks.pop();
      this.#blocks.giveBack(last.buffer);
      freed += last.end - last.start;
    }
    this.#capacity -= freed;
    return freed;
  }

  /** Forgets everything; the bytes freed. */
  clear(): number {
    return this.truncate(this.#start);
  }

  /** Chunks for an extent: blocks where it has whole ones, counted from the part's start. */
  #allocate({ start, end }: Extent): Chunk[] {
    const chunks: Chunk[] = [];
    for (let from = start; from < end;) {
      const block = from - ((from - this.#start) % BLOCK_BYTES);
      const to = Math.min(end, block + BLOCK_BYTES);
      chunks.push({ start: from, end: to, buffer: this.#blocks.take(to - from) });
      from = to;
    }
    return chunks;
  }

  /** The chunks to allocate so that the range has memory. */
  #missing(start: number, end: number): Extent[] {
    const missing: Extent[] = [];
    let at = this.#firstEndingAfter(start);
    for (let from = start; from < end; at += 1) {
      const next = this.#chunks[at];
      const gapEnd = Math.min(end, next?.start ?? end);
      if (from < gapEnd) missing.push(this.#chunkFor(from, gapEnd, this.#chunks[at - 1], next));
      if (next === undefined) break;
      from = Math.max(from, next.end);
    }
    return missing;
  }

  /**
   * A chunk for a gap, widened to pages, and further when writing goes on where the chunk before it ends. One of a block or more is widened to
   * blocks: large WRITEs that don't begin at one come one after the other, too, and buffers of other sizes aren't used again.
   */
  #chunkFor(from: number, to: number, previous: Chunk | undefined, next: Chunk | undefined): Extent {
    const floor = Math.max(this.#start, previous?.end ?? 0);
    const ceiling = Math.min(this.#end, next?.start ?? this.#end);
    if (to - from >= BLOCK_BYTES) {
      const first = from - ((from - this.#start) % BLOCK_BYTES);
      const last = this.#start + Math.ceil((to - this.#start) / BLOCK_BYTES) * BLOCK_BYTES;
      return { start: Math.max(floor, first), end: Math.min(ceiling, last) };
    }
    const start = Math.max(floor, from - (from % PAGE_BYTES));
    // Whoever has come to the end of a block fills the next one, too.
    const inBlock = (from - this.#start) % BLOCK_BYTES;
    const doubled =
      inBlock === 0 || previous === undefined ? BLOCK_BYTES : 2 * (previous.end - previous.start);
    const grown = previous?.end === from ? Math.min(doubled, this.#chunkBytesMax, BLOCK_BYTES - inBlock) : 0;
    const end = Math.max(Math.ceil(to / PAGE_BYTES) * PAGE_BYTES, from + grown);
    return { start, end: Math.min(end, ceiling) };
  }

  /** Index of the first chunk that ends after `offset`. */
  #firstEndingAfter(offset: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const chunk = this.#chunks[middle];
      if (chunk !== undefined && chunk.end <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
