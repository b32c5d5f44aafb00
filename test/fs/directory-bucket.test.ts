/** What the mount does otherwise where a store lists without order and renames at once (directory buckets). */
import fc from '../support/fast-check.js';
import t, { type Test } from 'tap';
import { compareKeys } from '../../src/fs/names.js';
import { sortKeyOf } from '../../src/fs/node.js';
import { firstUnordered } from '../../src/fs/unordered.js';
import { StoreError } from '../../src/store/errors.js';
import { DIRECTORY_CAPABILITIES, MemoryStore } from '../support/memory-store.js';
import { codeOf, Mounted } from './mounted.js';

async function mounted(t: Test): Promise<Mounted> {
  const m = await Mounted.start({ capabilities: DIRECTORY_CAPABILITIES });
  t.teardown(() => m.end());
  return m;
}

await t.test('a file is renamed at once, over a target too, and keeps its handle', async (t) => {
  const m = await mounted(t);
  m.store.putNow('a', Buffer.from('content'));
  m.store.putNow('b', Buffer.from('old'));
  const handle = await m.at('a');
  await m.rename('a', 'b');
  t.equal(m.store.countOf('RenameObject', 'b'), 1);
  t.equal(m.store.countOf('CopyObject') + m.store.countOf('DeleteObject'), 0, 'nothing is copied');
  t.strictSame(m.bucket(), { b: 'content' });
  t.equal(await m.read(handle), 'content');
  await m.rename('b', 'c');
  m.clock.advance(3001);
  t.equal(await m.read(handle), 'content', 'and after its attributes are asked for again');
});

await t.test('a file that is there only for others is not replaced unseen', async (t) => {
  const m = await mounted(t);
  m.store.putNow('a', Buffer.from('ours'));
  t.equal(await codeOf(m.at('b')), 'ENOENT');
  m.store.putNow('b', Buffer.from('theirs'));
  t.equal(await codeOf(m.rename('a', 'b')), 'EIO');
  await m.rename('a', 'b');
  t.strictSame(m.bucket(), { b: 'ours' }, 'it is replaced once it was seen');
});

await t.test('a directory is renamed key by key, and a crash in between is finished', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  for (let i = 0; i < 30; i++) m.store.putNow(`d/sub/${i}`, Buffer.from(String(i)));
  m.clock.advance(3001);
  const handle = await m.at('d/sub/7');
  let stuck = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    stuck = resolve;
  });
  let renames = 0;
  m.store.before = async (call) => {
    if (call.operation !== 'RenameObject' || ++renames <= 10) return;
    stuck();
    await new Promise(() => undefined);
  };
  void m.rename('d', 'e');
  await reached;
  m.store.before = undefined;
  await m.crash();
  const torn = Object.keys(m.bucket());
  t.equal(torn.length, 31, 'no key is twice there or gone');
  t.ok(torn.some((key) => key.startsWith('d/')) && torn.some((key) => key.startsWith('e/')));
  await m.open();
  const keys = Object.keys(m.bucket());
  t.equal(keys.length, 31);
  t.ok(keys.every((key) => key.startsWith('e/')));
  t.equal(await m.read(handle), '7', 'open files follow');
  t.equal(m.store.countOf('CopyObject'), 1, 'the marker alone is copied');
});

await t.test('a directory rename that fails brings back what it moved and nothing else', async (t) => {
  const m = await mounted(t);
  for (let i = 0; i < 20; i++) m.store.putNow(`d/${i}`, Buffer.from('x'));
  await m.at('d');
  let renames = 0;
  m.store.before = (call) => {
    if (call.operation !== 'RenameObject') return;
    if (++renames === 5) m.store.putNow('e/theirs', Buffer.from('theirs'));
    if (renames === 10)
      throw new StoreError('unavailable', 'down', { operation: 'RenameObject', bucket: 'bucket' });
  };
  t.equal(await codeOf(m.rename('d', 'e')), 'EJUKEBOX');
  const keys = Object.keys(m.bucket());
  t.equal(keys.filter((key) => key.startsWith('d/')).length, 20);
  t.strictSame(
    keys.filter((key) => key.startsWith('e/')),
    ['e/theirs'],
  );
});

