/** Sets of byte ranges: sorted, disjoint, never touching. Pure; the arithmetic under every question about what was written. */

/** Bytes `start` to `end`, the end excluded. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

export class ExtentMap implements Iterable<Extent> {
  readonly #extents: Extent[] = [];
  #bytes = 0;

  /** Bytes in all extents. */
  get bytes(): number {
    return this.#bytes;
  }

  /** From the first to the last byte of the set; undefined where it is empty. */
  get hull(): Extent | undefined {
    const [first] = this.#extents;
    const last = this.#extents.at(-1);
    return first === undefined || last === undefined ? undefined : { start: first.start, end: last.end };
  }

  [Symbol.iterator](): Iterator<Extent> {
    return this.#extents[Symbol.iterator]();
  }

  /** Puts a range in, merging it with what it overlaps or touches. */
  add(start: number, end: number): void {
    if (start >= end) return;
    const first = this.#firstEndingFrom(start);
    let last = first;
    let merged: Extent = { start, end };
    for (let at = this.#extents[last]; at !== undefined && at.start <= end; at = this.#extents[++last]) {
      merged = { start: Math.min(merged.start, at.start), end: Math.max(merged.end, at.end) };
      this.#bytes -= at.end - at.start;
    }
    this.#extents.splice(first, last - first, merged);
    this.#bytes += merged.end - merged.start;
  }

  /** Takes a range out; extents that reach over its edges are cut. */
  remove(start: number, end: number): void {
    if (start >= end) return;
    const first = this.#firstEndingFrom(start + 1);
    const rest: Extent[] = [];
    let last = first;
    for (let at = this.#extents[last]; at !== undefined && at.start < end; at = this.#extents[++last]) {
      if (at.start < start) rest.push({ start: at.start, end: start });
      if (at.end > end) rest.push({ start: end, end: at.end });
      this.#bytes -= at.end - at.start;
    }
    for (const extent of rest) this.#bytes += extent.end - extent.start;
    this.#extents.splice(first, last - first, ...rest);
  }

  /** Every byte of the range is in the set. An empty range is covered. */
  covers(start: number, end: number): boolean {
    if (start >= end) return true;
    const at = this.#extents[this.#firstEndingFrom(start + 1)];
    return at !== undefined && at.start <= start && at.end >= end;
  }

  /** The set's extents inside the range, cut to it. */
  within(start: number, end: number): Extent[] {
    const found: Extent[] = [];
    let index = this.#firstEndingFrom(start + 1);
    for (let at = this.#extents[index]; at !== undefined && at.start < end; at = this.#extents[++index]) {
      found.push({ start: Math.max(at.start, start), end: Math.min(at.end, end) });
    }
    return found;
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
    this.#extents.length = 0;
    this.#bytes = 0;
  }

  /** Index of the first extent whose end is at or after `offset`. */
  #firstEndingFrom(offset: number): number {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = this.#extents[middle];
      if (at !== undefined && at.end < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
