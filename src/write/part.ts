/**
 * One part of a file with something written in it, and where its written bytes are:
 *
 *     write            fills                 upload ends            pressure              spool full
 *   -------> memory -----------> (uploading) ------------> memory + ----------> spool + ------------> upload
 *              |  ^                                        upload               upload                only
 *     pressure |  | write over it
 *              v  |
 *             spool
 *
 * Bytes in memory win over the same bytes in the spool. A part in use (uploading, spilling) is locked: writes to it wait, reads
 * don't. A write makes an uploaded part stale: it goes out again, under the same number, when the file is published.
 */
import type { MemoryBudget } from '../memory/memory-budget.js';
import type { UploadedPart } from '../store/object-store.js';
import { ExtentMap, type Extent } from './extent-map.js';
import { PartMemory } from './part-memory.js';
import type { Spillable } from './spiller.js';
import type { Retained, Spool, SpoolFile } from './spool.js';

export interface PartOptions {
  readonly index: number;
  /** The part's bytes in the file. */
  readonly start: number;
  readonly end: number;
  readonly chunkBytesMax: number;
  readonly budget: MemoryBudget;
  readonly spool: Spool;
}

/** What an upload is known by. */
export interface UploadName {
  readonly key: string;
  readonly uploadId: string;
}

export class Part implements Retained, Spillable {
  readonly index: number;
  readonly start: number;
  readonly end: number;
  readonly memory: PartMemory;
  /** What differs from the base, wherever its bytes are. */
  readonly dirty = new ExtentMap();
  /** What the spool file has room taken for; current except where memory holds the same bytes. */
  readonly #spooled = new ExtentMap();
  readonly #budget: MemoryBudget;
  readonly #spool: Spool;
  #file: SpoolFile | undefined;
  /** Every byte of the part has been written to the file. */
  #isFileWhole = false;
  #lock: Promise<void> | undefined;
  #uploaded:
    { readonly upload: UploadName; readonly length: number; readonly part: UploadedPart } | undefined;
  #uploadOnly = false;
  /** It went out while data arrived once; again only when the file is published. */
  streamed = false;
  /** It stands in line to go out: its memory will be free soon without the spool. */
  queued = false;
  /** Counts what moved bytes away from where a reader may have found them. */
  moves = 0;

  constructor(options: PartOptions) {
    this.index = options.index;
    this.start = options.start;
    this.end = options.end;
    this.memory = new PartMemory(options.start, options.end, options.chunkBytesMax, options.budget.blocks);
    this.#budget = options.budget;
    this.#spool = options.spool;
  }

  /** Every byte of the part was written. */
  get complete(): boolean {
    return this.dirty.bytes === this.end - this.start;
  }

  /** Settles when whoever uses the part now has done; undefined when nobody does. Never rejects. */
  get lock(): Promise<void> | undefined {
    return this.#lock;
  }

  /** Its bytes are in the unfinished upload and nowhere else: they can be completed, not read nor changed. */
  get uploadOnly(): boolean {
    return this.#uploadOnly;
  }

  /** Bytes of the spool that putting all of its memory there would take. */
  get unspooledBytes(): number {
    let bytes = this.memory.held.bytes;
    for (const held of this.memory.held) {
      for (const both of this.#spooled.within(held.start, held.end)) bytes -= both.end - both.start;
    }
    return bytes;
  }

  /** Locks the part, which nobody may have locked; returns how to unlock it. */
  acquire(): () => void {
    if (this.#lock !== undefined) throw new Error(`part ${this.index} is locked already`);
    let unlock = (): void => undefined;
    this.#lock = new Promise((resolve) => {
      unlock = () => {
        this.#lock = undefined;
        resolve();
      };
    });
    return unlock;
  }

  /** Takes data in, whose memory the caller reserved. */
  write(offset: number, data: Uint8Array): void {
    this.#changed();
    this.memory.write(offset, data);
    this.dirty.add(offset, offset + data.length);
  }

  /** Forgets what was written from `offset` on. */
  truncate(offset: number): void {
    this.#changed();
    this.moves += 1;
    this.dirty.remove(offset, this.end);
    this.#budget.release(this.memory.truncate(offset));
    this.#forgetSpooled(offset);
  }

  /** Frees memory and spool. The part is of no use afterwards. */
  free(): void {
    this.truncate(this.start);
    this.#removeFile();
  }

  /** The upload holds the part, as it is now. */
  setUploaded(upload: UploadName, length: number, part: UploadedPart): void {
    this.#uploaded = { upload, length, part };
    this.#updateRetained();
  }

  /** The upload of an earlier run holds the part, complete, and nobody else does. */
  adoptUploaded(upload: UploadName, part: UploadedPart): void {
    this.dirty.add(this.start, this.end);
    this.setUploaded(upload, this.end - this.start, part);
    this.#uploadOnly = true;
    this.streamed = true;
  }

