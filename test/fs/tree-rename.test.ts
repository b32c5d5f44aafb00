/** Renames of directories while others look, and while the daemon dies: held and ended at each request to the store. */
import { AsyncLocalStorage } from 'node:async_hooks';
import t, { type Test } from 'tap';
import { FsError } from '../../src/fs/errors.js';
import { DIRECTORY_CAPABILITIES } from '../support/memory-store.js';
import { callUntilHung, callUntilHungIn } from './hold.js';
import { codeOf, type Mounted, type MountedOptions } from './mounted.js';
import { FILES, makeTree } from './renamed-tree.js';
import { JOURNAL, mounted } from './small-parts.js';

/** Written here and not yet in the store. */
const UNPUBLISHED = 'sub/new';
const ALL = [...FILES, UNPUBLISHED];
const REQUESTS_MAX = 60;

t.setTimeout(600_000);

const absent = (error: unknown): undefined => {
  if (error instanceof FsError && error.code === 'ENOENT') return undefined;
  throw error;
};

/** Every path below a directory; undefined where there is none. */
async function walk(m: Mounted, path: string): Promise<string[] | undefined> {
  const names = await m.list(path).catch(absent);
  if (names === undefined) return undefined;
  const found = await Promise.all(
    names.map(async (name) => {
      const isDirectory = (await m.stat(`${path}/${name}`)).type === 'directory';
      return isDirectory ? ((await walk(m, `${path}/${name}`)) ?? []) : [`${path}/${name}`];
    }),
  );
  return found.flat();
}

async function lookWhileRenamed(t: Test, policy: 'publish' | 'journal'): Promise<void> {
  const m = await mounted(t, { exports: [{ commitPolicy: policy }], metadataTtlMs: 10 });
  await makeTree(m, 'd/');
  await m.write(`d/${UNPUBLISHED}`, `bytes of ${UNPUBLISHED}`, { commit: policy === 'journal' });
  const handles = await Promise.all(ALL.map((name) => m.at(`d/${name}`)));
  const looking = new AsyncLocalStorage<true>();
  let looks = 0;
  const look = async (): Promise<void> => {
    looks++;
    // Nothing that was held before is believed any more.
    if (looks % 2 === 0) m.clock.advance(11);
    for (const [at, name] of ALL.entries()) {
      t.equal(await m.read(handles[at] as Buffer), `bytes of ${name}`, 'by its handle');
      // In this order: a file that has left the old path has arrived at the new one.
      const found = (await m.read(`d/${name}`).catch(absent)) ?? (await m.read(`e/${name}`));
      t.equal(found, `bytes of ${name}`, 'by its path');
    }
    const listed = [...((await walk(m, 'd')) ?? []), ...((await walk(m, 'e')) ?? [])];
    t.strictSame([...new Set(listed.map((path) => path.slice(2)))].sort(), [...ALL].sort(), 'listed');
  };
  let turn = Promise.resolve();
  const stop = (): Promise<void> | undefined => {
    if (looking.getStore()) return undefined;
    return (turn = turn.then(() => looking.run(true, look)));
  };
  m.store.before = stop;
  m.store.after = stop;
  await m.rename('d', 'e');
  m.store.before = undefined;
  m.store.after = undefined;
  t.ok(looks > 2 * FILES.length, `looked ${looks} times`);
  t.equal(await codeOf(m.at('d')), 'ENOENT', 'what was looked up meanwhile is gone at once');
  t.strictSame((await walk(m, 'e'))?.sort(), ALL.map((name) => `e/${name}`).sort());
  for (const [at, name] of ALL.entries()) t.equal(await m.read(handles[at] as Buffer), `bytes of ${name}`);
  await m.rest(60_000);
  t.strictSame(Object.keys(m.bucket()), ALL.map((name) => `e/${name}`).sort());
}

await t.test(
  'while a directory is renamed every file is found under its old path or the new one: policy publish',
  async (t) => lookWhileRenamed(t, 'publish'),
);

