import t from 'tap';
import { KeyedMutex } from '../../src/fs/keyed-mutex.js';

await t.test('tasks that share a key run one after the other, others at once', async (t) => {
  const mutex = new KeyedMutex();
  const events: string[] = [];
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const first = mutex.run(['b', 'a'], async () => {
    events.push('first begins');
    await gate;
    events.push('first ends');
  });
  const second = mutex.run(['a', 'c'], async () => {
    events.push('second');
  });
  await mutex.run(['d'], async () => {
    events.push('other');
  });
  t.notOk(events.includes('second'), 'it waits for the key they share');
  t.ok(events.includes('other'), 'the other key is free');
  release();
  await Promise.all([first, second]);
  t.strictSame(
    events.filter((event) => event !== 'other'),
    ['first begins', 'first ends', 'second'],
  );
});

await t.test('a failed task lets the next one in', async (t) => {
  const mutex = new KeyedMutex();
  await t.rejects(
    mutex.run(['a'], () => Promise.reject(new Error('no'))),
    /no/,
  );
  t.equal(await mutex.run(['a'], () => Promise.resolve(1)), 1);
});

await t.test('opposite orders of keys do not deadlock', async (t) => {
  const mutex = new KeyedMutex();
  const runs = Array.from({ length: 50 }, (_, i) =>
    mutex.run(i % 2 === 0 ? ['x', 'y'] : ['y', 'x'], () => Promise.resolve(i)),
  );
  t.equal((await Promise.all(runs)).length, 50);
});
