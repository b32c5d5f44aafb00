/**
 * A segment: two files that only grow. `N.blocks` has blocks, each from a page on; `N.index` has an entry for each of them. Nothing is
 * synced: after a crash entries may tell of blocks that never reached the disk, or of which other bytes stand there; their checksums
 * don't fit then. What was written but has no entry is lost.
 */
import { join } from 'node:path';
import type { CacheFile, CacheFiles } from './files.js';
import { decodeEntry, ENTRY_BYTES, encodeEntry, PAGE_BYTES, pagesOf, type Entry } from './entry.js';

/** Entries read at a time when a segment is loaded. */
const LOADED_ENTRIES = 4096;

const FILE_NAME = /^([1-9]\d{0,9})\.(blocks|index)$/;

/** The numbers of the segments that files with these names belong to, in order. */
export function segmentNumbers(names: readonly string[]): number[] {
  const numbers = names.flatMap((name) => FILE_NAME.exec(name)?.[1] ?? []).map(Number);
  return [...new Set(numbers)].sort((a, b) => a - b);
}

export function segmentFileNames(number: number): readonly [string, string] {
  return [`${number}.blocks`, `${number}.index`];
}

export class Segment {
  /** Later ones have greater numbers. */
  readonly number: number;
  readonly #blocks: CacheFile;
  readonly #index: CacheFile;
  /** Where the next block and the next entry go. */
  #page = 0;
  #indexBytes = 0;
  /** Taken of the disk by both files; since it was last measured, as much as was written. */
  #diskBytes = 0;
  /** Reads under way. */
  #readers = 0;
  #ended = false;
  #idle: (() => void) | undefined;

  private constructor(number: number, blocks: CacheFile, index: CacheFile) {
    this.number = number;
    this.#blocks = blocks;
    this.#index = index;
  }

  static async create(files: CacheFiles, directory: string, number: number): Promise<Segment> {
    return await Segment.#from(number, directory, (path) => files.create(path));
  }

  /** One that an earlier process left. */
  static async open(files: CacheFiles, directory: string, number: number): Promise<Segment> {
    const segment = await Segment.#from(number, directory, (path) => files.open(path));
    try {
      await segment.measure();
    } catch (error) {
      await segment.close();
      throw error;
    }
    return segment;
  }

  static async #from(
    number: number,
    directory: string,
    open: (path: string) => Promise<CacheFile>,
  ): Promise<Segment> {
    const [blocksName, indexName] = segmentFileNames(number);
    const blocks = await open(join(directory, blocksName));
    try {
      return new Segment(number, blocks, await open(join(directory, indexName)));
    } catch (error) {
      await blocks.close();
      throw error;
    }
  }

  get diskBytes(): number {
    return this.#diskBytes;
  }

  /** Bytes of blocks so far, with what is lost between them. */
  get length(): number {
    return this.#page * PAGE_BYTES;
  }

  /** Page at which the next block goes. */
  get nextPage(): number {
    return this.#page;
  }

  /** Whether there is nothing to be read from it any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Bytes of disk that so many blocks of so many bytes, whole pages, take at most beyond what is taken. */
  growth(bytes: number, blocks: number): number {
    const entries = pagesOf(this.#indexBytes + blocks * ENTRY_BYTES) - pagesOf(this.#indexBytes);
    return bytes + entries * PAGE_BYTES;
  }

  /** Appends blocks and their entries. `buffers` are whole pages, in order of the entries, the first at the next page. */
  async append(buffers: readonly Buffer[], entries: readonly Entry[], secret: Buffer): Promise<void> {
    const bytes = buffers.reduce((sum, { length }) => sum + length, 0);
    const records = Buffer.concat(entries.map((entry) => encodeEntry(entry, secret)));
    // Until it is measured.
    this.#diskBytes += this.growth(bytes, entries.length);
    // In any order: an entry whose block isn't there is told by its checksum.
    const writes = [
      this.#blocks.write(buffers, this.#page * PAGE_BYTES),
      this.#index.write([records], this.#indexBytes),
    ];
    // The buffers are in use until both have ended.
    for (const ended of await Promise.allSettled(writes)) if (ended.status === 'rejected') throw ended.reason;
    this.#indexBytes += records.length;
    this.#page += pagesOf(bytes);
  }

  /** Fills the buffer with what stands from a page on; false where the segment ends before, or had ended. */
  async read(buffer: Buffer, page: number): Promise<boolean> {
    if (this.#ended) return false;
    this.#readers += 1;
    try {
      const count = await this.#blocks.read(buffer, page * PAGE_BYTES);
      return count === buffer.length;
    } finally {
      this.#readers -= 1;
      if (this.#readers === 0) this.#idle?.();
    }
  }

  /** Gives every sound entry to `take`, and goes on after the last. */
  async load(secret: Buffer, take: (entry: Entry) => void): Promise<void> {
    const chunk = Buffer.allocUnsafe(LOADED_ENTRIES * ENTRY_BYTES);
    let page = pagesOf((await this.#blocks.size()).length);
    for (let count = chunk.length; count === chunk.length && !this.#ended;) {
      count = await this.#index.read(chunk, this.#indexBytes);
      for (let at = 0; at + ENTRY_BYTES <= count; at += ENTRY_BYTES) {
        this.#indexBytes += ENTRY_BYTES;
        const entry = decodeEntry(chunk, at, secret);
        if (entry === undefined) continue;
        page = Math.max(page, entry.page + pagesOf(entry.length));
        take(entry);
      }
    }
    this.#page = page;
  }

  /**
   * Gives its space back, which works where the directory refuses, and though somebody reads: that finds nothing. Then closes. Where the blocks
   * can't be given back it fails, and everything is there as before.
   */
  async empty(): Promise<void> {
    this.#ended = true;
    try {
      await this.#blocks.empty();
    } catch (error) {
      this.#ended = false;
      throw error;
    }
    try {
      await this.#index.empty();
      this.#diskBytes = 0;
    } finally {
      await this.close();
    }
  }

  /** Resolves when no read is under way; the files stay. */
  async close(): Promise<void> {
    this.#ended = true;
    if (this.#readers > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await Promise.all([this.#blocks.close(), this.#index.close()]);
  }

  /** Finds out what it really takes of the disk. */
  async measure(): Promise<void> {
    const sizes = await Promise.all([this.#blocks.size(), this.#index.size()]);
    // A file system that allocates late, or compresses, tells less than there may be later.
    this.#diskBytes = sizes.reduce(
      (sum, { length, diskBytes }) => sum + Math.max(pagesOf(length) * PAGE_BYTES, diskBytes),
      0,
    );
  }
}

/** Removes the files of a segment that nobody has open, as far as they are there. */
export async function removeSegmentFiles(
  files: CacheFiles,
  directory: string,
  number: number,
): Promise<void> {
  for (const name of segmentFileNames(number)) {
    try {
      await files.remove(join(directory, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}
