/**
 * The disk cache: blocks that somebody has read, below the blocks in memory. Shared by all readers.
 *
 *   a READ is done with a block  ->  queue (bounded, dropped rather than waited for)  ->  newest segment  ->  table
 *   a fetch whose blocks the table has  ->  read, checked against identity and checksum  ->  blocks in memory; else S3
 *
 * Whatever happens to its files makes blocks missing, never wrong. It is a cache of what S3 has: nothing is synced, and nothing here
 * fails a READ. Where the directory itself goes it stays off until the next start.
 */
import pLimit from 'p-limit';
import type { ObjectVersion } from '../../memory/byte-slices.js';
import type { MemoryBudget } from '../../memory/memory-budget.js';
import type { Logger } from '../../telemetry/log.js';
import { BlockTable, type Place } from './block-table.js';
import { CacheDirectory } from './cache-directory.js';
import { canBeKept, CELL_BYTES, checksumOf, PAGE_BYTES, pagesOf, versionId } from './entry.js';
import { nodeFiles, type CacheFiles } from './files.js';
import { Health } from './health.js';
import { Scratch } from './scratch.js';
import { Segments } from './segments.js';
import { WriteQueue, type Lent } from './write-queue.js';

export interface DiskCacheOptions {
  /** Where its own folder is made. */
  readonly directory: string;
  /** Bytes it may take of the disk. */
  readonly limitBytes: number;
  readonly budget: MemoryBudget;
  readonly log: Logger;
  readonly files?: CacheFiles;
  readonly segmentBytes?: number;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
  /** Milliseconds. */
  readonly endMs?: number;
}

export interface DiskCacheCounts {
  /** Pieces of blocks read from the disk, and those looked for that weren't there. */
  readonly hits: number;
  readonly misses: number;
  /** Blocks written. */
  readonly written: number;
  /** Blocks that weren't: the queue was full, memory short, or the disk failed. */
  readonly dropped: number;
  /** Blocks found changed, cut or foreign. */
  readonly bad: number;
  /** Reads and writes that failed. */
  readonly failures: number;
  /** Segments removed to make room. */
  readonly evicted: number;
}

/** The table has an entry for so many bytes of the limit: 24 bytes a block, 1 MiB for 2.7 GiB. */
const BYTES_PER_ENTRY = 64 * 1024;
/** Reads at a time: with a write they leave one of libuv's threads to others. */
const READS = 2;
/** Of the memory budget, what may be lent to the queue. */
const QUEUE_SHARE = 1 / 8;
/** Of the memory budget, what the table may take. */
const TABLE_SHARE = 1 / 4;
/** A disk that failed is tried again after this. */
const PAUSE_MS = 30_000;
/** A single bad sector is no reason to leave the disk alone. */
const READ_FAILURES_MAX = 8;
/** How often the directory is looked at for what others removed. */
const CHECK_MS = 10_000;
/** What is in the queue at the end is written for so long at most; and so long is waited for a disk that doesn't answer. */
const END_MS = 2_000;

export class DiskCache {
  readonly #log: Logger;
  readonly #budget: MemoryBudget;
  readonly #directory: CacheDirectory;
  readonly #segments: Segments;
  readonly #memory: readonly Buffer[];
  readonly #table: BlockTable;
  readonly #scratch: Scratch;
  readonly #queue: WriteQueue;
  readonly #reading: Health;
  readonly #writing: Health;
  /** What changes segments goes one after the other. */
  readonly #alone = pLimit(1);
  readonly #timer: NodeJS.Timeout;
  readonly #endMs: number;
  /** At the end the disk hasn't answered in time. */
  #hangs = false;
  /** Segments in which something bad was found. */
  readonly #told = new Set<number>();
  readonly #counts = { hits: 0, misses: 0, written: 0, dropped: 0, bad: 0, failures: 0 };
  #state: 'loading' | 'on' | 'off' = 'loading';

  /** Resolves when all that an earlier process left can be found; until then it is being found, and nothing is written. */
  readonly loaded: Promise<void>;

  private constructor(
    options: DiskCacheOptions,
    directory: CacheDirectory,
    segments: Segments,
    [table, ...scratch]: readonly [Buffer, ...Buffer[]],
  ) {
    const { log, budget, now = () => performance.now(), endMs = END_MS } = options;
    this.#log = log;
    this.#endMs = endMs;
    this.#budget = budget;
    this.#directory = directory;
    this.#segments = segments;
    this.#memory = [table, ...scratch];
    this.#table = new BlockTable(table, (segment) => segments.has(segment));
    this.#scratch = new Scratch(scratch);
    this.#queue = new WriteQueue(Math.floor(budget.limitBytes * QUEUE_SHARE), (batch) => this.#write(batch));
    const health = { log, directory: directory.path, pauseMs: PAUSE_MS, now };
    this.#reading = new Health({ ...health, done: 'read', failuresMax: READ_FAILURES_MAX });
    this.#writing = new Health({ ...health, done: 'written', failuresMax: 1 });
    this.#timer = setInterval(() => void this.check(), CHECK_MS);
    this.#timer.unref();
    this.loaded = this.#load();
  }

