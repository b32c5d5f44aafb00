/**
 * What files fetched ahead may cost. Bytes are outstanding from when their GET begins until a client reads them or nobody is expected to:
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

  /** Bytes of one file more that may be fetched ahead now; 0 where none may. */
  get roomBytes(): number {
    const left = (unit: keyof Cost): number =>
      this.#read[unit] * WASTE_SHARE + GRANT[unit] - this.#outstanding[unit] - this.#wasted[unit];
    return left('files') < 1 ? 0 : Math.max(0, Math.floor(left('bytes')));
  }

  /** A file is fetched ahead. */
  began(bytes: number): void {
    this.#outstanding.bytes += bytes;
    this.#outstanding.files += 1;
  }

  /** A client reads so many bytes of files that may be fetched ahead; `first` of a file's READs. */
  read(bytes: number, first: boolean): void {
    this.#read.bytes += bytes;
    if (first) this.#read.files += 1;
    for (const unit of ['bytes', 'files'] as const) {
      if (this.#read[unit] <= FADE[unit]) continue;
      this.#read[unit] /= 2;
      this.#wasted[unit] /= 2;
    }
  }

  /** A client reads so many bytes of what was fetched ahead: they are outstanding no more. */
  used(bytes: number): void {
    this.#outstanding.bytes -= bytes;
  }

  /** A file that was fetched ahead is settled: so many of its bytes weren't read, and any at all were. */
  settled(unreadBytes: number, wasRead: boolean): void {
    this.#outstanding.bytes -= unreadBytes;
    this.#outstanding.files -= 1;
    this.#wasted.bytes += unreadBytes;
    if (!wasRead) this.#wasted.files += 1;
  }
}
