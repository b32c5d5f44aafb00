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

function makeTable64(): { readonly high: Uint32Array; readonly low: Uint32Array } {
  const high = new Uint32Array(256);
  const low = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let upper = 0;
    let lower = byte;
    for (let bit = 0; bit < 8; bit++) {
      const carry = lower & 1;
      lower = (lower >>> 1) | ((upper & 1) << 31);
      upper >>>= 1;
      if (carry === 1) {
        upper ^= NVME_HIGH;
        lower ^= NVME_LOW;
      }
    }
    high[byte] = upper;
    low[byte] = lower;
  }
  return { high, low };
}

const CRC64_TABLE = makeTable64();

/** CRC-64/NVME of `data`, going on from the value of what came before. */
export function crc64nvme(data: Uint8Array, crc: Crc64 = { high: 0, low: 0 }): Crc64 {
  let high = ~crc.high;
  let low = ~crc.low;
  for (const byte of data) {
    const index = (low ^ byte) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (CRC64_TABLE.low[index] ?? 0);
    high = (high >>> 8) ^ (CRC64_TABLE.high[index] ?? 0);
  }
  return { high: ~high >>> 0, low: ~low >>> 0 };
}
