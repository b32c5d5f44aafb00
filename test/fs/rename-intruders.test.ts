/** Others who write where a directory is renamed to: theirs is neither deleted nor taken for a copy; and renames of one directory at the same time. */
import t, { type Test } from 'tap';
import { Journal } from '../../src/state/journal.js';
import { StoreError } from '../../src/store/errors.js';
import { callUntil, callUntilHung } from './hold.js';
import { callerOf, codeOf, Mounted, splitPath, type MountedOptions } from './mounted.js';
import { JOURNAL } from './small-parts.js';

t.setTimeout(300_000);

async function mounted(t: Test, options: MountedOptions = {}): Promise<Mounted> {
  const m = await Mounted.start(options);
  t.teardown(() => m.end());
  return m;
}

/** As somebody else uploads it: its copies have another ETag. */
async function putInParts(m: Mounted, key: string, text: string): Promise<void> {
  const upload = await m.store.createUpload(key, { metadata: {} });
  const part = await m.store.uploadPart(key, upload, 1, [Buffer.from(text)]);
  await m.store.completeUpload(key, upload, [part]);
}

const put = (m: Mounted, key: string, text: string): unknown => m.store.putNow(key, Buffer.from(text));

const refused = (operation: 'CopyObject' | 'DeleteObjects'): StoreError =>
  new StoreError('access-denied', 'no', { operation, bucket: 'bucket' });

const below = (m: Mounted, prefix: string): Record<string, string> =>
  Object.fromEntries(Object.entries(m.bucket()).filter(([key]) => key.startsWith(prefix)));

await t.test('what others wrote over a copy stays when the rename of a directory is undone', async (t) => {
  for (const conditionalWrites of [true, false]) {
    const m = await mounted(t, { capabilities: { conditionalWrites } });
    for (const name of ['a', 'b', 'c', 'z']) put(m, `d/${name}`, `bytes of ${name}`);
    await m.at('d');
    m.store.before = async (call) => {
      if (call.operation !== 'CopyObject' || call.key !== 'e/z') return;
      while (!['e/a', 'e/b', 'e/c'].every((key) => m.store.objects.has(key)))
        await new Promise((resolve) => setImmediate(resolve));
      put(m, 'e/a', 'theirs');
      throw refused('CopyObject');
    };
    t.equal(await codeOf(m.rename('d', 'e')), 'EACCES');
    m.store.before = undefined;
    t.strictSame(Object.keys(below(m, 'd/')), ['d/a', 'd/b', 'd/c', 'd/z']);
    t.strictSame(below(m, 'e/'), { 'e/a': 'theirs' });
    t.ok(m.logged.some(({ msg, keys }) => /failed directory rename stays/.test(String(msg)) && keys === 1));
  }
});

await t.test('what others write over a source between a look and its deletion stays', async (t) => {
  const m = await mounted(t);
  for (const name of ['a', 'b']) put(m, `d/${name}`, `bytes of ${name}`);
  await m.at('d');
  m.store.before = (call) => {
    if (call.operation === 'DeleteObjects') put(m, 'd/a', 'theirs');
  };
  await m.rename('d', 'e');
  m.store.before = undefined;
  t.strictSame(m.bucket(), { 'd/a': 'theirs', 'e/a': 'bytes of a', 'e/b': 'bytes of b' });
});

await t.test('an object of the same size and headers at the new name is not taken for a copy', async (t) => {
  const m = await mounted(t);
  await putInParts(m, 'd/large', 'bytes of large');
  await m.at('d');
  m.store.before = (call) => {
    if (call.operation === 'CopyObject') put(m, 'e/large', 'bytes of THEIR');
  };
  t.equal(await codeOf(m.rename('d', 'e')), 'EIO');
  m.store.before = undefined;
  t.strictSame(m.bucket(), { 'd/large': 'bytes of large', 'e/large': 'bytes of THEIR' });
});

