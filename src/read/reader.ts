/**
 * Reads one version of an object. A READ
 *   1. asks the window policy what to fetch;
 *   2. pins the blocks it needs and begins a GET for each gap. Memory for them is there at once, or the READ waits for all of it
 *      in one reservation while it pins nothing. So whoever pins blocks waits only for GETs that have their memory, and
 *      READs cannot stop one another for good, however small the budget;
 *   3. starts readahead, from memory that is free or was read already, never by waiting;
 *   4. waits until its bytes have arrived, and hands out slices of the blocks.
 */
import type { ByteSlices, ObjectVersion } from '../memory/byte-slices.js';
import { BlockIndex } from './block-index.js';
import type { Block } from './fetch.js';
import { Fetcher, type ReaderShared } from './fetcher.js';
import { Window, lengthOf, type Plan, type Span, type Stream } from './window.js';

export class Reader {
  readonly version: ObjectVersion;
  readonly #shared: ReaderShared;
  readonly #index = new BlockIndex();
  readonly #window: Window;
  readonly #fetcher: Fetcher;
  #reads = 0;
  #usedMs: number;
  #sequentialStreams = 0;
  #discarded = false;

  constructor(version: ObjectVersion, shared: ReaderShared) {
    this.version = version;
    this.#shared = shared;
    this.#fetcher = new Fetcher(version, this.#index, shared);
    this.#window = new Window(version.size, shared.options);
    this.#usedMs = shared.options.now();
  }

  /** Bytes of `asked`, which lies within the object and isn't empty. Fails with StoreError, `aborted` for the signal. */
  async read(asked: Span, signal: AbortSignal | undefined): Promise<ByteSlices> {
    this.#reads += 1;
    this.#usedMs = this.#shared.options.now();
    try {
      // Pinned before anything else: what ends or goes by this READ must not be what it needs.
      const present = this.#pinned(asked);
      const missing = this.#index.gaps(asked).length > 0;
      const plan = this.#window.observe(asked, this.#shared.share.bytes, missing, this.#shared.pace.gets);
      this.#recount();
      this.#leave(plan.dropped);
      if (!missing) this.#window.started(plan.stream, plan.demand.end);
      let blocks = missing ? this.#tryHold(asked, plan) : present;
      if (missing) this.#unpin(present);
      if (blocks === undefined) blocks = await this.#waitAndHold(asked, plan.stream, signal);
      else this.#readAhead(plan);
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

  /** Ends the streams not read since `beforeMs`; true when nothing is left here to keep. */
  expire(beforeMs: number): boolean {
    this.#leave(this.#window.expire(beforeMs));
    this.#recount();
    return (
      this.#reads === 0 && this.#fetcher.underWay === 0 && this.#index.size === 0 && this.#usedMs < beforeMs
    );
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

  /** Fetches the READ's gaps and pins its blocks, if there is memory for that at once. Those that are there are pinned. */
  #tryHold(asked: Span, plan: Plan): Block[] | undefined {
    const { pool, budget } = this.#shared;
    if (this.#fetchWith(plan.demand, plan.stream, (lengths) => this.#takeAhead(lengths))) {
      this.#window.started(plan.stream, plan.demand.end);
      return this.#pinned(asked);
    }
    const reserve = (bytes: number): boolean => budget.tryReserve(bytes);
    const narrow = this.#aligned(asked);
    if (!this.#fetchWith(narrow, plan.stream, (lengths) => pool.tryTake(lengths, reserve))) return undefined;
    this.#window.started(plan.stream, narrow.end);
    return this.#pinned(asked);
  }

  /** Waits in line for all the memory this READ may need, then does the same. */
  async #waitAndHold(asked: Span, stream: Stream, signal: AbortSignal | undefined): Promise<Block[]> {
    const { budget, pool, closing } = this.#shared;
    const bytes = pool.bytesFor(this.#cut([this.#aligned(asked)]).map(lengthOf));
    const until = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    try {
      await budget.reserve(bytes, until);
    } catch (error) {
      throw closing.aborted ? this.#fetcher.aborted(error) : error;
    }
    if (closing.aborted) {
      budget.release(bytes);
      throw this.#fetcher.aborted(closing.reason);
    }
    const pieces = this.#cut(this.#index.gaps(this.#aligned(asked)));
    const present = this.#pinned(asked);
    this.#fetcher.begin(pieces, pool.takeReserved(pieces.map(lengthOf), bytes), stream, false);
    const blocks = this.#pinned(asked);
    this.#unpin(present);
    return blocks;
  }

  #readAhead(plan: Plan): void {
    const { slots, options } = this.#shared;
    // Memory was too short even for the widened READ.
    if (plan.stream.ahead < plan.demand.end) return;
    for (const span of plan.ahead) {
      for (const gap of this.#index.gaps(span)) {
        if (this.#fetcher.underWay >= options.requestsPerObjectMax || !slots.tryTakeAhead()) return;
        const pieces = this.#cut([gap]);
        const buffers = this.#takeAhead(pieces.map(lengthOf));
        if (buffers === undefined) {
          slots.giveBack();
          return;
        }
        this.#fetcher.begin(pieces, buffers, plan.stream, true);
      }
      this.#window.started(plan.stream, span.end);
    }
  }

  /** Buffers from what is free or was read already; nothing is taken from anybody else. */
  #takeAhead(lengths: readonly number[]): Buffer[] | undefined {
    const { pool, cache, budget } = this.#shared;
    const reserve = (bytes: number): boolean => budget.tryReserveFree(bytes);
    const buffers = pool.tryTake(lengths, reserve);
    if (buffers !== undefined || budget.waiting > 0) return buffers;
    cache.recycle(pool.bytesFor(lengths));
    return pool.tryTake(lengths, reserve);
  }

  /** Begins GETs for the gaps of a span with buffers from `take`; false when there were none. */
  #fetchWith(
    span: Span,
    stream: Stream,
    take: (lengths: readonly number[]) => Buffer[] | undefined,
  ): boolean {
    const pieces = this.#cut(this.#index.gaps(span));
    const buffers = take(pieces.map(lengthOf));
    if (buffers === undefined) return false;
    this.#fetcher.begin(pieces, buffers, stream, false);
    return true;
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
      slices: blocks.map((block) =>
        block.buffer.subarray(
          Math.max(0, asked.start - block.offset),
          Math.min(block.length, asked.end - block.offset),
        ),
      ),
      release: () => {
        if (released) throw new Error('slices were released twice');
        released = true;
        this.#letGo(blocks, asked);
      },
    };
  }

