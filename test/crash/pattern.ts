/**
 * What is written: each WRITE has bytes of its own, a window into one pool of random ones, so that bytes can be told apart by whose they are
 * and compared without being kept.
 */
import { draw } from '../../src/store/faults/random.js';
import { patternBytes } from '../end-to-end/fixture.js';

const MIB = 1024 * 1024;
/** Of one WRITE (FSINFO's wtmax). */
export const WRITE_BYTES_MAX = MIB;
const POOL_BYTES = 16 * MIB;

export class Patterns {
  readonly #pool: Buffer;

  /** Takes a tenth of a second: for all trials of a run. */
  constructor() {
    this.#pool = patternBytes(POOL_BYTES, 0x5eed);
  }

  /** Bytes `from` to `to` of the WRITE with this id. A view: not to be changed. */
  bytes(id: number, from: number, to: number): Buffer {
    const start = Math.floor(draw(0x9a77, id) * (POOL_BYTES - WRITE_BYTES_MAX));
    return this.#pool.subarray(start + from, start + to);
  }
}
