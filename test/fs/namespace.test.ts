import t, { type Test } from 'tap';
import { StoreError } from '../../src/store/errors.js';
import type { MountedOptions } from './mounted.js';
import { Mounted, callerOf, codeOf } from './mounted.js';

async function mounted(test: Test, options: MountedOptions = {}): Promise<Mounted> {
  const m = await Mounted.start(options);
  test.teardown(() => m.end());
  return m;
}

await t.test('key a/b/c is file c in directory a/b', async (t) => {
  const m = await mounted(t);
  m.store.putNow('a/b/c', Buffer.from('deep'));
  t.strictSame(await m.list(''), ['a']);
  t.strictSame(await m.list('a/b'), ['c']);
  t.equal(await m.read('a/b/c'), 'deep');
  t.match(await m.stat('a'), { type: 'directory', mode: 0o755, uid: 1000 });
  t.match(await m.stat('a/b/c'), { type: 'file', mode: 0o644, uid: 1000, gid: 1000, size: 4 });
  t.equal(await codeOf(m.at('a/x')), 'ENOENT');
  t.equal(await codeOf(m.at('a/b/c/d')), 'ENOTDIR');
});

await t.test('mkdir writes a marker, and rmdir takes it away', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  t.strictSame(m.bucket(), { 'd/': '' });
  t.match(await m.stat('d'), { mode: 0o750, type: 'directory' });
  t.equal(await codeOf(m.mkdir('d')), 'EEXIST');
  await m.write('d/f', 'x');
  const root = await m.root();
  t.equal(await codeOf(m.fs.rmdir(m.context, root, Buffer.from('d'))), 'ENOTEMPTY');
  t.equal(await codeOf(m.fs.remove(m.context, root, Buffer.from('d'))), 'EISDIR');
  await m.remove('d/f');
  t.strictSame(m.bucket(), { 'd/': '' });
  await m.fs.rmdir(m.context, root, Buffer.from('d'));
  t.strictSame(m.bucket(), {});
  t.equal(await codeOf(m.at('d')), 'ENOENT');
});

await t.test('removing the last file keeps the directory', async (t) => {
  const m = await mounted(t);
  m.store.putNow('d/only', Buffer.from('x'));
  await m.remove('d/only');
  t.strictSame(m.bucket(), { 'd/': '' });
  t.strictSame(await m.list('d'), []);
  m.store.putNow('e/one', Buffer.from('x'));
  m.clock.advance(3001);
  await m.rename('e/one', 'd/two');
  t.strictSame(m.bucket(), { 'd/': '', 'd/two': 'x', 'e/': '' });
});

const hiddenKeys = (m: Mounted): Record<string, unknown>[] =>
  m.logged.filter(({ msg }) => String(msg).startsWith('the mount does not show'));

await t.test('a file that shares its name with a directory is hidden, never lost', async (t) => {
  const m = await mounted(t);
  m.store.putNow('a', Buffer.from('file'));
  m.store.putNow('a/b', Buffer.from('below'));
  t.strictSame(await m.list(''), ['a']);
  t.equal((await m.stat('a')).type, 'directory');
  t.equal(await m.read('a/b'), 'below');
  await m.remove('a/b');
  t.equal(m.bucket()['a'], 'file');
  t.match(hiddenKeys(m), [{ level: 40, bucket: 'memory/bucket', key: 'a', why: 'a directory has its name' }]);
});

await t.test('keys that can not be a path are hidden and keep their directory', async (t) => {
  const m = await mounted(t);
  for (const key of ['d//x', 'd/../y', 'd/./z', `d/${'n'.repeat(300)}`, 'd/ok'])
    m.store.putNow(key, Buffer.from('x'));
  t.strictSame(await m.list('d'), ['ok']);
  await m.remove('d/ok');
  t.equal(await codeOf(m.fs.rmdir(m.context, await m.root(), Buffer.from('d'))), 'ENOTEMPTY');
  t.equal(Object.keys(m.bucket()).length, 4, 'none of them was touched');
  const told = hiddenKeys(m).map(({ key }) => key);
  t.strictSame(told.sort(), ['d/../', 'd/./', 'd//', `d/${'n'.repeat(300)}`], 'each is logged once');
});

