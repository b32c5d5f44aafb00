import t, { type Test } from 'tap';
import { Mounted, codeOf } from './mounted.js';

/** Another S3 user gave the marker of a directory bytes. */
async function mounted(test: Test): Promise<Mounted> {
  const m = await Mounted.start();
  test.teardown(() => m.end());
  m.store.putNow('d/', Buffer.from('bytes'), { metadata: { color: 'red' }, contentType: 'text/plain' });
  return m;
}

await t.test('bytes of a marker are told to the log once, and keep their directory', async (t) => {
  const m = await mounted(t);
  t.strictSame(await m.list(''), ['d']);
  t.strictSame(await m.list('d'), []);
  const root = await m.root();
  t.equal(await codeOf(m.fs.rmdir(m.context, root, Buffer.from('d'))), 'ENOTEMPTY');
  await m.mkdir('other');
  t.equal(await codeOf(m.rename('other', 'd')), 'ENOTEMPTY');
  t.strictSame(m.bucket(), { 'd/': 'bytes', 'other/': '' });
  m.clock.advance(5000);
  await m.list('d');
  const told = m.logged.filter(({ msg }) => String(msg).startsWith('the mount does not show'));
  t.match(told, [{ key: 'd/' }]);
  t.equal(told.length, 1);
});

await t.test(
  'they stay when attributes are set, a file comes and goes, or the directory is renamed',
  async (t) => {
    const m = await mounted(t);
    await m.fs.setattr(m.context, await m.at('d'), { mode: 0o700 });
    t.match(await m.stat('d'), { mode: 0o700 });
    await m.crash();
    await m.open();
    await m.fs.setattr(m.context, await m.at('d'), { uid: 7 });
    m.clock.advance(5000);
    t.match(await m.stat('d'), { mode: 0o700, uid: 7 });
    await m.write('d/f', 'x');
    await m.remove('d/f');
    t.strictSame(m.bucket(), { 'd/': 'bytes' });
    await m.rename('d', 'e');
    t.strictSame(m.bucket(), { 'e/': 'bytes' });
    t.match(m.store.objects.get('e/')?.headers, { contentType: 'text/plain', metadata: { color: 'red' } });
    m.store.putNow('e/', Buffer.alloc(0));
    m.clock.advance(5000);
    await m.fs.rmdir(m.context, await m.root(), Buffer.from('e'));
    t.strictSame(m.bucket(), {});
  },
);

await t.test(
  'what is too long for the target of a symlink is a file, whatever its metadata says',
  async (t) => {
    const m = await mounted(t);
    const headers = { metadata: { 'file-permissions': '0120777' } };
    m.store.putNow('link', Buffer.from('target'), headers);
    m.store.putNow('long', Buffer.alloc(4097, 'x'), headers);
    t.equal((await m.stat('link')).type, 'symlink');
    t.match(await m.stat('long'), { type: 'file', size: 4097 });
    t.equal((await m.read('long')).length, 4097);
  },
);
