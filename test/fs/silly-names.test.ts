/** Removed files that a client has open: `.nfs…` names cost no copy, are hidden from the bucket, and are never left behind. */
import t, { type Test } from 'tap';
import { isSillyName } from '../../src/fs/names.js';
import { hold } from './hold.js';
import { interceptAppends } from './journal-appends.js';
import { pass } from './janitor-rounds.js';
import { codeOf, Mounted, type MountedOptions } from './mounted.js';

t.setTimeout(300_000);

/** As Linux makes them: the file id and a counter. */
const SILLY = '.nfs00000000000000a100000001';
const DAY_MS = 86_400_000;

async function mounted(t: Test, options: MountedOptions = {}): Promise<Mounted> {
  const m = await Mounted.start(options);
  t.teardown(() => m.end());
  return m;
}

/** What changes the bucket, since then. */
const writesSince = (m: Mounted, from: number): string[] =>
  m.callsSince(from).filter((call) => !/^(HeadObject|ListObjectsV2|GetObject)\b/.test(call));

await t.test('names that clients make, and no others', (t) => {
  for (const name of [SILLY, '.nfs00000000000000a1', '.nfs.0000abcd.01f24.4', '.nfs.0000abcd.01f2'])
    t.ok(isSillyName(name), name);
  for (const name of ['.nfs', '.nfs0001', '.nfsABC', `${SILLY}.bak`, 'nfs00000000000000a100000001'])
    t.notOk(isSillyName(name), name);
  t.end();
});

await t.test(
  'a removed file that is open costs no copy, is hidden from the bucket, and goes at last',
  async (t) => {
    const m = await mounted(t);
    const handle = await m.write('file', 'content');
    await m.list('');
    const from = m.store.calls.length;
    await m.rename('file', SILLY);
    t.same(writesSince(m, from), [], 'nothing is written or copied');
    t.same(Object.keys(m.bucket()), ['file'], 'the name is no object');
    t.same(await m.list(''), [SILLY], 'the old name is free for clients');
    t.equal(await codeOf(m.at('file')), 'ENOENT');
    t.equal(await m.read(handle), 'content');
    m.clock.advance(60_000);
    t.same(await m.list(''), [SILLY], 'also when the store was asked again');
    t.equal(await codeOf(m.at('file')), 'ENOENT');
    t.equal(await m.read(handle), 'content');
    await m.remove(SILLY);
    t.same(writesSince(m, from), ['DeleteObject file']);
    t.same(m.bucket(), {});
    t.same(await m.list(''), []);
    t.equal(await codeOf(() => m.read(handle)), 'ESTALE');
  },
);

await t.test('it is there and readable after a crash, and its old name stays free', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  const handle = await m.write('d/file', 'content');
  const { fileid, mode } = await m.stat('d/file');
  await m.rename('d/file', `d/${SILLY}`);
  for (let life = 0; life < 2; life++) {
    await m.crash();
    await m.open();
    t.same(await m.list('d'), [SILLY]);
    t.equal(await codeOf(m.at('d/file')), 'ENOENT');
    t.equal(await m.read(handle), 'content');
    t.match(await m.stat(`d/${SILLY}`), { fileid, mode, size: 7 });
  }
  await m.remove(`d/${SILLY}`);
  await m.crash();
  await m.open();
  t.same(m.bucket(), { 'd/': '' }, 'never left behind');
  t.same(await m.list('d'), []);
  t.same(await m.list(''), ['d']);
});

await t.test('what is written to it is kept here, survives a crash, and is never published', async (t) => {
  for (const commitPolicy of ['publish', 'journal'] as const) {
    const m = await mounted(t, { exports: [{ commitPolicy }] });
    const handle = await m.write('file', 'content');
    await m.rest(5000);
    await m.rename('file', SILLY);
    const from = m.store.calls.length;
    await m.fs.write(m.context, handle, 7, Buffer.from(' and more'), 'unstable');
    t.equal(await m.read(handle), 'content and more');
    await m.fs.commit(m.context, handle);
    await m.fs.setattr(m.context, handle, { mode: 0o600 });
    await m.rest(60_000);
    t.same(writesSince(m, from), [], commitPolicy);
    await m.crash();
    await m.open();
    t.equal(await m.read(handle), 'content and more', 'after a crash');
    t.equal((await m.stat(SILLY)).mode, 0o600);
    await m.rest(60_000);
    t.same(m.bucket(), { file: 'content' }, 'the object stays as it was');
    await m.remove(SILLY);
    t.same(m.bucket(), {});
    await m.crash();
    await m.open();
    t.same(await m.list(''), []);
  }
});

await t.test('one that the store has never seen costs no request at all', async (t) => {
  const m = await mounted(t);
  await m.list('');
  const handle = await m.write('file', 'temporary', { commit: false });
  const from = m.store.calls.length;
  await m.rename('file', SILLY);
  await m.fs.commit(m.context, handle);
  t.same(await m.list(''), [SILLY]);
  await m.rest(60_000);
  await m.crash();
  await m.open();
  t.equal(await m.read(handle), 'temporary');
  await m.remove(SILLY);
  t.same(writesSince(m, from), []);
  t.same(m.bucket(), {});
});