await t.test(
  'a large directory is listed in order and whole, and its marker is found on any page',
  async (t) => {
    const m = await mounted(t);
    await m.mkdir('d');
    await m.fs.setattr(m.context, await m.at('d'), { mode: 0o711 });
    const names = Array.from({ length: 2500 }, (_, i) => `f${String(i).padStart(5, '0')}`);
    for (const name of names) m.store.putNow(`d/${name}`, Buffer.from('x'));
    m.store.putNow('d/f00003/below', Buffer.from('x'));
    await m.crash();
    await m.open();
    m.clock.advance(3001);
    t.strictSame(await m.list('d', 37), names, 'a file is hidden by a directory of its name');
    t.equal((await m.stat('d/f00003')).type, 'directory');
    t.equal((await m.stat('d')).mode, 0o711);
  },
);

const NOTHING_HIDDEN = { note: () => undefined, isRemoved: () => false };

await t.test('the first entries in order are the same, however few are held at a time', async (t) => {
  const name = fc.stringMatching(/^[ab!.0é]{1,3}$/);
  const entry = fc.oneof(
    name,
    fc.tuple(name, name).map(([directory, file]) => `${directory}/${file}`),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(entry, { maxLength: 60 }),
      fc.integer({ min: 1, max: 8 }),
      async (keys, max) => {
        const store = new MemoryStore({ capabilities: DIRECTORY_CAPABILITIES });
        for (const key of keys) store.putNow(`d/${key}`, Buffer.from('x'));
        const whole = await firstUnordered(store, 'd/', '', 1000, NOTHING_HIDDEN);
        const expected = whole.entries.map(sortKeyOf).sort(compareKeys);
        const seen: string[] = [];
        for (let after: string | undefined = ''; after !== undefined;) {
          const { entries, last } = await firstUnordered(store, 'd/', after, max, NOTHING_HIDDEN);
          if (entries.length > max) throw new Error(`${entries.length} entries, asked for ${max}`);
          seen.push(...entries.map(sortKeyOf).sort(compareKeys));
          after = last;
        }
        t.strictSame(seen, expected);
      },
    ),
    { numRuns: 60 },
  );
});

await t.test('a prefix that only an unfinished upload has is no directory', async (t) => {
  const m = await mounted(t);
  m.store.putNow('file', Buffer.from('x'));
  // As directory buckets do: the listing of the parent has the prefix of the upload.
  const list = m.store.list.bind(m.store);
  m.store.list = async (request, signal) => {
    const page = await list(request, signal);
    return request.prefix === '' ? { ...page, prefixes: [...page.prefixes, 'up/'] } : page;
  };
  t.strictSame(await m.list(''), ['file', 'up']);
  t.equal(await codeOf(m.at('up')), 'ENOENT');
});

await t.test('an append is one PUT of what is added, behind the end of the object', async (t) => {
  const m = await mounted(t);
  const size = 20 * 1024 * 1024;
  const before = m.store.putNow('log', Buffer.alloc(size, 1), { metadata: {}, contentType: 'text/plain' });
  const handle = await m.at('log');
  await m.fs.write(m.context, handle, size, Buffer.from('first'), 'fileSync');
  t.notOk(m.store.objects.get('log')?.headers.metadata['file-mtime'], 'its times are those of the object');
  const calls = m.store.calls.length;
  let { etag } = m.store.objects.get('log') ?? before;
  for (let line = 0; line < 20; line += 1) {
    await m.fs.write(m.context, handle, size + 5 + 4 * line, Buffer.from('next'), 'unstable');
    await m.fs.commit(m.context, handle);
    t.equal(m.store.objects.get('log')?.body.length, size + 9 + 4 * line, 'and every reader sees it');
    const call = m.store.calls.at(-1);
    t.match(call, { operation: 'PutObject', key: 'log', bytes: 4, condition: { ifMatch: etag } });
    etag = m.store.objects.get('log')?.etag ?? '';
  }
  const made = m.store.calls.slice(calls);
  t.equal(made.length, 20, 'nothing else is asked');
  const object = m.store.objects.get('log');
  t.equal(object?.body.toString('latin1', size), `first${'next'.repeat(20)}`);
  t.equal(object?.headers.contentType, 'text/plain');
  t.equal((await m.stat('log')).size, size + 85);
});

