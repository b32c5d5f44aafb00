/** What restarts leave of who is to hear of a conflict. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Context, Handle } from '../../src/fs/file-system.js';
import { IntentLog } from '../../src/fs/intent-log.js';
import { Journal, JournalError } from '../../src/state/journal.js';
import { StoreError } from '../../src/store/errors.js';
import { pass } from './janitor-rounds.js';
import { interceptAppends } from './journal-appends.js';
import { callerOf, codeOf, type Mounted } from './mounted.js';
import { JOURNAL, mounted, SMALL_PARTS } from './small-parts.js';

const ALICE = callerOf(0, '127.0.0.2');
const BOB = callerOf(0, '127.0.0.3');
const CAROL = callerOf(0, '127.0.0.4');

const RESTARTS = {
  'kill -9': (m: Mounted) => m.crash(),
  'a stop': (m: Mounted) => m.stop(),
} as const;

/** A file that Alice and Bob have written parts of when somebody else replaces it, which the background has met. */
async function lost(t: Test): Promise<{ readonly m: Mounted; readonly handle: Handle }> {
  const m = await mounted(t, {});
  const handle = await m.write('f', 'first');
  await m.fs.write(ALICE, handle, 0, Buffer.from('alice'), 'unstable');
  await m.fs.write(BOB, handle, 5, Buffer.from('bob'), 'unstable');
  m.store.putNow('f', Buffer.from('winner'));
  await m.rest(6000);
  t.equal(m.bucket()['f'], 'winner');
  return { m, handle };
}

const commits = (m: Mounted, handle: Handle, ...clients: Context[]): Promise<string[]> =>
  Promise.all(clients.map((client) => codeOf(m.fs.commit(client, handle))));

/** Conflicts that the journal has. The daemon has ended. */
async function journaled(m: Mounted): Promise<number> {
  const { journal, entries } = await Journal.open(join(m.directory, 'journal'));
  const live = new IntentLog(journal, entries, () => undefined).live();
  await journal.close();
  return [...live.values()].filter(({ kind }) => kind === 'conflict').length;
}

for (const [how, restart] of Object.entries(RESTARTS)) {
  await t.test(`a conflict is told to every client whose bytes lost, also after ${how}`, async (t) => {
    const { m, handle } = await lost(t);
    t.same(await commits(m, handle, ALICE), ['EIO']);
    for (let times = 0; times < 2; times += 1) {
      await restart(m);
      await m.open();
      t.same(await commits(m, handle, CAROL, ALICE), ['none', 'EIO']);
      t.equal(await codeOf(m.fs.write(ALICE, handle, 0, Buffer.from('alice'), 'unstable')), 'EIO');
    }
    m.clock.advance(60_000);
    t.same(await commits(m, handle, ALICE, BOB), ['none', 'EIO']);
    t.equal(m.bucket()['f'], 'winner');
    await restart(m);
    await m.open();
    t.equal(await codeOf(m.fs.write(BOB, handle, 5, Buffer.from('bob'), 'unstable')), 'EIO');
    await m.fs.setattr(BOB, handle, { size: 0 });
    await restart(m);
    await m.open();
    await m.fs.write(BOB, handle, 0, Buffer.from('anew'), 'fileSync');
    t.equal(m.bucket()['f'], 'anew');
    await m.crash();
    t.equal(await journaled(m), 0, 'nobody is left to be told');
  });
}

await t.test('whose bytes were committed and lose at the next start is known', async (t) => {
  const m = await mounted(t, JOURNAL);
  const handle = await m.write('f', 'first');
  await m.rest(60_000);
  await m.fs.write(ALICE, handle, 0, Buffer.from('alice'), 'unstable');
  await m.fs.commit(ALICE, handle);
  await m.fs.write(BOB, handle, 5, Buffer.from('bob'), 'fileSync');
  await m.crash();
  m.store.putNow('f', Buffer.from('winner'));
  await m.open();
  await m.rest(60_000);
  t.equal(m.bucket()['f'], 'winner');
  t.same(await commits(m, handle, CAROL, BOB, ALICE), ['none', 'EIO', 'EIO']);
});

