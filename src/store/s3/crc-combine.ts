/** The CRC of joined pieces, from the pieces' own: as S3 makes the checksum of a whole object from those of its parts. Pure. */

/** A CRC whose register and result are inverted, with its polynomial as reflected. */
export interface Crc {
  readonly polynomial: bigint;
  readonly width: 32 | 64;
}

/** zip, PNG. */
export const CRC32: Crc = { polynomial: 0xedb88320n, width: 32 };
/** Castagnoli (RFC 3720 appendix B.4). */
export const CRC32C: Crc = { polynomial: 0x82f63b78n, width: 32 };
/** NVM Express base specification: polynomial 0xad93d23594c93659. */
export const CRC64NVME: Crc = { polynomial: 0x9a6c9329ac4bc9b5n, width: 64 };

/** The product of two polynomials over GF(2), modulo that of the CRC; the highest bit is x^0. */
function times(crc: Crc, a: bigint, b: bigint): bigint {
  let product = 0n;
  let shifted = b;
  for (let bit = 1n << BigInt(crc.width - 1); bit > 0n; bit >>= 1n) {
    if ((a & bit) !== 0n) product ^= shifted;
    shifted = (shifted >> 1n) ^ ((shifted & 1n) * crc.polynomial);
  }
  return product;
}

/** x^(8 × bytes): what so many zero bytes do to the CRC before them. */
function zeros(crc: Crc, bytes: number): bigint {
  let power = 1n << BigInt(crc.width - 1);
  let square = 1n << BigInt(crc.width - 1 - 8);
  for (let left = bytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) power = times(crc, power, square);
    square = times(crc, square, square);
  }
  return power;
}

/** Multiplies by `power`, a byte of the other factor at a time, by tables. */
function multiplier(crc: Crc, power: bigint): (factor: bigint) => bigint {
  const tables = new BigUint64Array((crc.width / 8) * 256);
  let product = power;
  for (let bit = crc.width - 1; bit >= 0; bit -= 1) {
    tables[(bit >> 3) * 256 + (1 << (bit & 7))] = product;
    product = (product >> 1n) ^ ((product & 1n) * crc.polynomial);
  }
  for (let at = 0; at < tables.length; at += 1) {
    const byte = at & 0xff;
    const rest = byte & (byte - 1);
    if (rest !== 0) tables[at] = (tables[at - byte + rest] ?? 0n) ^ (tables[at - rest] ?? 0n);
  }
  const low = new BigUint64Array(1);
  const bytes = new Uint8Array(low.buffer, 0, crc.width / 8);
  return (factor) => {
    low[0] = factor;
    let sum = 0n;
    for (let at = 0; at < bytes.length; at += 1) sum ^= tables[at * 256 + (bytes[at] ?? 0)] ?? 0n;
    return sum;
  };
}

/** The CRC of pieces as they come one after the other: quick where most are of one length. */
export class RunningJoin {
  readonly #crc: Crc;
  readonly #multipliers = new Map<number, (factor: bigint) => bigint>();
  #value = 0n;

  constructor(crc: Crc) {
    this.#crc = crc;
  }

  /** Of all of them so far. */
  get value(): bigint {
    return this.#value;
  }

  add(value: bigint, bytes: number): void {
    let multiply = this.#multipliers.get(bytes);
    if (multiply === undefined) {
      multiply = multiplier(this.#crc, zeros(this.#crc, bytes));
      this.#multipliers.set(bytes, multiply);
    }
    this.#value = multiply(this.#value) ^ value;
  }
}

/** The CRC of pieces one after the other. */
export function joinedCrc(
  crc: Crc,
  pieces: readonly { readonly value: bigint; readonly bytes: number }[],
): bigint {
  // Thousands of parts have one length, and the power takes fifty times as long as using it.
  const powers = new Map<number, bigint>();
  let joined = 0n;
  for (const { value, bytes } of pieces) {
    const power = powers.get(bytes) ?? zeros(crc, bytes);
    powers.set(bytes, power);
    joined = times(crc, power, joined) ^ value;
  }
  return joined;
}
