/**
 * A block: contiguous bytes of one object version in one buffer, at most `blockBytes` long. Bytes arrive in order.
 *
 *   filling --all bytes there--> full --evicted or forgotten--> detached --last pin gone--> buffer given back
 *      \------------- fetch failed, cancelled or forgotten ------->/
 *
 * Pins keep the buffer: one of the fetch that fills it, one of each READ that waits for its bytes or has them on the wire.
 */
import type { Fetch } from './fetch.js';

export interface Block {
  /** First byte in the object. */
  readonly offset: number;
  /** Bytes it is to hold. */
  readonly length: number;
  /** `length` bytes or more; all of it is reserved in the budget. */
  readonly buffer: Buffer;
  /** Who fills it, or filled it. */
  readonly fetch: Fetch;
  /** Bytes that have arrived. */
  filled: number;
  pins: number;
  /** It was read to its end, or nobody is expected to: the first to go when memory is asked for. */
  consumed: boolean;
  /** No index leads to it any more. */
  detached: boolean;
}