await t.test(
  'while a directory is renamed every file is found under its old path or the new one: policy journal',
  async (t) => lookWhileRenamed(t, 'journal'),
);

await t.test(
  'who looked before the rename of a directory and is answered after it finds what moved',
  async (t) => {
    const looks: Readonly<Record<string, (m: Mounted) => Promise<unknown>>> = {
      LOOKUP: async (m) => {
        const directory = await m.at('d');
        return async () => (await m.fs.lookup(m.context, directory, Buffer.from('a'))).attributes?.size;
      },
      'LOOKUP in a large directory': async (m) => {
        for (let at = 0; at < 1100; at++) m.store.putNow(`d/${at}`, Buffer.alloc(0));
        const directory = await m.at('d');
        return async () => (await m.fs.lookup(m.context, directory, Buffer.from('a'))).attributes?.size;
      },
      GETATTR: async (m) => {
        const file = await m.at('d/a');
        return async () => (await m.fs.getattr(m.context, file)).size;
      },
      READ: async (m) => {
        const file = await m.at('d/a');
        return async () => (await m.read(file)).length;
      },
      READDIR: async (m) => {
        const directory = await m.at('d/sub');
        return async () => (await m.fs.readdir(m.context, directory, 0n, 100)).entries.length * 2;
      },
    };
    for (const [call, prepare] of Object.entries(looks)) {
      for (const when of ['before', 'after'] as const) {
        for (let request = 1; ; request++) {
          const m = await mounted(t, { smallFilesAhead: false });
          await makeTree(m, 'd/');
          const look = (await prepare(m)) as () => Promise<number>;
          m.clock.advance(3001);
          let requests = 0;
          let open = (): void => undefined;
          const opened = new Promise<void>((resolve) => (open = resolve));
          const reached = new Promise<'held'>((resolve) => {
            m.store[when] = () => {
              if (++requests !== request) return;
              resolve('held');
              return opened;
            };
          });
          const looking = look();
          const ended = await Promise.race([looking.then(() => 'over' as const), reached]);
          m.store[when] = undefined;
          let renamed = false;
          const renaming = m.rename('d', 'e').finally(() => (renamed = true));
          // It may have joined the question that is held.
          for (let turn = 0; turn < 1000 && !renamed; turn++)
            await new Promise((resolve) => setImmediate(resolve));
          open();
          await renaming;
          t.equal(await looking, call === 'READDIR' ? 8 : 10, `${call}, ${when} its request ${request}`);
          await m.end();
          if (ended === 'over') break;
        }
      }
    }
  },
);

async function crashAtEach(t: Test, options: MountedOptions): Promise<void> {
  for (const when of ['before', 'after'] as const) {
    for (let request = 1; request <= REQUESTS_MAX; request += when === 'after' ? 2 : 1) {
      const m = await mounted(t, options);
      await makeTree(m, 'd/');
      const isKept = options === JOURNAL;
      if (isKept) await m.write(`d/${UNPUBLISHED}`, `bytes of ${UNPUBLISHED}`);
      const expected = [...FILES, ...(isKept ? [UNPUBLISHED] : [])].sort();
      const handle = await m.at('d/large');
      const ended = await callUntilHung(m, when, request, () => m.rename('d', 'e'));
      await m.crash();
      m.store[when] = undefined;
      await m.open();
      await m.rest(60_000);
      const text = `${when} request ${request} (${ended})`;
      const keys = Object.keys(m.bucket()).filter((key) => !key.endsWith('/'));
      const moved = keys[0]?.startsWith('e/') === true;
      const prefix = moved ? 'e/' : 'd/';
      t.strictSame(
        keys,
        expected.map((each) => prefix + each),
        text,
      );
      for (const each of expected) t.equal(m.bucket()[prefix + each], `bytes of ${each}`, text);
      t.equal(await m.read(handle), 'bytes of large', text);
      if (ended === 'over') t.ok(moved, text);
      await m.end();
      if (ended === 'over') break;
      t.ok(request + 2 <= REQUESTS_MAX);
    }
  }
}

await t.test(
  'a crash at each request of a directory’s rename loses and doubles nothing: publish',
  async (t) => crashAtEach(t, {}),
);

