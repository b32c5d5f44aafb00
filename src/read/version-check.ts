/**
 * Whether the pieces of an object version that were fetched are together what the store's checksum says: each cell (a block's bytes) is
 * summed as it arrives, in any order, and once all were seen their sums are joined. From then on each cell is known by its own sum, and one
 * that is fetched again is checked before anybody reads it. Pure.
 *
 *   open --all cells seen--> right  (a cell that differs later is broken, and nothing else is)
 *      \--all cells seen, or a cell seen twice differs--> wrong
 */
import type { PieceSums } from '../store/s3/body-checks.js';

/** Sums of larger versions aren't kept: 9 bytes for each cell of 256 KiB are 2.4 MB then. */
export const CHECKED_BYTES_MAX = 64 * 1024 ** 3;
/** Pieces smaller than a cell, from READs of single pages, that wait for the rest of their cell. */
const PIECES_MAX = 256;

export class VersionCheck {
  readonly #size: number;
  readonly #cellBytes: number;
  readonly #sums: PieceSums;
  readonly #cells: BigUint64Array;
  readonly #seen: Uint8Array;
  readonly #joined: ReturnType<PieceSums['join']>;
  /** Parts of cells, by where they begin. */
  readonly #pieces = new Map<number, { readonly end: number; readonly sum: bigint }>();
  /** Cells in front that are joined. */
  #front = 0;
  #state: 'open' | 'right' | 'wrong' = 'open';

  /** Of a version of `size` bytes, at least 1. */
  constructor(size: number, cellBytes: number, sums: PieceSums) {
    const count = Math.ceil(size / cellBytes);
    this.#size = size;
    this.#cellBytes = cellBytes;
    this.#sums = sums;
    this.#cells = new BigUint64Array(count);
    this.#seen = new Uint8Array(count);
    this.#joined = sums.join();
  }

  get state(): 'open' | 'right' | 'wrong' {
    return this.#state;
  }

  /** Bytes that were fetched; false where they aren't what the version has there. */
  add(offset: number, bytes: Uint8Array): boolean {
    let good = true;
    for (let at = 0; at < bytes.length && good;) {
      // What lies between two READs is fetched in one piece with them, over the edges of cells.
      const count = Math.min(bytes.length - at, this.#cellBytes - ((offset + at) % this.#cellBytes));
      good = this.#addWithin(offset + at, count === bytes.length ? bytes : bytes.subarray(at, at + count));
      at += count;
    }
    return good;
  }

  /** Of one cell. */
  #addWithin(offset: number, bytes: Uint8Array): boolean {
    if (this.#state === 'wrong') return false;
    const cell = Math.floor(offset / this.#cellBytes);
    const start = cell * this.#cellBytes;
    const whole = Math.min(this.#cellBytes, this.#size - start);
    if (offset !== start || bytes.length !== whole) {
      this.#addPiece(offset, bytes, { start, end: start + whole }, cell);
      return this.#isGood();
    }
    const sum = this.#sums.of(bytes);
    if (this.#seen[cell] !== 1) this.#see(cell, sum);
    else if (this.#cells[cell] !== sum) {
      if (this.#state === 'open') this.#state = 'wrong';
      return false;
    }
    return this.#isGood();
  }

  #see(cell: number, sum: bigint): void {
    this.#cells[cell] = sum;
    this.#seen[cell] = 1;
    while (this.#front < this.#cells.length && this.#seen[this.#front] === 1) {
      const bytes = Math.min(this.#cellBytes, this.#size - this.#front * this.#cellBytes);
      this.#joined.add(this.#cells[this.#front] ?? 0n, bytes);
      this.#front += 1;
    }
    if (this.#front < this.#cells.length) return;
    this.#state = this.#joined.value === this.#sums.wanted ? 'right' : 'wrong';
    this.#pieces.clear();
  }

  /** Keeps the sum until the cell's other pieces are there. */
  #addPiece(
    offset: number,
    bytes: Uint8Array,
    { start, end }: { readonly start: number; readonly end: number },
    cell: number,
  ): void {
    if (this.#seen[cell] === 1) return;
    if (this.#pieces.size >= PIECES_MAX) this.#pieces.clear();
    this.#pieces.set(offset, { end: offset + bytes.length, sum: this.#sums.of(bytes) });
    const row: { readonly at: number; readonly value: bigint; readonly bytes: number }[] = [];
    for (let at = start; at < end;) {
      const piece = this.#pieces.get(at);
      if (piece === undefined) return;
      row.push({ at, value: piece.sum, bytes: piece.end - at });
      at = piece.end;
    }
    for (const { at } of row) this.#pieces.delete(at);
    this.#see(cell, this.#sums.joined(row));
  }

  #isGood(): boolean {
    return (this.#state as string) !== 'wrong';
  }
}
