/**
 * The segments of a disk cache, oldest first, within a limit of what they really take of the disk. Blocks are appended to the newest;
 * room is made by removing the oldest, whole.
 */
import type { Logger } from '../../telemetry/log.js';
import { ENTRY_BYTES, PAGE_BYTES, pagesOf, type Entry } from './entry.js';
import type { CacheFiles } from './files.js';
import { removeSegmentFiles, Segment, segmentFileNames, segmentNumbers } from './segment.js';

/** Segments that a full cache has, about: what is evicted at a time is so small a share, and so many pairs of files are open. */
const SEGMENTS = 64;
const MIB = 1024 * 1024;
/** What the directory, its key and its lock may take. */
const OVERHEAD_BYTES = 16 * 1024;

export interface SegmentsOptions {
  readonly files: CacheFiles;
  readonly directory: string;
  readonly limitBytes: number;
  readonly secret: Buffer;
  readonly log: Logger;
  /** Bytes of a segment, where the limit isn't to say it. */
  readonly segmentBytes?: number;
}

/** A block to append: `buffer` is whole pages, the block and zeros. */
export interface Appended extends Omit<Entry, 'page'> {
  readonly buffer: Buffer;
}

export class Segments {
  readonly #options: SegmentsOptions;
  readonly #segmentBytes: number;
  /** By number, the oldest first. */
  readonly #segments = new Map<number, Segment>();
  #newest: number;
  /** Takes the next blocks. */
  #active: Segment | undefined;
  /** Taken by segments that are removed and couldn't be emptied. */
  #leftBytes = 0;
  #evicted = 0;

  private constructor(options: SegmentsOptions, newest: number) {
    this.#options = options;
    this.#segmentBytes =
      options.segmentBytes ?? Math.max(1, Math.ceil(options.limitBytes / SEGMENTS / MIB)) * MIB;
    this.#newest = newest;
  }

  /** Opens what an earlier process left, as far as it can be used and the limit allows; the rest is removed. */
  static async open(options: SegmentsOptions): Promise<Segments> {
    const { files, directory, log } = options;
    const names = await files.list(directory);
    const numbers = segmentNumbers(names);
    const segments = new Segments(options, numbers.at(-1) ?? 0);
    for (const number of numbers) {
      try {
        const segment = await Segment.open(files, directory, number);
        segments.#segments.set(number, segment);
      } catch (error) {
        log.warn({ err: error, directory, segment: number }, 'a segment of the disk cache is of no use');
        await removeSegmentFiles(files, directory, number);
      }
    }
    await segments.#makeRoom(() => 0);
    return segments;
  }

  /** Bytes of disk that all of it takes. */
  get usedBytes(): number {
    let bytes = OVERHEAD_BYTES + this.#leftBytes;
    for (const { diskBytes } of this.#segments.values()) bytes += diskBytes;
    return bytes;
  }

  /** Segments removed to make room. */
  get evicted(): number {
    return this.#evicted;
  }

  get(number: number): Segment | undefined {
    return this.#segments.get(number);
  }

  has(number: number): boolean {
    return this.#segments.has(number);
  }

  all(): readonly Segment[] {
    return [...this.#segments.values()];
  }

  /** The newest of those that were left is filled up: restarts don't leave ever more of them. Once all are loaded. */
  resume(): void {
    const newest = this.#segments.get(this.#newest);
    if (newest !== undefined && newest.length < this.#segmentBytes) this.#active = newest;
  }

  /** Whether a block there goes soon, if it isn't written anew: the cache is nearly full, and this segment in its older half. */
  isOld(number: number): boolean {
    const { limitBytes } = this.#options;
    if (this.usedBytes + 2 * this.#segmentBytes < limitBytes) return false;
    let younger = 0;
    for (const segment of this.#segments.values()) if (segment.number > number) younger += segment.diskBytes;
    return younger >= limitBytes / 2;
  }

  /** Appends blocks; where they are, or undefined if the limit leaves no room for them. Never called while it runs. */
  async append(
    blocks: readonly Appended[],
  ): Promise<{ readonly segment: number; readonly entries: readonly Entry[] } | undefined> {
    const bytes = blocks.reduce((sum, { buffer }) => sum + buffer.length, 0);
    if (this.#active !== undefined && this.#active.length + bytes > this.#segmentBytes) {
      const full = this.#active;
      this.#active = undefined;
      await full.measure();
    }
    const growth = (): number =>
      this.#active?.growth(bytes, blocks.length) ?? bytes + pagesOf(blocks.length * ENTRY_BYTES) * PAGE_BYTES;
    if (!(await this.#makeRoom(growth))) return undefined;
    const segment = (this.#active ??= await this.#create());
    let page = segment.nextPage;
    const entries = blocks.map(({ id, offset, length, checksum, buffer }) => {
      const entry = { id, offset, length, page, checksum };
      page += pagesOf(buffer.length);
      return entry;
    });
    const buffers = blocks.map(({ buffer }) => buffer);
    try {
      await segment.append(buffers, entries, this.#options.secret);
    } catch (error) {
      await segment.measure();
      throw error;
    }
    return { segment: segment.number, entries };
  }

  /** Takes those segments out of which a file was removed by somebody. `names`: what the directory has. */
  async dropMissing(names: readonly string[]): Promise<number> {
    const there = new Set(names);
    const missing = this.all().filter(({ number }) =>
      segmentFileNames(number).some((name) => !there.has(name)),
    );
    for (const segment of missing) await this.#remove(segment);
    return missing.length;
  }

  /** Takes out a segment that can't be used. */
  async drop(segment: Segment): Promise<void> {
    if (this.#segments.get(segment.number) === segment) await this.#remove(segment);
  }

  /** Closes all; the files stay as they are. Nothing is there any more. */
  async close(): Promise<void> {
    const segments = this.all();
    this.#segments.clear();
    this.#active = undefined;
    await Promise.all(segments.map((segment) => segment.close()));
  }

  async #create(): Promise<Segment> {
    const { files, directory } = this.#options;
    this.#newest += 1;
    const segment = await Segment.create(files, directory, this.#newest);
    this.#segments.set(segment.number, segment);
    return segment;
  }

  /** Evicts until so many bytes more are within the limit; false when nothing is left to evict. */
  async #makeRoom(growth: () => number): Promise<boolean> {
    while (this.usedBytes + growth() > this.#options.limitBytes) {
      const [oldest] = this.#segments.values();
      if (oldest === undefined) return false;
      await this.#remove(oldest);
      this.#evicted += 1;
    }
    return true;
  }

  /** Fails where its blocks can't be given back, on a file system that has become read-only: they go on being of use. */
  async #remove(segment: Segment): Promise<void> {
    const { files, directory, log } = this.#options;
    try {
      await segment.empty();
    } catch (error) {
      if (!segment.ended) throw error;
      log.debug(
        { err: error, segment: segment.number },
        'cannot give back all of a segment of the disk cache',
      );
    }
    // Nothing finds its blocks since it has ended.
    this.#segments.delete(segment.number);
    if (this.#active === segment) this.#active = undefined;
    this.#leftBytes += segment.diskBytes;
    try {
      await removeSegmentFiles(files, directory, segment.number);
    } catch (error) {
      // They are empty, and the next start removes them.
      log.debug({ err: error, segment: segment.number }, 'cannot remove a segment of the disk cache');
    }
  }
}
