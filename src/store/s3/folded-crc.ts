/**
 * A CRC of 32 bits in half the time of node:zlib, whose vector code Node has switched off (nodejs/node pull request 49511): bytes are folded
 * onto bytes far behind them until little is left, of which the CRC is taken as before. What makes that right is a sparse multiple of the
 * polynomial, 1 + y^a + ... + y^n with y = x^128: 16 bytes add the same to a CRC as themselves at each of n - a, ..., n places further on, so
 * they may go there instead. That is exclusive-ors of whole vectors (S. Russell, "Chorba: A novel CRC32 implementation", arXiv 2412.16398; zlib-ng has it).
 *
 *   bytes:  [ folded ..................................... ][ what is left: n x 16 bytes ]
 *              each 16 bytes take in those at distances d1 < d2 < ... < n before them, which are folded already
 */
import {
  AGAIN,
  BREAK_OUT_IF,
  get,
  I32,
  I32_ADD,
  I32_SUB,
  i32,
  instantiated,
  repeated,
  set,
  unsigned,
  type WasmFunction,
} from '../../memory/wasm-module.js';

/** A CRC, going on from the value of what came before. */
export type Crc32 = (bytes: Uint8Array, before?: number) => number;

const VECTOR_BYTES = 16;
/** Vectors a turn of the loop: more save nothing. */
const VECTORS = 8;
/** Bytes copied in at a time: a block of a part. Smaller pieces leave more for the slow way, larger ones the processor's cache. */
const PIECE_BYTES = 256 * 1024;

/**
 * Distances in vectors. With the greatest of them, n, and `d` for each, the sum of y^(n - d) and 1 is a multiple of the polynomial; they are those
 * with the least n, found by trying all. Four are the fewest for n below 1,000; Castagnoli's has no odd number of them.
 */
export const CRC32_DISTANCES: readonly number[] = [145, 183, 211, 300];
export const CRC32C_DISTANCES: readonly number[] = [65, 155, 170, 195, 209];

interface Machine {
  /** Folds the bytes between two addresses; both are told less the greatest distance. */
  readonly fold: (at: number, end: number) => void;
  /** Adds to the bytes between two addresses those `distance` before. */
  readonly add: (at: number, end: number, distance: number) => void;
}

/** The same CRC as `direct`, which does what is left and what is short; `direct` itself where the processor has no vectors. */
export function foldedCrc(distances: readonly number[], direct: Crc32): Crc32 {
  const bytesBehind = distances.map((distance) => distance * VECTOR_BYTES);
  const leftBytes = Math.max(...bytesBehind);
  const machine = instantiated<Machine>([foldOf(bytesBehind), ADD], leftBytes + PIECE_BYTES);
  if (machine === undefined) return direct;
  const { memory, fold, add } = machine;
  // Nothing comes before the first byte: zeros, which nobody overwrites.
  const start = leftBytes;
  const all = Buffer.from(memory.buffer);
  const piece = all.subarray(start, start + PIECE_BYTES);
  /** Of what was copied into `piece`. */
  const ofPiece = (bytes: number, before: number): number => {
    // The register goes into the first four bytes: from there on it is nought.
    piece.writeUInt32LE((piece.readUInt32LE(0) ^ ~before) >>> 0, 0);
    const turns = Math.floor((bytes - leftBytes) / (VECTORS * VECTOR_BYTES));
    const foldedBytes = turns * VECTORS * VECTOR_BYTES;
    fold(0, foldedBytes);
    const left = start + foldedBytes;
    for (const distance of bytesBehind) add(left, left + distance, distance);
    return direct(all.subarray(left, start + bytes), NOUGHT);
  };
  return (bytes, before = 0) => {
    let crc = before;
    for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
      const slice = bytes.subarray(from, from + PIECE_BYTES);
      if (slice.length < 4 * leftBytes) {
        crc = direct(slice, crc);
      } else {
        piece.set(slice);
        crc = ofPiece(slice.length, crc);
      }
    }
    return crc;
  };
}

/** The value of a CRC whose register is nought. */
const NOUGHT = 0xffffffff;

const I32_GE_U = 0x4f;
/** Loads and stores with an alignment that is only a hint. */
const loadVector = (offset: number): number[] => [0xfd, 0x00, 4, ...unsigned(offset)];
const storeVector = (offset: number): number[] => [0xfd, 0x0b, 4, ...unsigned(offset)];
const VECTOR_XOR = [0xfd, 0x51];

/** Parameters of both functions. */
const AT = 0;
const FINISH = 1;
const DISTANCE = 2;

const BREAK_AT_END = [...get(AT), ...get(FINISH), I32_GE_U, ...BREAK_OUT_IF];
const advance = (bytes: number): number[] => [...get(AT), ...i32(bytes), I32_ADD, ...set(AT), ...AGAIN];

function foldOf(bytesBehind: readonly number[]): WasmFunction {
  const here = Math.max(...bytesBehind);
  const vectors = Array.from({ length: VECTORS }, (_, index) => {
    const offset = index * VECTOR_BYTES;
    const sum = bytesBehind.flatMap((distance) => [
      ...[...get(AT), ...loadVector(here - distance + offset)],
      ...VECTOR_XOR,
    ]);
    return [...get(AT), ...get(AT), ...loadVector(here + offset), ...sum, ...storeVector(here + offset)];
  });
  const turn = [...BREAK_AT_END, ...vectors.flat(), ...advance(VECTORS * VECTOR_BYTES)];
  return { name: 'fold', parameters: [I32, I32], results: [], locals: [], code: repeated(turn) };
}

const ADD: WasmFunction = {
  name: 'add',
  parameters: [I32, I32, I32],
  results: [],
  locals: [],
  code: repeated([
    ...BREAK_AT_END,
    ...[...get(AT), ...get(AT), ...loadVector(0)],
    ...[...get(AT), ...get(DISTANCE), I32_SUB, ...loadVector(0)],
    ...[...VECTOR_XOR, ...storeVector(0)],
    ...advance(VECTOR_BYTES),
  ]),
};