await t.test('a file made anew at the old name gets it, and the removed one keeps its bytes', async (t) => {
  const makers: Record<string, (m: Mounted) => Promise<void>> = {
    create: async (m) => void (await m.write('file', 'new')),
    symlink: async (m) =>
      void (await m.fs.symlink(m.context, await m.root(), Buffer.from('file'), Buffer.from('new'), {})),
    rename: async (m) => {
      await m.write('other', 'new');
      await m.rename('other', 'file');
    },
  };
  for (const [how, make] of Object.entries(makers)) {
    const m = await mounted(t);
    const handle = await m.write('file', 'content');
    await m.rename('file', SILLY);
    await m.fs.write(m.context, handle, 0, Buffer.from('C'), 'unstable');
    await make(m);
    t.equal(await m.read(handle), 'Content', how);
    t.equal(m.bucket()['file'], 'new', how);
    t.same(await m.list(''), [SILLY, 'file'], how);
    await m.crash();
    await m.open();
    t.equal(m.bucket()['file'], 'new', how);
    t.equal(await m.read(handle), 'Content', how);
    await m.remove(SILLY);
    t.same(m.bucket(), { file: 'new' }, how);
  }
});

await t.test('a save by rename over a file that is open leaves that readable', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('file', 'old');
  await m.write('file.tmp', 'new');
  await m.rename('file', SILLY);
  await m.rename('file.tmp', 'file');
  t.equal(await m.read(handle), 'old');
  t.equal(await m.read('file'), 'new');
  await m.remove(SILLY);
  t.same(m.bucket(), { file: 'new' });
});

await t.test('a crash while it makes room for a new file loses neither', async (t) => {
  for (const cut of ['CopyObject', 'DeleteObject'] as const) {
    const m = await mounted(t);
    const handle = await m.write('file', 'content');
    await m.rename('file', SILLY);
    const { reached, open } = hold(m, cut);
    m.write('file', 'new').catch(() => undefined);
    await reached;
    await m.crash();
    open();
    await m.open();
    t.same(await m.list(''), [SILLY], cut);
    t.equal(await m.read(handle), 'content', cut);
    await m.write('file', 'new');
    t.equal(await m.read(handle), 'content', cut);
    await m.remove(SILLY);
    t.same(m.bucket(), { file: 'new' }, cut);
  }
});

await t.test(
  'a crash while it makes room, with bytes that were kept here, loses nothing and brings no name back',
  async (t) => {
    for (const cut of ['PutObject', 'CopyObject', 'DeleteObject'] as const) {
      for (const when of ['before', 'after'] as const) {
        const m = await mounted(t);
        const handle = await m.write('file', 'content');
        await m.rename('file', SILLY);
        await m.fs.write(m.context, handle, 7, Buffer.from(' and more'), 'unstable');
        await m.fs.commit(m.context, handle);
        let reached = (): void => undefined;
        const held = new Promise<void>((resolve) => (reached = resolve));
        let open = (): void => undefined;
        const opened = new Promise<void>((resolve) => (open = resolve));
        m.store[when] = ({ operation }) => {
          if (operation !== cut) return;
          reached();
          return opened;
        };
        m.write('file', 'new').catch(() => undefined);
        await held;
        await m.crash();
        m.store[when] = undefined;
        open();
        await m.open();
        const title = `${when} ${cut}`;
        t.same(await m.list(''), [SILLY], title);
        t.equal(await m.read(handle).catch(String), 'content and more', title);
        await m.crash();
        await m.open();
        t.same(await m.list(''), [SILLY], `${title}, and once more`);
        await m.write('file', 'new');
        t.equal(await m.read(handle).catch(String), 'content and more', title);
        await m.remove(SILLY);
        t.same(m.bucket(), { file: 'new' }, title);
      }
    }
  },
);

await t.test('a crash between what it makes room by, a publication and a move, loses nothing', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('file', 'content');
  await m.rename('file', SILLY);
  await m.fs.write(m.context, handle, 7, Buffer.from(' and more'), 'unstable');
  await m.fs.commit(m.context, handle);
  let restore = (): void => undefined;
  await new Promise<void>((resolve) => {
    restore = interceptAppends(t, (intent) => {
      if (intent?.kind !== 'rename-file') return undefined;
      resolve();
      return new Promise<never>(() => undefined);
    });
    m.write('file', 'new').catch(() => undefined);
  });
  await m.crash();
  restore();
  await m.open();
  t.same(await m.list(''), [SILLY]);
  t.equal(await m.read(handle).catch(String), 'content and more');
  await m.write('file', 'new');
  await m.remove(SILLY);
  t.same(m.bucket(), { file: 'new' });
});

