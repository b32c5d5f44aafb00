/**
 * HMAC-SHA256 (RFC 2104, FIPS 180-4) of short messages. Every name that a listing shows takes one for its id and one for its handle. Node's takes 3 us,
 * most of it for the call into native code, and leaves objects that the collector has to finalize; this one takes 1 us and leaves none. The hash state
 * after the key is kept, and so is that after a prefix which many messages share. Many messages are hashed four at a time (hash-lanes.ts).
 */
import { createHash } from 'node:crypto';
import { hashLanes, LANE_BYTES, LANES, type HashLanes } from './hash-lanes.js';

const BLOCK_BYTES = 64;
const STATE_WORDS = 8;
/** Of each of many messages: the first 16 bytes. */
export const WORDS_OF_MANY = 4;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/** First 32 bits of the fractional part of `value`. */
const fraction = (value: number): number => Math.floor((value - Math.floor(value)) * 2 ** 32) | 0;

/** The first 64 primes: 311 is the last. */
const PRIMES: readonly number[] = Array.from({ length: 312 }, (_, at) => at).filter((value) => {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return value > 1;
});
/** FIPS 180-4 4.2.2 and 5.3.3: fractions of the cube roots of the first 64 primes, and of the square roots of the first eight. */
const ROUND_WORDS = Int32Array.from(PRIMES.slice(0, 64), (prime) => fraction(Math.cbrt(prime)));
const FIRST_STATE = Int32Array.from(PRIMES.slice(0, STATE_WORDS), (prime) => fraction(Math.sqrt(prime)));

/** The beginning of a message, hashed as far as it fills blocks. */
export interface HashedPrefix {
  readonly state: Int32Array;
  /** The last bytes, which don't fill a block. */
  readonly rest: Uint8Array;
  /** Length of the beginning. */
  readonly bytes: number;
}

export class KeyedHash {
  readonly #inner: Int32Array;
  readonly #outer: Int32Array;
  readonly #schedule = new Int32Array(64);
  readonly #state = new Int32Array(STATE_WORDS);
  /** The last blocks of a message with its padding, or the block of the outer hash. */
  #tail: Uint8Array<ArrayBuffer> = new Uint8Array(4 * BLOCK_BYTES);
  readonly #empty: HashedPrefix;
  /** Made for the first many messages; undefined where there are no vectors. */
  #lanes: HashLanes | undefined;
  #hasLanes: boolean | undefined;
  /** What `many` returns. */
  #words = new Int32Array(0);
  /** Blocks of each lane's message behind the prefix, and the states of those that end before others. */
  readonly #blocks = new Uint32Array(LANES);
  readonly #ended = new Int32Array(STATE_WORDS * LANES);

  constructor(key: Uint8Array) {
    const short = key.length > BLOCK_BYTES ? createHash('sha256').update(key).digest() : key;
    this.#inner = this.#padded(short, INNER_PAD);
    this.#outer = this.#padded(short, OUTER_PAD);
    this.#empty = { state: this.#inner, rest: new Uint8Array(), bytes: 0 };
  }

  /** Hashes the beginning that messages share. */
  prefix(begin: Uint8Array): HashedPrefix {
    const state = this.#inner.slice();
    const whole = begin.length - (begin.length % BLOCK_BYTES);
    for (let at = 0; at < whole; at += BLOCK_BYTES) this.#compress(state, begin, at);
    return { state, rest: begin.slice(whole), bytes: begin.length };
  }

