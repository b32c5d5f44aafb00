/**
 * SHA-256 (FIPS 180-4) of four messages at a time, a lane of 128-bit vectors each: vectors of WebAssembly do in 0.1 us a block what takes JavaScript 0.8.
 * It knows blocks and states alone; keyed-hash.ts makes HMACs of them.
 */
import {
  AGAIN,
  BREAK_OUT_IF,
  get,
  I32,
  I32_ADD,
  i32,
  instantiated,
  repeated,
  set,
  unsigned,
  type WasmFunction,
} from '../memory/wasm-module.js';

export const LANES = 4;
/** Bytes of a lane's message: blocks of a name of 1,900 bytes, and of what may come before it. */
export const LANE_BYTES = 33 * 64;

const WORD_BYTES = 4;
const VECTOR_BYTES = 16;
const STATE_WORDS = 8;
const BLOCK_WORDS = 16;
const ROUND_BYTES = 64 * WORD_BYTES;
/** Addresses: the words of the rounds, three states of eight vectors, the lanes. */
const STATE = ROUND_BYTES;
const OUTER = STATE + STATE_WORDS * VECTOR_BYTES;
const DIGESTS = OUTER + STATE_WORDS * VECTOR_BYTES;
const MESSAGES = DIGESTS + STATE_WORDS * VECTOR_BYTES;

interface Machine {
  /** Hashes the block that stands so many bytes behind the beginning of each lane into the state. */
  readonly block: (at: number) => void;
  /** Hashes the state, as a message that follows one block, into the digests, from the outer state on. */
  readonly finish: () => void;
}

export interface HashLanes extends Machine {
  /** Word by word, of each the lanes in turn. */
  readonly state: Int32Array;
  readonly outer: Int32Array;
  readonly digests: Int32Array;
  /** LANE_BYTES of each lane. */
  readonly messages: Uint8Array;
}

/** Undefined where the processor has no vectors. `roundWords`: FIPS 180-4 4.2.2. */
export function hashLanes(roundWords: Int32Array): HashLanes | undefined {
  const machine = instantiated<Machine>([BLOCK_OF_LANES, FINISH], MESSAGES + LANES * LANE_BYTES);
  if (machine === undefined) return undefined;
  const { buffer } = machine.memory;
  new Int32Array(buffer, 0, roundWords.length).set(roundWords);
  const stateAt = (at: number): Int32Array => new Int32Array(buffer, at, STATE_WORDS * LANES);
  return {
    block: machine.block,
    finish: machine.finish,
    state: stateAt(STATE),
    outer: stateAt(OUTER),
    digests: stateAt(DIGESTS),
    messages: new Uint8Array(buffer, MESSAGES, LANES * LANE_BYTES),
  };
}

const VECTOR = 0x7b;
const I32_EQ = 0x46;
const I32_SHL = 0xab;
const I32_SHR_U = 0xad;
const ADD = [0xfd, 0xae, 0x01];
const XOR = [0xfd, 0x51];
const OR = [0xfd, 0x50];
/** Of three vectors: bits of the first where the third has ones, of the second elsewhere. */
const SELECT = [0xfd, 0x52];
const loadVector = (at: number): number[] => [...i32(0), 0xfd, 0x00, 4, ...unsigned(at)];
const storeVector = (at: number): number[] => [0xfd, 0x0b, 4, ...unsigned(at)];
/** All lanes from one word, behind the address on the stack. */
const loadWord = (offset: number): number[] => [0xfd, 0x09, 2, ...unsigned(offset)];
/** One lane of the vector on the stack, behind an address below it. */
const loadLane = (offset: number, lane: number): number[] => [0xfd, 0x56, 2, ...unsigned(offset), lane];
const splat = (value: number): number[] => [
  ...[0xfd, 0x0c],
  ...Array.from({ length: LANES }, () => [...Buffer.from(Int32Array.of(value).buffer)]).flat(),
];
/** The bytes of each word the other way round, as SHA-256 reads them. */
const SWAPPED = [
  ...[0xfd, 0x0d],
  ...Array.from({ length: VECTOR_BYTES }, (_, at) => (at & ~3) + (3 - (at & 3))),
];

/** Locals: the parameter or an unused word, where the words of the rounds are, the schedule, the state, and one more. */
const AT = 0;
const ROUND = 1;
const WORDS = 2;
const WORKING = WORDS + BLOCK_WORDS;
const SUM = WORKING + STATE_WORDS;
const LOCALS = Array.from({ length: BLOCK_WORDS + STATE_WORDS + 1 }, () => VECTOR);
const word = (at: number): number => WORDS + (at % BLOCK_WORDS);