await t.test('somebody else’s object at the old name is shown, and never removed', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('file', 'content');
  await m.rename('file', SILLY);
  m.store.putNow('file', Buffer.from('another writer’s'));
  await m.rest(5000);
  t.equal(await codeOf(() => m.read(handle)), 'ESTALE', 'its bytes are gone');
  t.equal(await m.read('file'), 'another writer’s');
  t.same(await m.list(''), ['file']);
  t.equal(await codeOf(m.remove(SILLY)), 'ENOENT');
  t.same(m.bucket(), { file: 'another writer’s' });

  await m.rename('file', SILLY);
  m.store.putNow('file', Buffer.from('one more'));
  await m.remove(SILLY);
  t.same(m.bucket(), { file: 'one more' });
  t.same(await m.list(''), ['file']);
});

await t.test(
  'somebody else’s object of the same bytes at the old name is not removed with the file',
  async (t) => {
    for (const crashes of [false, true]) {
      const m = await mounted(t);
      m.store.putNow('file', Buffer.from('content'));
      m.clock.advance(10_000);
      const handle = await m.at('file');
      await m.rename('file', SILLY);
      m.store.putNow('file', Buffer.from('content'));
      if (crashes) {
        await m.crash();
        await m.open();
      }
      t.equal(await m.read(handle), 'content');
      await m.remove(SILLY);
      t.same(m.bucket(), { file: 'content' });
      t.same(await m.list(''), ['file'], 'and shown from then on');
      await m.remove('file');
      t.same(m.bucket(), {});
    }
  },
);

await t.test('a directory above it that is renamed takes it along', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  const handle = await m.write('d/file', 'content');
  await m.rename('d/file', `d/${SILLY}`);
  await m.rename('d', 'e');
  t.same(await m.list('e'), [SILLY]);
  t.equal(await m.read(handle), 'content');
  t.equal(await codeOf(m.at('e/file')), 'ENOENT');
  await m.remove(`e/${SILLY}`);
  t.same(m.bucket(), { 'e/': '' });
});

await t.test('one whose directory somebody else removed is gone with it, and hinders no start', async (t) => {
  const m = await mounted(t, { janitor: { sillyAgeMs: 7 * DAY_MS } });
  await m.mkdir('d');
  const handle = await m.write('d/file', 'content');
  await m.rename('d/file', `d/${SILLY}`);
  for (const key of Object.keys(m.bucket())) m.store.objects.delete(key);
  m.clock.advance(10_000);
  t.equal(await codeOf(m.at('d')), 'ENOENT');
  t.equal(await codeOf(() => m.read(handle)), 'ESTALE');
  await m.crash();
  await m.open();
  t.equal(await codeOf(() => m.read(handle)), 'ESTALE');
  await pass(m, 8 * DAY_MS);
  const hindered = 'the janitor goes on with the next round';
  t.notOk(m.logged.some(({ msg }) => msg === hindered));
  await m.mkdir('d');
  await m.write('d/file', 'new');
  t.same(await m.list('d'), ['file']);
});

await t.test('a directory with one in it is not empty', async (t) => {
  const m = await mounted(t);
  const d = await m.mkdir('d');
  await m.write('d/file', 'content');
  await m.rename('d/file', `d/${SILLY}`);
  const rmdir = async (): Promise<void> =>
    void (await m.fs.rmdir(m.context, await m.root(), Buffer.from('d')));
  t.equal(await codeOf(rmdir()), 'ENOTEMPTY');
  await m.remove(`d/${SILLY}`);
  await rmdir();
  t.equal(await codeOf(() => m.fs.getattr(m.context, d)), 'ESTALE');
});

await t.test('it may get an ordinary name again', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('file', 'content');
  for (const name of ['file', 'other']) {
    await m.rename((await m.list(''))[0] ?? '', SILLY);
    await m.rename(SILLY, name);
    t.same(m.bucket(), { [name]: 'content' });
    t.same(await m.list(''), [name]);
    t.equal(await m.read(handle), 'content');
  }
});

await t.test('nobody used it for as long as --silly-max-age says: it is removed', async (t) => {
  const m = await mounted(t, { janitor: { sillyAgeMs: 7 * DAY_MS } });
  const handle = await m.write('file', 'content');
  const used = await m.write('used', 'content');
  await m.rename('file', SILLY);
  await m.rename('used', `${SILLY.slice(0, -1)}2`);
  await pass(m, 6 * DAY_MS);
  t.same(Object.keys(m.bucket()), ['file', 'used']);
  t.equal(await m.read(used), 'content');
  await m.crash();
  await m.open();
  t.same(Object.keys(m.bucket()), ['file', 'used'], 'not by a restart');
  await pass(m, 1.5 * DAY_MS);
  t.ok(m.logged.some(({ msg }) => String(msg).includes('nobody used')));
  t.same(Object.keys(m.bucket()), ['used'], 'what was read since stays');
  t.equal(await codeOf(() => m.read(handle)), 'ESTALE');
  await pass(m, 7 * DAY_MS);
  t.same(m.bucket(), {});
});

await t.test('with a state directory that goes with the daemon it is a rename like any other', async (t) => {
  const m = await mounted(t, { isStateEphemeral: true });
  const handle = await m.write('file', 'content');
  await m.rename('file', SILLY);
  t.same(m.bucket(), { [SILLY]: 'content' });
  t.equal(await m.read(handle), 'content');
  await m.remove(SILLY);
  t.same(m.bucket(), {});
});
