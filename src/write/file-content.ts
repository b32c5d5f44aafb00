/**
 * What a file holds while it is written: changes in parts over the visible bytes of the base, zeros elsewhere. Knows where
 * every byte is; moves none but those written.
 */
import type { MemoryBudget } from '../memory/memory-budget.js';
import type { ObjectVersion } from '../memory/byte-slices.js';
import type { Extent } from './extent-map.js';
import type { PartMap } from './part-map.js';
import type { SafePart } from './durable-record.js';
import { Part, type UploadName } from './part.js';
import type { Spiller } from './spiller.js';
import type { Spool } from './spool.js';
import { SpoolFullError } from './spool-full.js';
import { unlessAborted } from './unless-aborted.js';

/** A stretch of the file whose bytes are in one place. `part` goes with `memory`, `spool` and `upload`. */
export interface Stretch {
  readonly place: 'memory' | 'spool' | 'upload' | 'base' | 'zeros';
  readonly start: number;
  readonly end: number;
  readonly part?: Part;
}

export interface FileContentOptions {
  readonly partMap: PartMap;
  readonly budget: MemoryBudget;
  readonly spool: Spool;
  readonly spiller: Spiller;
  readonly chunkBytesMax: number;
  readonly base: ObjectVersion | undefined;
}

export class FileContent {
  readonly partMap: PartMap;
  readonly #options: FileContentOptions;
  readonly #parts = new Map<number, Part>();
  #base: ObjectVersion | undefined;
  /** Bytes of the base that show where nothing was written: truncation hides the rest for good. */
  #baseBytes: number;
  #size: number;
  #resized = false;
  #rebased = 0;

  constructor(options: FileContentOptions) {
    this.partMap = options.partMap;
    this.#options = options;
    this.#base = options.base;
    this.#baseBytes = options.base?.size ?? 0;
    this.#size = this.#baseBytes;
  }

  get size(): number {
    return this.#size;
  }

  get base(): ObjectVersion | undefined {
    return this.#base;
  }

  get baseBytes(): number {
    return this.#baseBytes;
  }

  /** Parts in which something was written. */
  get parts(): Iterable<Part> {
    return this.#parts.values();
  }

