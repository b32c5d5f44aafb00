/**
 * What files fetched ahead may cost. A file is outstanding from when its GET begins until a client reads it or nobody is expected to:
 * then the bytes that were not read are wasted. At any time, in bytes and in files,
 *
 *   outstanding + wasted <= a tenth of what clients have read + a grant
 *
 * so that whatever order clients open files in, no more than that is fetched in vain. The grant lets it begin. Old times fade: what was
 * wasted an hour ago keeps nobody from fetching ahead, nor does what was read then give credit without end. Pure.
 */

/** Of what clients have read. */
const WASTE_SHARE = 0.1;
const GRANT: Cost = { bytes: 1024 * 1024, files: 8 };
/** What was read and wasted is halved whenever more than this was read: credit is never more than a tenth of it. */
const FADE: Cost = { bytes: 1024 ** 3, files: 16_384 };

interface Cost {
  bytes: number;
  files: number;
}

export class AheadAccount {
  readonly #read: Cost = { bytes: 0, files: 0 };
  readonly #wasted: Cost = { bytes: 0, files: 0 };
  readonly #outstanding: Cost = { bytes: 0, files: 0 };

  /** Bytes fetched, or being fetched, that may yet be read. */
  get outstandingBytes(): number {
    return this.#outstanding.bytes;
  }

  get wastedBytes(): number {
    return this.#wasted.bytes;
  }

  /** Whether a file of so many bytes may be fetched ahead now. */
  admits(bytes: number): boolean {
    const within = (more: number, unit: keyof Cost): boolean =>
      this.#outstanding[unit] + this.#wasted[unit] + more <= this.#read[unit] * WASTE_SHARE + GRANT[unit];
    return within(bytes, 'bytes') && within(1, 'files');
  }

  /** A file is fetched ahead. */
  began(bytes: number): void {
    this.#outstanding.bytes += bytes;
    this.#outstanding.files += 1;
  }

  /** A client reads so many bytes of small files; `first` of a file's READs. */
  read(bytes: number, first: boolean): void {
    this.#read.bytes += bytes;
    if (first) this.#read.files += 1;
    for (const unit of ['bytes', 'files'] as const) {
      if (this.#read[unit] <= FADE[unit]) continue;
      this.#read[unit] /= 2;
      this.#wasted[unit] /= 2;
    }
  }

  /** A file that was fetched ahead is settled: so many of its bytes were read. */
  settled(bytes: number, readBytes: number): void {
    this.#outstanding.bytes -= bytes;
    this.#outstanding.files -= 1;
    this.#wasted.bytes += bytes - readBytes;
    if (readBytes === 0) this.#wasted.files += 1;
  }
}