const shifted = (local: number, by: number, how: number): number[] => [
  ...get(local),
  ...i32(by),
  ...[0xfd, how, 0x01],
];
const rotated = (local: number, by: number): number[] => [
  ...shifted(local, by, I32_SHR_U),
  ...shifted(local, 32 - by, I32_SHL),
  ...OR,
];
const mixed = (local: number, a: number, b: number, last: readonly number[]): number[] => [
  ...rotated(local, a),
  ...rotated(local, b),
  ...XOR,
  ...last,
  ...XOR,
];

/** FIPS 180-4 6.2.2, step 3, of round `at` in each 16: names turn from round to round in place of values. */
function round(at: number): number[] {
  const named = (letter: number): number => WORKING + ((letter - at + BLOCK_WORDS) % STATE_WORDS);
  const [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7].map(named) as [
    ...[number, number, number, number],
    ...[number, number, number, number],
  ];
  return [
    ...get(h),
    ...[...mixed(e, 6, 11, rotated(e, 25)), ...ADD],
    ...[...get(f), ...get(g), ...get(e), ...SELECT, ...ADD],
    ...[...get(ROUND), ...loadWord(WORD_BYTES * at), ...ADD],
    ...[...get(word(at)), ...ADD, ...set(SUM)],
    ...[...get(d), ...get(SUM), ...ADD, ...set(d)],
    ...[...get(SUM), ...mixed(a, 2, 13, rotated(a, 22)), ...ADD],
    // The majority: where the first two differ it is the third.
    ...[...get(c), ...get(b), ...get(a), ...get(b), ...XOR, ...SELECT, ...ADD, ...set(h)],
  ];
}

/** The schedule's word of 16 rounds later, in the place of the one of this round (FIPS 180-4 6.2.2, step 1). */
function scheduled(at: number): number[] {
  const x = word(at + 1);
  const y = word(at + 14);
  return [
    ...get(word(at)),
    ...[...mixed(x, 7, 18, shifted(x, 3, I32_SHR_U)), ...ADD],
    ...[...get(word(at + 9)), ...ADD],
    ...[...mixed(y, 17, 19, shifted(y, 10, I32_SHR_U)), ...ADD],
    ...set(word(at)),
  ];
}

const upTo = (count: number, make: (at: number) => readonly number[]): number[] =>
  Array.from({ length: count }, (_, at) => make(at)).flat();

/** The rounds of the schedule's first 16 words, from the state at one address to the one at another. */
const rounds = (from: number, to: number): number[] => [
  ...upTo(STATE_WORDS, (at) => [...loadVector(from + at * VECTOR_BYTES), ...set(WORKING + at)]),
  ...[...i32(0), ...set(ROUND)],
  ...repeated([
    ...upTo(BLOCK_WORDS, round),
    ...[...get(ROUND), ...i32(BLOCK_WORDS * WORD_BYTES), I32_ADD, ...set(ROUND)],
    ...[...get(ROUND), ...i32(ROUND_BYTES), I32_EQ, ...BREAK_OUT_IF],
    ...upTo(BLOCK_WORDS, scheduled),
    ...AGAIN,
  ]),
  ...upTo(STATE_WORDS, (at) => [
    ...i32(0),
    ...[...loadVector(from + at * VECTOR_BYTES), ...get(WORKING + at), ...ADD],
    ...storeVector(to + at * VECTOR_BYTES),
  ]),
];

const laneWord = (at: number): number[] => [
  ...splat(0),
  ...set(SUM),
  ...upTo(LANES, (lane) => [
    ...[...get(AT), ...get(SUM)],
    ...[...loadLane(MESSAGES + lane * LANE_BYTES + at * WORD_BYTES, lane), ...set(SUM)],
  ]),
  ...[...get(SUM), ...get(SUM), ...SWAPPED, ...set(word(at))],
];

const BLOCK_OF_LANES: WasmFunction = {
  name: 'block',
  parameters: [I32],
  results: [],
  locals: [I32, ...LOCALS],
  code: [...upTo(BLOCK_WORDS, laneWord), ...rounds(STATE, STATE)],
};

/** A digest's padding behind a block: a 1 bit, and its length in bits (FIPS 180-4 5.1.1). */
const DIGEST_PADDING = [0x80000000 | 0, 0, 0, 0, 0, 0, 0, (64 + STATE_WORDS * WORD_BYTES) * 8];

const FINISH: WasmFunction = {
  name: 'finish',
  parameters: [],
  results: [],
  locals: [I32, I32, ...LOCALS],
  code: [
    ...upTo(STATE_WORDS, (at) => [...loadVector(STATE + at * VECTOR_BYTES), ...set(word(at))]),
    ...DIGEST_PADDING.flatMap((value, at) => [...splat(value), ...set(word(STATE_WORDS + at))]),
    ...rounds(OUTER, DIGESTS),
  ],
};
