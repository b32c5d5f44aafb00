/**
 * What a codec reads and writes, seen from outside: any program's arguments can be invented and taken apart without a generator of
 * their own.
 *
 *   codec.decode(InventingReader) ─▶ a valid value      codec.encode(TracingWriter, value) ─▶ its bytes, and where each field lies
 */
import { XdrError, XdrReader, XdrWriter } from '../../protocol/xdr-cursors.js';
import type { Codec } from '../../protocol/xdr.js';
import type { Random } from './random.js';

/** Integers at which something may go wrong: powers of two, the bounds of the protocols, and their neighbours. */
export const NOTABLE_U32: readonly [number, ...number[]] = [
  0, 1, 2, 3, 4, 7, 8, 16, 17, 32, 63, 64, 65, 127, 128, 255, 256, 400, 401, 512, 1023, 1024, 1025, 4095,
  4096, 4097, 65_535, 65_536, 0xf_ffff, 0x10_0000, 0x10_0001, 0x7fff_fffe, 0x7fff_ffff, 0x8000_0000,
  0xffff_fffc, 0xffff_fffe, 0xffff_ffff,
];
export const NOTABLE_U64: readonly [bigint, ...bigint[]] = [
  0n,
  1n,
  2n,
  3n,
  4095n,
  4096n,
  65_536n,
  1n << 20n,
  (1n << 53n) - 1n,
  1n << 53n,
  (1n << 53n) + 1n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];

/** Longer opaques are rarely worth their bytes. */
const INVENTED_BYTES_MAX = 4096;
/** A codec that refuses so many inventions can't be satisfied by chance. */
const REFUSALS_MAX = 20_000;

type Item = number | bigint | Buffer;

/** Has no bytes: what it is asked for it makes up, except what `tape` holds from the attempt before. */
class InventingReader extends XdrReader {
  readonly #random: Random;
  readonly #tape: Item[];
  #position = 0;

  constructor(random: Random, tape: Item[]) {
    super(Buffer.alloc(0));
    this.#random = random;
    this.#tape = tape;
  }

  override get remaining(): number {
    return INVENTED_BYTES_MAX;
  }

  override u32(): number {
    return this.#next(() => inventU32(this.#random)) as number;
  }

  override i32(): number {
    // Enumerations, nearly always.
    return this.#next(() =>
      this.#random.oneIn(8) ? this.#random.u32() | 0 : this.#random.below(9),
    ) as number;
  }

  override u64(): bigint {
    return this.#next(() => inventU64(this.#random)) as bigint;
  }

  override i64(): bigint {
    return BigInt.asIntN(64, this.u64());
  }

  override bytes(length: number): Buffer {
    if (length > INVENTED_BYTES_MAX) throw new XdrError('more than is worth inventing');
    return this.#next(() => inventBytes(this.#random, length)) as Buffer;
  }

  #next(invent: () => Item): Item {
    const at = this.#position++;
    const kept = this.#tape[at];
    if (kept !== undefined) return kept;
    const made = invent();
    this.#tape.push(made);
    return made;
  }
}

/** A value that `codec` takes. What it refuses is made up again, from the item that it refused on. */
export function invent<T>(codec: Codec<T>, random: Random): T {
  const tape: Item[] = [];
  for (let refusals = 0; refusals < REFUSALS_MAX; refusals++) {
    try {
      return codec.decode(new InventingReader(random, tape));
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      tape.pop();
    }
  }
  throw new Error(`expected a value that the codec takes within ${REFUSALS_MAX} attempts`);
}

function inventU32(random: Random): number {
  const kind = random.below(8);
  if (kind < 5) return random.below(10);
  return kind < 7 ? random.pick(NOTABLE_U32) : random.u32();
}

function inventU64(random: Random): bigint {
  const kind = random.below(4);
  if (kind < 2) return BigInt(random.below(10_000));
  return kind === 2 ? random.pick(NOTABLE_U64) : (BigInt(random.u32()) << 32n) | BigInt(random.u32());
}

function inventBytes(random: Random, length: number): Buffer {
  return random.oneIn(2)
    ? random.bytes(length)
    : Buffer.alloc(length, random.pick(['a', 'b', '/', '\0', '.', 'é']));
}

/** One primitive within an encoded value. A `length` is a u32 that is followed by as many bytes. */
export interface Field {
  readonly kind: 'u32' | 'length' | 'i32' | 'u64' | 'bytes' | 'pad';
  readonly at: number;
  readonly length: number;
}

/** An encoded value that can be taken apart. */
export interface Traced {
  readonly bytes: Buffer;
  readonly fields: readonly Field[];
}

class TracingWriter extends XdrWriter {
  readonly fields: Field[] = [];

  override u32(value: number): void {
    this.#note('u32', 4);
    super.u32(value);
  }

  override i32(value: number): void {
    this.#note('i32', 4);
    super.i32(value);
  }

  override u64(value: bigint): void {
    this.#note('u64', 8);
    super.u64(value);
  }

  override i64(value: bigint): void {
    this.#note('u64', 8);
    super.i64(value);
  }

  override raw(value: Uint8Array): void {
    const last = this.fields.at(-1);
    if (last?.kind === 'u32') this.fields[this.fields.length - 1] = { ...last, kind: 'length' };
    this.#note('bytes', value.length);
    super.raw(value);
  }

  override pad(length: number): void {
    const before = this.length;
    super.pad(length);
    if (this.length > before) this.fields.push({ kind: 'pad', at: before, length: this.length - before });
  }

  #note(kind: Field['kind'], length: number): void {
    this.fields.push({ kind, at: this.length, length });
  }
}

/** `value` as bytes, with the place of each field. */
export function trace<T>(codec: Codec<T>, value: T): Traced {
  const writer = new TracingWriter();
  codec.encode(writer, value);
  const { fields } = writer;
  return { bytes: Buffer.concat(writer.finish()), fields };
}
