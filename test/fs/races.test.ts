/** Calls that meet in the middle of each other, and other S3 users in between: each found by the random histories or by reading. */
import t, { type Test } from 'tap';
import { StoreError } from '../../src/store/errors.js';
import { hold } from './hold.js';
import { Mounted, codeOf, type MountedOptions } from './mounted.js';

async function mounted(test: Test, options: MountedOptions = {}): Promise<Mounted> {
  const m = await Mounted.start(options);
  test.teardown(() => m.end());
  return m;
}

await t.test('a write during the rename of its file arrives at the new name', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('a', 'old bytes');
  const copy = hold(m, 'CopyObject');
  const renaming = m.rename('a', 'b');
  await copy.reached;
  const writing = m.fs.write(m.context, handle, 0, Buffer.from('NEW'), 'fileSync');
  copy.open();
  await Promise.all([renaming, writing]);
  t.strictSame(m.bucket(), { b: 'NEW bytes' });
});

await t.test('a write during the copy that publishes attributes rests on what the copy makes', async (t) => {
  const m = await mounted(t);
  // Of what was uploaded in parts, a copy has another ETag.
  const upload = await m.store.createUpload('a', { metadata: {} });
  const part = await m.store.uploadPart('a', upload, 1, [Buffer.from('old bytes')]);
  await m.store.completeUpload('a', upload, [part]);
  const handle = await m.at('a');
  const copy = hold(m, 'CopyObject');
  await m.fs.setattr(m.context, handle, { mode: 0o600 });
  const resting = m.rest(60_000);
  await copy.reached;
  const writing = m.fs.write(m.context, handle, 0, Buffer.from('NEW'), 'fileSync');
  // By now it would have opened its session on the version that the copy is of.
  await new Promise((resolve) => setImmediate(resolve));
  copy.open();
  await Promise.all([resting, writing]);
  t.strictSame(m.bucket(), { a: 'NEW bytes' });
});

await t.test('a write during the rename of a directory above it arrives at the new name', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  const handle = await m.write('d/f', 'old bytes');
  const copy = hold(m, 'CopyObject');
  const renaming = m.rename('d', 'e');
  await copy.reached;
  const writing = m.fs.write(m.context, handle, 0, Buffer.from('NEW'), 'fileSync');
  copy.open();
  await Promise.all([renaming, writing]);
  t.strictSame(m.bucket(), { 'e/': '', 'e/f': 'NEW bytes' });
});

for (const change of ['write', 'setattr'] as const) {
  await t.test(
    `a ${change} during the rename of a directory above what was uploaded in parts is no conflict`,
    async (t) => {
      const m = await mounted(t);
      // A copy has another ETag.
      const upload = await m.store.createUpload('d/f', { metadata: {} });
      const part = await m.store.uploadPart('d/f', upload, 1, [Buffer.from('old bytes')]);
      await m.store.completeUpload('d/f', upload, [part]);
      const handle = await m.at('d/f');
      const copy = hold(m, 'CopyObject');
      const renaming = m.rename('d', 'e');
      await copy.reached;
      const changing =
        change === 'write'
          ? m.fs.write(m.context, handle, 0, Buffer.from('NEW'), 'fileSync')
          : m.fs.setattr(m.context, handle, { mode: 0o600 });
      copy.open();
      await Promise.all([renaming, changing]);
      await m.rest(60_000);
      t.strictSame(m.bucket(), { 'e/f': change === 'write' ? 'NEW bytes' : 'old bytes' });
      if (change === 'setattr')
        t.equal(m.store.objects.get('e/f')?.headers.metadata['file-permissions'], '0100600');
    },
  );
}

await t.test('a file made while its directory is being removed is in a directory, or not made', async (t) => {
  const m = await mounted(t);
  const directory = await m.mkdir('d');
  const removal = hold(m, 'DeleteObject');
  const root = await m.root();
  const removing = codeOf(m.fs.rmdir(m.context, root, Buffer.from('d')));
  await removal.reached;
  const making = codeOf(
    m.fs.create(m.context, directory, Buffer.from('f'), { how: 'guarded', attributes: {} }),
  );
  removal.open();
  t.strictSame(await Promise.all([removing, making]), ['none', 'ESTALE']);
  await m.rest(60_000);
  t.strictSame(m.bucket(), {});
});

await t.test('a write to a file that is being removed leaves no bytes behind', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'x');
  const removal = hold(m, 'DeleteObject');
  const removing = m.remove('f');
  await removal.reached;
  const writing = codeOf(m.fs.write(m.context, handle, 0, Buffer.alloc(1000), 'unstable'));
  removal.open();
  await removing;
  t.equal(await writing, 'ESTALE');
  t.equal(m.budget.usedBytes, 0);
});

await t.test('a file whose removal fails keeps what is not published', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'first');
  await m.fs.write(m.context, handle, 0, Buffer.from('SECOND'), 'unstable');
  m.store.before = ({ operation }) => {
    if (operation === 'DeleteObject')
      throw new StoreError('unavailable', 'no', { operation, bucket: 'bucket' });
  };
  t.equal(await codeOf(m.remove('f')), 'EJUKEBOX');
  m.store.before = undefined;
  t.equal(await m.read(handle), 'SECOND');
});

