/** The CRCs of S3 that node:zlib lacks: CRC-32C (Castagnoli) and CRC-64/NVME, by tables, eight bytes a step. */

/** One step table: `table[k * 256 + b]` is the CRC of byte b followed by k zero bytes. */
function makeTable32(polynomial: number): Uint32Array {
  const table = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    table[byte] = crc;
  }
  for (let at = 256; at < table.length; at++) {
    const previous = table[at - 256] ?? 0;
    table[at] = (previous >>> 8) ^ (table[previous & 0xff] ?? 0);
  }
  return table;
}

/** Castagnoli, reflected (RFC 3720 appendix B.4). */
const CRC32C_TABLE = makeTable32(0x82f63b78);

/** CRC-32C of `data`, going on from the value `crc` of what came before. */
export function crc32c(data: Uint8Array, crc = 0): number {
  const table = CRC32C_TABLE;
  let value = ~crc;
  let at = 0;
  const word = (index: number): number => table[index] ?? 0;
  for (const end = data.length - 7; at < end; at += 8) {
    value ^=
      (data[at] ?? 0) |
      ((data[at + 1] ?? 0) << 8) |
      ((data[at + 2] ?? 0) << 16) |
      ((data[at + 3] ?? 0) << 24);
    value =
      word(1792 + (value & 0xff)) ^
      word(1536 + ((value >>> 8) & 0xff)) ^
      word(1280 + ((value >>> 16) & 0xff)) ^
      word(1024 + (value >>> 24)) ^
      word(768 + (data[at + 4] ?? 0)) ^
      word(512 + (data[at + 5] ?? 0)) ^
      word(256 + (data[at + 6] ?? 0)) ^
      word(data[at + 7] ?? 0);
  }
  for (; at < data.length; at++) value = (value >>> 8) ^ word((value ^ (data[at] ?? 0)) & 0xff);
  return ~value >>> 0;
}

/** A CRC-64 as two 32-bit halves: BigInt in the loop would be 50 times slower. */
export interface Crc64 {
  readonly high: number;
  readonly low: number;
}

/** NVM Express base specification: polynomial 0xad93d23594c93659, reflected. */
const NVME_HIGH = 0x9a6c9329;
const NVME_LOW = 0xac4bc9b5;

/**
 * As the step table of 32 bits: `table[2 * (k * 256 + b)]` is the low half of the CRC of byte b followed by k zero bytes, the high half
 * lies behind it.
 */
function makeTable64(): Uint32Array {
  const table = new Uint32Array(2 * 8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let high = 0;
    let low = byte;
    for (let bit = 0; bit < 8; bit++) {
      const carry = low & 1;
      low = (low >>> 1) | ((high & 1) << 31);
      high >>>= 1;
      if (carry === 1) {
        high ^= NVME_HIGH;
        low ^= NVME_LOW;
      }
    }
    table[2 * byte] = low;
    table[2 * byte + 1] = high;
  }
  for (let at = 512; at < table.length; at += 2) {
    const low = table[at - 512] ?? 0;
    const high = table[at - 511] ?? 0;
    const out = 2 * (low & 0xff);
    table[at] = ((low >>> 8) | (high << 24)) ^ (table[out] ?? 0);
    table[at + 1] = (high >>> 8) ^ (table[out + 1] ?? 0);
  }
  return table;
}

const CRC64_TABLE = makeTable64();

/** CRC-64/NVME of `data`, going on from the value of what came before. */
export function crc64nvme(data: Uint8Array, crc: Crc64 = { high: 0, low: 0 }): Crc64 {
  const table = CRC64_TABLE;
  let high = ~crc.high;
  let low = ~crc.low;
  let at = 0;
  const word = (index: number): number => table[index] ?? 0;
  for (const end = data.length - 7; at < end; at += 8) {
    low ^=
      (data[at] ?? 0) |
      ((data[at + 1] ?? 0) << 8) |
      ((data[at + 2] ?? 0) << 16) |
      ((data[at + 3] ?? 0) << 24);
    high ^=
      (data[at + 4] ?? 0) |
      ((data[at + 5] ?? 0) << 8) |
      ((data[at + 6] ?? 0) << 16) |
      ((data[at + 7] ?? 0) << 24);
    const a = 3584 + ((low & 0xff) << 1);
    const b = 3072 + ((low >>> 7) & 0x1fe);
    const c = 2560 + ((low >>> 15) & 0x1fe);
    const d = 2048 + ((low >>> 23) & 0x1fe);
    const e = 1536 + ((high & 0xff) << 1);
    const f = 1024 + ((high >>> 7) & 0x1fe);
    const g = 512 + ((high >>> 15) & 0x1fe);
    const h = (high >>> 23) & 0x1fe;
    low = word(a) ^ word(b) ^ word(c) ^ word(d) ^ word(e) ^ word(f) ^ word(g) ^ word(h);
    high =
      word(a + 1) ^
      word(b + 1) ^
      word(c + 1) ^
      word(d + 1) ^
      word(e + 1) ^
      word(f + 1) ^
      word(g + 1) ^
      word(h + 1);
  }
  for (; at < data.length; at++) {
    const index = 2 * ((low ^ (data[at] ?? 0)) & 0xff);
    low = ((low >>> 8) | (high << 24)) ^ word(index);
    high = (high >>> 8) ^ word(index + 1);
  }
  return { high: ~high >>> 0, low: ~low >>> 0 };
}