await t.test('names are UTF-8, compared as bytes and never normalised', async (t) => {
  const m = await mounted(t);
  await m.write('caf\u00e9', 'composed');
  await m.write('cafe\u0301', 'decomposed');
  t.equal(await m.read('caf\u00e9'), 'composed');
  t.equal(await m.read('cafe\u0301'), 'decomposed');
  t.same((await m.list('')).length, 2);
  const root = await m.root();
  const make = (name: Buffer): Promise<unknown> =>
    m.fs.create(m.context, root, name, { how: 'guarded', attributes: {} });
  t.equal(await codeOf(make(Buffer.from([0xff, 0xfe]))), 'EINVAL');
  t.equal(await codeOf(make(Buffer.from('a/b'))), 'EINVAL');
  t.equal(await codeOf(make(Buffer.from('..'))), 'EINVAL');
  t.equal(await codeOf(make(Buffer.alloc(256, 'n'))), 'ENAMETOOLONG');
});

await t.test(
  'handles and fileids stay the same across restart, rename and overwrite by others',
  async (t) => {
    const m = await mounted(t);
    await m.mkdir('d');
    const handle = await m.write('d/f', 'one');
    const { fileid } = await m.stat('d/f');
    await m.stop();
    await m.open();
    t.equal(await m.read(handle), 'one', 'restart');
    await m.rename('d/f', 'd/g');
    t.equal(await m.read(handle), 'one', 'rename of the file');
    await m.rename('d', 'e');
    t.equal(await m.read(handle), 'one', 'rename of its directory');
    t.strictSame(m.bucket(), { 'e/': '', 'e/g': 'one' });
    const { ctimeNs } = await m.fs.getattr(m.context, handle);
    m.store.putNow('e/g', Buffer.from('other'));
    m.clock.advance(10_000);
    t.equal(await m.read(handle), 'other', 'overwrite by another S3 user');
    const after = await m.fs.getattr(m.context, handle);
    t.equal(after.fileid, fileid);
    t.ok(after.ctimeNs > ctimeNs, 'ctime moved');
  },
);

await t.test('an id is never reused for another file', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'one');
  const { fileid } = await m.stat('f');
  await m.remove('f');
  await m.write('f', 'two');
  t.not((await m.stat('f')).fileid, fileid);
  t.equal(await codeOf(m.read(handle)), 'ESTALE');
});

await t.test('a file that another S3 user removed is stale, and its name is free', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'one');
  m.store.objects.delete('f');
  m.clock.advance(10_000);
  t.equal(await codeOf(m.read(handle)), 'ESTALE');
  t.equal(await codeOf(m.at('f')), 'ENOENT');
  await m.write('f', 'two');
  t.strictSame(m.bucket(), { f: 'two' });
});

await t.test('changes made outside are seen after the metadata time to live', async (t) => {
  const m = await mounted(t);
  t.strictSame(await m.list(''), []);
  t.equal(await codeOf(m.at('new')), 'ENOENT');
  m.store.putNow('new', Buffer.from('x'));
  m.clock.advance(3001);
  const before = await m.fs.getattr(m.context, await m.root());
  t.equal(await m.read('new'), 'x');
  t.strictSame(await m.list(''), ['new']);
  m.store.putNow('newer', Buffer.from('x'));
  m.clock.advance(3001);
  t.ok((await m.fs.getattr(m.context, await m.root())).mtimeNs > before.mtimeNs, 'directory times move');
});

await t.test('a time to live of 0 asks the store every time', async (t) => {
  const m = await mounted(t, { metadataTtlMs: 0 });
  m.store.putNow('f', Buffer.from('one'));
  t.equal(await m.read('f'), 'one');
  m.store.putNow('f', Buffer.from('three'));
  t.equal(await m.read('f'), 'three');
  m.store.objects.delete('f');
  t.equal(await codeOf(m.at('f')), 'ENOENT');
});

