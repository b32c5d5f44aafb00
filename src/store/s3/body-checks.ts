/** Checks bytes against the checksums that S3 tells of objects. */
import { createHash } from 'node:crypto';
import type { Body, ObjectChecksum } from '../object-store.js';
import { type ChecksumAlgorithm, CRCS, type Update, updateOf } from './checksum.js';
import { type Crc, joinedCrc, RunningJoin } from './crc-combine.js';

/** An algorithm by which pieces can be summed apart and joined. */
export interface PieceSums {
  readonly of: (bytes: Uint8Array) => bigint;
  /** Of pieces as they come one after the other; or of some at once. */
  readonly join: () => RunningJoin;
  readonly joined: (pieces: readonly { readonly value: bigint; readonly bytes: number }[]) => bigint;
  /** Of the whole, as the store tells it. */
  readonly wanted: bigint;
}

/** Keeps the machines that it needed. */
export class BodyChecks {
  readonly #updates = new Map<ChecksumAlgorithm, Update>();

  /** The slices, one after the other, have this checksum. */
  matches({ algorithm, value }: ObjectChecksum, slices: Body): boolean {
    const wanted = Buffer.from(value, 'base64');
    if (algorithm === 'sha1' || algorithm === 'sha256') {
      const hash = createHash(algorithm);
      for (const slice of slices) hash.update(slice);
      return hash.digest().equals(wanted);
    }
    const update = this.#updateOf(algorithm);
    return slices.reduce((crc, slice) => update(slice, crc), 0n) === numberOf(wanted);
  }

  /** For objects that come in pieces; undefined where pieces tell nothing of the whole. */
  pieces({ algorithm, value }: ObjectChecksum): PieceSums | undefined {
    if (algorithm === 'sha1' || algorithm === 'sha256') return undefined;
    const update = this.#updateOf(algorithm);
    const crc: Crc = CRCS[algorithm];
    return {
      of: (bytes) => update(bytes, 0n),
      join: () => new RunningJoin(crc),
      joined: (pieces) => joinedCrc(crc, pieces),
      wanted: numberOf(Buffer.from(value, 'base64')),
    };
  }

  #updateOf(algorithm: ChecksumAlgorithm): Update {
    const known = this.#updates.get(algorithm);
    if (known !== undefined) return known;
    const made = updateOf(algorithm);
    this.#updates.set(algorithm, made);
    return made;
  }
}

const numberOf = (bytes: Buffer): bigint => BigInt(`0x0${bytes.toString('hex')}`);
