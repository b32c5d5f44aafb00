/** HMACs by one-shot hashes are those of node:crypto. */
import { createHmac } from 'node:crypto';
import t from 'tap';
import fc from '../../support/fast-check.js';
import { OneShotHmac } from '../../../src/store/s3/http/one-shot-hmac.js';

await t.test('of any key and text, one after another', async (t) => {
  const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 300 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), texts, (key, each) => {
      const hmac = new OneShotHmac(Buffer.from(key));
      for (const text of each)
        t.equal(hmac.hexOf(text), createHmac('sha256', key).update(text).digest('hex'));
    }),
  );
});