await t.test('attributes set while a file is being published survive', async (t) => {
  const m = await mounted(t, { metadataTtlMs: 0 });
  const handle = await m.write('f', 'x', { commit: false });
  const put = hold(m, 'PutObject');
  const committing = m.fs.commit(m.context, handle);
  await put.reached;
  const setting = m.fs.setattr(m.context, handle, { mode: 0o600 });
  put.open();
  await Promise.all([committing, setting]);
  await m.crash();
  await m.open();
  t.equal((await m.stat('f')).mode, 0o600);
});

await t.test('a lookup during MKDIR does not take the directory for removed', async (t) => {
  const m = await mounted(t, { metadataTtlMs: 0 });
  const root = await m.root();
  const put = hold(m, 'PutObject');
  const making = m.fs.mkdir(m.context, root, Buffer.from('d'), {});
  await put.reached;
  t.equal(await codeOf(() => m.fs.lookup(m.context, root, Buffer.from('d'))), 'ENOENT');
  put.open();
  const { handle } = await making;
  t.equal((await m.fs.getattr(m.context, handle)).type, 'directory');
});

await t.test('truncations of new files, and down and up again, survive a crash', async (t) => {
  const m = await mounted(t);
  const { handle } = await m.fs.create(m.context, await m.root(), Buffer.from('new'), {
    how: 'guarded',
    attributes: {},
  });
  await m.fs.setattr(m.context, handle, { size: 5 });
  const old = await m.write('old', 'abcdef');
  await m.fs.setattr(m.context, old, { size: 2 });
  await m.fs.setattr(m.context, old, { size: 4 });
  await m.crash();
  await m.open();
  t.strictSame(m.bucket(), { new: '\0\0\0\0\0', old: 'ab\0\0' });
});

await t.test(
  'a journaled change of a file that somebody removed does not keep the daemon from starting',
  async (t) => {
    const m = await mounted(t);
    const handle = await m.write('f', 'x');
    await m.fs.setattr(m.context, handle, { mode: 0o600 });
    await m.crash();
    m.store.objects.delete('f');
    await m.open();
    t.equal(await codeOf(m.at('f')), 'ENOENT');
  },
);

await t.test('a file made where somebody removed one is another file', async (t) => {
  const m = await mounted(t);
  const old = await m.write('f', 'theirs to remove');
  m.store.objects.delete('f');
  m.clock.advance(60_000);
  await m.list('');
  const made = await m.write('f', 'new');
  t.strictSame(m.bucket(), { f: 'new' });
  t.notSame(made, old);
  t.equal(await codeOf(() => m.fs.getattr(m.context, old)), 'ESTALE');
});

await t.test('a publication whose answer was lost is no conflict with itself', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'bytes', { commit: false });
  m.store.after = ({ operation }) => {
    if (operation === 'PutObject')
      throw new StoreError('unavailable', 'lost', { operation, bucket: 'bucket' });
  };
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EJUKEBOX');
  m.store.after = undefined;
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'none');
  t.strictSame(m.bucket(), { f: 'bytes' });
});

await t.test('a scan goes on though the entry where it stands was renamed', async (t) => {
  const m = await mounted(t);
  for (const name of ['a', 'b', 'c', 'd']) await m.write(name, name);
  const root = await m.root();
  const first = await m.fs.readdir(m.context, root, 0n, 4);
  await m.rename('b', 'z');
  const rest = await m.fs.readdir(m.context, root, first.entries.at(-1)?.cookie ?? 0n, 10);
  t.strictSame(
    rest.entries.map(({ name }) => name.toString()),
    ['c', 'd', 'z'],
  );
});

await t.test('reads and writes of what is known ask the store for nothing', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'bytes');
  await m.read(handle);
  const calls = m.store.calls.length;
  for (let i = 0; i < 5; i++) {
    await m.fs.getattr(m.context, handle);
    await m.fs.write(m.context, handle, 0, Buffer.from('BYTES'), 'unstable');
    await m.read(handle);
  }
  t.strictSame(m.callsSince(calls), []);
});

await t.test(
  'bytes of a version that was replaced while they came are not told to be of the new one',
  async (t) => {
    const m = await mounted(t, { metadataTtlMs: 0 });
    await m.store.put('a', [Buffer.from('the first version')], { metadata: {} });
    const handle = await m.at('a');
    m.store.holdGets();
    const reading = m.fs.read(m.context, handle, 0, 100);
    await m.store.whenHeld(1);
    await m.store.put('a', [Buffer.from('second')], { metadata: {} });
    t.equal((await m.fs.getattr(m.context, handle)).size, 6);
    m.store.releaseGets();
    const late = await reading;
    t.equal(Buffer.concat(late.slices).toString(), 'the first version');
    t.equal(late.eof, true);
    t.equal(late.attributes, undefined);
    late.release();
    const next = await m.fs.read(m.context, handle, 0, 100);
    t.equal(Buffer.concat(next.slices).toString(), 'second');
    t.equal(next.attributes?.size, 6);
    next.release();
  },
);

await t.test(
  'bytes from before a write that came while they were fetched carry no attributes of after it',
  async (t) => {
    const m = await mounted(t);
    await m.store.put('a', [Buffer.from('old bytes')], { metadata: {} });
    const handle = await m.at('a');
    m.store.holdGets();
    const reading = m.fs.read(m.context, handle, 0, 9);
    await m.store.whenHeld(1);
    await m.fs.write(m.context, handle, 0, Buffer.from('NEW'), 'unstable');
    m.store.releaseGets();
    const late = await reading;
    t.equal(Buffer.concat(late.slices).toString(), 'old bytes');
    t.equal(late.attributes, undefined);
    late.release();
  },
);
