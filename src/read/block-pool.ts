/**
 * Buffers for blocks. Every byte of them is reserved in the memory budget, whose blocks they are where the size is the same:
 * those are used again. What a few of them need stays reserved for the next fetch.
 */
import { SLAB_BYTES } from '../memory/blocks.js';
import type { MemoryBudget } from '../memory/memory-budget.js';
import { lengthOf, type Span } from './span.js';

/** Kept reserved for the next fetch: two parts of 8 MiB. It is the first to go when asked for. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;

/** Shorter buffers are multiples of this, as the allocator hands out pages anyway. */
const PAGE_BYTES = 4096;

/**
 * Reserved beside each shorter buffer, for the objects that live with it (its file's reader, its block, its GET: 2.6 KiB by a heap snapshot) and
 * the collector's room above them: memory full of small files has as much of those as of bytes.
 */
const OBJECTS_BYTES = 4096;

/** So many blocks are in a large one. */
const BLOCKS_PER_LARGE = 4;

/** A piece of an object and its buffer, as long or longer. */
export interface Place {
  readonly span: Span;
  readonly buffer: Buffer;
}

export class BlockPool {
  readonly #budget: MemoryBudget;
  readonly #blockBytes: number;
  /** Reserved, and nobody has a buffer for it. */
  #keptBytes = 0;
  #retired = false;

  constructor(budget: MemoryBudget, blockBytes: number) {
    this.#budget = budget;
    this.#blockBytes = blockBytes;
  }

  /** Bytes of a large block. */
  get largeBytes(): number {
    return BLOCKS_PER_LARGE * this.#blockBytes;
  }

  /** Spans cut where blocks end; in large blocks where a span covers one. Those become smaller when no large ones are to be had. */
  cut(spans: readonly Span[], large: boolean): Span[] {
    const pieces: Span[] = [];
    for (const { start, end } of spans) {
      for (let from = start; from < end;) {
        const whole = large && from % this.largeBytes === 0 && from + this.largeBytes <= end;
        const unit = whole ? this.largeBytes : this.#blockBytes;
        const to = Math.min((Math.floor(from / unit) + 1) * unit, end);
        pieces.push({ start: from, end: to });
        from = to;
      }
    }
    return pieces;
  }

  /** Bytes that buffers for these pieces reserve. */
  bytesFor(pieces: readonly Span[]): number {
    return pieces.reduce((sum, piece) => sum + this.reservedFor(this.#bufferBytes(lengthOf(piece))), 0);
  }

  /** Bytes that a buffer of `length` reserves. */
  reservedFor(length: number): number {
    return length < this.#blockBytes ? length + OBJECTS_BYTES : length;
  }

  /** Buffers for pieces at once, or undefined. `reserve` is the way to ask the budget for what isn't kept. */
  tryTake(pieces: readonly Span[], reserve: (bytes: number) => boolean): Place[] | undefined {
    const bytes = this.bytesFor(pieces);
    // Taken out first: a relief would otherwise give it back to the budget.
    const kept = Math.min(this.#keptBytes, bytes);
    this.#keptBytes -= kept;
    if (reserve(bytes - kept)) return this.#placed(pieces);
    this.#keptBytes += kept;
    return undefined;
  }

  /** Buffers for pieces from bytes reserved by the caller, at least `bytesFor(pieces)`; what is left is released. */
  takeReserved(pieces: readonly Span[], reservedBytes: number): Place[] {
    const places = this.#placed(pieces);
    const left = reservedBytes - this.bytesFor(pieces);
    if (left > 0) this.#budget.release(left);
    return places;
  }

  /** Takes a buffer back: keeps its bytes for the next fetch when `keep`, else releases them. */
  giveBack(buffer: Buffer, keep: boolean): void {
    const { length } = buffer;
    // First the block, so that whoever is admitted by the release finds it.
    this.#budget.blocks.giveBack(buffer);
    const whole = length >= this.#blockBytes;
    const room = this.#keptBytes + length <= KEPT_BYTES_MAX;
    if (keep && whole && room && !this.#retired && this.#budget.waiting === 0) this.#keptBytes += length;
    else this.#budget.release(this.reservedFor(length));
  }

  /** Releases what is kept, up to `bytes`; the bytes released. */
  drain(bytes: number): number {
    const released = Math.min(this.#keptBytes, bytes);
    this.#keptBytes -= released;
    if (released > 0) this.#budget.release(released);
    return released;
  }

  /** Releases what is kept; what comes back later is released at once. */
  retire(): void {
    this.#retired = true;
    this.drain(Infinity);
  }

  #bufferBytes(length: number): number {
    return Math.min(Math.ceil(length / PAGE_BYTES) * PAGE_BYTES, Math.max(length, this.#blockBytes));
  }

  #placed(pieces: readonly Span[]): Place[] {
    const { blocks } = this.#budget;
    const places: Place[] = [];
    for (const span of pieces) {
      const bytes = this.#bufferBytes(lengthOf(span));
      if (bytes <= this.#blockBytes) {
        places.push({ span, buffer: blocks.take(bytes) });
        continue;
      }
      const buffer = bytes === SLAB_BYTES ? blocks.takeSlab() : blocks.take(bytes);
      if (buffer !== undefined) places.push({ span, buffer });
      else
        for (const part of this.cut([span], false))
          places.push({ span: part, buffer: blocks.take(lengthOf(part)) });
    }
    return places;
  }
}
