/**
 * The buffers behind the bytes of a memory budget, for readers and writers alike. Those of one size, blocks, are used again: a new
 * buffer costs page faults; a dropped one stays in memory until the garbage collector comes, and makes it come: the bound of a budget
 * would hold for what is counted only. So free ones are dropped only where buffers of other sizes take their room. Not on
 * SharedArrayBuffers: V8 copies into and out of those with atomic steps, three times as slowly
 * (docs/decisions/0019-direct-transport.md).
 *
 * Four blocks lie in a slab, which may be had whole as well, as long as nobody has one of its blocks:
 *
 *   whole slabs --takeSlab--> taken <--> whole
 *        \------take a block--> partial: blocks are taken from these first --the fourth comes back--> whole
 *
 * Buffers shorter than a block are kept as well, where nothing else takes their room, and a few beyond that (short-buffers.ts).
 */

import { ShortBuffers } from './short-buffers.js';

/** Bytes of a block. 64 readers under 256 MiB have 16 blocks each; a WRITE of 1 MiB takes four. */
export const BLOCK_BYTES = 256 * 1024;
/** Bytes of a slab: a READ of the size that Linux sends, in one slice and filled by few reads of a socket. */
export const SLAB_BYTES = 1024 * 1024;

/**
 * Short buffers kept beyond the limit, so that sizes that change have some to choose from: at most so many bytes, and so much of the limit.
 */
const SPARE_BYTES_MAX = 8 * 1024 * 1024;
const SPARE_SHARE = 1 / 16;

interface Slab {
  readonly whole: Buffer;
  /** Its blocks that nobody has; all four while it is free or taken whole. */
  readonly free: Buffer[];
}

const BLOCKS_PER_SLAB = SLAB_BYTES / BLOCK_BYTES;

export class Blocks {
  /** Of all buffers together. */
  readonly #limitBytes: number;
  /** Blocks with memory of their own, where there was no room for a slab. */
  readonly #singles: Buffer[] = [];
  readonly #whole: Slab[] = [];
  /** Slabs with one to three blocks free; the one used last at the end. */
  readonly #partial: Slab[] = [];
  /** All slabs, by their memory. */
  readonly #slabs = new Map<ArrayBufferLike, Slab>();
  readonly #short = new ShortBuffers(BLOCK_BYTES);
  #takenBytes = 0;
  #freeBytes = 0;

  /** For at most `limitBytes`, which those who take have reserved. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes in blocks that nobody uses. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** Bytes in short buffers that nobody uses. */
  get shortFreeBytes(): number {
    return this.#short.freeBytes;
  }

  /** Bytes in buffers that somebody has, by their memory: that of a short one may be longer than what was asked for. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** A buffer with any bytes in it; of BLOCK_BYTES it is a block. */
  take(bytes: number): Buffer {
    const short = bytes < BLOCK_BYTES ? this.#short.take(bytes) : undefined;
    this.#takenBytes += short?.buffer.byteLength ?? bytes;
    const block = bytes === BLOCK_BYTES ? this.#freeBlock() : undefined;
    if (block !== undefined) return block;
    this.#makeRoom();
    return short ?? Buffer.allocUnsafeSlow(bytes);
  }

