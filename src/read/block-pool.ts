/**
 * Buffers for blocks. Every byte of them is reserved in the memory budget, whose blocks they are where the size is the same:
 * those are used again. A few whole ones stay reserved for the next fetch.
 */
import type { MemoryBudget } from '../memory/memory-budget.js';

/** Whole blocks kept for the next fetch: two parts of 8 MiB. They stay reserved, and are the first to go when asked for. */
const FREE_BLOCKS_MAX = 64;

/** Shorter buffers are multiples of this, as the allocator hands out pages anyway. */
const PAGE_BYTES = 4096;

export class BlockPool {
  readonly #budget: MemoryBudget;
  readonly #blockBytes: number;
  readonly #free: Buffer[] = [];
  #retired = false;

  constructor(budget: MemoryBudget, blockBytes: number) {
    this.#budget = budget;
    this.#blockBytes = blockBytes;
  }

  /** Bytes that buffers of these lengths reserve. */
  bytesFor(lengths: readonly number[]): number {
    return lengths.reduce((sum, length) => sum + this.#bufferBytes(length), 0);
  }

  /**
   * Buffers of these lengths at once, or undefined. `reserve` is the way to ask the budget for what the free blocks don't
   * cover.
   */
  tryTake(lengths: readonly number[], reserve: (bytes: number) => boolean): Buffer[] | undefined {
    const whole = lengths.filter((length) => this.#bufferBytes(length) === this.#blockBytes).length;
    // Taken out first: a relief would otherwise give them back to the budget.
    const reused = this.#free.splice(Math.max(0, this.#free.length - whole));
    if (!reserve(this.bytesFor(lengths) - reused.length * this.#blockBytes)) {
      this.#free.push(...reused);
      return undefined;
    }
    return lengths.map((length) => this.#bufferFrom(reused, length));
  }

  /** Buffers of these lengths from bytes reserved by the caller, at least `bytesFor(lengths)`; what is left is released. */
  takeReserved(lengths: readonly number[], reservedBytes: number): Buffer[] {
    const buffers = lengths.map((length) => this.#bufferFrom([], length));
    const left = reservedBytes - this.bytesFor(lengths);
    if (left > 0) this.#budget.release(left);
    return buffers;
  }

  /** Takes a buffer back: keeps it for the next fetch when `keep`, else releases its bytes. */
  giveBack(buffer: Buffer, keep: boolean): void {
    const whole = buffer.length === this.#blockBytes;
    if (keep && whole && !this.#retired && this.#free.length < FREE_BLOCKS_MAX && this.#budget.waiting === 0)
      this.#free.push(buffer);
    else this.#release(buffer);
  }

  /** Releases free blocks until `bytes` are released or none is left; the bytes released. */
  drain(bytes: number): number {
    let released = 0;
    for (let block = this.#free.pop(); block !== undefined; block = this.#free.pop()) {
      released += block.length;
      this.#release(block);
      if (released >= bytes) break;
    }
    return released;
  }

  /** Releases the free blocks; what comes back later is released at once. */
  retire(): void {
    this.#retired = true;
    this.drain(Infinity);
  }

  #bufferBytes(length: number): number {
    return Math.min(Math.ceil(length / PAGE_BYTES) * PAGE_BYTES, this.#blockBytes);
  }

  #bufferFrom(reused: Buffer[], length: number): Buffer {
    const bytes = this.#bufferBytes(length);
    const used = bytes === this.#blockBytes ? reused.pop() : undefined;
    if (used !== undefined) return used;
    return this.#budget.blocks.take(bytes);
  }

  #release(buffer: Buffer): void {
    // First the block, so that whoever is admitted by the release finds it.
    this.#budget.blocks.giveBack(buffer);
    this.#budget.release(buffer.length);
  }
}
