import { randomBytes } from 'node:crypto';
import fc from '../support/fast-check.js';
import t from 'tap';
import { HandleKey } from '../../src/state/handle-key.js';

const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });

void t.test(
  'a handle opens to what was sealed, also with another HandleKey of the same secret',
  async (t) => {
    const secret = randomBytes(32);
    const sealing = new HandleKey(secret);
    const opening = new HandleKey(secret);
    fc.assert(
      fc.property(u64, u64, (exportId, nodeId) => {
        const handle = sealing.seal({ exportId, nodeId });
        t.ok(handle.length <= 64 && handle.length % 4 === 0);
        t.same(opening.open(handle), { exportId, nodeId });
        t.same(opening.open(Buffer.from(handle)), { exportId, nodeId }, 'a second time, remembered');
        t.same(sealing.seal({ exportId, nodeId }), handle, 'the same bytes each time');
      }),
      { numRuns: 50 },
    );
  },
);

void t.test('handles that are sealed together are the same bytes', async (t) => {
  const key = new HandleKey(randomBytes(32));
  fc.assert(
    fc.property(u64, fc.array(u64, { maxLength: 20 }), (exportId, nodeIds) => {
      const together = key.sealMany(exportId, nodeIds);
      const alone = nodeIds.map((nodeId) => key.sealOnce({ exportId, nodeId }));
      t.ok(together.equals(Buffer.concat(alone)));
    }),
    { numRuns: 50 },
  );
});

void t.test('a flip of any bit is refused, before and after the handle was opened', async (t) => {
  const key = new HandleKey(randomBytes(32));
  const handle = key.seal({ exportId: 7n, nodeId: 1n << 61n });
  const refuseFlips = (): void => {
    for (let bit = 0; bit < handle.length * 8; bit++) {
      const forged = Buffer.from(handle);
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      t.equal(key.open(forged), undefined, `bit ${bit}`);
    }
  };
  refuseFlips();
  t.same(key.open(handle), { exportId: 7n, nodeId: 1n << 61n });
  refuseFlips();
});

void t.test('handles of other lengths and of another secret are refused', async (t) => {
  const key = new HandleKey(randomBytes(32));
  const handle = key.seal({ exportId: 1n, nodeId: 16n });
  for (let length = 0; length < handle.length; length++) {
    t.equal(key.open(handle.subarray(0, length)), undefined, `${length} bytes`);
  }
  t.equal(key.open(Buffer.concat([handle, Buffer.alloc(4)])), undefined);
  t.equal(new HandleKey(randomBytes(32)).open(handle), undefined);
});
