/**
 * All reading of one store: a Reader for each object version in use, one cache of blocks and one count of GETs for all of them.
 * Everything is keyed by key and ETag, so bytes of two versions never meet; once a new version of a key is read, the blocks of
 * the older ones are dropped.
 */
import { setMaxListeners } from 'node:events';
import type { MemoryBudget } from '../memory/memory-budget.js';
import { StoreError } from '../store/errors.js';
import type { ObjectHead, ObjectStore } from '../store/object-store.js';
import type { Logger } from '../telemetry/log.js';
import { Beginnings } from './beginnings.js';
import { BlockCache } from './block-cache.js';
import { BlockPool } from './block-pool.js';
import type { ByteSlices, ObjectVersion } from '../memory/byte-slices.js';
import type { DiskVolume } from './disk/version-blocks.js';
import type { ReaderShared } from './fetcher.js';
import { GetSlots } from './get-slots.js';
import { READ_DEFAULTS, type ReadOptions, type ReadPolicy } from './options.js';
import { Pace } from './pace.js';
import { BodyChecks } from '../store/s3/body-checks.js';
import { ReadaheadShare } from './readahead-share.js';
import { Reader } from './reader.js';
import { GETS_MIN } from './parts.js';
import type { Span } from './span.js';

/** Behind a GET's first bytes, so many show how fast its connection is. */
const PACE_BYTES_MIN = 128 * 1024;

export class Readers {
  readonly #shared: ReaderShared;
  readonly #closing = new AbortController();
  /** The reader of the version last read of each key. */
  readonly #readers = new Map<string, Reader>();
  /** Readers that were forgotten while READs were under way. */
  readonly #leaving = new Set<Reader>();
  readonly #removeRelief: () => void;
  readonly #timer: NodeJS.Timeout;

