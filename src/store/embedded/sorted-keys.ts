/**
 * A set of keys in order, that of UTF-8 bytes unless told otherwise: a list of chunks, each a sorted array, so that an insertion moves at most one chunk's keys
 * and a million keys cost no more than a binary search and a short move.
 */
import type { KeyOrder } from './hashed-order.js';
import { compareUtf8 } from './utf8-order.js';

/** A chunk is split past this many keys: 8 KiB of pointers, moved in under a microsecond. */
const CHUNK_KEYS_MAX = 1024;

/** Where a walk stands. Valid until the next change of the set. */
export interface Position {
  readonly chunk: number;
  readonly index: number;
}

export class SortedKeys {
  #chunks: string[][] = [];
  #size = 0;
  readonly #order: KeyOrder;

  constructor(order: KeyOrder = compareUtf8) {
    this.#order = order;
  }

  get size(): number {
    return this.#size;
  }

  /** Builds the set at once; cheaper than adding one by one. Duplicates count once. */
  static from(keys: Iterable<string>, order: KeyOrder = compareUtf8): SortedKeys {
    const sorted = [...new Set(keys)].sort(order);
    const made = new SortedKeys(order);
    for (let at = 0; at < sorted.length; at += CHUNK_KEYS_MAX / 2) {
      made.#chunks.push(sorted.slice(at, at + CHUNK_KEYS_MAX / 2));
    }
    made.#size = sorted.length;
    return made;
  }

  /** Adds `key`; false when it is there already. */
  add(key: string): boolean {
    const at = this.seek((other) => this.#order(other, key) >= 0);
    if (this.at(at) === key) return false;
    // Past the end of a chunk and before the next one's first key: append to the former, which keeps chunks full.
    const back = at.index === 0 && at.chunk > 0;
    const chunk = back ? at.chunk - 1 : at.chunk;
    const keys = this.#chunks[chunk];
    this.#size++;
    if (keys === undefined) {
      this.#chunks.push([key]);
      return true;
    }
    keys.splice(back ? keys.length : at.index, 0, key);
    if (keys.length > CHUNK_KEYS_MAX) this.#chunks.splice(chunk + 1, 0, keys.splice(CHUNK_KEYS_MAX / 2));
    return true;
  }

  /** Removes `key`; false when it isn't there. */
  delete(key: string): boolean {
    const at = this.seek((other) => this.#order(other, key) >= 0);
    if (this.at(at) !== key) return false;
    const keys = this.#chunks[at.chunk];
    if (keys === undefined) return false;
    keys.splice(at.index, 1);
    if (keys.length === 0) this.#chunks.splice(at.chunk, 1);
    this.#size--;
    return true;
  }

  /** The first key for which `reached` holds; it must be false for all keys before some point and true from there on. */
  seek(reached: (key: string) => boolean): Position {
    const chunk = partitionPoint(this.#chunks.length, (at) => {
      const last = this.#chunks[at]?.at(-1);
      return last !== undefined && reached(last);
    });
    const keys = this.#chunks[chunk] ?? [];
    const index = partitionPoint(keys.length, (at) => reached(keys[at] ?? ''));
    return { chunk, index };
  }

  /** The key at a position; undefined past the end. */
  at(position: Position): string | undefined {
    return this.#chunks[position.chunk]?.[position.index];
  }

  /** The position after one. */
  next(position: Position): Position {
    const keys = this.#chunks[position.chunk] ?? [];
    if (position.index + 1 < keys.length) return { chunk: position.chunk, index: position.index + 1 };
    return { chunk: position.chunk + 1, index: 0 };
  }
}

function partitionPoint(length: number, reached: (at: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (reached(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
