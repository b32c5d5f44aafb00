import t from 'tap';
import { PathLocks, type Claim } from '../../src/fs/path-locks.js';

/** A task that runs until it is told to end. */
function held(
  locks: PathLocks,
  claim: Claim | (() => Claim),
): { running: () => boolean; end: () => Promise<void> } {
  let running = false;
  let finish = (): void => undefined;
  const ended = new Promise<void>((resolve) => (finish = resolve));
  const done = locks.run(typeof claim === 'function' ? claim : () => claim, async () => {
    running = true;
    await ended;
    running = false;
  });
  return {
    running: () => running,
    end: async () => {
      finish();
      await done;
      // Whoever waited runs now.
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    },
  };
}

await t.test('touches of one file run together, a change of it alone', async (t) => {
  const locks = new PathLocks();
  const [one, two] = [held(locks, { touches: ['a'] }), held(locks, { touches: ['a'] })];
  const change = held(locks, { changes: ['a'] });
  const late = held(locks, { touches: ['a'] });
  const other = held(locks, { touches: ['ab'] });
  await Promise.resolve();
  t.same(
    [one.running(), two.running(), change.running(), late.running(), other.running()],
    [true, true, false, false, true],
  );
  await one.end();
  t.notOk(change.running(), 'until the last touch ends');
  await two.end();
  t.ok(change.running());
  t.notOk(late.running(), 'who came later waits, or a change would never come');
  await change.end();
  t.ok(late.running());
  await late.end();
  await other.end();
});

await t.test('a move is alone with everything below its prefix', async (t) => {
  const locks = new PathLocks();
  const move = held(locks, { changes: ['d', 'e'], moves: ['d/', 'e/'] });
  const below = held(locks, { touches: ['d/x/y'] });
  const made = held(locks, { changes: ['e/new'] });
  const nested = held(locks, { changes: ['d/x'], moves: ['d/x/'] });
  const beside = held(locks, { changes: ['dd'], moves: ['dd/'] });
  await Promise.resolve();
  t.same(
    [move, below, made, nested, beside].map((each) => each.running()),
    [true, false, false, false, true],
  );
  await move.end();
  t.same(
    [below, made, nested].map((each) => each.running()),
    [true, true, false],
    'in the order they came',
  );
  await below.end();
  t.ok(nested.running());
  for (const each of [made, nested, beside]) await each.end();
});

await t.test('two directories renamed into each other never wait for each other', async (t) => {
  const locks = new PathLocks();
  const one = held(locks, { changes: ['a', 'b/a'], moves: ['a/', 'b/a/'] });
  const two = held(locks, { changes: ['b', 'a/b'], moves: ['b/', 'a/b/'] });
  await Promise.resolve();
  t.same([one.running(), two.running()], [true, false]);
  await one.end();
  t.ok(two.running());
  await two.end();
});

await t.test('a key that changed while one waited is claimed anew', async (t) => {
  const locks = new PathLocks();
  let key = 'old';
  const first = held(locks, { changes: ['old'] });
  const atNew = held(locks, { changes: ['new'] });
  const follower = held(locks, () => ({ touches: [key] }));
  key = 'new';
  await first.end();
  t.notOk(follower.running(), 'it waits at the new key');
  await atNew.end();
  t.ok(follower.running());
  await follower.end();
});

await t.test('what fails lets the next one in, and a key that is gone is told', async (t) => {
  const locks = new PathLocks();
  await t.rejects(
    locks.run(
      () => ({ changes: ['a'] }),
      () => Promise.reject(new Error('no')),
    ),
    { message: 'no' },
  );
  const gone = (): Claim => {
    throw new Error('gone');
  };
  await t.rejects(
    locks.run(gone, () => Promise.resolve()),
    { message: 'gone' },
  );
  t.equal(
    await locks.run(
      () => ({ changes: ['a'] }),
      () => Promise.resolve(1),
    ),
    1,
  );
});