  /**
   * Opens the cache in `directory`, making what is missing (mode 0700). Fails with StateDirectoryLockedError while another daemon has it,
   * and with an Error when the directory or the memory for the table can't be had.
   */
  static async open(options: DiskCacheOptions): Promise<DiskCache> {
    const { budget, limitBytes, log, files = nodeFiles } = options;
    const tableBytes = BlockTable.bytesFor(limitBytes / BYTES_PER_ENTRY);
    if (tableBytes > budget.limitBytes * TABLE_SHARE) {
      throw new Error(
        `a disk cache of ${limitBytes} bytes needs ${tableBytes} bytes of memory, more than a quarter of the ${budget.limitBytes} there are`,
      );
    }
    const directory = await CacheDirectory.open(options.directory, files);
    try {
      const { path, secret } = directory;
      const segments = await Segments.open({ ...options, files, directory: path, secret, log });
      const lengths = [tableBytes, ...Array.from({ length: READS }, () => CELL_BYTES)];
      await budget.reserve(lengths.reduce((sum, length) => sum + length, 0));
      const memory = lengths.map((length) => budget.blocks.take(length)) as [Buffer, ...Buffer[]];
      return new DiskCache(options, directory, segments, memory);
    } catch (error) {
      await directory.close();
      throw error;
    }
  }