await t.test(
  'a crash at each request of a directory’s rename loses and doubles nothing: journal',
  async (t) => crashAtEach(t, JOURNAL),
);

await t.test(
  'a crash at each request of a directory’s rename loses and doubles nothing: directory bucket',
  async (t) => crashAtEach(t, { capabilities: DIRECTORY_CAPABILITIES }),
);

await t.test('a directory renamed over an empty one has its own mode, whenever a crash comes', async (t) => {
  for (const when of ['before', 'after'] as const) {
    for (let request = 1; request <= REQUESTS_MAX; request++) {
      const m = await mounted(t, {});
      const handle = await m.mkdir('d');
      await m.fs.setattr(m.context, await m.mkdir('e'), { mode: 0o777 });
      const ended = await callUntilHung(m, when, request, () => m.rename('d', 'e'));
      await m.crash();
      m.store[when] = undefined;
      await m.open();
      await m.rest(60_000);
      const { mode } = await m.fs.getattr(m.context, handle);
      t.equal(mode.toString(8), '750', `${when} request ${request} (${ended})`);
      await m.end();
      if (ended === 'over') break;
      t.ok(request < REQUESTS_MAX);
    }
  }
});

await t.test(
  'sources of a renamed directory that are left after a crash go by a thousand, and by nothing else',
  async (t) => {
    const m = await mounted(t, {});
    for (let at = 0; at < 2500; at++) m.store.putNow(`d/${at}`, Buffer.from('x'));
    m.clock.advance(10_000);
    await m.at('d');
    const renaming = (): Promise<void> => m.rename('d', 'e');
    t.equal(await callUntilHungIn(m, 'before', ['DeleteObjects'], renaming), 'hung');
    await m.crash();
    m.store.before = undefined;
    m.store.putNow('d/7', Buffer.from('written meanwhile'));
    m.store.putNow('d/later', Buffer.from('written meanwhile'));
    m.store.objects.delete('e/8');
    const from = m.store.calls.length;
    await m.open();
    const calls = m.store.calls.slice(from).map(({ operation }) => operation);
    t.equal(calls.filter((operation) => operation === 'DeleteObjects').length, 3);
    t.equal(
      calls.filter((operation) => operation === 'DeleteObject' || operation === 'CopyObject').length,
      0,
    );
    const kept = Object.keys(m.bucket()).filter((key) => key.startsWith('d/'));
    t.strictSame(kept, ['d/7', 'd/later'], 'what others wrote stays, what they removed stays away');
    t.equal(Object.keys(m.bucket()).filter((key) => key.startsWith('e/')).length, 2499);
  },
);

await t.test('of a directory that is renamed nothing is copied that is not published', async (t) => {
  const m = await mounted(t, JOURNAL);
  await m.mkdir('d');
  const handles = await Promise.all(
    Array.from({ length: 20 }, (_, at) => m.write(`d/${at}`, `bytes of ${at}`)),
  );
  const from = m.store.calls.length;
  await m.rename('d', 'e');
  const calls = m.callsSince(from);
  t.strictSame(
    calls.filter((call) => call.startsWith('CopyObject')),
    ['CopyObject e/'],
  );
  t.strictSame(
    calls.filter((call) => call.startsWith('PutObject')),
    [],
  );
  await m.crash();
  await m.open();
  t.equal(await m.read(handles[7] as Buffer), 'bytes of 7');
  await m.rest(60_000);
  t.equal(m.store.countOf('PutObject', 'e/7'), 1);
  t.strictSame(Object.keys(m.bucket()), ['e/', ...Array.from({ length: 20 }, (_, at) => `e/${at}`)].sort());
});

