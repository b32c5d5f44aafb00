/**
 * The buffers behind the bytes of a memory budget, for readers and writers alike. Those of one size, blocks, are used again: a new
 * buffer costs page faults; a dropped one stays in memory until the garbage collector comes, and makes it come: the bound of a budget
 * would hold for what is counted only. So free ones are dropped only where buffers of other sizes take their room. Not on
 * SharedArrayBuffers: V8 copies into and out of those with atomic steps, three times as slowly
 * (docs/decisions/0019-direct-transport.md).
 */

/** Bytes of a block. 64 readers under 256 MiB have 16 blocks each; a WRITE of 1 MiB takes four. */
export const BLOCK_BYTES = 256 * 1024;

export class Blocks {
  /** Of all buffers together. */
  readonly #limitBytes: number;
  readonly #free: Buffer[] = [];
  #takenBytes = 0;

  /** For at most `limitBytes`, which those who take have reserved. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes in blocks that nobody uses. */
  get freeBytes(): number {
    return this.#free.length * BLOCK_BYTES;
  }

  /** Bytes in buffers that somebody has. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** A buffer with any bytes in it; of BLOCK_BYTES it is a block. */
  take(bytes: number): Buffer {
    const used = bytes === BLOCK_BYTES ? this.#free.pop() : undefined;
    this.#takenBytes += bytes;
    if (used !== undefined) return used;
    const room = Math.max(0, Math.floor((this.#limitBytes - this.#takenBytes) / BLOCK_BYTES));
    if (this.#free.length > room) this.#free.length = room;
    return Buffer.allocUnsafeSlow(bytes);
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
    if (buffer.length > this.#takenBytes)
      throw new RangeError(`given back ${buffer.length} bytes of ${this.#takenBytes}`);
    this.#takenBytes -= buffer.length;
    if (buffer.length === BLOCK_BYTES) this.#free.push(buffer);
  }
}