  /** HMAC of `prefix` and the first `messageBytes` of `message`: eight words, valid until the next call. */
  words(message: Uint8Array, prefix: HashedPrefix = this.#empty, messageBytes = message.length): Int32Array {
    const { rest, bytes } = prefix;
    const state = this.#state;
    state.set(prefix.state);
    const length = rest.length + messageBytes;
    // FIPS 180-4 5.1.1: behind the message come a 1 bit and its length in bits, in eight bytes.
    const end = Math.ceil((length + 9) / BLOCK_BYTES) * BLOCK_BYTES;
    if (end > this.#tail.length) this.#tail = new Uint8Array(2 * end);
    const tail = this.#tail;
    for (let at = 0; at < rest.length; at++) tail[at] = rest[at] ?? 0;
    for (let at = 0; at < messageBytes; at++) tail[rest.length + at] = message[at] ?? 0;
    this.#finish(state, length, BLOCK_BYTES + bytes + messageBytes, end);
    for (let word = 0; word < STATE_WORDS; word++) {
      const value = state[word] ?? 0;
      for (let byte = 0; byte < 4; byte++) tail[4 * word + byte] = value >>> (24 - 8 * byte);
    }
    state.set(this.#outer);
    this.#finish(state, 4 * STATE_WORDS, BLOCK_BYTES + 4 * STATE_WORDS, BLOCK_BYTES);
    return state;
  }

  /**
   * HMACs of `prefix` and each of `count` messages, which stand one behind the other: `ends` are where they end. The first four words of each, valid until
   * the next call.
   */
  many(
    messages: Uint8Array,
    ends: Uint32Array,
    count: number,
    prefix: HashedPrefix = this.#empty,
  ): Int32Array {
    if (this.#words.length < WORDS_OF_MANY * count) this.#words = new Int32Array(WORDS_OF_MANY * count);
    const lanes = this.#lanesMade();
    for (let first = 0; first < count; first += LANES) {
      const behind = Math.min(first + LANES, count);
      let longest = 0;
      for (let at = first; at < behind; at++)
        longest = Math.max(longest, (ends[at] ?? 0) - (at === 0 ? 0 : (ends[at - 1] ?? 0)));
      if (lanes !== undefined && prefix.rest.length + longest + 9 <= LANE_BYTES)
        this.#inLanes(lanes, messages, ends, first, behind, prefix);
      else this.#oneByOne(messages, ends, first, behind, prefix);
    }
    return this.#words;
  }

  #lanesMade(): HashLanes | undefined {
    if (this.#hasLanes === undefined) {
      this.#lanes = hashLanes(ROUND_WORDS);
      this.#hasLanes = this.#lanes !== undefined;
      for (let at = 0; at < STATE_WORDS * LANES; at++)
        if (this.#lanes !== undefined) this.#lanes.outer[at] = this.#outer[Math.floor(at / LANES)] ?? 0;
    }
    return this.#lanes;
  }

  #oneByOne(
    messages: Uint8Array,
    ends: Uint32Array,
    first: number,
    behind: number,
    prefix: HashedPrefix,
  ): void {
    for (let at = first; at < behind; at++) {
      const message = messages.subarray(at === 0 ? 0 : ends[at - 1], ends[at]);
      this.#words.set(this.words(message, prefix).subarray(0, WORDS_OF_MANY), WORDS_OF_MANY * at);
    }
  }

  /** At most four messages. Lanes without one hash what was there before, and nobody looks. */
  #inLanes(
    lanes: HashLanes,
    messages: Uint8Array,
    ends: Uint32Array,
    first: number,
    behind: number,
    prefix: HashedPrefix,
  ): void {
    const { state, digests } = lanes;
    const blocks = this.#blocks;
    let most = 0;
    for (let at = first; at < behind; at++) {
      const from = at === 0 ? 0 : (ends[at - 1] ?? 0);
      const count = fillLane(
        lanes.messages,
        (at - first) * LANE_BYTES,
        messages,
        from,
        ends[at] ?? 0,
        prefix,
      );
      blocks[at - first] = count;
      if (count > most) most = count;
    }
    for (let at = 0; at < STATE_WORDS * LANES; at++) state[at] = prefix.state[at >>> 2] ?? 0;
    for (let block = 1; block <= most; block++) {
      lanes.block((block - 1) * BLOCK_BYTES);
      // Who has ended is hashed on with the others.
      for (let lane = 0; lane < behind - first; lane++)
        if (blocks[lane] === block) copyLane(state, this.#ended, lane);
    }
    state.set(this.#ended);
    lanes.finish();
    for (let at = first; at < behind; at++)
      for (let word = 0; word < WORDS_OF_MANY; word++)
        this.#words[WORDS_OF_MANY * at + word] = digests[LANES * word + at - first] ?? 0;
  }

  /** Pads the tail from `length` to `end` and hashes it; `bytes` is the length of the whole message, with the block of the key. */
  #finish(state: Int32Array, length: number, bytes: number, end: number): void {
    const tail = this.#tail;
    tail.fill(0, length, end);
    tail[length] = 0x80;
    // Messages are far shorter than 512 MiB: the length in bits fits 32 bits.
    const bits = bytes * 8;
    for (let byte = 0; byte < 4; byte++) tail[end - 4 + byte] = bits >>> (24 - 8 * byte);
    for (let at = 0; at < end; at += BLOCK_BYTES) this.#compress(state, tail, at);
  }

  /** The state after the block of the key (RFC 2104 2). */
  #padded(key: Uint8Array, pad: number): Int32Array {
    const block = new Uint8Array(BLOCK_BYTES).fill(pad);
    for (const [at, byte] of key.entries()) block[at] = byte ^ pad;
    const state = FIRST_STATE.slice();
    this.#compress(state, block, 0);
    return state;
  }

  /** FIPS 180-4 6.2.2. */
  #compress(state: Int32Array, bytes: Uint8Array, from: number): void {
    const w = this.#schedule;
    for (let i = 0, at = from; i < 16; i++, at += 4)
      w[i] =
        ((bytes[at] ?? 0) << 24) |
        ((bytes[at + 1] ?? 0) << 16) |
        ((bytes[at + 2] ?? 0) << 8) |
        (bytes[at + 3] ?? 0);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15] ?? 0;
      const y = w[i - 2] ?? 0;
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = ((w[i - 16] ?? 0) + s0 + (w[i - 7] ?? 0) + s1) | 0;
    }
    let a = state[0] ?? 0;
    let b = state[1] ?? 0;
    let c = state[2] ?? 0;
    let d = state[3] ?? 0;
    let e = state[4] ?? 0;
    let f = state[5] ?? 0;
    let g = state[6] ?? 0;
    let h = state[7] ?? 0;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (ROUND_WORDS[i] ?? 0) + (w[i] ?? 0)) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0] = (state[0] ?? 0) + a;
    state[1] = (state[1] ?? 0) + b;
    state[2] = (state[2] ?? 0) + c;
    state[3] = (state[3] ?? 0) + d;
    state[4] = (state[4] ?? 0) + e;
    state[5] = (state[5] ?? 0) + f;
    state[6] = (state[6] ?? 0) + g;
    state[7] = (state[7] ?? 0) + h;
  }
}

/** Puts what follows the prefix's whole blocks there, with its padding (FIPS 180-4 5.1.1); returns how many blocks it is. */
function fillLane(
  lane: Uint8Array,
  start: number,
  messages: Uint8Array,
  from: number,
  to: number,
  { rest, bytes }: HashedPrefix,
): number {
  let at = start;
  for (let index = 0; index < rest.length; index++) lane[at++] = rest[index] ?? 0;
  for (let index = from; index < to; index++) lane[at++] = messages[index] ?? 0;
  const blocks = Math.ceil((at - start + 9) / BLOCK_BYTES);
  const end = start + blocks * BLOCK_BYTES;
  lane[at++] = 0x80;
  while (at < end - 4) lane[at++] = 0;
  const bits = (BLOCK_BYTES + bytes + to - from) * 8;
  for (let byte = 0; byte < 4; byte++) lane[end - 4 + byte] = bits >>> (24 - 8 * byte);
  return blocks;
}

function copyLane(from: Int32Array, to: Int32Array, lane: number): void {
  for (let at = lane; at < STATE_WORDS * LANES; at += LANES) to[at] = from[at] ?? 0;
}