  /** A READ is done with its bytes. */
  #letGo(blocks: readonly Block[], read: Span): void {
    for (const block of blocks) {
      // The rest of a page isn't asked for again by who read the page.
      if (read.end + this.#shared.options.alignBytes > block.offset + block.length) block.consumed = true;
      this.#fetcher.served(block);
    }
    this.#unpin(blocks);
  }

  /** A READ failed or was aborted: fetches that nobody wants any more end. */
  #abandon(blocks: readonly Block[]): void {
    this.#unpin(blocks);
    for (const { fetch } of blocks) {
      const followed = !fetch.stream.dropped && this.#window.windowOf(fetch.stream, Infinity) > 0;
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

  #aligned(span: Span): Span {
    const { alignBytes } = this.#shared.options;
    const end = Math.min(Math.ceil(span.end / alignBytes) * alignBytes, this.version.size);
    return { start: span.start - (span.start % alignBytes), end };
  }

  /** Spans cut where blocks end. */
  #cut(spans: readonly Span[]): Span[] {
    const { blockBytes } = this.#shared.options;
    const pieces: Span[] = [];
    for (const { start, end } of spans) {
      for (let from = start; from < end;) {
        const to = Math.min((Math.floor(from / blockBytes) + 1) * blockBytes, end);
        pieces.push({ start: from, end: to });
        from = to;
      }
    }
    return pieces;
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
  for (const block of blocks) {
    const until = Math.min(block.offset + block.length, asked.end);
    if (block.offset + block.filled < until) await block.fetch.waitFor(until, signal);
  }
}
