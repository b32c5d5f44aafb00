import { join } from 'node:path';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { Journal } from '../../../src/store/embedded/journal.js';
import { KeyedLock } from '../../../src/store/embedded/keyed-lock.js';
import type { JournalLine } from '../../../src/store/embedded/records.js';
import { temporaryDirectory } from './support.js';

const gone = (key: string): JournalLine => ({ op: 'gone', key });

async function keysIn(path: string): Promise<{ keys: string[]; badLines: number }> {
  const keys: string[] = [];
  const { journal, badLines } = await Journal.open(path, (line) => {
    if (line.op === 'gone') keys.push(line.key);
  });
  await journal.close();
  return { keys, badLines };
}

await t.test('lines appended together come back in their order', async (t) => {
  const path = join(temporaryDirectory(t), 'journal');
  const { journal } = await Journal.open(path, () => t.fail('a new journal has no lines'));
  const expected = Array.from({ length: 200 }, (_, at) => `${at} ü\n`);
  await Promise.all(expected.map((key) => journal.append(gone(key))));
  await journal.close();
  t.same(await keysIn(path), { keys: expected, badLines: 0 });
});

await t.test('cut off at every byte, whole lines remain and later ones can be added', async (t) => {
  const path = join(temporaryDirectory(t), 'journal');
  const { journal } = await Journal.open(path, () => undefined);
  for (const key of ['a', 'b']) await journal.append(gone(key));
  await journal.close();
  const whole = readFileSync(path);
  const first = whole.indexOf(0x0a) + 1;
  for (let length = 0; length <= whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    const before = length === whole.length ? ['a', 'b'] : length >= first ? ['a'] : [];
    const { journal: cut } = await Journal.open(path, () => undefined);
    await cut.append(gone('c'));
    await cut.close();
    t.same(await keysIn(path), { keys: [...before, 'c'], badLines: 0 }, `${length} bytes`);
  }
});

await t.test('a damaged line in the middle is counted and left out', async (t) => {
  const path = join(temporaryDirectory(t), 'journal');
  const { journal } = await Journal.open(path, () => undefined);
  for (const key of ['a', 'b', 'c']) await journal.append(gone(key));
  await journal.close();
  writeFileSync(path, readFileSync(path, 'utf8').replace('"b"', '"x"'));
  t.same(await keysIn(path), { keys: ['a', 'c'], badLines: 1 });
});

await t.test('a rewrite replaces all lines, and appending goes on after it', async (t) => {
  const path = join(temporaryDirectory(t), 'journal');
  const { journal } = await Journal.open(path, () => undefined);
  for (const key of ['a', 'b', 'c']) await journal.append(gone(key));
  await journal.rewrite([gone('only')]);
  await journal.append(gone('later'));
  await journal.close();
  t.same(await keysIn(path), { keys: ['only', 'later'], badLines: 0 });
  // A rewrite that a crash cut off leaves its file beside the journal.
  appendFileSync(`${path}.next`, 'rest');
  t.same(await keysIn(path), { keys: ['only', 'later'], badLines: 0 });
});

await t.test('work of one key runs in turn, of others at once, exclusive work alone', async (t) => {
  const lock = new KeyedLock();
  const seen: string[] = [];
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const work = (name: string) => async (): Promise<void> => {
    seen.push(`${name} begins`);
    await turn();
    await turn();
    seen.push(`${name} ends`);
  };
  await Promise.all([
    lock.shared(['a'], work('a1')),
    lock.shared(['a'], work('a2')),
    lock.shared(['b'], work('b1')),
    lock.exclusive(work('all')),
    lock.shared(['c'], work('c1')),
  ]);
  t.ok(seen.indexOf('a1 ends') < seen.indexOf('a2 begins'));
  t.ok(seen.indexOf('b1 begins') < seen.indexOf('a1 ends'));
  t.equal(seen.indexOf('all ends'), seen.indexOf('all begins') + 1);
  t.ok(seen.indexOf('a2 ends') < seen.indexOf('all begins'));
  t.ok(seen.indexOf('all ends') < seen.indexOf('c1 begins'));
  await t.rejects(
    lock.shared(['a'], () => Promise.reject(new Error('refused'))),
    { message: 'refused' },
  );
  await t.resolves(
    lock.shared(['a'], () => Promise.resolve()),
    'a failure frees the key',
  );
});
