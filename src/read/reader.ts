/**
 * Reads one version of an object. A READ
 *   1. asks the window policy what to fetch;
 *   2. pins the blocks it needs and begins a GET for each gap. Memory for them is there at once, or the READ waits for all of it
 *      in one reservation while it pins nothing. So whoever pins blocks waits only for GETs that have their memory, and
 *      READs cannot stop one another for good, however small the budget;
 *   3. starts readahead, from memory that is free or was read already, never by waiting;
 *   4. waits until its bytes have arrived, and hands out slices of the blocks.
 * Where they are there already nothing of this waits: `readHeld`.
 */
import { anyOf } from '../cancel/light-signal.js';
import type { ByteSlices, ObjectVersion } from '../memory/byte-slices.js';
import type { GetResult } from '../store/object-store.js';
import { BlockIndex } from './block-index.js';
import type { Block } from './fetch.js';
import { Fetcher, type ReaderShared } from './fetcher.js';
import type { ReadPolicy } from './options.js';
import { partsAhead } from './parts.js';
import { Places } from './places.js';
import { lengthOf, type Span } from './span.js';
import { Stream } from './stream.js';
import { Verification } from './verification.js';
import { Window, type Plan } from './window.js';

/** One slot of so many that readahead may have is left to READs' own readahead by files that are fetched before they are read. */
const SPARED_SHARE = 3;

/** What was begun before anybody reads. */
export interface FetchedAhead {
  /** From the object's start on. */
  readonly bytes: number;
  /** What the first GET gives; undefined when it failed. */
  readonly first: Promise<GetResult | undefined>;
}

export class Reader {
  readonly version: ObjectVersion;
  readonly #shared: ReaderShared;
  readonly #onLeft: (reader: Reader) => void;
  readonly #index = new BlockIndex(() => this.#emptied());
  readonly #window: Window;
  readonly #fetcher: Fetcher;
  readonly #verification: Verification;
  readonly #places: Places;
  #reads = 0;
  #usedMs: number;
  #sequentialStreams = 0;
  /** What was last to be read ahead and had no room: told by which policy. */
  #short: { readonly stream: Stream; readonly policy: ReadPolicy } | undefined;
  #discarded = false;

  /** `onLeft` hears when a small file was evicted from memory and there is nothing left to keep this for. */
  constructor(
    version: ObjectVersion,
    shared: ReaderShared,
    onLeft: (reader: Reader) => void = () => undefined,
  ) {
    this.version = version;
    this.#onLeft = onLeft;
    this.#shared = shared;
    this.#verification = new Verification(version, shared);
    this.#places = new Places(version, this.#index, this.#verification, shared);
    this.#fetcher = new Fetcher(version, this.#index, this.#verification, shared, () => this.#readOnward());
    this.#window = new Window(version.size, shared.options, shared.beginnings);
    this.#usedMs = shared.options.now();
  }

  /** Bytes of `asked`, which lies within the object and isn't empty. Fails with StoreError, `aborted` for the signal. */
  async read(asked: Span, signal: AbortSignal | undefined, policy: ReadPolicy): Promise<ByteSlices> {
    const { refusal } = this.#verification;
    if (refusal !== undefined) throw refusal;
    this.#reads += 1;
    this.#usedMs = this.#shared.options.now();
    try {
      // Pinned before anything else: what ends or goes by this READ must not be what it needs.
      const present = this.#pinned(asked);
      const missing = this.#index.gaps(asked).length > 0;
      const plan = this.#observed(asked, missing, policy);
      const wide = missing && this.#fetchDemand(plan);
      let blocks = wide ? this.#pinned(asked) : missing ? this.#tryHold(asked, plan.stream) : present;
      if (missing) this.#unpin(present);
      if (blocks === undefined) blocks = await this.#waitAndHold(asked, plan.stream, signal);
      // Where memory was too short for the widened READ, it is for readahead.
      else if (wide || !missing) this.#readAhead(plan.stream, plan.ahead, policy);
      try {
        await arrival(blocks, asked, signal);
      } catch (error) {
        this.#abandon(blocks);
        throw error;
      }
      return this.#slices(blocks, asked);
    } catch (error) {
      throw signal?.aborted === true ? this.#fetcher.aborted(signal.reason) : error;
    } finally {
      this.#reads -= 1;
    }
  }

