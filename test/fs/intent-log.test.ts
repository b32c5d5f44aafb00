/** The journal of promises where the disk refuses: what is told to whom, and what the next start finds. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { IntentLog, type Intent } from '../../src/fs/intent-log.js';
import { Journal } from '../../src/state/journal.js';

const upload = (key: string): Intent => ({ kind: 'upload', volume: 'v', key, uploadId: 'u' });

/** No call of this name on any file succeeds until the returned function is called. */
async function refuse(t: Test, name: 'write' | 'sync'): Promise<() => void> {
  const probe = await open(process.execPath, 'r');
  const prototype = Object.getPrototypeOf(probe) as object;
  await probe.close();
  const original = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
  const restore = (): void => void Object.defineProperty(prototype, name, original);
  t.teardown(restore);
  const error = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  Object.defineProperty(prototype, name, { ...original, value: () => Promise.reject(error) });
  return restore;
}

async function opened(path: string, failures: unknown[] = []): Promise<{ log: IntentLog; journal: Journal }> {
  const { journal, entries } = await Journal.open(path);
  return { journal, log: new IntentLog(journal, entries, (error) => failures.push(error)) };
}

await t.test(
  'what was ended on a full disk is ended when there is room, and does not come back',
  async (t) => {
    const path = join(t.testdir(), 'journal');
    const { log, journal } = await opened(path);
    await log.put('a', upload('a'));
    await log.put('b', upload('b'));
    const makeRoom = await refuse(t, 'write');
    await t.rejects(log.drop('a'), { name: 'JournalError' });
    await t.rejects(log.drop('a'), { name: 'JournalError' }, 'nor is it safe when it is asked for again');
    await t.rejects(log.drop('b'), { name: 'JournalError' });
    makeRoom();
    await log.drop('a');
    await log.put('c', upload('c'));
    await journal.close();
    const again = await opened(path);
    t.same([...again.log.live().keys()], ['c']);
    await again.journal.close();
  },
);

await t.test('what was ended on a full disk is ended though an intent after it found no room', async (t) => {
  const path = join(t.testdir(), 'journal');
  const { log, journal } = await opened(path);
  await log.put('a', upload('old'));
  const makeRoom = await refuse(t, 'write');
  let isGone = false;
  const dropping = log.dropInTime('a').then(() => (isGone = true));
  await t.rejects(log.put('a', upload('new')), { name: 'JournalError' });
  await t.rejects(log.drop('a'), { name: 'JournalError' }, 'the disk has the old one');
  t.notOk(isGone);
  makeRoom();
  await log.put('b', upload('b'));
  await dropping;
  await journal.close();
  const again = await opened(path);
  t.same([...again.log.live().keys()], ['b']);
  await again.journal.close();
});

await t.test('a journal that can not be rewritten keeps nobody from being answered', async (t) => {
  const path = join(t.testdir(), 'journal');
  const failures: unknown[] = [];
  const { log, journal } = await opened(path, failures);
  const large = 'k'.repeat(1024 * 1024);
  await log.put('a', upload(large));
  const restore = await refuse(t, 'sync');
  for (let times = 0; times < 12; times += 1) await log.put('a', upload(large));
  t.equal(failures.length, 2, 'tried at 4 MiB, and when it had grown to twice as much');
  restore();
  for (let times = 0; times < 8; times += 1) await log.put('a', upload(large));
  t.ok(journal.size() < 8 * 1024 * 1024, 'rewritten when that is possible');
  await journal.close();
});