  /** What the upload holds of the part, when it is as it should be. */
  uploadedIn(upload: UploadName, length: number): UploadedPart | undefined {
    const uploaded = this.#uploaded;
    return uploaded?.upload.uploadId === upload.uploadId && uploaded.length === length
      ? uploaded.part
      : undefined;
  }

  /** What an upload holds of the part, as it is now and whole. */
  get uploadedPart(): UploadedPart | undefined {
    return this.complete && this.#uploaded?.length === this.end - this.start
      ? this.#uploaded.part
      : undefined;
  }

  /** Says in an error where bytes are that are nowhere else. */
  get uploadOnlyMessage(): string {
    const { key = '', uploadId = '' } = this.#uploaded?.upload ?? {};
    return `bytes ${this.start} to ${this.end} are only in the unfinished upload ${uploadId} of ${key}: the spool had no room`;
  }

  /** Says in an error what is lost, and what can be done. */
  get lostMessage(): string {
    const { key = '', uploadId = '' } = this.#uploaded?.upload ?? {};
    return `bytes ${this.start} to ${this.end} of "${key}" are lost: they were in the unfinished upload ${uploadId} alone, which S3 has no more (a lifecycle rule or somebody ended it). The object stays as it was; remove or truncate the file, or write it anew`;
  }

  /** Its upload is gone. */
  forgetUploaded(): void {
    this.#changed();
  }

  /** The memory isn't needed: the bytes are in the upload, and complete. */
  get droppable(): boolean {
    return this.#uploaded !== undefined && this.complete && this.#lock === undefined;
  }

  /** Moves the part to the upload alone. The memory freed, in bytes; the caller gives it back to the budget. */
  drop(): number {
    if (!this.droppable) return 0;
    this.#uploadOnly = true;
    this.moves += 1;
    this.#forgetSpooled(this.start);
    this.#removeFile();
    this.#spool.retained.delete(this);
    return this.memory.clear();
  }

  evict(): void {
    this.#budget.release(this.drop());
  }

  /** Extents of written data in the range, and where each is. */
  places(start: number, end: number): { place: 'memory' | 'spool' | 'upload'; start: number; end: number }[] {
    if (this.#uploadOnly)
      return this.dirty.within(start, end).map((extent) => ({ place: 'upload', ...extent }));
    const places: { place: 'memory' | 'spool'; start: number; end: number }[] = [];
    for (const extent of this.dirty.within(start, end)) {
      for (const held of this.memory.held.within(extent.start, extent.end))
        places.push({ place: 'memory', ...held });
      for (const gap of this.memory.held.gaps(extent.start, extent.end))
        places.push({ place: 'spool', ...gap });
    }
    return places.sort((a, b) => a.start - b.start);
  }

  /** Fills `targets`, one after the other, from the spool, from file offset `start` on. */
  async readSpooled(targets: readonly Buffer[], start: number): Promise<void> {
    if (this.#file === undefined) throw new Error(`part ${this.index} has no spool file`);
    await this.#file.read(targets, start - this.start);
  }

  /** Moves all memory to the spool; room for `unspooledBytes` was reserved there. On failure everything stays as it was. */
  async spill(): Promise<void> {
    const reserved = this.unspooledBytes;
    const held: Extent[] = [...this.memory.held];
    const unlock = this.acquire();
    try {
      const whole = this.memory.held.covers(this.start, this.end);
      this.#file ??= await this.#spool.create(whole ? this.end - this.start : undefined);
      for (const { start, end } of held)
        await this.#file.write(this.memory.slices(start, end), start - this.start);
      for (const { start, end } of held) this.#spooled.add(start, end);
      this.#isFileWhole ||= this.#spooled.covers(this.start, this.end);
    } catch (error) {
      this.#spool.release(reserved);
      unlock();
      throw error;
    }
    const freed = this.memory.clear();
    unlock();
    this.#updateRetained();
    this.#budget.release(freed);
  }

  #changed(): void {
    this.#uploaded = undefined;
    this.#uploadOnly = false;
    this.#spool.retained.delete(this);
  }

  #updateRetained(): void {
    if (this.#uploaded !== undefined && this.complete && this.#spooled.bytes > 0)
      this.#spool.retained.add(this);
  }

  #forgetSpooled(offset: number): void {
    const before = this.#spooled.bytes;
    this.#spooled.remove(offset, this.end);
    this.#spool.release(before - this.#spooled.bytes);
  }

  #removeFile(): void {
    this.#file?.remove(this.#isFileWhole ? this.end - this.start : undefined);
    this.#file = undefined;
    this.#isFileWhole = false;
  }
}
