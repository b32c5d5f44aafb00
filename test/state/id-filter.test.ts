/** A filter never says of an id that it has that it is new, and seldom of a new one that it may have it. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { IdFilter } from '../../src/state/id-filter.js';

const idOf = (of: string, at: number): bigint =>
  createHash('sha256').update(`${of}${at}`).digest().readBigUInt64BE(0) >> 2n;

await t.test(
  'ids that were added are known, through several layers, and few others are taken for them',
  async (t) => {
    const filter = new IdFilter();
    t.equal(filter.isNew(idOf('a', 0)), true);
    const count = 70_000;
    for (let at = 0; at < count; at++) filter.add(idOf('a', at));
    let forgotten = 0;
    for (let at = 0; at < count; at++) if (filter.isNew(idOf('a', at))) forgotten++;
    t.equal(forgotten, 0);
    let mistaken = 0;
    for (let at = 0; at < 10_000; at++) if (!filter.isNew(idOf('b', at))) mistaken++;
    t.ok(mistaken < 200, `${mistaken} of 10,000`);
  },
);

await t.test('a filter that does not know all ids says of none that it is new', async (t) => {
  const filter = new IdFilter();
  filter.add(5n);
  filter.forget();
  t.equal(filter.isNew(6n), false);
  filter.add(7n);
  t.equal(filter.isNew(8n), false);
});