  /** A whole slab; undefined where there is none, and only memory for single blocks. */
  takeSlab(): Buffer | undefined {
    if (this.#whole.length === 0) this.#joinSingles();
    const slab = this.#whole.pop() ?? this.#newSlab(SLAB_BYTES);
    if (slab === undefined) return undefined;
    this.#takenBytes += SLAB_BYTES;
    this.#freeBytes -= SLAB_BYTES;
    return slab.whole;
  }

  /** Buffers of `bytes` together: blocks, and another one for what is left. */
  takeFor(bytes: number): Buffer[] {
    const buffers = Array.from({ length: Math.floor(bytes / BLOCK_BYTES) }, () => this.take(BLOCK_BYTES));
    const left = bytes % BLOCK_BYTES;
    if (left > 0) buffers.push(this.take(left));
    return buffers;
  }

  /** Takes a buffer back, all of it and only once. */
  giveBack(buffer: Buffer): void {
    const slab = this.#slabs.get(buffer.buffer);
    const length = slab === undefined ? buffer.buffer.byteLength : buffer.length;
    if (length > this.#takenBytes) throw new RangeError(`given back ${length} bytes of ${this.#takenBytes}`);
    this.#takenBytes -= length;
    if (slab !== undefined) {
      this.#freeBytes += length;
      if (length === SLAB_BYTES) this.#whole.push(slab);
      else this.#blockBack(slab, buffer);
    } else if (length === BLOCK_BYTES) {
      this.#freeBytes += length;
      this.#singles.push(buffer);
    } else {
      this.#short.keep(buffer);
      this.#dropShort();
    }
  }

  /** What slabs have left first, so that as few as possible are broken. Undefined where there is no room but for the block alone. */
  #freeBlock(): Buffer | undefined {
    const single = this.#partial.length === 0 ? this.#singles.pop() : undefined;
    if (single !== undefined) {
      this.#freeBytes -= BLOCK_BYTES;
      return single;
    }
    // The block itself counts as taken already.
    const slab = this.#partial.at(-1) ?? this.#whole.pop() ?? this.#newSlab(SLAB_BYTES - BLOCK_BYTES);
    const block = slab?.free.pop();
    if (slab === undefined || block === undefined) return undefined;
    this.#freeBytes -= BLOCK_BYTES;
    if (slab.free.length === BLOCKS_PER_SLAB - 1) this.#partial.push(slab);
    else if (slab.free.length === 0) this.#partial.pop();
    return block;
  }

  #blockBack(slab: Slab, block: Buffer): void {
    slab.free.push(block);
    if (slab.free.length === 1) this.#partial.push(slab);
    if (slab.free.length < BLOCKS_PER_SLAB) return;
    this.#partial.splice(this.#partial.lastIndexOf(slab), 1);
    this.#whole.push(slab);
  }

  /** A free slab, if there is room for so many bytes more than are taken or free. */
  #newSlab(bytes: number): Slab | undefined {
    if (this.#takenBytes + this.#freeBytes + bytes > this.#limitBytes) return undefined;
    const whole = Buffer.allocUnsafeSlow(SLAB_BYTES);
    const free = Array.from({ length: BLOCKS_PER_SLAB }, (_, at) =>
      whole.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES),
    );
    // Taken from the end: those taken one after the other are neighbours, and leave as one piece.
    free.reverse();
    const slab = { whole, free };
    this.#slabs.set(whole.buffer, slab);
    this.#freeBytes += SLAB_BYTES;
    this.#dropShort();
    return slab;
  }

  /** Drops what is free and beyond the limit, but for what is left of slabs of which somebody has a block. */
  #makeRoom(): void {
    while (this.#takenBytes + this.#freeBytes > this.#limitBytes) {
      if (this.#singles.pop() !== undefined) {
        this.#freeBytes -= BLOCK_BYTES;
        continue;
      }
      const slab = this.#whole.pop();
      if (slab === undefined) break;
      this.#slabs.delete(slab.whole.buffer);
      this.#freeBytes -= SLAB_BYTES;
    }
    this.#dropShort();
  }

  #dropShort(): void {
    const spareBytes = Math.min(SPARE_BYTES_MAX, this.#limitBytes * SPARE_SHARE);
    this.#short.dropDownTo(this.#limitBytes + spareBytes - this.#takenBytes - this.#freeBytes);
  }

  /** Blocks for which there was no room in a slab become one. */
  #joinSingles(): void {
    if (this.#singles.length < BLOCKS_PER_SLAB) return;
    this.#singles.length -= BLOCKS_PER_SLAB;
    this.#freeBytes -= SLAB_BYTES;
  }
}
