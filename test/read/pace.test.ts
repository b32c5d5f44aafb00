import t from 'tap';
import fc from 'fast-check';
import { Pace } from '../../src/read/pace.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const OPTIONS = { getsMin: 4, getsMax: 32, bytesMin: 512 * KIB };

await t.test('nothing known: as few as there must be', async (t) => {
  t.equal(new Pace(OPTIONS).gets, 4);
});

await t.test('as many GETs as reach a gigabyte a second together', async (t) => {
  const near = new Pace(OPTIONS);
  near.observe(8 * MIB, 10, 0.1);
  t.equal(near.gets, 4);
  const s3 = new Pace(OPTIONS);
  // 60 ms to the first byte, then 90 MB/s.
  s3.observe(8 * MIB, 60 + 93, 0.1);
  t.equal(s3.gets, 19);
  const far = new Pace(OPTIONS);
  far.observe(8 * MIB, 30 + 1048, 0.1);
  t.equal(far.gets, 32);
});

await t.test('small GETs say nothing of it', async (t) => {
  const pace = new Pace(OPTIONS);
  for (let get = 0; get < 100; get++) pace.observe(4 * KIB, 30, 0.1);
  t.equal(pace.gets, 4);
});

await t.test('a GET that waited for this process says nothing of the store', async (t) => {
  const pace = new Pace(OPTIONS);
  for (let get = 0; get < 100; get++) pace.observe(8 * MIB, 1000, 0.95);
  t.equal(pace.gets, 4);
  pace.observe(8 * MIB, 1000, 0.3);
  t.equal(pace.gets, 32);
});

await t.test('a store that has become slower or faster is followed', async (t) => {
  const pace = new Pace(OPTIONS);
  for (let get = 0; get < 20; get++) pace.observe(8 * MIB, 5, 0.1);
  t.equal(pace.gets, 4);
  for (let get = 0; get < 20; get++) pace.observe(8 * MIB, 1000, 0.1);
  t.equal(pace.gets, 32);
  for (let get = 0; get < 40; get++) pace.observe(8 * MIB, 5, 0.1);
  t.equal(pace.gets, 4);
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
        for (const [bytes, ms, use] of seen) pace.observe(bytes, ms, use);
        return Number.isInteger(pace.gets) && pace.gets >= 4 && pace.gets <= 32;
      },
    ),
  );
  t.pass();
});