  /** Every byte of `asked`, which lies within the object and isn't empty, is in memory. */
  isHeld(asked: Span): boolean {
    return this.#index.isFilled(asked);
  }

  /** As `read`, of what `isHeld`: at once. */
  readHeld(asked: Span, policy: ReadPolicy): ByteSlices {
    this.#usedMs = this.#shared.options.now();
    const blocks = this.#pinned(asked);
    const plan = this.#observed(asked, false, policy);
    this.#readAhead(plan.stream, plan.ahead, policy);
    return this.#slices(blocks, asked);
  }

  /** All bytes of `asked` are there or on their way. */
  covers(asked: Span): boolean {
    return this.#index.gaps(asked).length === 0;
  }

  /** Nothing of it is in memory, on disk or on its way. */
  get untouched(): boolean {
    return !this.busy && this.#index.size === 0 && !this.#fetcher.anyOnDisk(this.#places.pieces);
  }

  /** READs or GETs are under way. */
  get busy(): boolean {
    return this.#reads > 0 || this.#fetcher.underWay > 0;
  }

  /**
   * Fetches the object's first `bytes` before anybody reads it, from memory that is free or was read already: one GET where that is a small
   * file, several that others have slots to spare for where it is more. `waits` stands in line for the first one's slot, as READs do;
   * otherwise it is had at once or not at all. Undefined where nothing can be had now, or isn't `untouched`.
   */
  fetchAhead(bytes: number, waits: boolean): FetchedAhead | undefined {
    if (!this.untouched) return undefined;
    const { slots, options, pace } = this.#shared;
    const whole = bytes <= options.smallFileBytes && bytes === this.version.size;
    const spans = whole ? [{ start: 0, end: bytes }] : partsAhead(bytes, pace.wanted, options);
    const spared = whole ? 0 : Math.floor(slots.aheadMax / SPARED_SHARE);
    this.#usedMs = options.now();
    // No READ follows this stream: the first one begins its own.
    const stream = new Stream({ start: 0, end: 0 }, this.#usedMs, 0);
    let begun = 0;
    for (const span of spans) {
      const inLine = waits && begun === 0;
      if (!inLine && !slots.tryTakeAhead(spared)) break;
      const places = this.#places.takeAhead(this.#places.cut([span]));
      if (places === undefined) {
        if (!inLine) slots.giveBack();
        break;
      }
      this.#fetcher.begin(places, stream, inLine ? 'apart' : 'with slot');
      begun = span.end;
    }
    // Nothing was there: the first GET under way is the first of these.
    const first = this.#fetcher.firstResult;
    return begun === 0 || first === undefined ? undefined : { bytes: begun, first };
  }

  /** Nobody is expected to read what is there: it goes first. GETs that no READ waits for end. */
  disregard(): void {
    this.#fetcher.cancelAllUnwanted();
    for (const block of this.#index.all()) this.#shared.cache.consume(block);
  }

  /** Ends the streams not read since `beforeMs`; true when nothing is left here to keep. */
  expire(beforeMs: number): boolean {
    this.#leave(this.#window.expire(beforeMs));
    this.#recount();
    return (
      this.#reads === 0 && this.#fetcher.underWay === 0 && this.#index.size === 0 && this.#usedMs < beforeMs
    );
  }

  /** Of a small file there is nothing to know but its bytes; thousands a second are evicted where a directory is read. */
  #emptied(): void {
    const small = this.version.size <= this.#shared.options.smallFileBytes;
    const idle = !this.busy && !this.#discarded && this.#verification.refusal === undefined;
    if (small && idle && this.expire(Infinity)) this.#onLeft(this);
  }

  /** Drops every block and every fetch nobody waits for. READs under way end as they would have. */
  discard(): void {
    this.#discarded = true;
    this.#leave(this.#window.expire(Infinity));
    this.#recount();
    this.#fetcher.cancelAllUnwanted();
    for (const block of [...this.#index.all()]) this.#shared.cache.detach(block, this.#index);
  }

  /** Fails what is under way; resolves when no GET is left. */
  async close(): Promise<void> {
    const closed = this.#fetcher.close();
    this.discard();
    await closed;
  }

  /** Tells the window of a READ, whose blocks are pinned, and ends what that ends. */
  #observed(asked: Span, missing: boolean, policy: ReadPolicy): Plan {
    const { pace, share } = this.#shared;
    const conditions = { windowBytesMax: share.bytes, missing, wanted: share.of(pace.wanted), policy };
    const plan = this.#window.observe(asked, conditions);
    this.#recount();
    this.#leave(plan.dropped);
    for (const stream of plan.abandoned) this.#fetcher.cancelAllUnwanted(stream);
    return plan;
  }

  /** Fetches what the plan wants for the READ, if there is memory for that that nobody uses. */
  #fetchDemand({ demand, alone, stream }: Plan): boolean {
    const isWhole = this.#verification.isWhole;
    const wanted = isWhole ? demand.slice(0, 1) : demand;
    const places = this.#places.takeAhead(
      wanted.flatMap((span) => this.#places.cut(this.#places.missing(span))),
    );
    if (places === undefined) return false;
    if (places.length > 0) this.#places.makeWay();
    for (const { start, end } of wanted) {
      const its = isWhole ? places : places.filter(({ span }) => span.start >= start && span.start < end);
      this.#fetcher.begin(its, stream, alone ? 'joined' : 'apart');
    }
    this.#window.started(stream, demand.at(-1)?.end ?? 0);
    return true;
  }

  /** Fetches the READ's gaps alone and pins its blocks, if there is memory for that at once. Those that are there are pinned. */
  #tryHold(asked: Span, stream: Stream): Block[] | undefined {
    const { pool, budget } = this.#shared;
    const narrow = this.#places.aligned(asked);
    const pieces = this.#places.cut(this.#places.missing(narrow));
    const places = pool.tryTake(pieces, (bytes) => budget.tryReserve(bytes));
    if (places === undefined) return undefined;
    if (pieces.length > 0) this.#places.makeWay();
    this.#fetcher.begin(places, stream, 'joined');
    this.#window.started(stream, narrow.end);
    return this.#pinned(asked);
  }

