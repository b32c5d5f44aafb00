import t, { type Test } from 'tap';
import { FsError } from '../../src/fs/errors.js';
import { LongOperations } from '../../src/fs/long-operations.js';
import { FakeClock } from '../support/fake-clock.js';

const CALL = { caller: '127.0.0.1', what: 'REMOVE', entries: ['a'] };
const RENAME = { caller: '127.0.0.1', what: 'RENAME', entries: ['a', 'b'] };

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve = (_value: T): void => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** A call that was told JUKEBOX, and whose operation ends with `work`. */
async function putOff(t: Test): Promise<{ long: LongOperations; work: ReturnType<typeof deferred<string>> }> {
  const clock = new FakeClock();
  const long = new LongOperations(clock);
  const work = deferred<string>();
  const first = long.run(CALL, () => work.promise);
  clock.advance(20_000);
  await t.rejects(first, { code: 'EJUKEBOX' });
  return { long, work };
}

await t.test('past 20 s the caller is told JUKEBOX, and the retry joins what is running', async (t) => {
  const clock = new FakeClock();
  const long = new LongOperations(clock);
  const work = deferred<string>();
  let runs = 0;
  const operation = (): Promise<string> => {
    runs++;
    return work.promise;
  };
  const first = long.run(RENAME, operation);
  clock.advance(20_000);
  await t.rejects(first, FsError);
  const retry = long.run(RENAME, operation);
  work.resolve('done');
  t.equal(await retry, 'done');
  t.equal(runs, 1);
});

await t.test('a retry that comes after the end collects the result, once', async (t) => {
  const { long, work } = await putOff(t);
  work.resolve('first');
  await work.promise;
  t.equal(await long.run(CALL, () => Promise.resolve('second')), 'first');
  t.equal(await long.run(CALL, () => Promise.resolve('third')), 'third');
});

await t.test('a failure is told to the retry, once', async (t) => {
  const clock = new FakeClock();
  const long = new LongOperations(clock);
  let fail = (): void => undefined;
  const work = new Promise<string>((_, reject) => {
    fail = () => reject(new FsError('EIO', 'no'));
  });
  const first = long.run(CALL, () => work);
  clock.advance(20_000);
  await t.rejects(first, { code: 'EJUKEBOX' });
  fail();
  await t.rejects(
    long.run(CALL, () => Promise.resolve('second')),
    { code: 'EIO' },
  );
  t.equal(await long.run(CALL, () => Promise.resolve('third')), 'third');
});

await t.test('callers of the same operation that were not put off run it each', async (t) => {
  const long = new LongOperations(new FakeClock());
  let runs = 0;
  const run = (): Promise<number> => long.run(CALL, () => Promise.resolve(++runs));
  t.strictSame(await Promise.all([run(), run()]), [1, 2]);
});

await t.test('what a client changed since is not answered by a result that it never collected', async (t) => {
  for (const [caller, entry, expected] of [
    ['127.0.0.1', 'a', 'second'],
    ['127.0.0.1', 'b', 'first'],
    ['127.0.0.2', 'a', 'first'],
  ] as const) {
    const { long, work } = await putOff(t);
    // What is running isn't over.
    long.changed({ caller: '127.0.0.1', entries: ['a'] });
    work.resolve('first');
    await work.promise;
    await long.run({ caller, what: 'MKDIR', entries: [entry] }, () => Promise.resolve());
    t.equal(await long.run(CALL, () => Promise.resolve('second')), expected);
  }
});
