import t from 'tap';
import fc from '../support/fast-check.js';
import { countOf, lastBytesOf, type GetUnderWay } from '../../src/read/succession.js';
import { pino } from 'pino';
import { MemoryBudget } from '../../src/memory/memory-budget.js';
import { Beginnings } from '../../src/read/beginnings.js';
import { BlockCache } from '../../src/read/block-cache.js';
import { BlockPool } from '../../src/read/block-pool.js';
import type { ReaderShared } from '../../src/read/fetcher.js';
import { BodyChecks } from '../../src/store/s3/body-checks.js';
import { GetSlots } from '../../src/read/get-slots.js';
import { READ_DEFAULTS, type ReadOptions } from '../../src/read/options.js';
import { ReadaheadShare } from '../../src/read/readahead-share.js';
import { Reader } from '../../src/read/reader.js';
import { MemoryStore } from '../support/memory-store.js';
import { newPace } from './simulated-link.js';
import { KIB, MIB, pattern, settle } from './read-rig.js';

const get = (restBytes: number, arriving: boolean): GetUnderWay => {
  return { arriving, rest: { start: 0, end: restBytes } };
};

await t.test('a GET in its last bytes makes room for another one, one that waits does not', async (t) => {
  t.equal(countOf([get(8 * MIB, false), get(8 * MIB, true)], 240_000), 2);
  t.equal(countOf([get(240_000, false), get(240_000, true), get(240_001, true)], 240_000), 2);
});

await t.test('where nothing is known of the store, every GET counts', async (t) => {
  t.equal(lastBytesOf(Infinity), 0);
  t.equal(countOf([get(1, true), get(1, false)], Infinity), 2);
});

await t.test('more bytes to come never make more room', async (t) => {
  const gets = fc.array(fc.tuple(fc.nat(8 * MIB), fc.boolean()));
  fc.assert(
    fc.property(gets, fc.nat(MIB), fc.nat(MIB), (all, worthBytes, more) => {
      const count = countOf(
        all.map(([rest, arriving]) => get(rest, arriving)),
        worthBytes,
      );
      const later = countOf(
        all.map(([rest, arriving]) => get(rest + more, arriving)),
        worthBytes,
      );
      return count <= later && later <= all.length;
    }),
  );
  t.pass('every run');
});

await t.test('the next GET begins with the last bytes of another one, no READ asks for it', async (t) => {
  const store = new MemoryStore({});
  const body = pattern(64 * MIB);
  const { etag } = store.putNow('k', body);
  const shared = sharedOver(store, { requestsPerObjectMax: 4 });
  shared.pace.observe({ firstByteMs: 30, restBytes: 8 * MIB, restMs: (8 * MIB) / 8000 }, 0);
  const lastBytes = Math.floor(shared.pace.wanted.worthBytes);
  const reader = new Reader({ key: 'k', etag, size: body.length }, shared);
  store.holdGets();
  const asked = { start: 0, end: 256 * KIB };
  const reading = reader.read(asked, undefined, 'sequential');
  await store.whenHeld(4);
  await settle();
  t.equal(store.heldGets.length, 4, 'as many as may bring bytes at a time');
  const third = store.heldGets[2];
  if (third === undefined) throw new Error('no third GET');
  const { offset = 0, length = 0 } = third.call.range ?? {};
  third.deliver(length - lastBytes - 1);
  await settle();
  t.equal(store.heldGets.length, 4, 'its last bytes are still to come');
  third.deliver(1);
  await settle();
  t.equal(store.heldGets.length, 5);
  third.deliver(lastBytes - 1);
  await settle();
  t.equal(store.heldGets.length, 5, 'once for each');
  store.releaseGets();
  const first = await reading;
  t.ok(Buffer.concat(first.slices).equals(body.subarray(asked.start, asked.end)));
  first.release();
  const there = await reader.read({ start: offset, end: offset + MIB }, undefined, 'adaptive');
  t.ok(Buffer.concat(there.slices).equals(body.subarray(offset, offset + MIB)), 'the bytes of the third');
  there.release();
  await reader.close();
  shared.pool.retire();
  t.equal(shared.budget.usedBytes, 0);
});

/** What Readers give each of their readers, with a pace that the test sets. */
function sharedOver(store: MemoryStore, more: Partial<ReadOptions>): ReaderShared {
  const options = { ...READ_DEFAULTS, now: () => 0, ...more };
  const budget = new MemoryBudget(256 * MIB);
  const pool = new BlockPool(budget, options.blockBytes);
  const slots = new GetSlots(options.requestsMax);
  return {
    store,
    budget,
    pool,
    slots,
    options,
    log: pino({ level: 'silent' }),
    cache: new BlockCache(budget, pool),
    share: new ReadaheadShare(budget, slots.aheadMax),
    pace: newPace(),
    disk: undefined,
    beginnings: new Beginnings(),
    checks: new BodyChecks(),
    closing: new AbortController().signal,
  };
}
