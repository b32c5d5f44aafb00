/**
 * The GETs of one object version: begins them, fills blocks with what they bring, and takes the blocks of those that fail out of
 * the index, so that later READs try again.
 */
import type { MemoryBudget } from '../memory/memory-budget.js';
import { StoreError } from '../store/errors.js';
import type { GetResult, ObjectStore } from '../store/object-store.js';
import type { BodyChecks } from '../store/s3/body-checks.js';
import type { Logger } from '../telemetry/log.js';
import type { BlockCache } from './block-cache.js';
import type { BlockIndex } from './block-index.js';
import type { BlockPool, Place } from './block-pool.js';
import type { DiskVolume, VersionBlocks } from './disk/version-blocks.js';
import type { ObjectVersion } from '../memory/byte-slices.js';
import type { Beginnings } from './beginnings.js';
import { Fetch, type Block } from './fetch.js';
import type { GetSlots } from './get-slots.js';
import type { ReadOptions } from './options.js';
import { GetTiming, type Pace } from './pace.js';
import { countOf, lastBytesOf } from './succession.js';
import type { ReadaheadShare } from './readahead-share.js';
import { lengthOf, type Span } from './span.js';
import type { Stream } from './stream.js';
import { WrongBytes, type FetchCheck, type Verification } from './verification.js';

/**
 * A GET that nobody wants any more may run out when no more than so many bytes are to come: to cut it off would cost its connection, and a
 * new one costs several times on the way and starts slowly.
 */
const RUN_OUT_BYTES_MAX = 256 * 1024;

/** `with slot`: a slot was taken. `apart`: in line for one. `joined`: in line, and with its neighbours in the line as one GET. */
export type Beginning = 'with slot' | 'apart' | 'joined';

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
  readonly disk: DiskVolume | undefined;
  readonly beginnings: Beginnings;
  readonly checks: BodyChecks;
  /** Aborted when the readers close. */
  readonly closing: AbortSignal;
}

export class Fetcher {
  readonly #version: ObjectVersion;
  readonly #index: BlockIndex;
  readonly #shared: ReaderShared;
  readonly #disk: VersionBlocks | undefined;
  readonly #verification: Verification;
  /** Fetches under way and when their GET settles. */
  readonly #fetches = new Map<Fetch, Promise<GetResult | undefined>>();
  /** Those that wait for a slot and that neighbours may be joined to. */
  readonly #queued = new Set<Fetch>();

  readonly #onRoom: () => void;

  /** `onRoom` hears when there may be room for another GET of readahead. */
  constructor(
    version: ObjectVersion,
    index: BlockIndex,
    verification: Verification,
    shared: ReaderShared,
    onRoom: () => void,
  ) {
    this.#version = version;
    this.#verification = verification;
    this.#onRoom = onRoom;
    this.#index = index;
    this.#shared = shared;
    this.#disk = shared.disk?.blocksOf(version);
  }

  /** GETs that wait for a slot or run. */
  get underWay(): number {
    return this.#fetches.size;
  }

  /** Another GET of readahead may begin. */
  get hasRoom(): boolean {
    const { options, pace } = this.#shared;
    const max = options.requestsPerObjectMax;
    return this.#fetches.size < max || countOf(this.#fetches.keys(), pace.wanted.worthBytes) < max;
  }

  /** Begins GETs, one for each run of adjacent places. */
  begin(places: readonly Place[], stream: Stream, how: Beginning): void {
    const begun: Fetch[] = [];
    let fetch: Fetch | undefined;
    // What is checked as a whole comes from one place.
    const apart = this.#verification.isWhole && !places.every(({ span }) => this.#isOnDisk(span));
    for (const { span: piece, buffer } of places) {
      const onDisk = !apart && this.#isOnDisk(piece);
      if (fetch?.span.end !== piece.start || fetch.fromDisk !== onDisk)
        fetch = how === 'joined' && !onDisk ? this.#queuedNear(piece, places.length === 1) : undefined;
      if (fetch === undefined) {
        begun.push((fetch = new Fetch(piece.start, stream, onDisk)));
        if (how === 'joined' && !onDisk) this.#queued.add(fetch);
      }
      this.#extend(fetch, piece, buffer, false);
    }
    // The slot is for the first GET; others, where some of the pieces are on disk, stand in line.
    let slotLeft = how === 'with slot';
    for (const each of begun) {
      const takesSlot = slotLeft && !each.fromDisk;
      if (takesSlot) slotLeft = false;
      this.#fetches.set(each, this.#run(each, takesSlot));
    }
    if (slotLeft) this.#shared.slots.giveBack();
  }