  /** Waits in line for all the memory this READ needs, then does the same. */
  async #waitAndHold(asked: Span, stream: Stream, signal: AbortSignal | undefined): Promise<Block[]> {
    const { budget, pool, closing } = this.#shared;
    for (let bytes = pool.bytesFor(this.#places.cut([this.#places.aligned(asked)])); ;) {
      const until = anyOf(signal === undefined ? [closing] : [signal, closing]);
      try {
        await budget.reserve(bytes, until.signal);
      } catch (error) {
        throw closing.aborted ? this.#fetcher.aborted(error) : error;
      } finally {
        until.end();
      }
      if (closing.aborted) {
        budget.release(bytes);
        throw this.#fetcher.aborted(closing.reason);
      }
      const pieces = this.#places.cut(this.#places.missing(this.#places.aligned(asked)));
      const needed = pool.bytesFor(pieces);
      // What arrived meanwhile may have split the missing range into more pieces, which take more memory than one.
      if (needed > bytes && !budget.tryReserve(needed - bytes)) {
        budget.release(bytes);
        bytes = needed;
        continue;
      }
      const present = this.#pinned(asked);
      if (pieces.length > 0) this.#places.makeWay();
      this.#fetcher.begin(pool.takeReserved(pieces, Math.max(bytes, needed)), stream, 'joined');
      const blocks = this.#pinned(asked);
      this.#unpin(present);
      return blocks;
    }
  }

  /** Goes on with what there was no room for: nobody's READ is due before the GETs that others wait for have ended. */
  #readOnward(): void {
    const short = this.#short;
    if (short === undefined || this.#discarded) return;
    const { pace, share } = this.#shared;
    const conditions = { windowBytesMax: share.bytes, wanted: share.of(pace.wanted), policy: short.policy };
    this.#readAhead(short.stream, this.#window.onward(short.stream, conditions), short.policy);
  }