for (const moment of ['before', 'after'] as const) {
  await t.test(`a crash ${moment} the bytes that lost are kept beside the winner: it is told`, async (t) => {
    const m = await mounted(t, JOURNAL);
    const handle = await m.write('f', 'first');
    await m.rest(60_000);
    await m.fs.write(ALICE, handle, 0, Buffer.from('alice'), 'fileSync');
    m.store.putNow('f', Buffer.from('winner'));
    const hung = new Promise<void>((resolve) => {
      m.store[moment] = ({ operation, key }) => {
        if (operation !== 'PutObject' || key === 'f') return undefined;
        resolve();
        return new Promise<void>(() => undefined);
      };
    });
    m.clock.advance(60_000);
    await hung;
    m.store[moment] = undefined;
    await m.crash();
    await m.open();
    await m.rest(60_000);
    t.equal(m.bucket()['f'], 'winner');
    t.ok(Object.values(m.bucket()).includes('alice'));
    t.same(await commits(m, handle, CAROL, ALICE), ['none', 'EIO']);
  });
}

await t.test(
  'a crash once the bytes that lost are kept and before that is journaled: it is told',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    const handle = await m.write('f', 'first');
    await m.rest(60_000);
    await m.fs.write(ALICE, handle, 0, Buffer.from('alice'), 'fileSync');
    m.store.putNow('f', Buffer.from('winner'));
    let conflicts = 0;
    let restore = (): void => undefined;
    const hung = new Promise<void>((resolve) => {
      restore = interceptAppends(t, (intent) => {
        if (intent?.kind !== 'conflict' || ++conflicts < 2) return undefined;
        resolve();
        return new Promise<void>(() => undefined);
      });
    });
    m.clock.advance(60_000);
    await hung;
    restore();
    await m.crash();
    await m.open();
    t.same(await commits(m, handle, CAROL, ALICE), ['none', 'EIO']);
    t.same(Object.values(m.bucket()).sort(), ['alice', 'winner']);
  },
);

await t.test('a store that does not take what lost: nobody is told before it does', async (t) => {
  const m = await mounted(t, JOURNAL);
  const handle = await m.write('f', 'first');
  await m.rest(60_000);
  await m.fs.write(ALICE, handle, 0, Buffer.from('alice'), 'fileSync');
  m.store.putNow('f', Buffer.from('winner'));
  m.store.before = ({ operation, key }) => {
    if (operation === 'PutObject' && key !== 'f')
      throw new StoreError('unavailable', 'by test', { operation, bucket: m.store.bucket });
  };
  await m.rest(5000);
  t.equal(await codeOf(m.fs.commit(ALICE, handle)), 'none');
  m.store.before = undefined;
  await m.crash();
  t.equal(await journaled(m), 0);
  m.store.objects.delete('f');
  await m.open();
  await m.rest(60_000);
});

await t.test('a conflict that a full disk does not let be journaled is none yet', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const handle = await m.write('f', 'first');
  await m.fs.write(ALICE, handle, 0, Buffer.from('alice'), 'unstable');
  m.store.putNow('f', Buffer.from('winner'));
  const full = new JournalError('by test', { cause: Object.assign(new Error('full'), { code: 'ENOSPC' }) });
  const makeRoom = interceptAppends(t, (intent) =>
    intent?.kind === 'conflict' ? Promise.reject(full) : undefined,
  );
  t.same(await commits(m, handle, ALICE), ['ENOSPC']);
  t.same(m.bucket(), { f: 'winner' });
  t.equal(await m.read(handle), 'alice');
  makeRoom();
  t.same(await commits(m, handle, ALICE), ['EIO']);
  t.ok(Object.values(m.bucket()).includes('alice'));
});

await t.test(
  'conflicts of removed files are forgotten, and those nobody has asked about for a week',
  async (t) => {
    const { m } = await lost(t);
    await m.remove('f');
    await m.crash();
    t.equal(await journaled(m), 1);
    await m.open();
    await m.crash();
    t.equal(await journaled(m), 0);
    const other = await lost(t);
    await pass(other.m, 8 * 24 * 3_600_000);
    await other.m.crash();
    t.equal(await journaled(other.m), 0);
  },
);