await t.test('rename of a file replaces its target and keeps the handle', async (t) => {
  const m = await mounted(t);
  const moved = await m.write('from', 'new');
  const replaced = await m.write('to', 'old');
  const calls = m.store.calls.length;
  await m.rename('from', 'to');
  t.strictSame(m.callsSince(calls), ['CopyObject to', 'DeleteObject from'], 'one copy and one delete');
  t.strictSame(m.bucket(), { to: 'new' });
  t.equal(await m.read(moved), 'new');
  t.equal(await codeOf(m.read(replaced)), 'ESTALE');
  await m.rename('to', 'to');
  t.strictSame(m.bucket(), { to: 'new' });
});

await t.test('rename of a file not published yet costs no copy', async (t) => {
  const m = await mounted(t);
  const { handle } = await m.fs.create(m.context, await m.root(), Buffer.from('a'), {
    how: 'guarded',
    attributes: {},
  });
  const calls = m.store.calls.length;
  await m.rename('a', 'b');
  await m.fs.write(m.context, handle, 0, Buffer.from('x'), 'fileSync');
  t.notOk(m.callsSince(calls).some((call) => call.startsWith('Copy')));
  t.strictSame(m.bucket(), { b: 'x' });
  await m.rest();
  t.strictSame(m.bucket(), { b: 'x' });
});

await t.test('rename by the POSIX rules', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  await m.mkdir('d/sub');
  await m.mkdir('empty');
  await m.mkdir('full');
  await m.write('full/f', 'x');
  await m.write('file', 'x');
  t.equal(await codeOf(m.rename('d', 'd/sub/d')), 'EINVAL');
  t.equal(await codeOf(m.rename('d', 'full')), 'ENOTEMPTY');
  t.equal(await codeOf(m.rename('d', 'file')), 'ENOTDIR');
  t.equal(await codeOf(m.rename('file', 'd')), 'EISDIR');
  t.equal(await codeOf(m.rename('missing', 'x')), 'ENOENT');
  await m.rename('d', 'empty');
  t.strictSame(await m.list(''), ['empty', 'file', 'full']);
  t.strictSame(await m.list('empty'), ['sub']);
});

await t.test('rename of a directory moves every key and finishes after a crash', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  for (let i = 0; i < 30; i++) m.store.putNow(`d/sub/${i}`, Buffer.from(String(i)));
  m.clock.advance(3001);
  const handle = await m.at('d/sub/7');
  let copies = 0;
  m.store.before = (call) => {
    if (call.operation === 'CopyObject' && ++copies > 10)
      throw new StoreError('unavailable', 'down', { operation: 'CopyObject', bucket: 'bucket' });
  };
  t.equal(await codeOf(m.rename('d', 'e')), 'EJUKEBOX');
  t.ok(
    Object.keys(m.bucket()).every((key) => key.startsWith('d/')),
    'a refused rename leaves nothing behind',
  );
  let stuck = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    stuck = resolve;
  });
  copies = 0;
  m.store.before = async (call) => {
    if (call.operation !== 'CopyObject' || ++copies <= 10) return;
    stuck();
    await new Promise(() => undefined);
  };
  void m.rename('d', 'e');
  await reached;
  m.store.before = undefined;
  await m.crash();
  await m.open();
  const keys = Object.keys(m.bucket());
  t.equal(keys.length, 31);
  t.ok(keys.every((key) => key.startsWith('e/')));
  t.equal(await m.read(handle), '7', 'open files follow');
  t.equal(await m.read('e/sub/29'), '29');
});

await t.test('a directory rename that fails takes back its own copies and nothing else', async (t) => {
  const m = await mounted(t);
  for (let i = 0; i < 20; i++) m.store.putNow(`d/${i}`, Buffer.from('x'));
  await m.at('d');
  let copies = 0;
  m.store.before = (call) => {
    if (call.operation !== 'CopyObject') return;
    if (++copies === 5) m.store.putNow('e/theirs', Buffer.from('theirs'));
    if (copies > 10)
      throw new StoreError('unavailable', 'down', { operation: 'CopyObject', bucket: 'bucket' });
  };
  t.equal(await codeOf(m.rename('d', 'e')), 'EJUKEBOX');
  const keys = Object.keys(m.bucket());
  t.equal(keys.filter((key) => key.startsWith('d/')).length, 20);
  t.strictSame(
    keys.filter((key) => key.startsWith('e/')),
    ['e/theirs'],
  );
});

