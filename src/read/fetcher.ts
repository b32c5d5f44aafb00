/**
 * The GETs of one object version: begins them, fills blocks with what they bring, and takes the blocks of those that fail out of
 * the index, so that later READs try again.
 */
import type { MemoryBudget } from '../memory/memory-budget.js';
import { StoreError } from '../store/errors.js';
import type { ObjectStore } from '../store/object-store.js';
import type { Logger } from '../telemetry/log.js';
import type { BlockCache } from './block-cache.js';
import type { BlockIndex } from './block-index.js';
import type { BlockPool } from './block-pool.js';
import type { ObjectVersion } from '../memory/byte-slices.js';
import { Fetch, type Block } from './fetch.js';
import type { GetSlots } from './get-slots.js';
import type { ReadOptions } from './options.js';
import type { Pace } from './pace.js';
import type { ReadaheadShare } from './readahead-share.js';
import { lengthOf, type Span, type Stream } from './window.js';

/** What the readers of a store share. */
export interface ReaderShared {
  readonly store: ObjectStore;
  readonly budget: MemoryBudget;
  readonly log: Logger;
  readonly options: ReadOptions;
  readonly pool: BlockPool;
  readonly cache: BlockCache;
  readonly slots: GetSlots;
  readonly share: ReadaheadShare;
  readonly pace: Pace;
  /** Aborted when the readers close. */
  readonly closing: AbortSignal;
}

export class Fetcher {
  readonly #version: ObjectVersion;
  readonly #index: BlockIndex;
  readonly #shared: ReaderShared;
  /** Fetches under way and when their GET settles. */
  readonly #fetches = new Map<Fetch, Promise<void>>();

  constructor(version: ObjectVersion, index: BlockIndex, shared: ReaderShared) {
    this.#version = version;
    this.#index = index;
    this.#shared = shared;
  }

  /** GETs that wait for a slot or run. */
  get underWay(): number {
    return this.#fetches.size;
  }

  /** Begins GETs, one for each run of adjacent pieces, each piece with its buffer. With `hasSlot` the slot was taken. */
  begin(pieces: readonly Span[], buffers: readonly Buffer[], stream: Stream, hasSlot: boolean): void {
    const begun: Fetch[] = [];
    let fetch: Fetch | undefined;
    pieces.forEach((piece, at) => {
      const buffer = buffers[at];
      if (buffer === undefined) throw new Error(`${buffers.length} buffers for ${pieces.length} pieces`);
      if (fetch?.span.end !== piece.start) fetch = hasSlot ? undefined : this.#queuedUpTo(piece);
      if (fetch === undefined) begun.push((fetch = new Fetch(piece.start, stream)));
      const block: Block = {
        offset: piece.start,
        length: lengthOf(piece),
        buffer,
        fetch,
        filled: 0,
        pins: 1,
        consumed: false,
        detached: false,
      };
      fetch.append(block);
      this.#index.add(block);
    });
    for (const each of begun) this.#fetches.set(each, this.#run(each, hasSlot));
  }

  /** Ends a fetch unless a READ waits for bytes of it. */
  cancelUnwanted(fetch: Fetch): void {
    if (!fetch.wanted) this.#fail(fetch, this.aborted(undefined));
  }

  /** Ends those fetches, of one stream or of all, that no READ waits for. */
  cancelAllUnwanted(stream?: Stream): void {
    for (const fetch of this.#fetches.keys()) {
      if (stream === undefined || fetch.stream === stream) this.cancelUnwanted(fetch);
    }
  }

  /** Fails all; resolves when no GET is left. */
  async close(): Promise<void> {
    for (const fetch of this.#fetches.keys()) this.#fail(fetch, this.aborted(undefined));
    await Promise.all(this.#fetches.values());
  }

  /** What a READ that ends before its bytes are there fails with. */
  aborted(cause: unknown): StoreError {
    return this.#error('aborted', 'read aborted', cause);
  }

  /** A fetch that waits for its slot and ends where the piece begins: neighbours that wait together are one GET. */
  #queuedUpTo(piece: Span): Fetch | undefined {
    for (const fetch of this.#fetches.keys()) {
      const { start, end } = fetch.span;
      const fits = end === piece.start && piece.end - start <= this.#shared.options.partBytesMax;
      if (fits && !fetch.started && !fetch.over) return fetch;
    }
    return undefined;
  }

  /** Runs a GET to its end; never rejects. */
  async #run(fetch: Fetch, hasSlot: boolean): Promise<void> {
    const { slots, store, log, pace, options } = this.#shared;
    const { key, etag } = this.#version;
    try {
      if (!hasSlot) await slots.take(fetch.signal);
      fetch.start();
      try {
        const { start, end } = fetch.span;
        const range = { offset: start, length: end - start };
        const beganMs = options.now();
        const loop = performance.eventLoopUtilization();
        const result = await store.get(key, range, { ifMatch: etag, signal: fetch.signal }, (chunk) => {
          for (const block of fetch.deliver(chunk)) this.#shared.cache.unpin(block, this.#index);
        });
        if (result.etag !== etag)
          throw this.#error('precondition-failed', `asked for ${etag}, got ${result.etag}`);
        if (!fetch.complete)
          throw this.#error('unavailable', `asked for ${end - start} bytes, got ${result.length}`);
        fetch.finish();
        const { utilization } = performance.eventLoopUtilization(loop);
        if (result.retried !== true) pace.observe(end - start, options.now() - beganMs, utilization);
      } finally {
        slots.giveBack();
      }
    } catch (error) {
      if (!fetch.over) log.debug({ err: error, key, ...fetch.span }, 'fetch failed');
      this.#fail(fetch, this.#versionGone(error));
    } finally {
      this.#fetches.delete(fetch);
    }
  }

  /** Ends a fetch by an error; the blocks it didn't fill leave the index, so that later READs try again. */
  #fail(fetch: Fetch, error: unknown): void {
    if (fetch.over) return;
    const { cache } = this.#shared;
    const unfilled = fetch.unfilled;
    fetch.fail(error);
    for (const block of unfilled) {
      cache.detach(block, this.#index);
      cache.unpin(block, this.#index);
    }
  }

  /** A key that is gone or shorter than the version says isn't this version any more. */
  #versionGone(error: unknown): unknown {
    if (!(error instanceof StoreError) || (error.kind !== 'not-found' && error.kind !== 'range'))
      return error;
    return this.#error('precondition-failed', `version ${this.#version.etag} is gone`, error);
  }

  #error(
    kind: 'aborted' | 'precondition-failed' | 'unavailable',
    message: string,
    cause?: unknown,
  ): StoreError {
    const about = { operation: 'GetObject', bucket: this.#shared.store.bucket, key: this.#version.key };
    return new StoreError(kind, `GetObject ${this.#version.key}: ${message}`, about, { cause });
  }
}
