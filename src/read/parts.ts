/**
 * How large the GETs of a stream are. As many are wanted in flight as reach the rate that one client takes (pace.ts), and the window
 * is shared among them. In the order in which the rules give way:
 *
 *   - at most 8 MiB, S3's advice for parallel ranges;
 *   - the window shared by the GETs wanted in flight. While the window grows GETs are small, so that all of them run soon; when it has
 *     reached its size they are large enough for their cost in CPU;
 *   - what is left of the file shared by them, so that the last GETs end together;
 *   - never smaller than a GET is worth: as many bytes as arrive in the time to its first byte.
 */
import type { ReadOptions } from './options.js';
import type { Span } from './span.js';

/** What a store's GETs are like now. */
export interface GetsWanted {
  /** In flight for one stream; fewer than GETS_MIN only where many streams share them (readahead-share.ts). */
  readonly gets: number;
  /** Bytes that take as long as their first byte: a smaller GET spends most of its time waiting. */
  readonly worthBytes: number;
}

/** GETs in flight that a window is cut for at least, where a stream may have as many: one that is read from, and more on their way. */
export const GETS_MIN = 4;

/** Where many GETs are wanted, the window has room for those as well that begin while others bring their last bytes (succession.ts). */
const SHARES_PER_GET = 9 / 8;

/** The last GETs of a large file aren't smaller than this part of an even share: in the end a share takes no longer than so small a part of the whole. */
const LAST_SHARE = 64;

/** How many GETs a window has room for. */
export function sharesOf({ gets }: GetsWanted): number {
  return gets > GETS_MIN ? gets * SHARES_PER_GET : gets;
}

/**
 * The GETs of the first `bytes` of a file that is fetched before it is read: a few, for nobody waits yet, and as few as CPU likes best where the store is near. Not
 * smaller than `partBytesMin`, but for the last one.
 */
export function partsAhead(
  bytes: number,
  { gets, worthBytes }: GetsWanted,
  options: Pick<ReadOptions, 'partBytesMin' | 'partBytesEfficient'>,
): Span[] {
  const { partBytesMin, partBytesEfficient } = options;
  const efficient = Math.max(partBytesEfficient, partBytesMin);
  const most = gets <= GETS_MIN ? efficient : Math.min(Math.max(worthBytes, partBytesMin), efficient);
  const each = Math.max(1, Math.round(most / partBytesMin)) * partBytesMin;
  const spans: Span[] = [];
  for (let start = 0; start < bytes; start += each) spans.push({ start, end: Math.min(start + each, bytes) });
  return spans;
}

export class Parts {
  /** Of one GET, as far as the window says; 0 where memory is too short for one. */
  readonly bytes: number;
  readonly #gets: number;
  readonly #size: number;
  readonly #least: number;
  readonly #unit: number;

  /** `growing`: the window isn't yet as large as it may be. `size`: of the file. */
  constructor(
    windowBytes: number,
    growing: boolean,
    wanted: GetsWanted,
    size: number,
    options: Pick<ReadOptions, 'blockBytes' | 'partBytesMin' | 'partBytesMax' | 'partBytesEfficient'>,
  ) {
    const { partBytesMin, partBytesMax, partBytesEfficient, blockBytes } = options;
    this.#unit = Math.min(blockBytes, partBytesMin);
    this.#gets = wanted.gets;
    this.#size = size;
    const efficient = Math.min(partBytesEfficient, partBytesMax);
    const worth =
      wanted.gets <= GETS_MIN ? efficient : Math.min(Math.max(wanted.worthBytes, this.#unit), efficient);
    this.#least = Math.min(Math.max(worth, size / wanted.gets / LAST_SHARE), efficient);
    const share = this.#whole(windowBytes / Math.min(GETS_MIN, wanted.gets));
    const least = Math.max(partBytesMin, Math.min(growing ? worth : efficient, share));
    const bytes = Math.min(Math.max(this.#whole(windowBytes / sharesOf(wanted)), least), partBytesMax);
    this.bytes = bytes > windowBytes ? 0 : bytes;
  }

  /** Where the part that begins at `from` ends: at a multiple of the unit, or with the file. */
  end(from: number): number {
    const share = (this.#size - from) / this.#gets;
    const bytes = Math.min(this.bytes, Math.max(share, this.#least));
    let end = this.#whole(from + bytes);
    if (end - from < bytes / 2) end += this.#unit;
    // A rest that isn't worth a GET goes with the last one.
    return this.#size - end < this.#unit ? this.#size : end;
  }

  #whole(bytes: number): number {
    return Math.floor(bytes / this.#unit) * this.#unit;
  }
}
