/** The arithmetic of bandwidths, by a clock that the tests move. */
import t from 'tap';
import fc from '../../support/fast-check.js';
import { TokenBucket } from '../../../src/store/faults/token-bucket.js';

await t.test('bytes take their time, one after another', async (t) => {
  const bucket = new TokenBucket(1000);
  bucket.open(0);
  t.equal(bucket.reserve(100, 0), 100);
  t.equal(bucket.reserve(100, 0), 200, 'whoever comes meanwhile waits for both');
  t.equal(bucket.reserve(100, 200), 100);
});

await t.test('time in which nothing flows is no credit', async (t) => {
  const bucket = new TokenBucket(1000);
  bucket.open(0);
  bucket.reserve(100, 0);
  bucket.close();
  bucket.open(60_000);
  t.equal(bucket.reserve(100, 60_000), 100);
});

await t.test('what a late timer lost is caught up with, up to a quarter of a second', async (t) => {
  const bucket = new TokenBucket(1000);
  bucket.open(0);
  t.equal(bucket.reserve(100, 0), 100);
  t.equal(bucket.reserve(100, 150), 50, 'woken 50 ms late');
  t.equal(bucket.reserve(100, 10_000), 0);
  t.equal(bucket.reserve(100, 10_000), 0);
  t.equal(bucket.reserve(100, 10_000), 50);
});

const piece = fc.record({ bytes: fc.integer({ min: 1, max: 64 * 1024 }), lateMs: fc.nat(400) });

await t.test('never faster than the rate, whatever the pieces and however late', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1000, max: 1e9 }), fc.array(piece), (rate, pieces) => {
      const bucket = new TokenBucket(rate);
      let [nowMs, sum] = [0, 0];
      bucket.open(nowMs);
      return pieces.every(({ bytes, lateMs }) => {
        nowMs += bucket.reserve(bytes, nowMs);
        sum += bytes;
        const inTime = nowMs >= (sum / rate) * 1000 - 1e-3;
        nowMs += lateMs;
        return inTime;
      });
    }),
  );
});

await t.test('and not slower, where timers are late by 250 ms in all', async () => {
  const late = fc.array(
    piece.map(({ bytes, lateMs }) => ({ bytes, lateMs: lateMs % 26 })),
    { maxLength: 10 },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1000, max: 1e9 }), late, (rate, pieces) => {
      const bucket = new TokenBucket(rate);
      let [nowMs, sum] = [0, 0];
      bucket.open(nowMs);
      for (const { bytes, lateMs } of pieces) {
        nowMs += bucket.reserve(bytes, nowMs) + lateMs;
        sum += bytes;
      }
      nowMs += bucket.reserve(rate, nowMs);
      return Math.abs(nowMs - ((sum + rate) / rate) * 1000) < 1e-3;
    }),
  );
});
