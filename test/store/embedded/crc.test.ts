/** The CRCs that the server computes itself, against what they are by definition: a bit at a time. */
import fc from '../../support/fast-check.js';
import t from 'tap';
import { crc32c, crc64nvme } from '../../../src/store/embedded/crc.js';

/** A reflected CRC of `width` bits, all ones at both ends, in BigInt. */
function crcByBits(data: Uint8Array, polynomial: bigint, width: bigint): bigint {
  const ones = (1n << width) - 1n;
  let crc = ones;
  for (const byte of data) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ polynomial : crc >> 1n;
  }
  return crc ^ ones;
}

const nvme = (data: Uint8Array): bigint => crcByBits(data, 0x9a6c9329ac4bc9b5n, 64n);
const castagnoli = (data: Uint8Array): bigint => crcByBits(data, 0x82f63b78n, 32n);

function crc64Of(...pieces: readonly Uint8Array[]): bigint {
  const { high, low } = pieces.reduce((crc, piece) => crc64nvme(piece, crc), { high: 0, low: 0 });
  return (BigInt(high) << 32n) | BigInt(low);
}

await t.test('the check values of both', async (t) => {
  const check = Buffer.from('123456789');
  t.equal(crc64Of(check), 0xae8b14860a799888n);
  t.equal(crc32c(check), 0xe3069283);
});

await t.test('every byte at every place of a step', async (t) => {
  const wrong: string[] = [];
  for (let place = 0; place < 24; place++) {
    for (let byte = 0; byte < 256; byte++) {
      const data = Buffer.alloc(24);
      data[place] = byte;
      if (crc64Of(data) !== nvme(data)) wrong.push(`CRC64NVME of ${byte} at ${place}`);
      if (BigInt(crc32c(data)) !== castagnoli(data)) wrong.push(`CRC32C of ${byte} at ${place}`);
    }
  }
  t.same(wrong, []);
});

await t.test('any bytes, in any pieces', async () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 5 }), (pieces) => {
      const whole = Buffer.concat(pieces);
      return (
        crc64Of(...pieces) === nvme(whole) &&
        BigInt(pieces.reduce((crc, piece) => crc32c(piece, crc), 0)) === castagnoli(whole)
      );
    }),
  );
});
