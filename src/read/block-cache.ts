/**
 * All blocks that nobody pins, of all objects, in the order in which they go when memory is asked for: first those that were
 * read already, the longest unused first; then those read ahead of somebody.
 */
import type { MemoryBudget } from '../memory/memory-budget.js';
import type { Block } from './fetch.js';
import type { BlockIndex } from './block-index.js';
import type { BlockPool } from './block-pool.js';

/** What is kept free for readahead by those who pass through an object: two GETs, and no more than this part of the budget. */
const SPARE_BYTES = 16 * 1024 * 1024;
const SPARE_SHARE = 8;

interface Place {
  readonly block: Block;
  readonly index: BlockIndex;
}

export class BlockCache {
  readonly #budget: MemoryBudget;
  readonly #pool: BlockPool;
  // A Map goes through its keys in the order in which they were set: deleting and setting again is "used last".
  readonly #consumed = new Map<Block, BlockIndex>();
  readonly #unread = new Map<Block, BlockIndex>();

  constructor(budget: MemoryBudget, pool: BlockPool) {
    this.#budget = budget;
    this.#pool = pool;
  }

  pin(block: Block): void {
    block.pins += 1;
    this.#consumed.delete(block);
    this.#unread.delete(block);
  }

  /** Takes a pin away; with the last one the block may be evicted, or its buffer goes back at once when it is detached. */
  unpin(block: Block, index: BlockIndex): void {
    if (block.pins <= 0) throw new Error(`block at ${block.offset} has no pin to take away`);
    block.pins -= 1;
    if (block.pins > 0) return;
    if (block.detached) {
      this.#pool.giveBack(block.buffer, true);
      return;
    }
    if (block.consumed && block.passing && this.#short) {
      this.detach(block, index);
      return;
    }
    (block.consumed ? this.#consumed : this.#unread).set(block, index);
    // Whoever waits for memory may have this block now.
    if (this.#budget.waiting > 0) this.#budget.offerRelief();
  }

  /** Nobody is expected to read the block: it goes before those that somebody will. */
  consume(block: Block): void {
    block.consumed = true;
    const index = this.#unread.get(block);
    if (index === undefined) return;
    this.#unread.delete(block);
    this.#consumed.set(block, index);
  }

  /** Takes the block out of its index; the buffer goes back with the last pin. */
  detach(block: Block, index: BlockIndex, keepBuffer = true): void {
    if (block.detached) return;
    index.remove(block);
    block.detached = true;
    this.#consumed.delete(block);
    this.#unread.delete(block);
    if (block.pins === 0) this.#pool.giveBack(block.buffer, keepBuffer);
  }

  /** Gives `bytes` back to the budget, as far as there are unpinned blocks; the bytes released. */
  relieve(bytes: number): number {
    let released = this.#pool.drain(bytes);
    for (const { block, index } of this.#inOrder()) {
      if (released >= bytes) break;
      this.detach(block, index, false);
      released += this.#pool.reservedFor(block.buffer.length);
    }
    return released;
  }

  /** Makes blocks that were read already into free ones, for readahead: up to `bytes`. */
  recycle(bytes: number): void {
    let freed = 0;
    for (const [block, index] of this.#consumed) {
      if (freed >= bytes) break;
      this.detach(block, index);
      freed += this.#pool.reservedFor(block.buffer.length);
    }
  }

  /** Readahead will soon find no memory free. */
  get #short(): boolean {
    const { usedBytes, limitBytes } = this.#budget;
    return usedBytes + Math.min(SPARE_BYTES, limitBytes / SPARE_SHARE) > limitBytes;
  }

  *#inOrder(): Generator<Place> {
    for (const [block, index] of this.#consumed) yield { block, index };
    for (const [block, index] of this.#unread) yield { block, index };
  }
}
