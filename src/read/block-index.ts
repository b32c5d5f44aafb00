/** The blocks of one object version, in order of offset; they never overlap. */
import type { Block } from './fetch.js';
import type { Span } from './span.js';

export class BlockIndex {
  readonly #blocks: Block[] = [];
  readonly #onEmpty: () => void;

  /** `onEmpty` hears when the last block was removed. */
  constructor(onEmpty: () => void = () => undefined) {
    this.#onEmpty = onEmpty;
  }

  get size(): number {
    return this.#blocks.length;
  }

  all(): readonly Block[] {
    return this.#blocks;
  }

  /** Blocks with bytes in the span. */
  within(span: Span): Block[] {
    const found: Block[] = [];
    for (let at = this.#firstEndingAfter(span.start); at < this.#blocks.length; at += 1) {
      const block = this.#blocks[at];
      if (block === undefined || block.offset >= span.end) break;
      found.push(block);
    }
    return found;
  }

  /** Parts of the span that no block covers. */
  gaps(span: Span): Span[] {
    const gaps: Span[] = [];
    let from = span.start;
    for (const block of this.within(span)) {
      if (block.offset > from) gaps.push({ start: from, end: block.offset });
      from = block.offset + block.length;
    }
    if (from < span.end) gaps.push({ start: from, end: span.end });
    return gaps;
  }

  /** Every byte of the span, which isn't empty, has arrived. */
  isFilled(span: Span): boolean {
    let from = span.start;
    for (let at = this.#firstEndingAfter(span.start); from < span.end; at += 1) {
      const block = this.#blocks[at];
      if (block === undefined || block.offset > from) return false;
      if (block.offset + block.filled < Math.min(block.offset + block.length, span.end)) return false;
      from = block.offset + block.length;
    }
    return true;
  }

  add(block: Block): void {
    this.#blocks.splice(this.#firstEndingAfter(block.offset), 0, block);
  }

  remove(block: Block): void {
    const at = this.#firstEndingAfter(block.offset);
    if (this.#blocks[at] !== block) throw new Error(`block at ${block.offset} is not in the index`);
    this.#blocks.splice(at, 1);
    if (this.#blocks.length === 0) this.#onEmpty();
  }

  /** Position of the first block that ends after `offset`. */
  #firstEndingAfter(offset: number): number {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const block = this.#blocks[middle];
      if (block !== undefined && block.offset + block.length <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