  #readAhead(stream: Stream, ahead: readonly Span[], policy: ReadPolicy): void {
    const { slots } = this.#shared;
    this.#short = undefined;
    for (const span of ahead) {
      for (const gap of this.#places.missing(span)) {
        if (!this.#fetcher.hasRoom) {
          this.#short = { stream, policy };
          return;
        }
        if (!slots.tryTakeAhead()) return;
        const pieces = this.#places.cut([gap]);
        const places = this.#places.takeAhead(pieces);
        if (places === undefined) {
          slots.giveBack();
          return;
        }
        this.#places.makeWay();
        this.#fetcher.begin(places, stream, 'with slot');
      }
      this.#window.started(stream, span.end);
    }
  }

  /** Nobody follows these streams: their fetches end, unless a READ waits, and what they read ahead may go. */
  #leave(streams: readonly Stream[]): void {
    for (const stream of streams) {
      this.#fetcher.cancelAllUnwanted(stream);
      if (stream.ahead <= stream.next) continue;
      for (const block of this.#index.all())
        if (block.fetch.stream === stream) this.#shared.cache.consume(block);
    }
  }

  #slices(blocks: readonly Block[], asked: Span): ByteSlices {
    let released = false;
    return {
      count: lengthOf(asked),
      slices: blocks.map(({ buffer, offset, length }) => {
        const from = Math.max(0, asked.start - offset);
        const to = Math.min(length, asked.end - offset);
        // Most are whole blocks, and views cost more than all else here.
        return to - from === buffer.length ? buffer : buffer.subarray(from, to);
      }),
      release: () => {
        if (released) throw new Error('slices were released twice');
        released = true;
        this.#letGo(blocks, asked);
      },
    };
  }

  /** A READ is done with its bytes. */
  #letGo(blocks: readonly Block[], read: Span): void {
    const passing = this.#passing;
    for (const block of blocks) {
      const end = block.offset + block.length;
      block.readBytes += Math.min(read.end, end) - Math.max(read.start, block.offset);
      // The rest of a page isn't asked for again by who read the page.
      if (read.end + this.#shared.options.alignBytes > end) block.consumed = true;
      // READs overtake one another: not before all of it was read. The disk takes a block only when its GET has ended well.
      const done = block.consumed && block.readBytes >= block.length;
      block.passing = passing && done && (this.#shared.disk === undefined || block.fetch.finished);
      this.#fetcher.served(block);
    }
    this.#unpin(blocks);
  }

  /**
   * One reader goes through an object that memory can't keep beside others: what it has read would be gone before somebody came round to it
   * again, and everybody else's with it. Where another follows, it is kept for that.
   */
  get #passing(): boolean {
    return this.version.size > this.#shared.budget.limitBytes / 2 && this.#window.hasOneReader;
  }

  /** A READ failed or was aborted: fetches that nobody wants any more end. */
  #abandon(blocks: readonly Block[]): void {
    this.#unpin(blocks);
    for (const { fetch } of blocks) {
      const followed = !fetch.stream.dropped && fetch.stream.sequential;
      if (!followed) this.#fetcher.cancelUnwanted(fetch);
    }
  }

  #unpin(blocks: readonly Block[]): void {
    for (const block of blocks) {
      this.#shared.cache.unpin(block, this.#index);
      if (this.#discarded) this.#shared.cache.detach(block, this.#index);
    }
  }

  #pinned(span: Span): Block[] {
    const blocks = this.#index.within(span);
    for (const block of blocks) this.#shared.cache.pin(block);
    return blocks;
  }

  #recount(): void {
    const streams = this.#window.sequentialStreams;
    this.#shared.share.recount(this.#sequentialStreams, streams);
    this.#sequentialStreams = streams;
  }
}

/** Resolves when the bytes of `asked` are in the blocks. */
async function arrival(
  blocks: readonly Block[],
  asked: Span,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const [at, block] of blocks.entries()) {
    // Blocks of one GET come one after the other: one wait for all of them.
    if (blocks[at + 1]?.fetch === block.fetch) continue;
    const until = Math.min(block.offset + block.length, asked.end);
    if (block.offset + block.filled < until) await block.fetch.waitFor(until, signal);
  }
}