await t.test('READDIR resumes after entries that are gone, and after a restart', async (t) => {
  const m = await mounted(t);
  const names = Array.from({ length: 2500 }, (_, i) => `f${String(i).padStart(5, '0')}`);
  for (const name of names) m.store.putNow(`d/${name}`, Buffer.from('x'));
  t.strictSame(await m.list('d', 37), names);
  const directory = await m.at('d');
  const first = await m.fs.readdir(m.context, directory, 0n, 1202);
  const cookie = first.entries.at(-1)?.cookie ?? 0n;
  const seen = first.entries.map((entry) => entry.name.toString());
  await m.remove(`d/${seen.at(-1)}`);
  m.store.objects.delete(`d/${seen.at(-2)}`);
  await m.stop();
  await m.open();
  for (let at = cookie; ;) {
    const page = await m.fs.readdir(m.context, directory, at, 1000);
    seen.push(...page.entries.map((entry) => entry.name.toString()));
    at = page.entries.at(-1)?.cookie ?? at;
    if (page.end) break;
  }
  t.strictSame(seen, ['.', '..', ...names]);
});

await t.test('READDIR shows files that are not published yet in their place', async (t) => {
  const m = await mounted(t);
  for (const name of ['a', 'c']) m.store.putNow(name, Buffer.from('x'));
  await m.write('b', 'new', { commit: false });
  t.strictSame(await m.list('', 1), ['a', 'b', 'c']);
  await m.rest();
  t.strictSame(await m.list('', 1), ['a', 'b', 'c']);
});

await t.test('CREATE by its three modes', async (t) => {
  const m = await mounted(t);
  const root = await m.root();
  await m.write('f', 'data');
  const create = (how: 'unchecked' | 'guarded', size?: number): Promise<unknown> =>
    m.fs.create(m.context, root, Buffer.from('f'), {
      how,
      attributes: { ...(size !== undefined && { size }) },
    });
  t.equal(await codeOf(create('guarded')), 'EEXIST');
  await create('unchecked');
  t.equal(await m.read('f'), 'data');
  await create('unchecked', 0);
  t.equal(await m.read('f'), '');
  const exclusive = async (verifier: string): Promise<unknown> =>
    m.fs.create(m.context, root, Buffer.from('x'), { how: 'exclusive', verifier: Buffer.from(verifier) });
  await exclusive('12345678');
  t.equal(await codeOf(exclusive('12345678')), 'none', 'a retransmission is answered again');
  t.equal(await codeOf(exclusive('87654321')), 'EEXIST');
  await m.fs.create(m.context, root, Buffer.from('x'), { how: 'unchecked', attributes: { size: 0 } });
  t.equal(await codeOf(exclusive('12345678')), 'none', 'another opens it by UNCHECKED: no SETATTR');
  t.equal(await codeOf(m.fs.setattr(m.context, await m.at('x'), { mode: 0o600 }, 1n)), 'ENOTSYNC');
  t.equal(await codeOf(exclusive('12345678')), 'none', 'a SETATTR that is refused is none');
  await m.fs.setattr(m.context, await m.at('x'), { mode: 0o600 });
  t.equal(
    await codeOf(exclusive('12345678')),
    'EEXIST',
    'its SETATTR has come: a new call by the same verifier',
  );
  const results = await Promise.all(
    Array.from({ length: 8 }, (_, i) =>
      codeOf(
        m.fs.create(m.context, root, Buffer.from('race'), { how: 'exclusive', verifier: Buffer.alloc(8, i) }),
      ),
    ),
  );
  t.equal(results.filter((code) => code === 'none').length, 1, 'exclusive between the clients of a daemon');
});

await t.test('symlinks are kept on the object', async (t) => {
  const m = await mounted(t);
  const root = await m.root();
  await m.fs.symlink(m.context, root, Buffer.from('l'), Buffer.from('../target'), {});
  t.equal(m.bucket()['l'], '../target');
  t.equal(m.store.objects.get('l')?.headers.metadata['file-permissions'], '0120777');
  await m.stop();
  await m.open();
  const link = await m.at('l');
  t.equal((await m.fs.readlink(m.context, link)).target.toString(), '../target');
  t.match(await m.stat('l'), { type: 'symlink', size: 9 });
});

