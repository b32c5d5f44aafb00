/** Calls that wait for others: told JUKEBOX in time, and then without effect, so that the client's next try comes after nothing. */
import t, { type Test } from 'tap';
import { Gate } from '../../src/write/gate.js';
import { PathLocks } from '../../src/fs/path-locks.js';
import { hold } from './hold.js';
import { codeOf, Mounted } from './mounted.js';

async function mounted(test: Test): Promise<Mounted> {
  const m = await Mounted.start();
  test.teardown(() => m.end());
  return m;
}

/** Calls get to where they wait. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

await t.test('a WRITE behind a publication is JUKEBOX after 20 s, and is not applied later', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'first bytes', { commit: false });
  const put = hold(m, 'PutObject');
  const committing = m.fs.commit(m.context, handle).catch(() => undefined);
  await put.reached;
  const data = Buffer.from('OTHER');
  const writing = codeOf(m.fs.write(m.context, handle, 0, data, 'unstable'));
  await settle();
  m.clock.advance(20_000);
  t.equal(await writing, 'EJUKEBOX');
  data.fill('#');
  put.open();
  await committing;
  t.equal(await m.read(handle), 'first bytes');
  await m.fs.write(m.context, handle, 0, Buffer.from('AGAIN'), 'fileSync');
  t.strictSame(m.bucket(), { f: 'AGAIN bytes' });
});

await t.test('calls behind a directory rename are JUKEBOX after 20 s, and without effect', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  const handle = await m.write('d/f', 'old bytes');
  const copy = hold(m, 'CopyObject');
  const directory = await m.at('d');
  const renaming = m.rename('d', 'e').catch(() => undefined);
  await copy.reached;
  const calls = [
    m.fs.write(m.context, handle, 0, Buffer.from('NEW'), 'unstable'),
    m.fs.setattr(m.context, handle, { size: 3 }),
    m.fs.setattr(m.context, handle, { mode: 0o600 }),
    m.fs.setattr(m.context, directory, { mode: 0o700 }),
    m.fs.create(m.context, directory, Buffer.from('made'), { how: 'guarded', attributes: {} }),
  ].map((call) => codeOf(call));
  await settle();
  m.clock.advance(20_000);
  t.strictSame(await Promise.all(calls), Array(5).fill('EJUKEBOX'));
  copy.open();
  await renaming;
  // Told to come back, too: this joins it.
  const root = await m.root();
  await m.fs.rename(m.context, root, Buffer.from('d'), root, Buffer.from('e'));
  await m.rest(60_000);
  t.strictSame(m.bucket(), { 'e/': '', 'e/f': 'old bytes' });
  t.equal((await m.stat('e/f')).mode, 0o640);
  t.equal((await m.stat('e')).mode, 0o750);
});

await t.test('a truncation behind a publication is JUKEBOX, and does not come later', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'first bytes', { commit: false });
  const put = hold(m, 'PutObject');
  const committing = m.fs.commit(m.context, handle).catch(() => undefined);
  await put.reached;
  const cutting = codeOf(m.fs.setattr(m.context, handle, { size: 5 }));
  await settle();
  m.clock.advance(20_000);
  t.equal(await cutting, 'EJUKEBOX');
  put.open();
  await committing;
  t.equal(await m.read(handle), 'first bytes');
  await m.fs.setattr(m.context, handle, { size: 5 });
  t.equal(await m.read(handle), 'first');
});

await t.test('an answered WRITE has its bytes, whatever becomes of the buffer they came in', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', '');
  const data = Buffer.alloc(3_000_000, 'a');
  await m.fs.write(m.context, handle, 0, data, 'unstable');
  data.fill('b');
  await m.fs.commit(m.context, handle);
  t.equal(m.bucket()['f'], 'a'.repeat(3_000_000));
});

await t.test('who leaves a line makes room for those behind', async (t) => {
  const reason = new Error('gone');
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const done = (): Promise<string> => Promise.resolve('done');

  const gate = new Gate();
  const leaving = new AbortController();
  const sharing = gate.shared(() => ended);
  const alone = gate.exclusive(done, leaving.signal);
  const behind = gate.shared(done);
  leaving.abort(reason);
  await t.rejects(alone, reason);
  t.equal(await behind, 'done');
  await t.rejects(gate.shared(done, leaving.signal), reason);

  const locks = new PathLocks();
  const moving = new AbortController();
  const touching = locks.run(
    () => ({ touches: ['d/f'] }),
    () => ended,
  );
  const move = locks.run(() => ({ moves: ['d/'] }), done, moving.signal);
  const later = locks.run(() => ({ touches: ['d/f'] }), done);
  moving.abort(reason);
  await t.rejects(move, reason);
  t.equal(await later, 'done');
  end();
  await Promise.all([sharing, touching]);
  t.equal(await locks.run(() => ({ moves: ['d/'] }), done), 'done');
});

await t.test(
  'a REMOVE that was put off and given up does not answer for the next file of that name',
  async (t) => {
    const m = await mounted(t);
    await m.write('f', 'old');
    const removal = hold(m, 'DeleteObject');
    const removing = codeOf(m.remove('f'));
    await removal.reached;
    m.clock.advance(20_000);
    t.equal(await removing, 'EJUKEBOX');
    removal.open();
    while (m.store.objects.has('f')) await new Promise((resolve) => setImmediate(resolve));
    await m.write('f', 'new');
    await m.remove('f');
    t.strictSame(m.bucket(), {});
  },
);
