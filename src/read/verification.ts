/**
 * Checks what is fetched of one object version against the checksum that the store has of it, where the store was told to ask for those
 * (`ObjectStore.checksums`).
 *
 *   a small version    is fetched whole and given out once it is known to be right; else it is fetched again
 *   a larger version   is given out as it arrives and summed (version-check.ts). What makes the sum complete is held back until the sum is
 *                      right. Where it isn't, the version is condemned: dropped, and refused for a while. Once it was right, each block that is
 *                      fetched again is given out when it is known to be right; else it is fetched again
 *
 * S3 tells no checksum of a part of an object's bytes: before a larger version was read through, nothing more can be known.
 */
import type { ObjectVersion } from '../memory/byte-slices.js';
import { StoreError } from '../store/errors.js';
import type { ObjectChecksum, ObjectChecksums, ObjectStore, WholeGet } from '../store/object-store.js';
import type { BodyChecks } from '../store/s3/body-checks.js';
import type { Block, Fetch } from './fetch.js';
import type { ReadOptions } from './options.js';
import { lengthOf } from './span.js';
import { CHECKED_BYTES_MAX, VersionCheck } from './version-check.js';

/** A body that goes wrong on its way goes wrong again as seldom; one that is so in the store always does. */
const ASKED_MAX = 5;
/** A client that reads ahead asks again for what failed, before its program hears of it; the program is to hear of it. */
const CONDEMNED_MS = 5_000;

/** Bytes that aren't what the store's checksum says. */
export class WrongBytes extends StoreError {
  /** Asking for them again may help: nobody has read them. */
  readonly again: boolean;

  constructor(bucket: string, { key, etag }: ObjectVersion, again: boolean) {
    const message = again
      ? `the bytes of "${key}" (version ${etag}) are not what the checksum of the store says`
      : `bytes read from "${key}" (version ${etag}) before this were not what the checksum of the store says`;
    super('checksum', message, { operation: 'GetObject', bucket, key });
    this.again = again;
  }
}

/** What is done with the bytes of one fetch. */
export interface FetchCheck {
  readonly whole: WholeGet | undefined;
  /** Blocks became full; what may be published now. Throws WrongBytes. */
  arrived(full: readonly Block[]): 'all' | 'full blocks' | 'none';
  /** Everything has arrived. Throws WrongBytes. */
  ended(blocks: readonly Block[]): void;
}

export interface VerificationParts {
  readonly store: ObjectStore;
  readonly checks: BodyChecks;
  readonly options: Pick<ReadOptions, 'smallFileBytes' | 'blockBytes' | 'now'>;
}

export class Verification {
  readonly #version: ObjectVersion;
  readonly #parts: VerificationParts;
  /** Of a larger version: null where there is none. */
  #check: VersionCheck | null | undefined;
  /** The question for it that is under way, and whose it is. */
  #asking: { readonly signal: AbortSignal; readonly answer: Promise<void> } | undefined;
  #condemnedUntilMs = -Infinity;

  constructor(version: ObjectVersion, parts: VerificationParts) {
    this.#version = version;
    this.#parts = parts;
  }

  /** Fetches are of the whole version or none. */
  get isWhole(): boolean {
    const { store, options } = this.#parts;
    const { key, etag, size } = this.#version;
    return (
      store.checksums !== undefined &&
      size <= options.smallFileBytes &&
      store.checksums.known(key, etag) !== null
    );
  }

  /** What READs fail with while the version is condemned. */
  get refusal(): WrongBytes | undefined {
    return this.#parts.options.now() < this.#condemnedUntilMs ? this.#wrong(false) : undefined;
  }

  /** Begins anew with the version, after a while. */
  condemn(): void {
    this.#check = undefined;
    this.#condemnedUntilMs = this.#parts.options.now() + CONDEMNED_MS;
  }

  /** How often wrong bytes are asked for before the READ fails. */
  get askedMax(): number {
    return ASKED_MAX;
  }

  /** How to check a fetch that is about to be asked for; undefined where nothing can be. Errors: those of a HeadObject. */
  async begin(fetch: Fetch): Promise<FetchCheck | undefined> {
    const { checksums } = this.#parts.store;
    if (checksums === undefined) return undefined;
    const { key, etag, size } = this.#version;
    if (this.isWhole && lengthOf(fetch.rest) === size) return this.#wholeCheck(checksums.known(key, etag));
    await this.#asked(checksums, fetch.signal);
    const check = this.#check;
    return check === null || check === undefined ? undefined : this.#summed(check);
  }

  /** A block came from the disk, where it may have been put before the version was known to be right. Throws WrongBytes. */
  fromDisk({ offset, length, buffer }: Block): void {
    const { checksums } = this.#parts.store;
    const { key, etag } = this.#version;
    if (checksums === undefined || this.isWhole) return;
    const known = this.#check === undefined ? checksums.known(key, etag) : undefined;
    if (known !== undefined) this.#found(known);
    const check = this.#check;
    if (check === null || check === undefined) return;
    if (!check.add(offset, buffer.subarray(0, length))) throw this.#wrong(check.state === 'right');
  }

  #wholeCheck(known: ObjectChecksum | null | undefined): FetchCheck {
    const { checks } = this.#parts;
    let checksum = known;
    return {
      whole: { told: (found) => void (checksum = found ?? null) },
      arrived: () => (checksum === null ? 'all' : 'none'),
      ended: (blocks) => {
        if (checksum === null || checksum === undefined) return;
        const slices = blocks.map(({ buffer, length }) => buffer.subarray(0, length));
        if (!checks.matches(checksum, slices)) throw this.#wrong(true);
      },
    };
  }

  /** Knows what the checksum is. Fetches that begin together ask once, and again if the one that asked was cancelled meanwhile. */
  async #asked(checksums: ObjectChecksums, signal: AbortSignal): Promise<void> {
    const { key, etag } = this.#version;
    while (this.#check === undefined) {
      signal.throwIfAborted();
      const asking = (this.#asking ??= {
        signal,
        answer: checksums
          .of(key, etag, signal)
          .then((checksum) => this.#found(checksum ?? null))
          .finally(() => (this.#asking = undefined)),
      });
      try {
        await asking.answer;
      } catch (error) {
        if (asking.signal === signal || !asking.signal.aborted) throw error;
      }
    }
  }

  #found(checksum: ObjectChecksum | null): void {
    const { checks, options } = this.#parts;
    const { size } = this.#version;
    const sums = checksum === null ? undefined : checks.pieces(checksum);
    // More than memory that is in no budget should hold.
    const checked = sums !== undefined && size <= CHECKED_BYTES_MAX;
    this.#check ??= checked ? new VersionCheck(size, options.blockBytes, sums) : null;
  }

  #summed(check: VersionCheck): FetchCheck {
    // Only whole blocks of it are published then: what is wrong was read by nobody.
    const known = check.state === 'right';
    return {
      whole: undefined,
      arrived: (full) => {
        for (const { offset, length, buffer } of full)
          if (!check.add(offset, buffer.subarray(0, length))) throw this.#wrong(known);
        return known ? 'full blocks' : 'all';
      },
      ended: () => undefined,
    };
  }

  #wrong(again: boolean): WrongBytes {
    return new WrongBytes(this.#parts.store.bucket, this.#version, again);
  }
}