await t.test('the times of what is made are the same here and on the object', async (t) => {
  const m = await mounted(t);
  const root = await m.root();
  const put = m.store.put.bind(m.store);
  // Time passes while the store is asked.
  m.store.put = async (...request) => {
    m.clock.advance(7);
    return await put(...request);
  };
  const link = await m.fs.symlink(m.context, root, Buffer.from('l'), Buffer.from('target'), {});
  const directory = await m.fs.mkdir(m.context, root, Buffer.from('d'), {});
  for (const [key, { attributes }] of [
    ['l', link],
    ['d/', directory],
  ] as const) {
    const kept = m.store.objects.get(key)?.headers.metadata['file-mtime'];
    t.equal(kept, `${attributes.mtimeNs}ns`, key);
  }
});

await t.test('CREATE with a size and a time sets both', async (t) => {
  const m = await mounted(t);
  const attributes = { size: 3, mtimeNs: 5n, atimeNs: 6n };
  const root = await m.root();
  await m.fs.create(m.context, root, Buffer.from('f'), { how: 'unchecked', attributes });
  t.match(await m.stat('f'), attributes);
});

await t.test('exports: read-only, allowed addresses, squashing and the root that lists them', async (t) => {
  const m = await mounted(t, {
    exports: [
      { path: '/bucket' },
      { path: '/ro/part', prefix: 'part/', readOnly: true },
      { path: '/lan', allow: ['10.0.0.0/8'], squash: 'all' },
    ],
  });
  m.store.putNow('part/f', Buffer.from('x'));
  const names = async (context = m.context): Promise<string[]> => {
    const top = await m.fs.mount(context, '/');
    const page = await m.fs.readdir(context, top, 0n, 100);
    return page.entries.map((entry) => entry.name.toString()).sort();
  };
  t.strictSame(await names(), ['.', '..', 'bucket', 'ro']);
  const lan = callerOf(0, '10.1.2.3');
  t.strictSame(await names(lan), ['.', '..', 'bucket', 'lan', 'ro']);
  t.equal(await codeOf(m.fs.mount(m.context, '/lan')), 'EACCES');
  t.equal(await codeOf(m.fs.mount(m.context, '/nowhere')), 'ENOENT');

  const part = await m.fs.mount(m.context, '/ro/part');
  const file = await m.fs.lookup(m.context, part, Buffer.from('f'));
  t.equal(await codeOf(m.fs.write(m.context, file.handle, 0, Buffer.from('y'), 'unstable')), 'EROFS');
  t.equal(await codeOf(m.fs.remove(m.context, part, Buffer.from('f'))), 'EROFS');
  t.notOk((await m.fs.access(m.context, file.handle)).rights.modify);

  const lanRoot = await m.fs.mount(lan, '/lan');
  t.equal(await codeOf(() => m.fs.getattr(m.context, lanRoot)), 'EACCES', 'checked on every call');
  await m.fs.getattr(lan, lanRoot);
  t.equal(await codeOf(() => m.fs.getattr(m.context, lanRoot)), 'EACCES', 'whoever else was admitted');
  t.equal(
    await codeOf(m.fs.create(lan, lanRoot, Buffer.from('f'), { how: 'guarded', attributes: {} })),
    'EACCES',
    'squashed root is nobody',
  );
});

await t.test('mode bits decide, and sticky directories keep strangers out', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'secret', { attributes: { mode: 0o600, uid: 1, gid: 1 } });
  const [owner, other] = [callerOf(1), callerOf(2)];
  const read = async (context = owner): Promise<unknown> => m.fs.read(context, handle, 0, 10);
  t.equal(await codeOf(read()), 'none');
  t.equal(await codeOf(read(other)), 'EACCES');
  t.equal(await codeOf(m.fs.setattr(other, handle, { mode: 0o777 })), 'EPERM');
  t.equal(await codeOf(m.fs.setattr(owner, handle, { uid: 2 })), 'EPERM');
  const sticky = await m.mkdir('tmp');
  await m.fs.setattr(m.context, sticky, { mode: 0o1777 });
  await m.fs.create(owner, sticky, Buffer.from('mine'), { how: 'guarded', attributes: {} });
  t.equal(await codeOf(m.fs.remove(other, sticky, Buffer.from('mine'))), 'EPERM');
  t.equal(await codeOf(m.fs.remove(owner, sticky, Buffer.from('mine'))), 'none');
});

