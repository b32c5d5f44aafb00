/** What each of the streams may have ahead of itself. */
import t from 'tap';
import { MemoryBudget } from '../../src/memory/memory-budget.js';
import { READ_DEFAULTS } from '../../src/read/options.js';
import { Parts, type GetsWanted } from '../../src/read/parts.js';
import { ReadaheadShare } from '../../src/read/readahead-share.js';

const MIB = 1024 * 1024;
const BUDGET = 224 * MIB;
const AHEAD_MAX = 48;
const MANY: GetsWanted = { gets: 32, worthBytes: MIB };

function shareOf(streams: number): ReadaheadShare {
  const share = new ReadaheadShare(new MemoryBudget(BUDGET), AHEAD_MAX);
  share.recount(0, streams);
  return share;
}

await t.test('one stream has half of the budget, and the GETs that the pace asks for', async (t) => {
  for (const streams of [0, 1]) {
    t.equal(shareOf(streams).bytes, BUDGET / 2);
    t.same(shareOf(streams).of(MANY), MANY);
  }
});

await t.test('many streams leave memory to their READs', async (t) => {
  for (let streams = 1; streams <= 70; streams++) {
    const ahead = shareOf(streams).bytes;
    t.ok(streams * (ahead + 2.5 * MIB) <= BUDGET || streams * ahead <= BUDGET / 2, `${streams} streams`);
  }
  t.equal(shareOf(44).bytes, Math.floor(BUDGET / 2 / 44), 'half for readahead');
  t.equal(shareOf(64).bytes, MIB);
});

await t.test('a GET of the smallest size fits as long as it is no more than half', async (t) => {
  for (const streams of [80, 100, 150, 224]) t.equal(shareOf(streams).bytes, MIB / 2, `${streams} streams`);
  t.equal(shareOf(448).bytes, MIB / 4);
});

await t.test('streams share the GETs: no more are cut than can run, and at least one', async (t) => {
  for (let streams = 1; streams <= 100; streams++) {
    const { gets } = shareOf(streams).of(MANY);
    t.ok(gets === 1 || gets * streams <= AHEAD_MAX, `${streams} streams`);
    t.ok(gets >= 1);
  }
  t.same(
    shareOf(12).of({ gets: 4, worthBytes: 1 }),
    { gets: 4, worthBytes: 1 },
    'fewer than its share is fine',
  );
});

await t.test('64 streams under 256 MiB have a GET of a whole READ each, not pieces of it', async (t) => {
  const share = shareOf(64);
  const parts = new Parts(share.bytes, false, share.of(MANY), 1024 * MIB, READ_DEFAULTS);
  t.equal(parts.bytes, MIB);
  t.equal(parts.end(5 * MIB), 6 * MIB);
});
