/**
 * The spool: a directory, limited in bytes and shared by all write sessions, for unpublished data that memory has no room for. One sparse
 * file a part, because a file's middle can't be given back to the disk and an unlinked file can. What lies in these doesn't survive the
 * daemon: files left by an earlier process are removed at the start. What must survive it lies in segments beside them (spool-segments.ts). A limit of 0 turns the spool off.
 */
import { constants } from 'node:fs';
import { mkdir, open, readdir, rm, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { MemoryBudget } from '../memory/memory-budget.js';
import type { Logger } from '../telemetry/log.js';
import { SpareFiles } from './spare-files.js';
import { Spiller } from './spiller.js';

export { SpoolFullError } from './spool-full.js';

const FILE_SUFFIX = '.part';

/** The first write makes the file. */
const TO_WRITE = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW;

const REFUSAL_MS = 5_000;

/** Spooled data that also lies in an unfinished upload, and so may go when the spool needs room. */
export interface Retained {
  /** Gives the bytes back to the spool now, or does nothing while they are in use. */
  evict(): void;
}

export interface SpoolOptions {
  readonly directory: string;
  /** Bytes in all files together; 0 for none. */
  readonly limitBytes: number;
  readonly log: Logger;
  /** How long files are kept to be written over, in milliseconds. 10 s. */
  readonly spareRestMs?: number;
  /** A disk that refused a write is left alone for so long, in milliseconds. 5 s. */
  readonly refusalMs?: number;
}

export class Spool {
  readonly directory: string;
  readonly limitBytes: number;
  readonly #log: Logger;
  #usedBytes = 0;
  #files = 0;
  readonly #refusalMs: number;
  /** The disk refused a write: nothing more goes in until this has run out. */
  #refusal: NodeJS.Timeout | undefined;
  readonly #roomListeners: (() => void)[] = [];
  #ready: Promise<void> | undefined;
  readonly #spares: SpareFiles;
  /** Oldest first. */
  readonly retained = new Set<Retained>();
  readonly #removals = new Set<Promise<void>>();
  readonly #spillers = new WeakMap<MemoryBudget, Spiller>();

  constructor(options: SpoolOptions) {
    this.directory = options.directory;
    this.limitBytes = options.limitBytes;
    this.#log = options.log;
    this.#refusalMs = options.refusalMs ?? REFUSAL_MS;
    this.#spares = new SpareFiles((path) => this.#remove(path), options.spareRestMs);
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** What files take on the disk that are kept to be written over; together with `usedBytes` no more than the limit. */
  get spareBytes(): number {
    return this.#spares.bytes;
  }

  /** What moves unpublished data from this budget's memory into the spool: one for all sessions of both. */
  spillerOf(budget: MemoryBudget): Spiller {
    const known = this.#spillers.get(budget);
    if (known !== undefined) return known;
    const spiller = new Spiller(budget, this, this.#log);
    this.#spillers.set(budget, spiller);
    return spiller;
  }

  /** There is room for this many bytes, without evicting anything. */
  hasRoom(bytes: number): boolean {
    return this.#refusal === undefined && this.#usedBytes + bytes <= this.limitBytes;
  }

  /** Takes room for data that is nowhere else, evicting retained data when needed; false when there is none. */
  tryReserve(bytes: number): boolean {
    if (bytes > this.limitBytes || this.#refusal !== undefined) return false;
    for (const retained of this.retained) {
      if (this.hasRoom(bytes)) break;
      retained.evict();
    }
    if (!this.hasRoom(bytes)) return false;
    this.#usedBytes += bytes;
    this.#spares.shrink(this.limitBytes - this.#usedBytes);
    return true;
  }

  release(bytes: number): void {
    if (bytes > this.#usedBytes)
      throw new RangeError(`released ${bytes} bytes of ${this.#usedBytes} spooled`);
    this.#usedBytes -= bytes;
    if (bytes > 0) this.#tellOfRoom();
  }

  /** Told whenever there may be more room than before. It must not take any at once: whoever gives room back is in the middle of something. */
  onRoom(listener: () => void): void {
    this.#roomListeners.push(listener);
  }

  #tellOfRoom(): void {
    for (const listener of this.#roomListeners) listener();
  }

  /** Told when the disk failed a write, so that the same isn't tried again at once. */
  refuse(error: unknown): void {
    clearTimeout(this.#refusal);
    this.#refusal = setTimeout(() => {
      this.#refusal = undefined;
      this.#tellOfRoom();
    }, this.#refusalMs).unref();
    this.#log.error({ err: error, directory: this.directory }, 'cannot write to the spool');
  }

  /**
   * A file that isn't on the disk before something is written to it. Where all of `bytes` are written to it from its start before anything
   * else, it may be one that was given up.
   */
  async create(bytes?: number): Promise<SpoolFile> {
    await this.begin();
    const spare = bytes === undefined ? undefined : this.#spares.take(bytes);
    if (spare !== undefined) return this.#file(spare);
    this.#files += 1;
    return this.#file(join(this.directory, `${process.pid}-${this.#files}${FILE_SUFFIX}`));
  }

  /** Removes what an earlier process left, once. Called at the start, it doesn't take up the disk until something is spilled. */
  async begin(): Promise<void> {
    this.#ready ??= this.#prepare();
    try {
      await this.#ready;
    } catch (error) {
      this.#ready = undefined;
      throw error;
    }
  }

  /** Resolves when every file given up so far is off the disk. */
  async settled(): Promise<void> {
    await Promise.all(this.#removals);
  }

  #file(path: string): SpoolFile {
    return new SpoolFile(path, (wholeBytes) => {
      if (wholeBytes === undefined) this.#remove(path);
      else this.#spares.keep(path, wholeBytes, this.limitBytes - this.#usedBytes);
    });
  }

  /** Removes what is only kept to be written over. The spool can still be used. */
  async close(): Promise<void> {
    this.#spares.shrink(0);
    clearTimeout(this.#refusal);
    this.#refusal = undefined;
    await this.settled();
  }

  async #prepare(): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const names = await readdir(this.directory);
    const left = names.filter((name) => name.endsWith(FILE_SUFFIX));
    await Promise.all(left.map((name) => rm(join(this.directory, name), { force: true })));
  }

  #remove(path: string): void {
    const removal = unlink(path)
      .catch((error: unknown) => {
        // Nothing had been written to it.
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
        this.#log.warn({ err: error, path }, 'cannot remove a spool file');
      })
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }
}

export class SpoolFile {
  readonly path: string;
  readonly #onRemove: (wholeBytes: number | undefined) => void;

  constructor(path: string, onRemove: (wholeBytes: number | undefined) => void) {
    this.path = path;
    this.#onRemove = onRemove;
  }

  /** Writes slices one after the other from `position` on: all in one call, which costs three quarters of a call for each. */
  async write(slices: readonly Buffer[], position: number): Promise<void> {
    await this.#opened(TO_WRITE, async (handle) => {
      let left = slices.filter(({ length }) => length > 0);
      for (let at = position; left.length > 0;) {
        const { bytesWritten } = await handle.writev(left, at);
        at += bytesWritten;
        left = behind(left, bytesWritten);
      }
    });
  }

  /** Fills buffers one after the other from `position` on. Reading past what was written is an error. */
  async read(targets: readonly Buffer[], position: number): Promise<void> {
    await this.#opened('r', async (handle) => {
      let at = position;
      for (const target of targets) {
        for (let done = 0; done < target.length;) {
          const { bytesRead } = await handle.read(target, done, target.length - done, at);
          if (bytesRead === 0) throw new Error(`spool file ${this.path} ended at ${at}`);
          done += bytesRead;
          at += bytesRead;
        }
      }
    });
  }

  /** Nobody uses it any more. Off the disk, soon, or kept for another part where it has `wholeBytes` without a hole. */
  remove(wholeBytes?: number): void {
    this.#onRemove(wholeBytes);
  }

  /** Opened for each use: sessions have thousands of parts, and descriptors are few. */
  async #opened(flags: string | number, use: (handle: FileHandle) => Promise<void>): Promise<void> {
    const handle = await open(this.path, flags, 0o600);
    try {
      await use(handle);
    } finally {
      await handle.close();
    }
  }
}

/** What is left of slices behind their first `bytes`. */
function behind(slices: readonly Buffer[], bytes: number): Buffer[] {
  const left: Buffer[] = [];
  let skip = bytes;
  for (const slice of slices) {
    if (skip < slice.length) left.push(slice.subarray(skip));
    skip = Math.max(0, skip - slice.length);
  }
  return left;
}
