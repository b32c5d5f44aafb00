/**
 * Sets of byte ranges: sorted, disjoint, never touching. Pure; the arithmetic under every question about what was written. Extents lie in
 * chunks, in order, so that a change moves the others of its chunk and not those of a file with a million scattered writes.
 */

/** Bytes `start` to `end`, the end excluded. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

/** A chunk of more extents is cut in two. */
const CHUNK_EXTENTS_MAX = 256;

/** Where an extent is: in which chunk, and where in that. */
interface Position {
  readonly chunk: number;
  readonly at: number;
}

export class ExtentMap implements Iterable<Extent> {
  readonly #chunkExtentsMax: number;
  /** None of them empty. */
  readonly #chunks: Extent[][] = [];
  #bytes = 0;
  #moved = 0;

  constructor(chunkExtentsMax = CHUNK_EXTENTS_MAX) {
    this.#chunkExtentsMax = chunkExtentsMax;
  }

  /** Extents. */
  get count(): number {
    return this.#chunks.reduce((count, chunk) => count + chunk.length, 0);
  }

  /** Bytes in all extents. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Extents and chunks that changes have moved, so far: what they cost but for finding the place. */
  get moved(): number {
    return this.#moved;
  }

  /** From the first to the last byte of the set; undefined where it is empty. */
  get hull(): Extent | undefined {
    const first = this.#chunks[0]?.[0];
    const last = this.#chunks.at(-1)?.at(-1);
    return first === undefined || last === undefined ? undefined : { start: first.start, end: last.end };
  }

  *[Symbol.iterator](): Generator<Extent, void> {
    for (const chunk of this.#chunks) yield* chunk;
  }

  /** Puts a range in, merging it with what it overlaps or touches. */
  add(start: number, end: number): void {
    if (start >= end) return;
    const from = this.#firstEndingFrom(start);
    const touched = this.#before(from, end + 1);
    const merged = {
      start: Math.min(start, touched[0]?.start ?? start),
      end: Math.max(end, touched.at(-1)?.end ?? end),
    };
    this.#replace(from, touched, [merged]);
  }

  /** Takes a range out; extents that reach over its edges are cut. */
  remove(start: number, end: number): void {
    if (start >= end) return;
    const from = this.#firstEndingFrom(start + 1);
    const touched = this.#before(from, end);
    if (touched.length === 0) return;
    const rest: Extent[] = [];
    for (const extent of touched) {
      if (extent.start < start) rest.push({ start: extent.start, end: start });
      if (extent.end > end) rest.push({ start: end, end: extent.end });
    }
    this.#replace(from, touched, rest);
  }

  /** Every byte of the range is in the set. An empty range is covered. */
  covers(start: number, end: number): boolean {
    if (start >= end) return true;
    const { chunk, at } = this.#firstEndingFrom(start + 1);
    const extent = this.#chunks[chunk]?.[at];
    return extent !== undefined && extent.start <= start && extent.end >= end;
  }

  /** The set's extents inside the range, cut to it. */
  within(start: number, end: number): Extent[] {
    return this.#before(this.#firstEndingFrom(start + 1), end).map((extent) => ({
      start: Math.max(extent.start, start),
      end: Math.min(extent.end, end),
    }));
  }

  /** The rest of the range: what the set lacks of it. */
  gaps(start: number, end: number): Extent[] {
    const found: Extent[] = [];
    let from = start;
    for (const at of this.within(start, end)) {
      if (at.start > from) found.push({ start: from, end: at.start });
      from = at.end;
    }
    if (from < end) found.push({ start: from, end });
    return found;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#bytes = 0;
  }

  /** Extents from a position on that start before `offset`. */
  #before({ chunk, at }: Position, offset: number): Extent[] {
    const found: Extent[] = [];
    let index = at;
    for (let next = chunk; next < this.#chunks.length; next += 1, index = 0) {
      const extents = this.#chunks[next] ?? [];
      for (let extent = extents[index]; extent !== undefined; extent = extents[++index]) {
        if (extent.start >= offset) return found;
        found.push(extent);
      }
    }
    return found;
  }

  /** Puts extents in place of those that lie from a position on. */
  #replace({ chunk, at }: Position, old: readonly Extent[], extents: readonly Extent[]): void {
    for (const { start, end } of old) this.#bytes -= end - start;
    for (const { start, end } of extents) this.#bytes += end - start;
    if (this.#chunks.length === 0) this.#chunks.push([]);
    const first = this.#chunks[chunk] ?? [];
    const inFirst = Math.min(old.length, first.length - at);
    first.splice(at, inFirst, ...extents);
    this.#moved += first.length - at;
    let left = old.length - inFirst;
    let past = chunk + 1;
    for (let next = this.#chunks[past]; next !== undefined && left >= next.length; past += 1) {
      left -= next.length;
      next = this.#chunks[past + 1];
    }
    if (left > 0) this.#chunks[past]?.splice(0, left);
    const halves = first.length <= this.#chunkExtentsMax ? [first] : halvesOf(first);
    const kept = first.length === 0 ? [] : halves;
    if (kept.length === 1 && past === chunk + 1) return;
    this.#chunks.splice(chunk, past - chunk, ...kept);
    this.#moved += this.#chunks.length - chunk;
  }

  /** The first extent whose end is at or after `offset`; behind the last one where there is none. */
  #firstEndingFrom(offset: number): Position {
    const count = this.#chunks.length;
    const chunk = firstWhere(count, (at) => (this.#chunks[at]?.at(-1)?.end ?? 0) >= offset);
    if (chunk === count) return { chunk: Math.max(0, count - 1), at: this.#chunks.at(-1)?.length ?? 0 };
    const extents = this.#chunks[chunk] ?? [];
    return { chunk, at: firstWhere(extents.length, (at) => (extents[at]?.end ?? 0) >= offset) };
  }
}

function halvesOf(extents: readonly Extent[]): Extent[][] {
  const middle = extents.length >>> 1;
  return [extents.slice(0, middle), extents.slice(middle)];
}

/** The least index below `count` for which `is` holds, as for all behind it; `count` where there is none. */
function firstWhere(count: number, is: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (is(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