await t.test('a rename asks each directory about its own entry', async (t) => {
  const m = await mounted(t);
  const [one, two] = [callerOf(1), callerOf(2)];
  const sticky = await m.mkdir('tmp');
  const plain = await m.mkdir('plain');
  await m.fs.setattr(m.context, sticky, { mode: 0o1777 });
  await m.fs.setattr(m.context, plain, { mode: 0o777 });
  const make = (context: typeof one, directory: Buffer, name: string): Promise<unknown> =>
    m.fs.create(context, directory, Buffer.from(name), { how: 'guarded', attributes: {} });
  await make(one, sticky, 'mine');
  await make(two, plain, 'theirs');
  await make(two, sticky, 'kept');
  const rename = (from: Buffer, name: string, to: Buffer, toName: string): Promise<string> =>
    codeOf(m.fs.rename(one, from, Buffer.from(name), to, Buffer.from(toName)));
  t.equal(await rename(sticky, 'kept', plain, 'kept'), 'EPERM', 'another’s file in a sticky directory stays');
  t.equal(
    await rename(sticky, 'mine', plain, 'theirs'),
    'none',
    'one’s own leaves, over what may be replaced',
  );
  await make(two, plain, 'theirs too');
  t.equal(await rename(plain, 'theirs too', sticky, 'new'), 'none', 'what may leave its directory may enter');
  t.equal(await rename(plain, 'theirs', sticky, 'kept'), 'EPERM', 'nor is it replaced');
});

await t.test('chown and chgrp to what is already set are the owner’s, too', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'x', { attributes: { mode: 0o666, uid: 1, gid: 1 } });
  for (const changes of [{ uid: 1 }, { gid: 1 }]) {
    t.equal(await codeOf(m.fs.setattr(callerOf(2), handle, changes)), 'EPERM');
    t.equal(await codeOf(m.fs.setattr(callerOf(1), handle, changes)), 'none');
  }
});

await t.test('a new owner or group takes setuid and setgid from files, not from directories', async (t) => {
  const m = await mounted(t);
  const modeOf = async (handle: Buffer): Promise<string> =>
    (await m.fs.getattr(m.context, handle)).mode.toString(8);
  const handle = await m.write('f', 'x', { attributes: { mode: 0o6755 } });
  await m.fs.setattr(m.context, handle, { uid: 7 });
  t.equal(await modeOf(handle), '755');
  await m.fs.setattr(m.context, handle, { mode: 0o6744 });
  await m.fs.setattr(m.context, handle, { gid: 7 });
  t.equal(await modeOf(handle), '2744', 'setgid of what the group may not run is no set-group-ID');
  await m.fs.setattr(m.context, handle, { gid: 8, mode: 0o6755 });
  t.equal(await modeOf(handle), '6755', 'a mode that is set with it stays');
  const directory = await m.mkdir('d');
  await m.fs.setattr(m.context, directory, { mode: 0o2775 });
  await m.fs.setattr(m.context, directory, { gid: 7 });
  t.equal(await modeOf(directory), '2775');
});

await t.test('a store that is down is no reason for STALE', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'x');
  m.clock.advance(10_000);
  m.store.before = () => {
    throw new StoreError('unavailable', 'the store is down', { operation: 'HeadObject', bucket: 'bucket' });
  };
  t.equal(await codeOf(() => m.fs.getattr(m.context, handle)), 'EJUKEBOX');
  t.equal(await codeOf(m.fs.space(m.context, handle)), 'none', 'FSSTAT answers without the store');
  m.store.before = undefined;
  t.equal(await m.read(handle), 'x');
});
