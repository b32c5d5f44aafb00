/** HMAC-SHA256 beside Node's. */
import { createHmac } from 'node:crypto';
import fc from '../support/fast-check.js';
import t from 'tap';
import { KeyedHash } from '../../src/state/keyed-hash.js';

const bytesOf = (words: Int32Array): Buffer => {
  const bytes = Buffer.alloc(32);
  for (const [at, word] of words.entries()) bytes.writeInt32BE(word, 4 * at);
  return bytes;
};

await t.test("any key, prefix and message: the digest is Node's", (t) => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 100 }),
      bytes,
      fc.array(bytes, { minLength: 1 }),
      (key, begin, messages) => {
        const hash = new KeyedHash(key);
        const prefix = hash.prefix(begin);
        for (const message of messages) {
          const whole = createHmac('sha256', key).update(begin).update(message).digest();
          const alone = createHmac('sha256', key).update(message).digest();
          if (!bytesOf(hash.words(message, prefix)).equals(whole)) throw new Error('with the prefix');
          if (!bytesOf(hash.words(message)).equals(alone)) throw new Error('alone');
        }
      },
    ),
  );
  t.end();
});

await t.test('many messages: each as it is alone, whatever their number and lengths', (t) => {
  const message = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 2300, size: 'max' }));
  const messages = fc.array(message, { maxLength: 11 });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.array(messages, { minLength: 1 }), (begin, batches) => {
      const hash = new KeyedHash(Buffer.from('a key'));
      const prefix = hash.prefix(begin);
      for (const batch of batches) {
        const ends = new Uint32Array(batch.length);
        for (const [at, each] of batch.entries()) ends[at] = (ends[at - 1] ?? 0) + each.length;
        const found = hash.many(Buffer.concat(batch), ends, batch.length, prefix).slice();
        for (const [at, each] of batch.entries()) {
          const alone = hash.words(each, prefix).subarray(0, 4);
          if (alone.some((word, index) => word !== found[4 * at + index]))
            throw new Error(`message ${at} of ${each.length} bytes`);
        }
      }
    }),
    { numRuns: 200 },
  );
  t.end();
});

await t.test('many messages of every length around the ends of blocks', (t) => {
  const hash = new KeyedHash(Buffer.alloc(32, 7));
  for (const begin of [0, 1, 35, 63, 64, 65]) {
    const prefix = hash.prefix(Buffer.alloc(begin, 3));
    const batch = Array.from({ length: 140 }, (_, length) => Buffer.alloc(length, length));
    const ends = new Uint32Array(batch.length);
    for (const [at, each] of batch.entries()) ends[at] = (ends[at - 1] ?? 0) + each.length;
    const found = hash.many(Buffer.concat(batch), ends, batch.length, prefix).slice();
    for (const [at, each] of batch.entries())
      t.same([...found.subarray(4 * at, 4 * at + 4)], [...hash.words(each, prefix).subarray(0, 4)]);
  }
  t.end();
});

await t.test('every length around the ends of blocks', (t) => {
  const key = Buffer.alloc(32, 7);
  const hash = new KeyedHash(key);
  for (let length = 0; length <= 260; length++) {
    const message = Buffer.alloc(length, length);
    const expected = createHmac('sha256', key).update(message).digest();
    if (!bytesOf(hash.words(message)).equals(expected)) t.fail(`${length} bytes`);
    for (const cut of [1, 55, 56, 63, 64, 65]) {
      if (cut > length) continue;
      const words = hash.words(message.subarray(cut), hash.prefix(message.subarray(0, cut)));
      if (!bytesOf(words).equals(expected)) t.fail(`${length} bytes, cut at ${cut}`);
    }
  }
  // RFC 4231, test cases 1 and 6.
  t.equal(
    bytesOf(new KeyedHash(Buffer.alloc(20, 0x0b)).words(Buffer.from('Hi There'))).toString('hex'),
    'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
  );
  t.equal(
    bytesOf(
      new KeyedHash(Buffer.alloc(131, 0xaa)).words(
        Buffer.from('Test Using Larger Than Block-Size Key - Hash Key First'),
      ),
    ).toString('hex'),
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  );
  t.end();
});
