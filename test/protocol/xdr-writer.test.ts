import fc from '../support/fast-check.js';
import t from 'tap';

import { XdrWriter } from '../../protocol/xdr-cursors.js';

await t.test('values of any size, in any order, come out as they went in', async () => {
  const value = fc.oneof(
    fc.integer({ min: 0, max: 0xffffffff }),
    fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
    fc.uint8Array({ maxLength: 3000 }),
  );
  fc.assert(
    fc.property(fc.array(value, { maxLength: 400, size: 'max' }), (values) => {
      const writer = new XdrWriter();
      for (const each of values) {
        if (typeof each === 'number') writer.u32(each);
        else if (typeof each === 'bigint') writer.u64(each);
        else writer.raw(each);
      }
      const expected = Buffer.concat(values.map(bytesOf));
      return writer.length === expected.length && Buffer.concat(writer.finish()).equals(expected);
    }),
  );
});

await t.test('a word that begins a new scratch buffer is written there', async (t) => {
  const writer = new XdrWriter();
  for (let i = 0; i < 1000; i++) {
    writer.i32(-i);
    writer.i64(BigInt(-i));
  }
  const bytes = Buffer.concat(writer.finish());
  t.equal(bytes.length, 12_000);
  for (let i = 0; i < 1000; i++) {
    if (bytes.readInt32BE(i * 12) !== -i || bytes.readBigInt64BE(i * 12 + 4) !== BigInt(-i)) {
      t.fail(`word ${i} is wrong`);
    }
  }
});

function bytesOf(value: number | bigint | Uint8Array): Uint8Array {
  if (typeof value === 'object') return value;
  const bytes = Buffer.alloc(typeof value === 'number' ? 4 : 8);
  if (typeof value === 'number') bytes.writeUInt32BE(value);
  else bytes.writeBigUInt64BE(value);
  return bytes;
}
