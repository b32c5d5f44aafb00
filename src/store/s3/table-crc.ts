/**
 * Reflected CRCs of up to 64 bits that node:zlib lacks, by tables, 16 bytes a step, in WebAssembly assembled here: its 64-bit words
 * make it two to three times as fast as JavaScript, which has none, and no package has to bring a binary
 * (docs/decisions/0024-upload-cpu-and-checksums.md). 16 bytes are enough for the reads of the tables not to wait for one another.
 */
import {
  AGAIN,
  BREAK_OUT_IF,
  get,
  I32,
  I32_ADD,
  I32_SUB,
  I64,
  i32,
  i64,
  instantiated,
  repeated,
  set,
  unsigned,
  type WasmFunction,
} from '../../memory/wasm-module.js';

/** Steps at a time, and tables: `table[k][b]` is the CRC of byte b followed by k zero bytes. */
const SLICES = 16;
const ENTRY_BYTES = 8;
const TABLE_BYTES = 256 * ENTRY_BYTES;
/** Bytes are copied in behind the tables, a page at a time, which stays in the processor's cache. */
const DATA_AT = SLICES * TABLE_BYTES;
const DATA_BYTES = 64 * 1024;

interface Machine {
  /** The CRC register after the bytes from `at` to `end`. */
  readonly update: (register: bigint, at: number, end: number) => bigint;
}

/** One polynomial's machine. It has no state between calls. */
export class TableCrc {
  readonly #mask: bigint;
  readonly #data: Uint8Array;
  readonly #update: (register: bigint, at: number, end: number) => bigint;

  /** `polynomial` as reflected, of `width` bits; register and result inverted, as all CRCs of S3 want it. */
  constructor(polynomial: bigint, width: 32 | 64) {
    const machine = instantiated<Machine>([UPDATE], DATA_AT + DATA_BYTES);
    if (machine === undefined) throw new Error('expected a processor with 64-bit words in WebAssembly');
    const { memory, update } = machine;
    new BigUint64Array(memory.buffer, 0, SLICES * 256).set(tablesOf(polynomial));
    this.#mask = (1n << BigInt(width)) - 1n;
    this.#data = new Uint8Array(memory.buffer, DATA_AT, DATA_BYTES);
    this.#update = update;
  }

  /** The CRC of `bytes`, going on from the value `crc` of what came before. */
  of(bytes: Uint8Array, crc = 0n): bigint {
    let register = ~crc & this.#mask;
    for (let from = 0; from < bytes.length; from += DATA_BYTES) {
      const piece = bytes.subarray(from, from + DATA_BYTES);
      this.#data.set(piece);
      register = this.#update(register, DATA_AT, DATA_AT + piece.length);
    }
    return ~register & this.#mask;
  }
}

function tablesOf(polynomial: bigint): bigint[] {
  const tables: bigint[] = [];
  for (let byte = 0n; byte < 256n; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ ((crc & 1n) * polynomial);
    tables.push(crc);
  }
  for (let at = 256; at < SLICES * 256; at++) {
    const before = tables[at - 256] ?? 0n;
    tables.push((before >> 8n) ^ (tables[Number(before & 0xffn)] ?? 0n));
  }
  return tables;
}

const I32_EQ = 0x46;
const I32_LT_U = 0x49;
const I32_AND = 0x71;
const I32_SHL = 0x74;
const I64_XOR = 0x85;
const I64_SHR_U = 0x88;
const I32_WRAP_I64 = 0xa7;
/** Loads with an alignment that promises nothing. */
const loadI64 = (offset: number): number[] => [0x29, 0, ...unsigned(offset)];
const loadByteI64 = [0x31, 0, 0];

/** Parameters and locals of the function. */
const REGISTER = 0;
const AT = 1;
const FINISH = 2;
const WORD = 3;
const WORD_BEHIND = 4;

/** What byte `byte` of a word adds where `zeros` bytes follow it within the step. */
function looked(word: number, byte: number, zeros: number): number[] {
  // The byte times eight, which is an entry's offset.
  const offset =
    byte === 0
      ? [...get(word), I32_WRAP_I64, ...i32(3), I32_SHL]
      : [...get(word), ...i64(8 * byte - 3), I64_SHR_U, I32_WRAP_I64];
  return [...offset, ...i32(0xff * ENTRY_BYTES), I32_AND, ...loadI64(zeros * TABLE_BYTES)];
}

/** `update` as declared above, over 16 bytes a turn and then one. */
function instructions(): number[] {
  // What doesn't wait for the step before comes first.
  const lookups = [WORD_BEHIND, WORD].flatMap((word, half) =>
    Array.from({ length: 8 }, (_, byte) => looked(word, byte, 7 + 8 * half - byte)),
  );
  const advance = (bytes: number): number[] => [...get(AT), ...i32(bytes), I32_ADD, ...set(AT)];
  const steps = [
    ...[...get(FINISH), ...get(AT), I32_SUB, ...i32(SLICES), I32_LT_U, ...BREAK_OUT_IF],
    ...[...get(AT), ...loadI64(0), ...get(REGISTER), I64_XOR, ...set(WORD)],
    ...[...get(AT), ...loadI64(8), ...set(WORD_BEHIND)],
    ...lookups.flatMap((lookup, index) => (index === 0 ? lookup : [...lookup, I64_XOR])),
    ...[...set(REGISTER), ...advance(SLICES), ...AGAIN],
  ];
  const rest = [
    ...[...get(AT), ...get(FINISH), I32_EQ, ...BREAK_OUT_IF],
    ...[...get(REGISTER), ...get(AT), ...loadByteI64, I64_XOR, ...set(WORD), ...looked(WORD, 0, 0)],
    ...[...get(REGISTER), ...i64(8), I64_SHR_U, I64_XOR, ...set(REGISTER), ...advance(1), ...AGAIN],
  ];
  return [...repeated(steps), ...repeated(rest), ...get(REGISTER)];
}

const UPDATE: WasmFunction = {
  name: 'update',
  parameters: [I64, I32, I32],
  results: [I64],
  locals: [I64, I64],
  code: instructions(),
};