await t.test(
  'a rename that would copy more than --rename-copy-limit is EXDEV, and copies nothing',
  async (t) => {
    const m = await mounted(t, { exports: [{ renameCopyLimitBytes: 1000 }] });
    m.store.putNow('d/a', Buffer.alloc(600));
    m.store.putNow('d/sub/b', Buffer.alloc(401));
    m.store.putNow('e/a', Buffer.alloc(600));
    m.store.putNow('e/b', Buffer.alloc(400));
    m.store.putNow('f', Buffer.alloc(1001));
    m.store.putNow('g', Buffer.alloc(1000));
    t.equal(await codeOf(m.rename('d', 'd2')), 'EXDEV');
    t.equal(await codeOf(m.rename('f', 'f2')), 'EXDEV');
    t.equal(m.store.countOf('CopyObject'), 0);
    t.equal(
      m.logged.filter(({ msg }) => msg === 'a rename would copy more than --rename-copy-limit').length,
      2,
    );
    await m.rename('e', 'e2');
    await m.rename('g', 'g2');
    t.strictSame(Object.keys(m.bucket()), ['d/a', 'd/sub/b', 'e2/a', 'e2/b', 'f', 'g2']);
  },
);

await t.test('where nothing is copied --rename-copy-limit refuses nothing', async (t) => {
  const m = await mounted(t, {
    exports: [{ renameCopyLimitBytes: 0 }],
    capabilities: DIRECTORY_CAPABILITIES,
  });
  m.store.putNow('d/a', Buffer.alloc(600));
  await m.rename('d', 'e');
  await m.rename('e/a', 'e/b');
  t.strictSame(Object.keys(m.bucket()), ['e/b']);
});

await t.test(
  'a rename of a directory that takes longer than 20 s is JUKEBOX, and the retry gets its result',
  async (t) => {
    const m = await mounted(t, {});
    await makeTree(m, 'd/');
    await m.at('d');
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const reached = new Promise<void>((resolve) => {
      m.store.before = (call) => {
        if (call.operation !== 'CopyObject') return;
        resolve();
        return opened;
      };
    });
    const first = codeOf(m.rename('d', 'e'));
    await reached;
    m.clock.advance(20_000);
    t.equal(await first, 'EJUKEBOX');
    const second = codeOf(m.rename('d', 'e'));
    await new Promise((resolve) => setImmediate(resolve));
    m.clock.advance(20_000);
    t.equal(await second, 'EJUKEBOX', 'it joined what is running');
    const third = m.rename('d', 'e');
    open();
    await third;
    t.equal(m.store.countOf('CopyObject'), FILES.length);
    t.strictSame(Object.keys(m.bucket()), FILES.map((name) => `e/${name}`).sort());
  },
);

await t.test('a directory that an export begins at, or below, keeps its name', async (t) => {
  const m = await mounted(t, { exports: [{}, { path: '/inner', prefix: 'p/q/' }] });
  m.store.putNow('p/', Buffer.alloc(0));
  m.store.putNow('p/q/', Buffer.alloc(0));
  m.store.putNow('other/file', Buffer.from('x'));
  for (const [from, to] of [
    ['p', 'moved'],
    ['p/q', 'moved'],
    ['other', 'p/q'],
  ] as const)
    t.equal(await codeOf(m.rename(from, to)), 'EACCES', `${from} to ${to}`);
  const [root, p] = [await m.root(), await m.at('p')];
  t.equal(await codeOf(m.fs.rmdir(m.context, p, Buffer.from('q'))), 'EACCES');
  t.equal(await codeOf(m.fs.rmdir(m.context, root, Buffer.from('p'))), 'EACCES');
  const inner = await m.root('/inner');
  await m.write('p/q/file', 'x');
  t.equal((await m.fs.lookup(m.context, inner, Buffer.from('file'))).attributes?.size, 1);
});

await t.test('a rename of a file of 100 MiB is one copy and one removal', async (t) => {
  const m = await mounted(t, {});
  m.store.putNow('f', Buffer.alloc(100 * 1024 * 1024));
  const handle = await m.at('f');
  const from = m.store.calls.length;
  await m.rename('f', 'g');
  const calls = m.callsSince(from);
  t.strictSame(calls, ['CopyObject g', 'DeleteObject f']);
  t.equal((await m.fs.getattr(m.context, handle)).size, 100 * 1024 * 1024);
});