await t.test(
  'a hole before what is appended is zeros, and what is changed before the end is no append',
  async (t) => {
    const m = await mounted(t);
    const handle = await m.write('f', 'abc');
    await m.fs.write(m.context, handle, 3, Buffer.from('d'), 'fileSync');
    const calls = m.store.calls.length;
    await m.fs.write(m.context, handle, 6, Buffer.from('g'), 'fileSync');
    t.same(
      m.store.calls.slice(calls).map(({ operation, bytes }) => [operation, bytes]),
      [['PutObject', 3]],
    );
    t.equal(m.bucket()['f'], 'abcd\0\0g');
    await m.fs.write(m.context, handle, 2, Buffer.from('XYZ'), 'fileSync');
    t.equal(m.store.calls.at(-1)?.bytes, 7);
    t.equal(m.bucket()['f'], 'abXYZ\0g');
  },
);

await t.test('times and modes that are set reach an object that was added to', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'abc');
  await m.fs.write(m.context, handle, 3, Buffer.from('d'), 'fileSync');
  await m.fs.write(m.context, handle, 4, Buffer.from('e'), 'fileSync');
  await m.fs.setattr(m.context, handle, { mtimeNs: 77n, mode: 0o600 });
  await m.rest();
  const { metadata = {} } = m.store.objects.get('f')?.headers ?? {};
  t.match(metadata, { 'file-mtime': '77ns', 'file-permissions': '0100600' });
  await m.fs.write(m.context, handle, 5, Buffer.from('f'), 'fileSync');
  t.notOk(m.store.objects.get('f')?.headers.metadata['file-mtime'], 'no times of before the append');
  t.equal(m.bucket()['f'], 'abcdef');
});

await t.test('an append over what somebody else wrote meanwhile is a conflict', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'abc');
  await m.fs.write(m.context, handle, 3, Buffer.from('d'), 'fileSync');
  m.store.putNow('f', Buffer.from('of somebody else'));
  await t.rejects(m.fs.write(m.context, handle, 4, Buffer.from('e'), 'fileSync'), { code: 'EIO' });
  t.equal(m.bucket()['f'], 'of somebody else');
});

await t.test('policy journal: an append survives a crash before and after the store has it', async (t) => {
  for (const isStored of [false, true]) {
    const m = await Mounted.start({
      capabilities: DIRECTORY_CAPABILITIES,
      exports: [{ commitPolicy: 'journal' }],
    });
    t.teardown(() => m.end());
    const handle = await m.write('f', 'abc');
    await m.rest(60_000);
    await m.fs.write(m.context, handle, 3, Buffer.from('d'), 'fileSync');
    await m.rest(60_000);
    await m.fs.write(m.context, handle, 4, Buffer.from('e'), 'fileSync');
    if (isStored) {
      // The answer never comes.
      let answer = (): void => undefined;
      m.store.after = () => new Promise<void>((resolve) => (answer = resolve));
      m.clock.advance(60_000);
      while (m.bucket()['f'] !== 'abcde') await new Promise(setImmediate);
      await m.crash();
      m.store.after = undefined;
      answer();
    } else await m.crash();
    await m.open();
    t.same(m.bucket(), { f: 'abcde' }, 'no conflict with itself');
    t.equal(await m.read('f'), 'abcde');
  }
});
