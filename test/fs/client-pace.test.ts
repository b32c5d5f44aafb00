/** How far ahead of a client pages are worth asking for. */
import t from 'tap';
import { ClientPace } from '../../src/fs/client-pace.js';
import { FakeClock } from '../support/fake-clock.js';

const GOOD_MS = 1000;

/** Pages that take the client so long each, and for which it waits so long. */
async function paceOf(
  tookMs: number,
  waitedMs: number,
): Promise<{ readonly pace: ClientPace; readonly ahead: number }> {
  const clock = new FakeClock();
  const pace = new ClientPace({ nowMs: () => clock.nowMs(), goodMs: GOOD_MS });
  let ahead = Infinity;
  for (let page = 0; page < 20; page++) {
    await pace.waiting(Promise.resolve().then(() => clock.advance(page === 0 ? 500 : waitedMs)));
    clock.advance(tookMs);
    ahead = pace.came();
  }
  return { pace, ahead };
}

await t.test('no more pages than the client comes to in half the time for which they are good', async (t) => {
  for (const [tookMs, ahead] of [
    [0, Infinity],
    [1, 500],
    [25, 20],
    [200, 2],
    [5000, 1],
  ] as const)
    for (const waitedMs of [0, 30])
      t.equal((await paceOf(tookMs, waitedMs)).ahead, ahead, `${tookMs} ms a page`);
});

await t.test('the store is the slower one where the client waits for more than its first page', async (t) => {
  t.notOk((await paceOf(20, 0)).pace.isStoreSlower);
  t.notOk((await paceOf(0, 0)).pace.isStoreSlower);
  t.notOk((await paceOf(20, 4)).pace.isStoreSlower);
  t.ok((await paceOf(20, 10)).pace.isStoreSlower);
  t.ok((await paceOf(0, 30)).pace.isStoreSlower);
});

await t.test('a wait that fails is one', async (t) => {
  const clock = new FakeClock();
  const pace = new ClientPace({ nowMs: () => clock.nowMs(), goodMs: GOOD_MS });
  const failing = Promise.resolve().then(() => {
    clock.advance(600);
    throw new Error('down');
  });
  await t.rejects(pace.waiting(failing), { message: 'down' });
  clock.advance(100);
  t.equal(pace.came(), 5);
});