await t.test('… nor after a crash, at whatever request it came', async (t) => {
  for (let request = 1; ; request++) {
    const m = await mounted(t);
    put(m, 'd/a', 'bytes of a');
    await putInParts(m, 'd/large', 'bytes of large');
    m.clock.advance(10_000);
    await m.at('d');
    const ended = await callUntilHung(m, 'before', request, () => m.rename('d', 'e'));
    await m.crash();
    m.store.before = undefined;
    const isCopied = m.store.objects.has('e/large');
    put(m, 'e/large', 'bytes of THEIR');
    await m.open();
    t.equal(m.bucket()['e/large'], 'bytes of THEIR', `request ${request}`);
    if (!isCopied) t.equal(m.bucket()['d/large'], 'bytes of large', `request ${request}`);
    t.equal(m.bucket()['e/a'] ?? m.bucket()['d/a'], 'bytes of a');
    await m.end();
    if (ended === 'over') break;
    t.ok(request < 40);
  }
});

await t.test('… nor that of a file whose copy was not answered', async (t) => {
  const m = await mounted(t);
  await putInParts(m, 'a', 'bytes of a');
  await m.at('a');
  m.store.before = (call) => {
    if (call.operation === 'CopyObject')
      throw new StoreError('unavailable', 'lost', { operation: 'CopyObject', bucket: 'bucket' });
  };
  t.not(await codeOf(m.rename('a', 'b')), 'none');
  m.store.before = undefined;
  put(m, 'b', 'THEIR BYTE');
  t.equal(await codeOf(m.rename('a', 'b')), 'EIO');
  t.strictSame(m.bucket(), { a: 'bytes of a', b: 'THEIR BYTE' });
});

await t.test(
  'copies of before a crash are known by the journal, and looked at where it tells nothing',
  async (t) => {
    const m = await mounted(t);
    const count = 600;
    for (let at = 0; at < count; at++) await putInParts(m, `d/${at}`, `bytes of ${at}`);
    m.clock.advance(10_000);
    await m.at('d');
    let copies = 0;
    const isLate = (operation: string): boolean => operation === 'CopyObject' && ++copies > 540;
    t.equal(await callUntil(m, 'before', isLate, () => m.rename('d', 'e')), 'hung');
    await m.crash();
    m.store.before = undefined;
    t.equal(Object.keys(below(m, 'e/')).length, 540);
    const from = m.store.calls.length;
    await m.open();
    const calls = m.store.calls.slice(from).map(({ operation }) => operation);
    const countOf = (operation: string): number => calls.filter((each) => each === operation).length;
    t.equal(countOf('CopyObject'), count - 540, 'none is made again');
    // 512 were journaled.
    t.equal(countOf('GetObject'), 2 * (540 - 512));
    t.equal(countOf('HeadObject'), 2 * (540 - 512));
    t.strictSame(
      m.bucket(),
      Object.fromEntries(
        Array.from({ length: count }, (_, at) => `${at}`)
          .sort()
          .map((name) => [`e/${name}`, `bytes of ${name}`]),
      ),
    );
    await m.crash();
    const before = m.store.calls.length;
    await m.open();
    t.notOk(
      m.store.calls.slice(before).some(({ operation }) => operation === 'CopyObject'),
      'and nothing is left to do',
    );
  },
);

await t.test(
  'sources that could not be deleted go at the next start, after another rename of the directory',
  async (t) => {
    const m = await mounted(t);
    for (const name of ['a', 'b']) put(m, `d/${name}`, `bytes of ${name}`);
    m.clock.advance(10_000);
    await m.at('d');
    m.store.before = (call) => {
      if (call.operation === 'DeleteObjects') throw refused('DeleteObjects');
    };
    await m.rename('d', 'e');
    m.store.before = undefined;
    m.clock.advance(10_000);
    await m.rename('e', 'f');
    await m.crash();
    await m.open();
    t.strictSame(m.bucket(), { 'f/a': 'bytes of a', 'f/b': 'bytes of b' });
  },
);

