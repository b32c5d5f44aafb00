/** Encoded values made wrong where it matters: at the edges of their fields, in lengths, discriminants and padding. Pure. */
import type { Random } from './random.js';
import { NOTABLE_U32, NOTABLE_U64, type Field, type Traced } from './traced-xdr.js';

type Mutation = (value: Traced, random: Random) => Buffer;

const splice = (bytes: Buffer, at: number, removed: number, inserted: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(Math.min(at + removed, bytes.length))]);

function fieldOf({ fields }: Traced, random: Random, ...kinds: readonly Field['kind'][]): Field | undefined {
  return random.pick(kinds.length === 0 ? fields : fields.filter(({ kind }) => kinds.includes(kind)));
}

function withU32({ bytes }: Traced, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt32BE(value >>> 0, at);
  return copy;
}

const MUTATIONS: readonly [Mutation, ...Mutation[]] = [
  /** Cut where a field begins, or within it. */
  function truncated(value, random) {
    const at = (fieldOf(value, random)?.at ?? 0) + (random.oneIn(3) ? 1 + random.below(3) : 0);
    return value.bytes.subarray(0, Math.min(at, value.bytes.length));
  },
  /** A length that its bytes don't have: a little off, or far beyond everything. */
  function wrongLength(value, random) {
    const field = fieldOf(value, random, 'length');
    if (field === undefined) return value.bytes;
    const near = value.bytes.readUInt32BE(field.at) + random.below(17) - 8;
    return withU32(value, field.at, random.oneIn(2) ? near : random.pick(NOTABLE_U32));
  },
  function wrongDiscriminant(value, random) {
    const field = fieldOf(value, random, 'i32', 'u32');
    if (field === undefined) return value.bytes;
    return withU32(value, field.at, random.oneIn(2) ? random.below(12) : random.pick(NOTABLE_U32));
  },
  function notableNumber(value, random) {
    const field = fieldOf(value, random, 'u64', 'u32');
    if (field === undefined) return value.bytes;
    if (field.kind === 'u32') return withU32(value, field.at, random.pick(NOTABLE_U32));
    const copy = Buffer.from(value.bytes);
    copy.writeBigUInt64BE(random.pick(NOTABLE_U64), field.at);
    return copy;
  },
  /** Padding that is not zero, or not there, or too much. */
  function wrongPadding(value, random) {
    const field = fieldOf(value, random, 'pad');
    if (field === undefined)
      return splice(value.bytes, value.bytes.length, 0, Buffer.alloc(1 + random.below(3)));
    const padding = random.oneIn(2) ? random.bytes(field.length) : random.bytes(random.below(8));
    return splice(value.bytes, field.at, field.length, padding);
  },
  function missingField(value, random) {
    const field = fieldOf(value, random);
    return field === undefined ? value.bytes : splice(value.bytes, field.at, field.length, Buffer.alloc(0));
  },
  function repeatedField(value, random) {
    const field = fieldOf(value, random);
    if (field === undefined) return value.bytes;
    const piece = value.bytes.subarray(field.at, field.at + field.length);
    return splice(value.bytes, field.at, 0, piece);
  },
  function otherField(value, random) {
    const [to, from] = [fieldOf(value, random), fieldOf(value, random)];
    if (to === undefined || from === undefined) return value.bytes;
    return splice(value.bytes, to.at, to.length, value.bytes.subarray(from.at, from.at + from.length));
  },
  function tail(value, random) {
    return Buffer.concat([value.bytes, random.bytes(1 + random.below(40))]);
  },
  function flippedBits(value, random) {
    const copy = Buffer.from(value.bytes);
    for (let flips = 1 + random.below(4); flips > 0 && copy.length > 0; flips--) {
      const at = random.below(copy.length);
      copy.writeUInt8(copy.readUInt8(at) ^ (1 << random.below(8)), at);
    }
    return copy;
  },
  function noise(value, random) {
    return random.bytes(random.below(value.bytes.length + 64));
  },
];

/** The bytes of `value` with one thing wrong with them; now and then with nothing, where there was nothing to break. */
export function mutated(value: Traced, random: Random): Buffer {
  return random.pick(MUTATIONS)(value, random);
}
