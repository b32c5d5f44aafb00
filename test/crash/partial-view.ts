/** A file of which some bytes are known and others may be one thing or another; compared with what was found. */
import type { Difference, WriteOp } from './history.js';
import type { Patterns } from './pattern.js';

interface Extent {
  readonly start: number;
  readonly end: number;
  /** Of the base where there is none. */
  readonly op?: WriteOp;
}

export class PartialView {
  readonly #base: Buffer;
  readonly #patterns: Patterns;
  /** In order, apart from each other; between them are zeros. */
  #known: Extent[];
  #possible: (Extent & { readonly op: WriteOp })[] = [];
  #size: number;

  constructor(base: Buffer, patterns: Patterns) {
    this.#base = base;
    this.#patterns = patterns;
    this.#known = base.length === 0 ? [] : [{ start: 0, end: base.length }];
    this.#size = base.length;
  }

  get size(): number {
    return this.#size;
  }

  write(op: WriteOp): void {
    this.#known = [...without(this.#known, op.start, op.end), op2extent(op)].sort(
      (a, b) => a.start - b.start,
    );
    this.#possible = without(this.#possible, op.start, op.end);
    this.#size = Math.max(this.#size, op.end);
  }

  mayWrite(op: WriteOp): void {
    this.#possible.push(op2extent(op));
  }

  resize(size: number): void {
    this.#known = without(this.#known, size, Infinity);
    this.#possible = without(this.#possible, size, Infinity);
    this.#size = size;
  }

  /** Where nothing is open. */
  bytes(): Buffer {
    const bytes = Buffer.alloc(this.#size);
    for (const extent of this.#known)
      this.#bytesOf(extent, extent.start, extent.end).copy(bytes, extent.start);
    return bytes;
  }

  /** Undefined when `found` can be this file. */
  differs(found: Buffer): Difference | undefined {
    const sizes = [this.#size, ...this.#possible.map(({ end }) => end).filter((end) => end > this.#size)];
    if (!sizes.includes(found.length))
      return { what: `${found.length} bytes, expected ${[...new Set(sizes)].join(' or ')}` };
    const edges = new Set([0, found.length]);
    for (const { start, end } of [...this.#known, ...this.#possible])
      for (const edge of [start, end]) if (edge < found.length) edges.add(edge);
    const sorted = [...edges].sort((a, b) => a - b);
    let at = 0;
    for (let index = 0; index + 1 < sorted.length; index++) {
      const start = sorted[index] ?? 0;
      const end = sorted[index + 1] ?? 0;
      while (at < this.#known.length && (this.#known[at]?.end ?? 0) <= start) at++;
      const known = this.#known[at];
      const isKnown = known !== undefined && known.start <= start;
      const choices = [
        isKnown ? this.#bytesOf(known, start, end) : Buffer.alloc(end - start),
        ...this.#possible
          .filter((each) => each.start <= start && each.end >= end)
          .map((each) => this.#bytesOf(each, start, end)),
      ];
      const wrong = firstOutside(found.subarray(start, end), choices);
      if (wrong === undefined) continue;
      const whose = isKnown ? (known.op === undefined ? 'of before' : `of WRITE ${known.op.id}`) : 'zeros';
      return {
        what: `byte ${start + wrong} of ${found.length} (in ${start}..${end}): expected bytes ${whose}${choices.length > 1 ? ' or of calls not known to be safe' : ''}`,
      };
    }
    return undefined;
  }

  #bytesOf({ op }: Extent, start: number, end: number): Buffer {
    return op === undefined
      ? this.#base.subarray(start, end)
      : this.#patterns.bytes(op.id, start - op.start, end - op.start);
  }
}

const op2extent = (op: WriteOp): Extent & { readonly op: WriteOp } => ({ start: op.start, end: op.end, op });

/** What is left of extents beside a range. */
function without<E extends Extent>(extents: readonly E[], start: number, end: number): E[] {
  return extents.flatMap((each) => {
    if (each.end <= start || each.start >= end) return [each];
    return [
      ...(each.start < start ? [{ ...each, end: start }] : []),
      ...(each.end > end ? [{ ...each, start: end }] : []),
    ];
  });
}

/** The first byte that is none of the choices'. */
function firstOutside(found: Buffer, choices: readonly Buffer[]): number | undefined {
  if (choices.some((choice) => choice.equals(found))) return undefined;
  const at = found.findIndex((byte, index) => choices.every((choice) => choice[index] !== byte));
  return at < 0 ? undefined : at;
}
