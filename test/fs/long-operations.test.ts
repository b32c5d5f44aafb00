import t from 'tap';
import { FsError } from '../../src/fs/errors.js';
import { LongOperations } from '../../src/fs/long-operations.js';
import { FakeClock } from '../support/fake-clock.js';

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve = (_value: T): void => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
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
  const first = long.run('RENAME a b', operation);
  clock.advance(20_000);
  await t.rejects(first, FsError);
  const retry = long.run('RENAME a b', operation);
  work.resolve('done');
  t.equal(await retry, 'done');
  t.equal(runs, 1);
});

await t.test('a retry that comes after the end collects the result, once', async (t) => {
  const clock = new FakeClock();
  const long = new LongOperations(clock);
  const work = deferred<string>();
  const first = long.run('k', () => work.promise);
  clock.advance(20_000);
  await t.rejects(first, { code: 'EJUKEBOX' });
  work.resolve('first');
  await work.promise;
  t.equal(await long.run('k', () => Promise.resolve('second')), 'first');
  t.equal(await long.run('k', () => Promise.resolve('third')), 'third');
});

await t.test('a failure is told to the retry, once', async (t) => {
  const clock = new FakeClock();
  const long = new LongOperations(clock);
  let fail = (): void => undefined;
  const work = new Promise<string>((_, reject) => {
    fail = () => reject(new FsError('EIO', 'no'));
  });
  const first = long.run('k', () => work);
  clock.advance(20_000);
  await t.rejects(first, { code: 'EJUKEBOX' });
  fail();
  await t.rejects(
    long.run('k', () => Promise.resolve('second')),
    { code: 'EIO' },
  );
  t.equal(await long.run('k', () => Promise.resolve('third')), 'third');
});

await t.test('callers of the same operation that were not put off run it each', async (t) => {
  const long = new LongOperations(new FakeClock());
  let runs = 0;
  const run = (): Promise<number> => long.run('k', () => Promise.resolve(++runs));
  t.strictSame(await Promise.all([run(), run()]), [1, 2]);
});
