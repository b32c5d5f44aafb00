/**
 * Buffers of one size that are used again, by readers and writers alike. A new buffer costs zeroing and page faults; a dropped
 * one stays in memory until the garbage collector comes, and makes it come: the bound of a budget would hold for what is
 * counted only. Not on SharedArrayBuffers: V8 copies into and out of those with atomic steps, three times as slowly
 * (docs/decisions/0019-direct-transport.md).
 */

/** Bytes of a block. 64 readers under 256 MiB have 16 blocks each; a WRITE of 1 MiB takes four. */
export const BLOCK_BYTES = 256 * 1024;

export class Blocks {
  readonly #free: Buffer[] = [];

  /** Bytes in blocks that nobody uses. */
  get freeBytes(): number {
    return this.#free.length * BLOCK_BYTES;
  }

  /** A block with any bytes in it. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  /** Takes a block back, all of it and only once. */
  giveBack(block: Buffer): void {
    if (block.length !== BLOCK_BYTES) throw new RangeError(`expected a block, got ${block.length} bytes`);
    this.#free.push(block);
  }

  /** Drops free blocks until they are at most `bytes`. */
  trim(bytes: number): void {
    const keep = Math.max(0, Math.floor(bytes / BLOCK_BYTES));
    if (this.#free.length > keep) this.#free.length = keep;
  }
}
