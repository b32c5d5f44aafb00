import t from 'tap';
import fc from '../support/fast-check.js';
import { VersionCheck } from '../../src/read/version-check.js';
import { BodyChecks } from '../../src/store/s3/body-checks.js';
import { BodyChecksum, CHECKSUM_ALGORITHMS } from '../../src/store/s3/checksum.js';
import { pattern } from './read-rig.js';

const CELL = 64;
const checks = new BodyChecks();

/** Cuts at random places, where cells end as well or not. */
const scene = fc
  .record({
    size: fc.integer({ min: 1, max: 1000 }),
    cuts: fc.uniqueArray(fc.integer({ min: 1, max: 999 }), { maxLength: 20 }),
    algorithm: fc.constantFrom(...CHECKSUM_ALGORITHMS),
    seed: fc.integer(),
    across: fc.boolean(),
  })
  .map(({ size, cuts, algorithm, seed, across }) => {
    const edges = new Set([0, size, ...cuts.filter((cut) => cut < size)]);
    if (!across) for (let at = 0; at < size; at += CELL) edges.add(at);
    const sorted = [...edges].sort((a, b) => a - b);
    const pieces = sorted.slice(1).map((end, at) => ({ start: sorted[at] ?? 0, end }));
    return { size, algorithm, seed, pieces };
  });

await t.test('pieces in any order are right together, and wrong if one bit of one is', (t) => {
  fc.assert(
    fc.property(
      scene.chain((made) =>
        fc.record({
          made: fc.constant(made),
          order: fc.shuffledSubarray(made.pieces, { minLength: made.pieces.length }),
          flip: fc.option(fc.nat(made.size - 1)),
        }),
      ),
      ({ made: { size, algorithm, seed }, order, flip }) => {
        const body = pattern(size, seed);
        const sums = checks.pieces(new BodyChecksum(algorithm).of([body]));
        if (sums === undefined) throw new Error('no sums');
        const check = new VersionCheck(size, CELL, sums);
        const got = Buffer.from(body);
        if (flip !== null) got.writeUInt8(got.readUInt8(flip) ^ 32, flip);
        const answers = order.map(({ start, end }, at) => {
          if (check.state !== 'open') throw new Error(`${check.state} after ${at} of ${order.length}`);
          return check.add(start, got.subarray(start, end));
        });
        const good = flip === null;
        return check.state === (good ? 'right' : 'wrong') && answers.at(-1) === good;
      },
    ),
    { numRuns: 200 },
  );
  t.end();
});

await t.test('a cell that comes again is known by its sum', (t) => {
  const body = pattern(3 * CELL);
  const sums = checks.pieces(new BodyChecksum('crc64nvme').of([body]));
  if (sums === undefined) throw new Error('no sums');
  const other = Buffer.from(body.subarray(CELL, 2 * CELL)).fill(1, 5, 6);
  const check = new VersionCheck(body.length, CELL, sums);
  for (const cell of [2, 0, 1]) t.ok(check.add(cell * CELL, body.subarray(cell * CELL, (cell + 1) * CELL)));
  t.equal(check.state, 'right');
  t.notOk(check.add(CELL, other));
  t.equal(check.state, 'right', 'what was right stays so');
  t.ok(check.add(CELL, body.subarray(CELL, 2 * CELL)));
  const early = new VersionCheck(body.length, CELL, sums);
  t.ok(early.add(CELL, body.subarray(CELL, 2 * CELL)));
  t.notOk(early.add(CELL, other), 'one of both is wrong, and which is anybody’s guess');
  t.equal(early.state, 'wrong');
  t.equal(checks.pieces({ algorithm: 'sha256', value: '' }), undefined);
  t.end();
});
