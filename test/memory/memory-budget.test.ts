import t from 'tap';
import fc from '../support/fast-check.js';
import { MemoryBudget } from '../../src/memory/memory-budget.js';

/** Lets the continuations of settled promises run. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

await t.test('reservations are admitted in line, and nobody passes', async (t) => {
  const budget = new MemoryBudget(10);
  await budget.reserve(8);
  const order: string[] = [];
  const large = budget.reserve(6).then(() => order.push('large'));
  const small = budget.reserve(1).then(() => order.push('small'));
  t.equal(budget.waiting, 2);
  t.notOk(budget.tryReserve(1), 'there is room, but others wait');
  t.notOk(budget.tryReserveFree(1));
  budget.release(1);
  await settle();
  t.same(order, [], 'the small one stands behind the large one');
  budget.release(7);
  await Promise.all([large, small]);
  t.same(order, ['large', 'small']);
  t.equal(budget.usedBytes, 7);
});

await t.test('an abort leaves the line and lets those behind in', async (t) => {
  const budget = new MemoryBudget(10);
  await budget.reserve(8);
  const abort = new AbortController();
  const large = budget.reserve(6, abort.signal);
  const small = budget.reserve(2);
  const reason = new Error('gone');
  abort.abort(reason);
  await t.rejects(large, reason);
  await small;
  t.equal(budget.usedBytes, 10);
  t.equal(budget.waiting, 0);
  await t.rejects(budget.reserve(1, abort.signal), reason, 'aborted before it began');
});

await t.test('a signal that fires after admission takes nothing back', async (t) => {
  const budget = new MemoryBudget(4);
  await budget.reserve(4);
  const abort = new AbortController();
  const next = budget.reserve(3, abort.signal);
  budget.release(4);
  abort.abort();
  await next;
  t.equal(budget.usedBytes, 3);
});

await t.test('reliefs are asked in order, for what is missing, and only as far as needed', async (t) => {
  const budget = new MemoryBudget(10);
  await budget.reserve(10);
  const asked: [string, number][] = [];
  budget.addRelief((bytes) => {
    asked.push(['first', bytes]);
    budget.release(2);
    return 2;
  });
  const remove = budget.addRelief((bytes) => {
    asked.push(['second', bytes]);
    budget.release(bytes);
    return bytes;
  });
  t.ok(budget.tryReserve(1));
  t.same(asked, [['first', 1]]);
  t.ok(budget.tryReserve(4));
  t.same(asked.slice(1), [
    ['first', 3],
    ['second', 1],
  ]);
  t.notOk(budget.tryReserveFree(1), 'asks nobody');
  t.equal(asked.length, 3);
  remove();
  t.notOk(budget.tryReserve(9));
  t.equal(asked.length, 4, 'a removed relief is not asked');
});

await t.test('a relief that reserves is not asked again while it runs', async (t) => {
  const budget = new MemoryBudget(10);
  await budget.reserve(10);
  let depth = 0;
  let deepest = 0;
  budget.addRelief(() => {
    depth += 1;
    deepest = Math.max(deepest, depth);
    // A spill: gives 6 back and needs 2 for itself; 9 more aren't there.
    budget.release(6);
    t.ok(budget.tryReserve(2));
    t.notOk(budget.tryReserve(9));
    depth -= 1;
    return 4;
  });
  t.ok(budget.tryReserve(4));
  t.equal(deepest, 1);
  t.equal(budget.usedBytes, 10);
});

await t.test('what becomes reclaimable later is had by offerRelief', async (t) => {
  const budget = new MemoryBudget(10);
  await budget.reserve(10);
  let pinned = true;
  budget.addRelief((bytes) => {
    if (pinned) return 0;
    budget.release(bytes);
    return bytes;
  });
  let admitted = false;
  const waiting = budget.reserve(3).then(() => (admitted = true));
  await settle();
  t.notOk(admitted);
  pinned = false;
  budget.offerRelief();
  await waiting;
  t.equal(budget.usedBytes, 10);
});

await t.test('what can never fit and what was never reserved are refused', async (t) => {
  const budget = new MemoryBudget(10);
  await t.rejects(budget.reserve(11), RangeError);
  t.notOk(budget.tryReserve(11));
  t.throws(() => budget.release(1), RangeError);
  await t.rejects(budget.reserve(-1), RangeError);
  t.throws(() => budget.tryReserve(Number.NaN), RangeError);
  t.throws(() => new MemoryBudget(-1), RangeError);
});

await t.test('never over the limit, nothing lost, everybody admitted in the end', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('reserve' as const), bytes: fc.integer({ min: 0, max: 10 }) }),
    fc.record({ kind: fc.constant('release' as const), at: fc.nat() }),
    fc.record({ kind: fc.constant('abort' as const), at: fc.nat() }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const budget = new MemoryBudget(10);
      const held: number[] = [];
      const open: { abort: AbortController; done: Promise<void> }[] = [];
      for (const each of steps) {
        if (each.kind === 'reserve') {
          const abort = new AbortController();
          const done = budget.reserve(each.bytes, abort.signal).then(
            () => void held.push(each.bytes),
            () => undefined,
          );
          open.push({ abort, done });
        } else if (each.kind === 'abort') open[each.at % Math.max(1, open.length)]?.abort.abort();
        else {
          const [bytes] = held.splice(each.at % Math.max(1, held.length), 1);
          if (bytes !== undefined) budget.release(bytes);
        }
        await settle();
        const sum = held.reduce((a, b) => a + b, 0);
        if (budget.usedBytes !== sum || sum > 10) throw new Error(`used ${budget.usedBytes}, held ${sum}`);
      }
      while (budget.waiting > 0) {
        for (const bytes of held.splice(0)) budget.release(bytes);
        await settle();
      }
      await Promise.all(open.map(async ({ done }) => await done));
    }),
    { numRuns: 100 },
  );
});
