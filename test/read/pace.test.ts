import t from 'tap';
import fc from '../support/fast-check.js';
import { GetTiming, Pace, type GetTimes } from '../../src/read/pace.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const OPTIONS = { getsMin: 4, getsMax: 32, partBytes: 8 * MIB, bytesMin: 128 * KIB };

/** A GET of so many bytes that took so long behind its first byte, which took `firstByteMs`. */
function took(restBytes: number, restMs: number, firstByteMs = 0): GetTimes {
  return { firstByteMs, restBytes, restMs };
}

await t.test('nothing known: as few as there must be', async (t) => {
  t.same(new Pace(OPTIONS).wanted, { gets: 4, worthBytes: Infinity });
});

await t.test('as many GETs as reach a gigabyte a second together', async (t) => {
  const near = new Pace(OPTIONS);
  near.observe(took(8 * MIB, 10), 0.1);
  t.equal(near.wanted.gets, 4);
  const s3 = new Pace(OPTIONS);
  // 60 ms to the first byte, then 90 MB/s.
  s3.observe(took(8 * MIB, 93, 60), 0.1);
  t.equal(s3.wanted.gets, 19);
  const far = new Pace(OPTIONS);
  far.observe(took(8 * MIB, 1048, 30), 0.1);
  t.equal(far.wanted.gets, 32);
});

await t.test('small GETs say nothing of it', async (t) => {
  const pace = new Pace(OPTIONS);
  for (let get = 0; get < 100; get++) pace.observe(took(4 * KIB, 30), 0.1);
  t.equal(pace.wanted.gets, 4);
});

await t.test('a GET that waited for this process says nothing of the store', async (t) => {
  const pace = new Pace(OPTIONS);
  for (let get = 0; get < 100; get++) pace.observe(took(8 * MIB, 1000), 0.95);
  t.equal(pace.wanted.gets, 4);
  pace.observe(took(8 * MIB, 1000), 0.3);
  t.equal(pace.wanted.gets, 32);
});

await t.test('a store that has become slower or faster is followed', async (t) => {
  const pace = new Pace(OPTIONS);
  for (let get = 0; get < 20; get++) pace.observe(took(8 * MIB, 5), 0.1);
  t.equal(pace.wanted.gets, 4);
  for (let get = 0; get < 20; get++) pace.observe(took(8 * MIB, 1000), 0.1);
  t.equal(pace.wanted.gets, 32);
  for (let get = 0; get < 40; get++) pace.observe(took(8 * MIB, 5), 0.1);
  t.equal(pace.wanted.gets, 4);
});

await t.test('whatever comes, the number stays within its bounds', async (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.nat(64 * MIB),
          fc.float({ min: 0, max: 1e9, noNaN: true }),
          fc.float({ min: 0, max: 1, noNaN: true }),
        ),
      ),
      (seen) => {
        const pace = new Pace(OPTIONS);
        for (const [bytes, ms, use] of seen) pace.observe(took(bytes, ms, ms / 3), use);
        const { gets, worthBytes } = pace.wanted;
        return Number.isInteger(gets) && gets >= 4 && gets <= 32 && worthBytes >= 0;
      },
    ),
  );
  t.pass();
});

await t.test('a GET is worth the bytes that arrive in the time to its first byte', async (t) => {
  const pace = new Pace(OPTIONS);
  pace.observe(took(8_000_000, 1000, 30), 0.1);
  t.equal(Math.round(pace.wanted.worthBytes), 240_000);
});

await t.test('a GET is timed from its request, first bytes apart', async (t) => {
  const pace = new Pace(OPTIONS);
  let nowMs = 0;
  const timing = new GetTiming(() => nowMs);
  nowMs = 30;
  timing.received(64 * KIB);
  nowMs = 30 + 125;
  timing.received(1_000_000);
  timing.tell(pace);
  // The event loop of a test may be busy all the time: then nothing was told.
  if (pace.wanted.worthBytes !== Infinity) t.equal(Math.round(pace.wanted.worthBytes), 240_000);
  const never = new GetTiming(() => nowMs);
  never.tell(pace);
  t.pass('a GET without bytes tells nothing');
});
