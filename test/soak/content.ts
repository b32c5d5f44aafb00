/**
 * Bytes that tell what they are: each 16 of them name their object, its version and their place, and carry a hash of the three. So every
 * READ can be judged by itself, whatever was asked for before.
 */

const UNIT_BYTES = 16;

export interface Kind {
  /** Least size of a version, and what one step of a version's size is, in bytes. */
  readonly baseBytes: number;
  readonly stepBytes: number;
}

/** An object of the soak. `id` is what its bytes say. */
export interface SoakObject {
  readonly key: string;
  readonly id: number;
  readonly kind: Kind;
}

/** Sizes that follow one another are far apart, none is that of the 1,020 versions before, and few end with a unit. */
export function sizeOf({ kind }: SoakObject, version: number): number {
  return kind.baseBytes + ((version * 389) % 1021) * kind.stepBytes + (version % 13);
}

/** The bytes of a version from `offset` on. */
export function bytesOf(object: SoakObject, version: number, offset: number, length: number): Buffer {
  const first = Math.floor(offset / UNIT_BYTES);
  const count = Math.ceil((offset + length) / UNIT_BYTES) - first;
  const words = new Uint32Array(count * 4);
  for (let unit = 0; unit < count; unit++) {
    const at = unit * 4;
    words[at] = object.id;
    words[at + 1] = version;
    words[at + 2] = first + unit;
    words[at + 3] = hash(object.id, version, first + unit);
  }
  const skip = offset - first * UNIT_BYTES;
  return Buffer.from(words.buffer, skip, length);
}

/** What is wrong with bytes that were read. `flipped`: nothing but single bits, here and there. */
export type Fault = 'wrong' | 'mixed' | 'flipped';

export type Verdict =
  | { readonly version: number }
  | { readonly version: number | undefined; readonly fault: Fault; readonly about: string };

/**
 * Which version of `object` `data` is, read at `offset`. `candidates` are the versions that bytes too few for a unit are compared with,
 * from the likeliest to the least likely.
 */
export function judge(
  object: SoakObject,
  offset: number,
  data: Buffer,
  candidates: () => Iterable<number>,
): Verdict {
  const version = named(object, offset, data);
  if (version === undefined) {
    for (const each of candidates())
      if (bytesOf(object, each, offset, data.length).equals(data)) return { version: each };
    return { version, fault: 'wrong', about: described(data, offset, 0) };
  }
  const expected = bytesOf(object, version, offset, data.length);
  if (expected.equals(data)) return { version };
  return { version, ...difference(expected, data, offset) };
}

/** The version that the first unit in `data` names which is one of the object and its place. */
function named(object: SoakObject, offset: number, data: Buffer): number | undefined {
  const first = (UNIT_BYTES - (offset % UNIT_BYTES)) % UNIT_BYTES;
  for (let at = first; at + UNIT_BYTES <= data.length; at += UNIT_BYTES) {
    const version = data.readUInt32LE(at + 4);
    const place = (offset + at) / UNIT_BYTES;
    const whole =
      data.readUInt32LE(at) === object.id &&
      data.readUInt32LE(at + 8) === place &&
      data.readUInt32LE(at + 12) === hash(object.id, version, place);
    if (whole) return version;
  }
  return undefined;
}

/** Bits of a unit that may differ before it is taken for something else than corrupted. */
const FLIPPED_BITS_MAX = 4;

function difference(
  expected: Buffer,
  data: Buffer,
  offset: number,
): { readonly fault: Fault; readonly about: string } {
  let fault: Fault = 'flipped';
  let where: number | undefined;
  const first = (UNIT_BYTES - (offset % UNIT_BYTES)) % UNIT_BYTES;
  for (let at = first === 0 ? 0 : first - UNIT_BYTES; at < data.length; at += UNIT_BYTES) {
    const [from, to] = [Math.max(at, 0), Math.min(at + UNIT_BYTES, data.length)];
    if (expected.compare(data, from, to, from, to) === 0) continue;
    where ??= from;
    if (bitsBetween(expected, data, from, to) <= FLIPPED_BITS_MAX) continue;
    const other = to - from === UNIT_BYTES && isUnit(data, from) && isPlace(expected, data, from);
    if (other) return { fault: 'mixed', about: described(data, offset, from) };
    fault = 'wrong';
  }
  return { fault, about: described(data, offset, where ?? 0) };
}

const isUnit = (data: Buffer, at: number): boolean =>
  data.readUInt32LE(at + 12) ===
  hash(data.readUInt32LE(at), data.readUInt32LE(at + 4), data.readUInt32LE(at + 8));

/** Two units are of the same object and place. */
const isPlace = (expected: Buffer, data: Buffer, at: number): boolean =>
  expected.readUInt32LE(at) === data.readUInt32LE(at) &&
  expected.readUInt32LE(at + 8) === data.readUInt32LE(at + 8);

function bitsBetween(expected: Buffer, data: Buffer, from: number, to: number): number {
  let bits = 0;
  for (let at = from; at < to; at++)
    for (let rest = (expected[at] ?? 0) ^ (data[at] ?? 0); rest !== 0; rest &= rest - 1) bits++;
  return bits;
}

const described = (data: Buffer, offset: number, at: number): string =>
  `at ${offset + at}: ${data.subarray(at, at + 2 * UNIT_BYTES).toString('hex')}`;

/** Murmur3's last steps over the three numbers. */
function hash(id: number, version: number, place: number): number {
  let state =
    0x5bd1e995 ^ Math.imul(id, 0xcc9e2d51) ^ Math.imul(version, 0x1b873593) ^ Math.imul(place, 0x9e3779b1);
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}