  get bytesHeld(): number {
    let bytes = 0;
    for (const part of this.#parts.values()) bytes += part.memory.capacity;
    return bytes;
  }

  /** Something differs from the base, or there is none. */
  get dirty(): boolean {
    if (this.#base === undefined || this.#resized) return true;
    for (const part of this.#parts.values()) if (part.dirty.bytes > 0) return true;
    return false;
  }

  part(index: number): Part | undefined {
    return this.#parts.get(index);
  }

  /** From the first to the last byte written in part `index`. */
  changed(index: number): Extent | undefined {
    return this.#parts.get(index)?.dirty.hull;
  }

  /** Bytes of part `index` in the file of today's size. */
  partBytes(index: number): number {
    return Math.min(this.partMap.end(index), this.#size) - this.partMap.start(index);
  }

  /**
   * Copies data in, which must lie in one part; waits for memory and for whoever uses the part. The part. Errors: SpoolFullError; the
   * reason of either signal, and then nothing was copied.
   */
  async write(offset: number, data: Uint8Array, closing: AbortSignal, patience?: AbortSignal): Promise<Part> {
    const end = offset + data.length;
    const part = this.#open(this.partMap.indexAt(offset));
    const { spiller } = this.#options;
    let reserved = 0;
    try {
      for (;;) {
        if (part.lock !== undefined) {
          spiller.release(reserved);
          reserved = 0;
          await unlessAborted(part.lock, patience);
          continue;
        }
        const needed = part.memory.needed(offset, end);
        if (needed <= reserved) break;
        // Not the difference: who waits holds nothing.
        spiller.release(reserved);
        reserved = 0;
        await spiller.reserve(needed, closing, patience);
        reserved = needed;
      }
      closing.throwIfAborted();
      patience?.throwIfAborted();
      if (part.uploadOnly) throw new SpoolFullError(part.uploadOnlyMessage);
      reserved -= part.memory.needed(offset, end);
      part.write(offset, data);
    } finally {
      spiller.release(reserved);
    }
    spiller.touch(part);
    this.#size = Math.max(this.#size, end);
    return part;
  }

  /** Sets the size; nobody writes meanwhile. Errors: SpoolFullError when it cuts a part that only the upload has. */
  async truncate(size: number): Promise<void> {
    if (size === this.#size) return;
    const cut = [...this.#parts.values()].filter((part) => part.end > size);
    for (const part of cut) {
      if (part.uploadOnly && part.start < size) throw new SpoolFullError(part.uploadOnlyMessage);
    }
    for (const part of cut) {
      while (part.lock !== undefined) await part.lock;
      if (part.start >= size) this.#remove(part);
      else part.truncate(size);
    }
    if (size < this.#baseBytes) this.#baseBytes = size;
    this.#resized = true;
    this.#size = size;
  }

  /** Where the bytes of a range inside the file are, in order. */
  stretches(start: number, end: number): Stretch[] {
    const found: Stretch[] = [];
    let from = start;
    for (let index = this.partMap.indexAt(start); from < end; index += 1) {
      const to = Math.min(end, this.partMap.end(index));
      const part = this.#parts.get(index);
      if (part !== undefined) {
        for (const at of part.places(from, to)) {
          this.#pushUnwritten(found, from, at.start);
          found.push({ ...at, part });
          from = at.end;
        }
      }
      this.#pushUnwritten(found, from, to);
      from = to;
    }
    return found;
  }

  /** The parts that a range touches and that have something written. */
  partsWithin(start: number, end: number): Part[] {
    const found: Part[] = [];
    for (let index = this.partMap.indexAt(start); this.partMap.start(index) < end; index += 1) {
      const part = this.#parts.get(index);
      if (part !== undefined) found.push(part);
    }
    return found;
  }

  /** Changes whenever bytes of the range may have left the place they were found in. */
  moves(start: number, end: number): number {
    let moves = this.#rebased;
    for (const part of this.partsWithin(start, end)) moves += part.moves;
    return moves;
  }

  /** A part that an earlier run sent whole: its bytes are in that upload alone. */
  adoptUploaded({ start, end, part: uploaded }: SafePart, upload: UploadName): void {
    const part = this.#open(this.partMap.indexAt(start));
    if (part.start !== start || part.end !== end)
      throw new Error(`expected a part from ${part.start} to ${part.end}, found one from ${start} to ${end}`);
    part.adoptUploaded(upload, uploaded);
    this.#size = Math.max(this.#size, part.end);
  }

  /** What an earlier run left of the base and of the file. Nobody writes meanwhile. */
  restoreSizes(baseBytes: number, sizeBytes: number): void {
    this.#baseBytes = Math.min(this.#baseBytes, baseBytes);
    this.#resized ||= sizeBytes !== this.#size;
    this.#size = sizeBytes;
  }

  /** What was written is published: it is `base` now. Nobody writes meanwhile. */
  async rebase(base: ObjectVersion): Promise<void> {
    await this.clear();
    this.#rebased += 1;
    this.#base = base;
    this.#baseBytes = base.size;
    this.#size = base.size;
    this.#resized = false;
  }

  /** Drops everything written. */
  async clear(): Promise<void> {
    for (const part of [...this.#parts.values()]) {
      while (part.lock !== undefined) await part.lock;
      this.#remove(part);
    }
  }

  #open(index: number): Part {
    const open = this.#parts.get(index);
    if (open !== undefined) return open;
    const { partMap } = this;
    const { budget, spool, chunkBytesMax } = this.#options;
    const part = new Part({
      index,
      start: partMap.start(index),
      end: partMap.end(index),
      chunkBytesMax,
      budget,
      spool,
    });
    this.#parts.set(index, part);
    return part;
  }

  #remove(part: Part): void {
    this.#options.spiller.forget(part);
    this.#parts.delete(part.index);
    part.free();
    this.#rebased += part.moves + 1;
  }

  #pushUnwritten(found: Stretch[], start: number, end: number): void {
    const shown = Math.min(Math.max(start, this.#baseBytes), end);
    if (start < shown) found.push({ place: 'base', start, end: shown });
    if (shown < end) found.push({ place: 'zeros', start: shown, end });
  }
}
