/** What of an object version is to be fetched for a span, how that is cut into blocks, and the buffers for them. */
import type { ObjectVersion } from '../memory/byte-slices.js';
import type { BlockIndex } from './block-index.js';
import type { Place } from './block-pool.js';
import type { ReaderShared } from './fetcher.js';
import type { Span } from './span.js';
import type { Verification } from './verification.js';

/** A stream has room for large blocks where its readahead may be as long as one: 64 streams have 1 MiB each for it under 256 MiB. */
const LARGE_BLOCKS_MIN = 1;

export class Places {
  readonly #version: ObjectVersion;
  readonly #index: BlockIndex;
  readonly #verification: Verification;
  readonly #shared: ReaderShared;

  constructor(version: ObjectVersion, index: BlockIndex, verification: Verification, shared: ReaderShared) {
    this.#version = version;
    this.#index = index;
    this.#verification = verification;
    this.#shared = shared;
  }

  /** What isn't there of the span, or all of a version that is checked as a whole. */
  missing(span: Span): readonly Span[] {
    const gaps = this.#index.gaps(span);
    return gaps.length > 0 && this.#verification.isWhole ? [{ start: 0, end: this.#version.size }] : gaps;
  }

  /** Drops what is left of a version that is fetched whole again. */
  makeWay(): void {
    if (!this.#verification.isWhole) return;
    for (const block of [...this.#index.all()]) this.#shared.cache.detach(block, this.#index);
  }

  /** The span widened to what a GET asks for. */
  aligned(span: Span): Span {
    if (this.#verification.isWhole) return { start: 0, end: this.#version.size };
    const { alignBytes } = this.#shared.options;
    const end = Math.min(Math.ceil(span.end / alignBytes) * alignBytes, this.#version.size);
    return { start: span.start - (span.start % alignBytes), end };
  }

  /** All of the version, cut. */
  get pieces(): Span[] {
    return this.cut([{ start: 0, end: this.#version.size }]);
  }

  /**
   * Spans cut where blocks end. Large ones cost less, but are held until all of them was read: not where many streams share the memory. The disk
   * cache takes none.
   */
  cut(spans: readonly Span[]): Span[] {
    const { pool, share, disk } = this.#shared;
    return pool.cut(spans, disk === undefined && share.bytes >= LARGE_BLOCKS_MIN * pool.largeBytes);
  }

  /** Buffers from what is free or was read already; nothing is taken from anybody else. */
  takeAhead(pieces: readonly Span[]): Place[] | undefined {
    const { pool, cache, budget } = this.#shared;
    const reserve = (bytes: number): boolean => budget.tryReserveFree(bytes);
    const places = pool.tryTake(pieces, reserve);
    if (places !== undefined || budget.waiting > 0) return places;
    cache.recycle(pool.bytesFor(pieces));
    return pool.tryTake(pieces, reserve);
  }
}
