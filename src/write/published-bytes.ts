/**
 * Bytes of small objects that were published over an older version: whoever appends to a file and asks for each line to be safe (a log, a
 * mailbox) has it published at each of them, and what was published is the base of the next change. Kept here it isn't fetched again.
 * The memory is the budget's, a sixteenth of it at most, and goes back when anybody wants it.
 */
import type { ByteSlices, ObjectVersion } from '../memory/byte-slices.js';
import type { MemoryBudget } from '../memory/memory-budget.js';
import { Filling } from './filling.js';

/** Of the budget's limit. */
const SHARE = 1 / 16;

interface Kept {
  readonly version: ObjectVersion;
  readonly buffers: readonly Buffer[];
}

export class PublishedBytes {
  readonly #budget: MemoryBudget;
  readonly #bytesMax: number;
  /** By key, longest kept first. */
  readonly #kept = new Map<string, Kept>();
  readonly #removeRelief: () => void;
  #bytes = 0;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
    this.#bytesMax = Math.floor(budget.limitBytes * SHARE);
    this.#removeRelief = budget.addRelief((bytes) => this.#relieve(bytes));
  }

  /** Bytes of memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Copies what the object is now, unless there is no memory for it. */
  keep(version: ObjectVersion, body: readonly Buffer[]): void {
    this.forget(version.key);
    const { size } = version;
    if (size === 0 || size > this.#bytesMax) return;
    if (this.#bytes + size > this.#bytesMax) this.#relieve(this.#bytes + size - this.#bytesMax);
    if (!this.#budget.tryReserve(size)) return;
    const buffers = this.#budget.blocks.takeFor(size);
    const filling = new Filling(buffers);
    for (const slice of body) filling.add(slice);
    this.#bytes += size;
    this.#kept.set(version.key, { version, buffers });
  }

  /** Bytes of a version, to be copied before anything else is done; undefined where they aren't kept. */
  held(version: ObjectVersion, offset: number, count: number): ByteSlices | undefined {
    const kept = this.#kept.get(version.key);
    if (kept?.version.etag !== version.etag || offset + count > kept.version.size) return undefined;
    const slices: Buffer[] = [];
    let at = 0;
    for (const buffer of kept.buffers) {
      const from = Math.max(offset, at) - at;
      const to = Math.min(offset + count, at + buffer.length) - at;
      if (from < to) slices.push(buffer.subarray(from, to));
      at += buffer.length;
    }
    return { slices, count, release: () => undefined };
  }

  /** Gives back what is kept of a key. */
  forget(key: string): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#kept.delete(key);
    this.#bytes -= kept.version.size;
    // First the blocks, so that whoever is admitted finds them.
    for (const buffer of kept.buffers) this.#budget.blocks.giveBack(buffer);
    this.#budget.release(kept.version.size);
  }

  /** Gives everything back, for good. */
  close(): void {
    this.#removeRelief();
    for (const key of [...this.#kept.keys()]) this.forget(key);
  }

  #relieve(bytes: number): number {
    let released = 0;
    for (const [key, { version }] of this.#kept) {
      if (released >= bytes) break;
      this.forget(key);
      released += version.size;
    }
    return released;
  }
}