await t.test('a rename that the journal has no room to end is ended before the next one', async (t) => {
  const m = await mounted(t, JOURNAL);
  put(m, 'd/a', 'bytes of a');
  m.clock.advance(10_000);
  const handle = await m.write('d/new', 'bytes of new');
  const append = Object.getOwnPropertyDescriptor(Journal.prototype, 'append') ?? {};
  const restore = (): void => void Object.defineProperty(Journal.prototype, 'append', append);
  t.teardown(restore);
  Object.defineProperty(Journal.prototype, 'append', {
    ...append,
    value: function (this: Journal, entry: { readonly intent?: { readonly path?: readonly string[] } }) {
      if (entry.intent?.path?.[0] === 'e') return Promise.reject(new Error('no room'));
      return Reflect.apply(append.value as Journal['append'], this, [entry]);
    },
  });
  await m.rename('d', 'e');
  t.not(await codeOf(m.rename('e', 'f')), 'none', 'refused');
  t.equal(await m.read('e/new'), 'bytes of new');
  restore();
  await m.rename('e', 'f');
  for (let life = 0; life < 2; life++) {
    await m.crash();
    await m.open();
    t.equal(await m.read(handle), 'bytes of new');
    await m.rest(60_000);
    t.strictSame(m.bucket(), { 'f/a': 'bytes of a', 'f/new': 'bytes of new' });
  }
});

const FILES = ['d/a', 'd/sub/b', 'd/sub/c', 'g/h'];
/** Two renames that meet: each by where it leads from and to. */
const MEETINGS: Readonly<Record<string, readonly [readonly [string, string], readonly [string, string]]>> = {
  'one directory, to two names': [
    ['d', 'e'],
    ['d', 'f'],
  ],
  'one directory, twice the same': [
    ['d', 'e'],
    ['d', 'e'],
  ],
  'a directory and one below it': [
    ['d', 'e'],
    ['d/sub', 's'],
  ],
  'a directory and one above it': [
    ['d/sub', 's'],
    ['d', 'e'],
  ],
  'each into the other': [
    ['d', 'g/d'],
    ['g', 'd/g'],
  ],
};

async function renameBy(m: Mounted, address: string, from: string, to: string): Promise<void> {
  const [source, target] = [splitPath(from), splitPath(to)];
  const [fromDirectory, toDirectory] = await Promise.all([m.at(source[0]), m.at(target[0])]);
  await m.fs.rename(callerOf(0, address), fromDirectory, source[1], toDirectory, target[1]);
}

await t.test('renames that meet are made one after the other, whenever a crash comes', async (t) => {
  for (const [what, [first, second]] of Object.entries(MEETINGS)) {
    for (let request = 1; ; request += 2) {
      const m = await mounted(t);
      for (const key of FILES) put(m, key, `bytes of ${key}`);
      m.clock.advance(10_000);
      const handles = await Promise.all(FILES.map((key) => m.at(key)));
      const codes: Promise<string>[] = [];
      const ended = await callUntilHung(m, 'before', request, async () => {
        codes.push(codeOf(renameBy(m, '127.0.0.1', ...first)), codeOf(renameBy(m, '127.0.0.2', ...second)));
        await Promise.all(codes);
      });
      const title = `${what}, request ${request} (${ended})`;
      if (ended === 'over') {
        const [one, other] = await Promise.all(codes);
        t.ok(one === 'none' || other === 'none', `${title}: ${String(one)}, ${String(other)}`);
        t.ok(
          [one, other].every((code) => ['none', 'ENOENT', 'EINVAL'].includes(code ?? '')),
          title,
        );
      }
      await m.crash();
      m.store.before = undefined;
      await m.open();
      await m.rest(60_000);
      const files = Object.entries(m.bucket()).filter(([key]) => !key.endsWith('/'));
      t.strictSame(files.map(([, text]) => text).sort(), FILES.map((key) => `bytes of ${key}`).sort(), title);
      for (const [at, key] of FILES.entries())
        t.equal(await m.read(handles[at] as Buffer), `bytes of ${key}`, title);
      await m.end();
      if (ended === 'over') break;
      t.ok(request < 80);
    }
  }
});