  /** A READ had what it wanted of the block: it is worth keeping on disk, once it is known that its fetch ended well. */
  served(block: Block): void {
    if (this.#disk === undefined || block.use !== 'none') return;
    block.use = 'served';
    if (block.fetch.finished) this.#offer(block);
  }

  /** Some of the pieces are on disk. */
  anyOnDisk(pieces: readonly Span[]): boolean {
    return pieces.some((piece) => this.#isOnDisk(piece));
  }

  #isOnDisk({ start, end }: Span): boolean {
    return this.#disk?.has(start, end - start) === true;
  }

  /** What the oldest GET under way gives: undefined if it fails or is cancelled. */
  get firstResult(): Promise<GetResult | undefined> | undefined {
    for (const result of this.#fetches.values()) return result;
    return undefined;
  }

  /** Ends a fetch unless a READ waits for bytes of it. One that has all of its bytes ends by itself. */
  cancelUnwanted(fetch: Fetch): void {
    if (!fetch.over && !fetch.complete && !fetch.wanted) this.#fail(fetch, this.aborted(undefined));
  }

  /** Ends those fetches, of one stream or of all, that no READ waits for. */
  cancelAllUnwanted(stream?: Stream): void {
    for (const fetch of this.#fetches.keys()) {
      if (stream === undefined || fetch.stream === stream) this.cancelUnwanted(fetch);
    }
  }

  /** Fails all; resolves when no GET is left. */
  async close(): Promise<void> {
    for (const fetch of this.#fetches.keys()) {
      this.#fail(fetch, this.aborted(undefined));
      fetch.abort();
    }
    await Promise.all(this.#fetches.values());
  }

  /** What a READ that ends before its bytes are there fails with. */
  aborted(cause: unknown): StoreError {
    return this.#error('aborted', 'read aborted', cause);
  }

  /**
   * A fetch that waits for its slot and lies next to the piece, or so near that the bytes between cost less than another GET; it reaches up
   * to the piece then. Neighbours that wait together are one GET.
   */
  #queuedNear(piece: Span, mayPrecede: boolean): Fetch | undefined {
    const { joinGapBytes, partBytesMax } = this.#shared.options;
    for (const fetch of this.#queued) {
      const { start, end } = fetch.span;
      const behind = piece.start >= end;
      const between = behind ? { start: end, end: piece.start } : { start: piece.end, end: start };
      const bytes = Math.max(end, piece.end) - Math.min(start, piece.start);
      // A fetch whose blocks were dropped may lie across the piece: it has no neighbours.
      const apart = lengthOf(between) >= 0;
      const near = apart && lengthOf(between) <= joinGapBytes && bytes <= partBytesMax;
      if (near && (behind || mayPrecede) && this.#bridge(fetch, between)) return fetch;
    }
    return undefined;
  }

  /** Adds what lies between a fetch and its neighbour to it; false where some of that is there already, or memory is short. */
  #bridge(fetch: Fetch, between: Span): boolean {
    if (lengthOf(between) === 0) return true;
    const { pool, budget } = this.#shared;
    if (this.#index.within(between).length > 0) return false;
    const [place] = pool.tryTake([between], (bytes) => budget.tryReserveFree(bytes)) ?? [];
    if (place === undefined) return false;
    this.#extend(fetch, between, place.buffer, true);
    return true;
  }

  #extend(fetch: Fetch, piece: Span, buffer: Buffer, consumed: boolean): void {
    const block: Block = {
      offset: piece.start,
      length: lengthOf(piece),
      buffer,
      fetch,
      filled: 0,
      pins: 1,
      consumed,
      readBytes: 0,
      passing: false,
      detached: false,
      use: 'none',
    };
    if (piece.end === fetch.span.start && lengthOf(fetch.span) > 0) fetch.prepend(block);
    else fetch.append(block);
    this.#index.add(block);
  }

  /** Runs a GET to its end; never rejects. */
  async #run(fetch: Fetch, hasSlot: boolean): Promise<GetResult | undefined> {
    const { slots, log } = this.#shared;
    const { key } = this.#version;
    try {
      if (fetch.fromDisk && (await this.#readFromDisk(fetch))) return undefined;
      if (!hasSlot) await slots.take(fetch.signal);
      this.#queued.delete(fetch);
      fetch.start();
      try {
        return await this.#getChecked(fetch);
      } finally {
        slots.giveBack();
      }
    } catch (error) {
      if (error instanceof WrongBytes) this.#tellWrong(error, fetch);
      else if (!fetch.over) log.debug({ err: error, key, ...fetch.span }, 'fetch failed');
      this.#fail(fetch, this.#versionGone(error));
      return undefined;
    } finally {
      const { lent } = fetch;
      if (lent !== undefined) this.#shared.cache.unpin(lent, this.#index);
      this.#fetches.delete(fetch);
      this.#queued.delete(fetch);
      if (fetch.finished) this.#onRoom();
    }
  }

  /** GETs what is left, again where that brings wrong bytes that nobody has read. */
  async #getChecked(fetch: Fetch): Promise<GetResult> {
    const check = await this.#verification.begin(fetch);
    for (let asked = 1; ; asked += 1) {
      try {
        return await this.#get(fetch, check);
      } catch (error) {
        const again = error instanceof WrongBytes && error.again && !fetch.over;
        if (!again || asked === this.#verification.askedMax) throw error;
        this.#shared.log.warn(
          { key: this.#version.key, ...fetch.rest, err: error },
          'wrong bytes: asked again',
        );
        fetch.rewind();
      }
    }
  }

  async #get(fetch: Fetch, check: FetchCheck | undefined): Promise<GetResult> {
    const { store, pace, options } = this.#shared;
    const { key, etag } = this.#version;
    const { start, end } = fetch.rest;
    const range = { offset: start, length: end - start };
    const timing = range.length < pace.bytesMin ? undefined : new GetTiming(options.now);
    const how = { ifMatch: etag, signal: fetch.signal, room: () => fetch.room(), whole: check?.whole };
    const lastBytes = lastBytesOf(pace.wanted.worthBytes);
    const result = await store.get(key, range, how, (chunk) => {
      timing?.received(chunk.length);
      const leftBefore = lengthOf(fetch.rest);
      const full = fetch.deliver(chunk);
      const ready = check === undefined ? 'all' : check.arrived(full);
      if (ready !== 'none') this.#publish(fetch, ready);
      if (leftBefore > lastBytes && lengthOf(fetch.rest) <= lastBytes) this.#onRoom();
    });
    if (result.etag !== etag)
      throw this.#error('precondition-failed', `asked for ${etag}, got ${result.etag}`);
    if (!fetch.complete)
      throw this.#error('unavailable', `asked for ${end - start} bytes, got ${result.length}`);
    // Its buffers may be somebody else's since.
    if (fetch.over) return result;
    check?.ended(fetch.blocks);
    this.#publish(fetch, 'all');
    this.#finish(fetch);
    if (timing !== undefined && result.retried !== true) timing.tell(pace);
    return result;
  }

  #publish(fetch: Fetch, what: 'all' | 'full blocks'): void {
    for (const block of fetch.publish(what)) this.#shared.cache.unpin(block, this.#index);
  }

  /** Loudly. What READs before this one had of the version can't be taken back: none of it is served again, and nothing of it for a while. */
  #tellWrong(error: WrongBytes, fetch: Fetch): void {
    const { log, cache } = this.#shared;
    const { key, etag } = this.#version;
    log.error({ err: error, key, etag, ...fetch.span, served: !error.again }, error.message);
    if (error.again) return;
    this.#verification.condemn();
    for (const each of this.#fetches.keys()) this.#fail(each, error);
    for (const block of [...this.#index.all()]) cache.detach(block, this.#index);
    this.#disk?.forget();
  }

  /**
   * Fills the blocks that are on disk, in order; false when there is something left to GET, and no read under way. A fetch that was ended
   * meanwhile isn't held up by a disk that doesn't answer.
   */
  async #readFromDisk(fetch: Fetch): Promise<boolean> {
    const { cache } = this.#shared;
    fetch.start();
    const reads = fetch.blocks.map(async (block) => {
      // Also when the fetch is cancelled meanwhile: nobody else may have the buffer while the disk may write to it.
      cache.pin(block);
      const found = await this.#disk?.read(block.offset, block.buffer.subarray(0, block.length));
      cache.unpin(block, this.#index);
      return found === true;
    });
    const ended = new Promise<false>((resolve) => {
      fetch.signal.addEventListener('abort', () => resolve(false), { once: true });
    });
    const whole = this.#verification.isWhole;
    if (whole) await Promise.race([Promise.all(reads), ended]);
    if (whole && !fetch.over && (await Promise.all(reads)).includes(false)) return false;
    let sound = true;
    for (const [at, block] of [...fetch.blocks.entries()]) {
      sound = (await Promise.race([reads[at], ended])) === true && sound;
      if (fetch.over) return true;
      if (!sound) continue;
      fetch.filled(block);
      this.#verification.fromDisk(block);
      this.#publish(fetch, 'all');
    }
    if (!fetch.complete) return false;
    this.#finish(fetch);
    return true;
  }

  #finish(fetch: Fetch): void {
    fetch.finish();
    if (this.#disk === undefined) return;
    for (const block of fetch.blocks) if (block.use === 'served') this.#offer(block);
  }

  #offer(block: Block): void {
    const { offset, length, buffer } = block;
    // What can't be taken now is offered again when it is next read.
    block.use = 'none';
    if (block.detached || this.#disk?.writable !== true) return;
    block.use = 'offered';
    if (!this.#disk.wants(offset, length)) return;
    const release = (): void => this.#shared.cache.unpin(block, this.#index);
    this.#shared.cache.pin(block);
    if (this.#disk.offer({ offset, length, buffer, release })) return;
    block.use = 'none';
    release();
  }

  /**
   * Ends a fetch by an error; the blocks it didn't fill leave the index, so that later READs try again. The one that was lent to the store
   * keeps its pin until the GET has settled: until then the store may write to it.
   */
  #fail(fetch: Fetch, error: unknown): void {
    if (fetch.over) return;
    const { cache } = this.#shared;
    const { unfilled, lent } = fetch;
    fetch.fail(error, !fetch.fromDisk && fetch.arriving && lengthOf(fetch.rest) <= RUN_OUT_BYTES_MAX);
    this.#queued.delete(fetch);
    for (const block of unfilled) {
      cache.detach(block, this.#index);
      if (block !== lent) cache.unpin(block, this.#index);
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