  /** Fails with RangeError when the sizes in `options` don't fit each other. */
  constructor(parts: {
    readonly store: ObjectStore;
    readonly budget: MemoryBudget;
    readonly log: Logger;
    /** Keeps blocks that were read. */
    readonly disk?: DiskVolume;
    readonly options?: Partial<ReadOptions>;
  }) {
    const { store, budget, log, disk } = parts;
    const options = { ...READ_DEFAULTS, ...parts.options };
    assertSizes(options);
    // Every READ that waits for memory listens to it: many listeners are no leak.
    setMaxListeners(0, this.#closing.signal);
    const pool = new BlockPool(budget, options.blockBytes);
    const cache = new BlockCache(budget, pool);
    const slots = new GetSlots(options.requestsMax);
    const share = new ReadaheadShare(budget, slots.aheadMax);
    const pace = new Pace({
      getsMin: GETS_MIN,
      getsMax: options.requestsPerObjectMax,
      partBytes: options.partBytesMax,
      bytesMin: PACE_BYTES_MIN,
    });
    const beginnings = new Beginnings();
    const closing = this.#closing.signal;
    this.#shared = {
      store,
      budget,
      log,
      options,
      pool,
      cache,
      slots,
      share,
      pace,
      beginnings,
      checks: new BodyChecks(),
      disk,
      closing,
    };
    this.#removeRelief = budget.addRelief((bytes) => {
      const released = cache.relieve(bytes);
      if (released >= bytes || disk === undefined) return released;
      // Then blocks that wait for the disk are worth less than what is wanted now.
      disk.dropWaiting(bytes - released);
      return released + cache.relieve(bytes - released);
    });
    this.#timer = setInterval(() => this.expire(), options.idleMs / 2);
    this.#timer.unref();
  }

  /**
   * The bytes from `offset` on, `count` of them or up to the end of the version. They belong to the caller until `release`.
   * Fails with StoreError: `precondition-failed` when the version is gone, `aborted` by the signal or by `close`. `policy`: what the reader
   * is told to do; as the options have it by default.
   */
  read(
    version: ObjectVersion,
    offset: number,
    count: number,
    signal?: AbortSignal,
    policy?: ReadPolicy,
  ): Promise<ByteSlices> {
    if (this.#closing.signal.aborted || signal?.aborted === true) {
      const about = { operation: 'GetObject', bucket: this.#shared.store.bucket, key: version.key };
      const cause: unknown = signal?.reason;
      return Promise.reject(
        new StoreError('aborted', `GetObject ${version.key}: read aborted`, about, { cause }),
      );
    }
    const end = Math.min(offset + count, version.size);
    if (offset >= end) return Promise.resolve({ slices: [], count: 0, release: () => undefined });
    const asked: Span = { start: offset, end };
    return this.#readerOf(version).read(asked, signal, policy ?? this.#shared.options.policy);
  }

  /** `count` bytes from `offset` on, which lie within the version and aren't none, are in memory. */
  isHeld(version: ObjectVersion, offset: number, count: number): boolean {
    if (this.#closing.signal.aborted) return false;
    return this.#readerIfAny(version)?.isHeld({ start: offset, end: offset + count }) === true;
  }

  /** As `read`, of what `isHeld`: at once. */
  readHeld(version: ObjectVersion, offset: number, count: number, policy?: ReadPolicy): ByteSlices {
    const asked: Span = { start: offset, end: offset + count };
    return this.#readerOf(version).readHeld(asked, policy ?? this.#shared.options.policy);
  }

  /** `count` bytes of the version from `offset` on are there or on their way. */
  holds(version: ObjectVersion, offset: number, count: number): boolean {
    const end = Math.min(offset + count, version.size);
    return this.#readerIfAny(version)?.covers({ start: offset, end }) === true;
  }

  /** Nothing of the version is in memory, on disk or on its way, and no other one of its key is being read. */
  isUntouched(version: ObjectVersion): boolean {
    const there = this.#readers.get(version.key);
    if (there === undefined || this.#readerIfAny(version) !== undefined)
      return this.#readerOf(version).untouched;
    return !there.busy;
  }

  /**
   * Fetches the first `bytes` of a version before anybody reads it, for as much memory and as many GETs as are free; its headers come with
   * the first GET. `waits` stands in line for that one, as READs do. Undefined where nothing can be had now, or it isn't untouched. A GET
   * that fails is nothing anybody needs to hear of: a READ tries again.
   */
  fetchAhead(
    version: ObjectVersion,
    bytes: number,
    { waits }: { readonly waits: boolean },
  ): { readonly bytes: number; readonly head: Promise<ObjectHead | undefined> } | undefined {
    if (this.#closing.signal.aborted || version.size === 0 || !this.isUntouched(version)) return undefined;
    const fetched = this.#readerOf(version).fetchAhead(Math.min(bytes, version.size), waits);
    return fetched && { bytes: fetched.bytes, head: fetched.first.then((result) => result?.head) };
  }

  /** A version that was fetched isn't expected to be read any more: it goes first when memory is asked for. */
  disregard(version: ObjectVersion): void {
    this.#readerIfAny(version)?.disregard();
  }

  /** Drops the cached blocks of a key. READs under way end as they would have. */
  forget(key: string): void {
    const reader = this.#readers.get(key);
    if (reader === undefined) return;
    reader.discard();
    // Where nothing is under way there is nothing to keep it for: files that come and go by the thousand leave no readers behind.
    if (!reader.expire(Infinity)) this.#leaving.add(reader);
    this.#readers.delete(key);
  }

  /** Forgets the streams and readers that have been idle; the timer calls it. */
  expire(): void {
    const beforeMs = this.#shared.options.now() - this.#shared.options.idleMs;
    for (const [key, reader] of this.#readers) if (reader.expire(beforeMs)) this.#readers.delete(key);
    for (const reader of this.#leaving) if (reader.expire(beforeMs)) this.#leaving.delete(reader);
  }

  /** Object versions remembered. */
  get size(): number {
    return this.#readers.size;
  }

  /**
   * Fails what is under way and gives back all memory but that of slices still out, whose release gives it back, and of blocks that a disk
   * has which doesn't answer.
   */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    const readers = [...this.#readers.values(), ...this.#leaving];
    this.#readers.clear();
    this.#leaving.clear();
    await Promise.all(readers.map(async (reader) => await reader.close()));
    await this.#shared.disk?.settled();
    this.#shared.pool.retire();
    this.#removeRelief();
  }

  #readerIfAny({ key, etag, size }: ObjectVersion): Reader | undefined {
    const found = this.#readers.get(key);
    return found?.version.etag === etag && found.version.size === size ? found : undefined;
  }

  #readerOf(version: ObjectVersion): Reader {
    const { key } = version;
    const found = this.#readerIfAny(version);
    if (found !== undefined) return found;
    // READs of the older version may be under way, but no new ones are to be expected.
    this.forget(key);
    const reader = new Reader(version, this.#shared, (left) => {
      if (this.#readers.get(key) === left) this.#readers.delete(key);
    });
    this.#readers.set(key, reader);
    return reader;
  }
}

function assertSizes(options: ReadOptions): void {
  const { blockBytes, alignBytes, partBytesMin } = options;
  if (alignBytes % 4096 !== 0 || blockBytes % alignBytes !== 0 || partBytesMin % alignBytes !== 0) {
    throw new RangeError(
      `blockBytes (${blockBytes}) and partBytesMin (${partBytesMin}) are multiples of alignBytes (${alignBytes}), and that of 4096`,
    );
  }
}
