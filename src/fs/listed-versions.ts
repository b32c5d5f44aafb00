/**
 * Versions that scans showed of files without nodes, of the last so many: a scan of a million names passes each of them by, and as objects they would all be
 * moved to the old generation of JavaScript's heap. Here they take some 90 bytes each, outside of it. In two generations: when the young one is full, the
 * old one is emptied and takes its place.
 */
import type { PublishedVersion } from './node.js';

export interface ListedVersion {
  readonly version: PublishedVersion;
  /** When the store was asked (milliseconds since the epoch). */
  readonly takenMs: number;
}

/** Bytes of an ETag: S3's have 34, those of multipart uploads up to 40 with the quotes. Longer ones aren't remembered. */
const ETAG_BYTES_MAX = 48;
const UTF8_BYTES_MAX = 3;
/** Size, LastModified (NaN where it isn't known), and when the store was asked. */
const NUMBERS = 3;
const SLOTS_A_VERSION = 2;
const TABLE_MIN = 16;

export class ListedVersions {
  readonly #generationMax: number;
  #young: Generation | undefined;
  #old: Generation | undefined;

  /** At most `countMax` versions; the half of them that came last are there. */
  constructor(countMax: number) {
    this.#generationMax = Math.max(1, Math.floor(countMax / 2));
  }

  set(id: bigint, listed: ListedVersion): void {
    this.#young ??= new Generation(this.#generationMax);
    if (this.#young.isFull) {
      const emptied = this.#old ?? new Generation(this.#generationMax);
      emptied.clear();
      this.#old = this.#young;
      this.#young = emptied;
    }
    this.#young.set(id, listed);
  }

  /** What was shown last of the file; it is forgotten. */
  take(id: bigint): ListedVersion | undefined {
    const young = this.#young?.take(id);
    const old = this.#old?.take(id);
    return (young === undefined ? old : young) ?? undefined;
  }
}

class Generation {
  readonly #max: number;
  #count = 0;
  readonly #ids: BigUint64Array;
  /** The same memory: a bigint's low half, without a bigint for each. */
  readonly #halves: Uint32Array;
  readonly #numbers: Float64Array;
  readonly #etags: Buffer;
  readonly #etagBytes: Uint8Array;
  readonly #isTaken: Uint8Array;
  /** Open addressing: one more than the place, 0 where nothing is. */
  readonly #places: Uint32Array;
  /** Of the id that is looked for. */
  readonly #id = new BigUint64Array(1);
  readonly #idHalves = new Uint32Array(this.#id.buffer);

  constructor(max: number) {
    this.#max = max;
    this.#ids = new BigUint64Array(max);
    this.#halves = new Uint32Array(this.#ids.buffer);
    this.#numbers = new Float64Array(NUMBERS * max);
    this.#etags = Buffer.allocUnsafeSlow(ETAG_BYTES_MAX * max);
    this.#etagBytes = new Uint8Array(max);
    this.#isTaken = new Uint8Array(max);
    this.#places = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(TABLE_MIN, SLOTS_A_VERSION * max))));
  }

  get isFull(): boolean {
    return this.#count === this.#max;
  }

  clear(): void {
    this.#count = 0;
    this.#places.fill(0);
  }

  set(id: bigint, { version: { etag, size, lastModifiedMs = NaN }, takenMs }: ListedVersion): void {
    const slot = this.#slotOf(id);
    let place = (this.#places[slot] ?? 0) - 1;
    if (place < 0) {
      place = this.#count++;
      this.#places[slot] = place + 1;
      this.#ids[place] = id;
    }
    // What is too long takes the place of what was known before all the same.
    const fits = UTF8_BYTES_MAX * etag.length <= ETAG_BYTES_MAX || Buffer.byteLength(etag) <= ETAG_BYTES_MAX;
    this.#isTaken[place] = fits ? 0 : 1;
    if (!fits) return;
    this.#etagBytes[place] = this.#etags.write(etag, ETAG_BYTES_MAX * place);
    this.#numbers[NUMBERS * place] = size;
    this.#numbers[NUMBERS * place + 1] = lastModifiedMs;
    this.#numbers[NUMBERS * place + 2] = takenMs;
  }

  /** Undefined where the id isn't there; null where it is known no more. */
  take(id: bigint): ListedVersion | null | undefined {
    const place = (this.#places[this.#slotOf(id)] ?? 0) - 1;
    if (place < 0) return undefined;
    if (this.#isTaken[place] === 1) return null;
    this.#isTaken[place] = 1;
    const from = ETAG_BYTES_MAX * place;
    const etag = this.#etags.toString('utf8', from, from + (this.#etagBytes[place] ?? 0));
    const [size = 0, lastModifiedMs = NaN, takenMs = 0] = this.#numbers.subarray(
      NUMBERS * place,
      NUMBERS * (place + 1),
    );
    const version = Number.isNaN(lastModifiedMs) ? { etag, size } : { etag, size, lastModifiedMs };
    return { version, takenMs };
  }

  /** Where the id stands, or would. */
  #slotOf(id: bigint): number {
    this.#id[0] = id;
    const low = this.#idHalves[0] ?? 0;
    const high = this.#idHalves[1] ?? 0;
    const mask = this.#places.length - 1;
    // Ids are hashes: any bits of them will do.
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const place = (this.#places[slot] ?? 0) - 1;
      if (place < 0) return slot;
      if (this.#halves[2 * place] === low && this.#halves[2 * place + 1] === high) return slot;
    }
  }
}
