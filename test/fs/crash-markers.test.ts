/** A directory without a marker, and a crash at any request of what takes away what kept it. */
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { callUntilHung } from './hold.js';
import { codeOf, Mounted, type MountedOptions } from './mounted.js';

const REQUESTS_MAX = 20;

interface Case {
  /** Keys of the bucket. */
  readonly keys: readonly string[];
  readonly call: (m: Mounted) => Promise<unknown>;
}

/** `d` is there after a crash at each request of a call. */
async function staysEverywhere(t: Test, each: Case): Promise<void> {
  for (const isListed of [false, true]) await staysWith(t, each, isListed, {});
  await staysWith(t, each, false, { exports: [{ directoryMarkers: false }] });
}

async function staysWith(
  t: Test,
  { keys, call }: Case,
  isListed: boolean,
  options: MountedOptions,
): Promise<void> {
  for (const when of ['before', 'after'] as const) {
    let isOver = false;
    for (let request = 1; request <= REQUESTS_MAX && !isOver; request++) {
      const m = await Mounted.start(options);
      for (const key of keys) await m.store.put(key, [], { metadata: {} });
      await m.mkdir('elsewhere');
      if (isListed) await m.list('d');
      for (const key of keys) await m.at(key);
      isOver = (await callUntilHung(m, when, request, () => call(m))) === 'over';
      await setImmediate();
      await m.crash();
      m.store[when] = undefined;
      await m.open();
      t.same(await m.list(''), ['d', 'elsewhere'], `${when} request ${request}`);
      await m.end();
    }
    t.ok(isOver, 'every request was tried');
  }
}

await t.test('a directory without a marker stays when a crash comes with the removal of its last file', (t) =>
  staysEverywhere(t, { keys: ['d/f'], call: (m) => m.remove('d/f') }),
);

await t.test('… of its last files at the same time', (t) =>
  staysEverywhere(t, {
    keys: ['d/e', 'd/f'],
    call: (m) => Promise.all([m.remove('d/e'), m.remove('d/f')]),
  }),
);

await t.test('… with the rename of its last file to elsewhere', (t) =>
  staysEverywhere(t, { keys: ['d/f'], call: (m) => m.rename('d/f', 'elsewhere/f') }),
);

await t.test('… with the rename of its last directory to elsewhere', (t) =>
  staysEverywhere(t, {
    keys: ['d/sub/e', 'd/sub/f'],
    call: (m) => m.rename('d/sub', 'elsewhere/sub'),
  }),
);

await t.test('… with the removal of its last directory', (t) =>
  staysEverywhere(t, {
    keys: ['d/sub/'],
    call: async (m) => m.fs.rmdir(m.context, await m.at('d'), Buffer.from('sub')),
  }),
);

await t.test(
  'files of a directory without a marker that are removed at the same time leave it there',
  async (t) => {
    const m = await Mounted.start();
    t.teardown(() => m.end());
    const names = ['a', 'b', 'c', 'e'];
    for (const name of names) await m.store.put(`d/${name}`, [], { metadata: {} });
    for (const name of names) await m.at(`d/${name}`);
    await Promise.all(names.map((name) => m.remove(`d/${name}`)));
    t.same(Object.keys(m.bucket()), ['d/']);
  },
);

await t.test('a directory with anything left gets no marker when an entry leaves', async (t) => {
  const m = await Mounted.start();
  t.teardown(() => m.end());
  for (const key of ['d/a', 'd/b', 'd/sub/1', 'd/sub/2', 'd/sub/3', 'd/z'])
    await m.store.put(key, [], { metadata: {} });
  await m.mkdir('elsewhere');
  await m.rename('d/a', 'elsewhere/a');
  await m.rename('d/sub', 'elsewhere/sub');
  await m.rename('d/z', 'd/y');
  await m.remove('d/b');
  t.same(
    Object.keys(m.bucket()).filter((key) => key.startsWith('d/')),
    ['d/y'],
  );
});

await t.test('RMDIR leaves a marker that somebody else put meanwhile, and says so', async (t) => {
  const m = await Mounted.start();
  t.teardown(() => m.end());
  await m.mkdir('d');
  await m.at('d');
  m.store.before = ({ operation, key }) => {
    if (operation !== 'DeleteObject' || key !== 'd/') return;
    m.store.before = undefined;
    m.store.putNow('d/', Buffer.from('theirs'));
  };
  const rmdir = async (): Promise<unknown> => m.fs.rmdir(m.context, await m.root(), Buffer.from('d'));
  t.equal(await codeOf(rmdir()), 'EIO');
  t.same(m.bucket(), { 'd/': 'theirs' });
  t.same(await m.list(''), ['d']);
  t.equal(await codeOf(rmdir()), 'ENOTEMPTY', 'nor are its bytes lost by the next one');
  m.store.putNow('d/', Buffer.alloc(0));
  m.clock.advance(5000);
  t.equal(await codeOf(rmdir()), 'none', 'the next one removes what is there');
  t.same(m.bucket(), {});
});

await t.test('SETATTR of a directory keeps what somebody else made of its marker meanwhile', async (t) => {
  const theirs = { 'file-permissions': '040700', 'file-owner': '77', color: 'red' };
  for (const before of ['marker', 'no marker'] as const) {
    const m = await Mounted.start();
    t.teardown(() => m.end());
    if (before === 'marker') await m.mkdir('d');
    else await m.store.put('d/f', [], { metadata: {} });
    const directory = await m.at('d');
    m.store.before = ({ operation }) => {
      if (operation !== 'PutObject') return;
      m.store.before = undefined;
      m.store.putNow('d/', Buffer.from('x'), { metadata: theirs });
    };
    await m.fs.setattr(m.context, directory, { gid: 55 });
    t.match(m.store.objects.get('d/')?.headers.metadata, { ...theirs, 'file-group': '55' }, before);
    const { uid, gid, mode } = await m.stat('d');
    t.same({ uid, gid, mode }, { uid: 77, gid: 55, mode: 0o700 });
  }
});

await t.test('SETATTR of a directory whose marker somebody removed makes it anew', async (t) => {
  const m = await Mounted.start();
  t.teardown(() => m.end());
  await m.mkdir('d');
  await m.write('d/f', 'bytes');
  const directory = await m.at('d');
  m.store.objects.delete('d/');
  await m.fs.setattr(m.context, directory, { mode: 0o711 });
  t.equal(m.store.objects.get('d/')?.headers.metadata['file-permissions'], '040711');
});