  get counts(): DiskCacheCounts {
    return { ...this.#counts, evicted: this.#segments.evicted };
  }

  /** Bytes taken of the disk. */
  get usedBytes(): number {
    return this.#segments.usedBytes;
  }

  /** Names a version in this cache, 16 bytes. `volume` tells its volume from all others over restarts. */
  idOf(volume: string, version: ObjectVersion): Buffer {
    return versionId(this.#directory.secret, volume, version);
  }

  /** Whether all of the range, within a cell, is there to be read. */
  has(id: Buffer, offset: number, length: number): boolean {
    const found = this.#find(id, offset, length) !== undefined;
    if (!found) this.#counts.misses += 1;
    return found;
  }

  /** Fills `target` with what the object has from `offset` on; false when it isn't there, or not as it was: then any bytes are in it. */
  async read(id: Buffer, offset: number, target: Buffer): Promise<boolean> {
    const scratch = await this.#scratch.take();
    try {
      const found = await this.#readThrough(scratch, id, offset, target);
      this.#counts[found ? 'hits' : 'misses'] += 1;
      return found;
    } finally {
      this.#scratch.giveBack(scratch);
    }
  }

  /** Blocks are taken. */
  get writable(): boolean {
    return this.#state === 'on' && this.#writing.good;
  }

  /** Whether a block should be offered: it isn't there, or will not be for long. */
  wants(id: Buffer, offset: number, length: number): boolean {
    if (!canBeKept(offset, length)) return false;
    const place = this.#table.find(id, offset, length);
    return place === undefined || this.#segments.isOld(place.segment);
  }

  /** Takes a block to be written, and gives it back by `release`; false when it can't now: then `release` isn't called. */
  offer(block: Lent): boolean {
    const fits = block.buffer.length >= pagesOf(block.length) * PAGE_BYTES;
    if (this.writable && fits && this.#queue.tryAdd(block)) return true;
    this.#counts.dropped += 1;
    return false;
  }

  /** Forgets all blocks of a version, also those that are on their way. Never rejects. After a restart it may be there again. */
  async forget(id: Buffer, size: number): Promise<void> {
    this.#table.removeAll(id, size);
    await this.#queue.settled();
    this.#table.removeAll(id, size);
  }

  /** Gives back about so many bytes of blocks that aren't being written: memory is short. */
  dropWaiting(bytes: number): void {
    this.#counts.dropped += this.#queue.dropWaiting(bytes);
  }

  /**
   * Resolves when no block is lent any more: written, or after 2 s given back. Those that are being written by a disk that doesn't answer are
   * still lent then, and given back when it does.
   */
  async settled(): Promise<void> {
    if (this.#hangs) {
      this.dropWaiting(Infinity);
      return;
    }
    const timer = setTimeout(() => this.dropWaiting(Infinity), this.#endMs);
    this.#hangs = !(await within(this.#queue.settled(), 2 * this.#endMs));
    clearTimeout(timer);
  }

  /** Looks for what others have removed. Never rejects; the timer calls it. */
  async check(): Promise<void> {
    await this.#alone(async () => {
      if (this.#state === 'off') return;
      try {
        const names = await this.#directory.names();
        if (names === undefined) {
          await this.#turnOff();
          return;
        }
        const dropped = await this.#segments.dropMissing(names);
        const about = { directory: this.#directory.path, segments: dropped };
        if (dropped > 0) this.#log.warn(about, 'files of the disk cache were removed');
      } catch (error) {
        this.#writing.failed(error);
      }
    });
  }

  /**
   * Writes what is in the queue, closes the files, and lets another daemon have the directory. A disk that doesn't answer holds nobody up for
   * long: its files are closed, and the directory let go of, when it answers or the process ends.
   */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.settled();
    const wasOff = this.#state === 'off';
    this.#state = 'off';
    const ended = this.#end(wasOff);
    if (!this.#hangs && (await within(ended, this.#endMs))) return;
    const about = { directory: this.#directory.path };
    this.#log.warn(about, 'the disk of the disk cache does not answer: it is not waited for');
    ended.catch((error: unknown) => this.#log.debug({ err: error, ...about }, 'disk cache not closed'));
  }

  async #end(wasOff: boolean): Promise<void> {
    await this.loaded;
    await this.#alone(() => this.#segments.close());
    await this.#directory.close();
    for (const buffer of this.#memory) this.#budget.blocks.giveBack(buffer);
    this.#budget.release(this.#memory.reduce((sum, { length }) => sum + length, 0));
    if (!wasOff) this.#log.info({ directory: this.#directory.path, ...this.counts }, 'disk cache closed');
  }

  #find(id: Buffer, offset: number, length: number): Place | undefined {
    if (this.#state === 'off' || !this.#reading.good || !canBeKept(offset, length)) return undefined;
    return this.#table.find(id, offset, length);
  }

  async #readThrough(scratch: Buffer, id: Buffer, offset: number, target: Buffer): Promise<boolean> {
    const place = this.#find(id, offset, target.length);
    const segment = place === undefined ? undefined : this.#segments.get(place.segment);
    if (place === undefined || segment === undefined) return false;
    // The checksum is that of the whole block.
    const bytes = place.length === target.length ? target : scratch.subarray(0, place.length);
    const blockOffset = offset - (offset % CELL_BYTES) + place.start;
    try {
      const whole = await segment.read(bytes, place.page);
      if (segment.ended) return false;
      this.#reading.succeeded();
      if (!whole || checksumOf(id, blockOffset, bytes) !== place.checksum) {
        this.#foundBad(id, offset, place, whole ? 'checksum' : 'end of the file');
        return false;
      }
    } catch (error) {
      this.#counts.failures += 1;
      this.#table.remove(id, offset, place);
      this.#reading.failed(error);
      return false;
    }
    if (bytes !== target) bytes.copy(target, 0, offset - blockOffset, offset - blockOffset + target.length);
    return true;
  }

  #foundBad(id: Buffer, offset: number, place: Place, why: string): void {
    this.#counts.bad += 1;
    this.#table.remove(id, offset, place);
    const about = { directory: this.#directory.path, segment: place.segment, page: place.page, why };
    const text = 'a block of the disk cache is not what was written: it is read from S3';
    if (this.#told.has(place.segment)) this.#log.debug(about, text);
    else this.#log.warn(about, text);
    this.#told.add(place.segment);
  }

  /** Never rejects. */
  async #write(batch: readonly Lent[]): Promise<void> {
    const written = await this.#alone(async () => {
      if (!this.writable) return 0;
      const blocks = batch.map(({ id, offset, length, buffer }) => ({
        id,
        offset,
        length,
        checksum: checksumOf(id, offset, buffer.subarray(0, length)),
        // What stood in the buffer before isn't for the disk.
        buffer: buffer
          .fill(0, length, pagesOf(length) * PAGE_BYTES)
          .subarray(0, pagesOf(length) * PAGE_BYTES),
      }));
      try {
        const result = await this.#segments.append(blocks);
        if (result === undefined) return 0;
        for (const entry of result.entries) this.#table.add(entry, result.segment);
        this.#writing.succeeded();
        return batch.length;
      } catch (error) {
        this.#counts.failures += 1;
        this.#writing.failed(error);
        return 0;
      }
    });
    this.#counts.written += written;
    this.#counts.dropped += batch.length - written;
    if (written === 0 && this.#state === 'on') await this.check();
  }

  async #load(): Promise<void> {
    for (const segment of this.#segments.all()) {
      try {
        if (this.#state === 'loading')
          await segment.load(this.#directory.secret, (entry) => this.#table.add(entry, segment.number));
      } catch (error) {
        this.#reading.failed(error);
        await this.#alone(() => this.#segments.drop(segment)).catch((cause: unknown) =>
          this.#writing.failed(cause),
        );
      }
    }
    if (this.#state !== 'loading') return;
    this.#segments.resume();
    this.#state = 'on';
    this.#log.info({ directory: this.#directory.path, bytes: this.usedBytes }, 'disk cache loaded');
  }

  async #turnOff(): Promise<void> {
    this.#state = 'off';
    this.#log.warn(
      { directory: this.#directory.path },
      'the directory of the disk cache was removed or replaced: it is off until the next start',
    );
    this.dropWaiting(Infinity);
    await this.#segments.close();
  }
}

/** Whether it ended within so many milliseconds; rejects as it does. */
async function within(ended: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([ended.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
