/** `--directory-markers off`: directories that nothing in the bucket keeps. */
import t, { type Test } from 'tap';
import { codeOf, Mounted, type MountedOptions } from './mounted.js';

const OFF: MountedOptions = { exports: [{ directoryMarkers: false }] };

async function mounted(t: Test, options: MountedOptions = OFF): Promise<Mounted> {
  const m = await Mounted.start(options);
  t.teardown(() => m.end());
  return m;
}

async function rmdir(m: Mounted, path: string): Promise<void> {
  const at = path.lastIndexOf('/');
  const parent = await m.at(path.slice(0, Math.max(0, at)));
  await m.fs.rmdir(m.context, parent, Buffer.from(path.slice(at + 1)));
}

/** Long after: nothing is believed that was seen before. */
const later = (m: Mounted): void => m.clock.advance(60_000);

await t.test(
  'mkdir puts nothing: the directory is there for this daemon, over restarts, until rmdir',
  async (t) => {
    const m = await mounted(t);
    const other = await mounted(t, { ...OFF, store: m.store });
    const handle = await m.mkdir('d');
    await m.mkdir('d/sub');
    for (const restart of ['none', 'crash', 'stop'] as const) {
      if (restart !== 'none') {
        await m[restart]();
        await m.open();
      }
      later(m);
      t.same(await m.list(''), ['d'], restart);
      t.same(await m.list('d'), ['sub'], restart);
      t.equal((await m.fs.getattr(m.context, handle)).mode, 0o750);
      t.equal(await codeOf(m.mkdir('d')), 'EEXIST');
      t.equal(await codeOf(rmdir(m, 'd')), 'ENOTEMPTY');
    }
    t.same(await other.list(''), [], 'nobody else sees it');
    await rmdir(m, 'd/sub');
    t.same(await m.list('d'), []);
    await rmdir(m, 'd');
    t.same(await m.list(''), []);
    t.equal(await codeOf(() => m.fs.getattr(m.context, handle)), 'ESTALE');
    await m.crash();
    await m.open();
    t.same(await m.list(''), []);
    t.equal(m.store.countOf('PutObject') + m.store.countOf('DeleteObject'), 0);
  },
);

await t.test('the first file in a directory moves the times of that directory alone', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  await m.mkdir('d/sub');
  for (const each of ['', 'd']) {
    later(m);
    await m.list(each);
    await m.fs.setattr(m.context, await m.at(each), { mtimeNs: 1_000_000_000n });
  }
  await m.write('d/sub/f', 'bytes');
  for (const each of ['', 'd']) {
    later(m);
    t.equal((await m.stat(each)).mtimeNs, 1_000_000_000n, each);
  }
  t.ok((await m.stat('d/sub')).mtimeNs > 1_000_000_000n);
});

await t.test('what lies in a directory keeps it, and it outlives its last file', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  await m.mkdir('d/sub');
  await m.write('d/sub/f', 'bytes');
  later(m);
  t.same(await m.list('d'), ['sub']);
  await Promise.all([m.remove('d/sub/f'), m.list('d/sub')]);
  for (const restart of [false, true]) {
    if (restart) {
      await m.crash();
      await m.open();
    }
    later(m);
    t.same(await m.list(''), ['d']);
    t.same(await m.list('d'), ['sub']);
    t.same(await m.list('d/sub'), []);
  }
  t.same(m.bucket(), {});
  // What somebody else takes away is gone with what it kept.
  await m.write('d/sub/f', 'bytes');
  later(m);
  m.store.objects.clear();
  later(m);
  t.same(await m.list(''), []);
});

await t.test(
  'files that are removed at the same time leave their directory there, without an object',
  async (t) => {
    const m = await mounted(t);
    const names = ['a', 'b', 'c', 'e'];
    for (const name of names) await m.store.put(`d/${name}`, [], { metadata: {} });
    for (const name of names) await m.at(`d/${name}`);
    await Promise.all(names.map((name) => m.remove(`d/${name}`)));
    t.same(m.bucket(), {});
    later(m);
    t.same(await m.list(''), ['d']);
  },
);

await t.test('markers that others put are honoured, and removed by rmdir', async (t) => {
  const m = await mounted(t);
  await m.store.put('d/', [], { metadata: { 'file-permissions': '040711' } });
  t.same(await m.list(''), ['d']);
  t.equal((await m.stat('d')).mode, 0o711);
  await m.write('d/f', 'bytes');
  await m.remove('d/f');
  t.same(Object.keys(m.bucket()), ['d/']);
  await m.fs.setattr(m.context, await m.at('d'), { mode: 0o700 });
  later(m);
  t.equal((await m.stat('d')).mode, 0o700);
  t.equal(m.store.countOf('PutObject'), 2, 'theirs, and the file');
  await rmdir(m, 'd');
  t.same(m.bucket(), {});
  t.same(await m.list(''), []);
});

await t.test('renames take such directories along, and replace them', async (t) => {
  const m = await mounted(t);
  await m.mkdir('a');
  await m.mkdir('a/b');
  await m.mkdir('a/b/c');
  await m.write('a/f', 'bytes');
  await m.mkdir('empty');
  const handle = await m.at('a/b/c');
  await m.rename('a', 'empty');
  for (const restart of [false, true]) {
    if (restart) {
      await m.crash();
      await m.open();
    }
    later(m);
    t.same(await m.list(''), ['empty']);
    t.same(await m.list('empty'), ['b', 'f']);
    t.same(await m.list('empty/b'), ['c']);
    t.equal((await m.fs.getattr(m.context, handle)).type, 'directory');
  }
  await m.rename('empty/b/c', 'c');
  t.same(await m.list(''), ['c', 'empty']);
  t.same(await m.list('empty'), ['b', 'f']);
  t.same(Object.keys(m.bucket()), ['empty/f']);
});

await t.test('modes, owners and times of directories are kept here', async (t) => {
  const m = await mounted(t);
  await m.store.put('theirs/f', [], { metadata: {} });
  await m.mkdir('ours');
  const set = { mode: 0o711, uid: 5, gid: 6, mtimeNs: 1_000_000_000n };
  for (const path of ['theirs', 'ours']) {
    await m.fs.setattr(m.context, await m.at(path), set);
    await m.crash();
    await m.open();
    later(m);
    const { mode, uid, gid, mtimeNs } = await m.stat(path);
    t.same({ mode, uid, gid, mtimeNs }, set, path);
  }
  t.same(Object.keys(m.bucket()), ['theirs/f']);
});

await t.test('they stand at their place in a large directory, once, and move no times', async (t) => {
  const m = await mounted(t);
  for (let at = 1000; at < 3500; at++) m.store.putNow(`d/${at}`, Buffer.alloc(0));
  for (const name of ['0', '2000-', '9']) await m.mkdir(`d/${name}`);
  later(m);
  const names = await m.list('d', 300);
  t.equal(names.length, 2503);
  t.same([names[0], names[1002], names.at(-1)], ['0', '2000-', '9']);
  await m.mkdir('small');
  await m.mkdir('small/sub');
  const { mtimeNs, ctimeNs } = await m.stat('small');
  later(m);
  t.same(await m.list('small'), ['sub']);
  later(m);
  const again = await m.stat('small');
  t.same([again.mtimeNs, again.ctimeNs], [mtimeNs, ctimeNs]);
});

await t.test('of exports that share a bucket one without markers is enough', async (t) => {
  const m = await mounted(t, { exports: [{}, { path: '/off', directoryMarkers: false }] });
  await m.mkdir('d');
  t.same(m.bucket(), {});
});
