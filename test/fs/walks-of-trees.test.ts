/** What `ls -l` and `find` cost in requests: each page of a directory once, by which it is known to be there as well. */
import t, { type Test } from 'tap';
import type { Attributes, Handle } from '../../src/fs/file-system.js';
import { Mounted, type MountedOptions } from './mounted.js';

const NONE: MountedOptions = { exports: [{ metadata: 'none' }] };
/** As Mounted has it. */
const TTL_MS = 3000;
const LATER_MS = 10_000;

interface Entry {
  readonly name: string;
  readonly handle: Handle;
  readonly attributes: Attributes | undefined;
}

async function mounted(t: Test, options: MountedOptions, keys: readonly string[]): Promise<Mounted> {
  const m = await Mounted.start(options);
  t.teardown(() => m.end());
  for (const key of keys) m.store.putNow(key, Buffer.from('bytes'));
  m.clock.advance(LATER_MS);
  return m;
}

const files = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `${prefix}/f${String(at).padStart(5, '0')}`);

/** READDIRPLUS of all of a directory; the client does something of its own between calls. */
async function readdirplus(
  m: Mounted,
  directory: Handle,
  between: (call: number) => void = () => undefined,
): Promise<Entry[]> {
  const found: Entry[] = [];
  for (let cookie = 0n, call = 0; ; call++) {
    const page = await m.fs.readdir(m.context, directory, cookie, 100, 'attributes');
    for (const { name, attributes, handle } of page.entries) {
      if (name.toString().startsWith('.')) continue;
      if (handle === undefined) throw new Error(`no handle of ${name.toString()}`);
      found.push({ name: name.toString(), handle, attributes });
    }
    cookie = page.entries.at(-1)?.cookie ?? cookie;
    if (page.end) return found;
    between(call);
  }
}

/** READDIRPLUS, and GETATTR of what it didn't tell. */
async function longList(m: Mounted, directory: Handle, between?: (call: number) => void): Promise<Entry[]> {
  const found = await readdirplus(m, directory, between);
  for (const { handle, attributes } of found)
    if (attributes === undefined) await m.fs.getattr(m.context, handle);
  return found;
}

async function costOf(m: Mounted, action: () => Promise<unknown>): Promise<Record<string, number>> {
  const from = m.store.calls.length;
  await action();
  const counts: Record<string, number> = {};
  for (const { operation } of m.store.calls.slice(from)) counts[operation] = (counts[operation] ?? 0) + 1;
  return counts;
}

await t.test('`ls -l` asks for each page once, long after the root was looked at', async (t) => {
  const m = await mounted(t, NONE, files('d', 2500));
  const root = await m.root();
  await m.fs.getattr(m.context, root);
  m.clock.advance(LATER_MS);
  const cost = await costOf(m, async () => {
    const { handle } = await m.fs.lookup(m.context, root, Buffer.from('d'));
    t.equal((await longList(m, handle)).length, 2500);
  });
  t.strictSame(cost, { ListObjectsV2: 3 });
});

await t.test('`find` asks for each page once, however long it looks at a directory', async (t) => {
  const directories = Array.from({ length: 30 }, (_, at) => `tree/d${at}`);
  const m = await mounted(t, NONE, [
    ...directories.flatMap((each) => files(each, 10)),
    ...files('tree/d-large', 2500),
  ]);
  const root = await m.root();
  await readdirplus(m, root);
  m.clock.advance(LATER_MS);
  let found = 0;
  const cost = await costOf(m, async () => {
    const { handle } = await m.fs.lookup(m.context, root, Buffer.from('tree'));
    for (const each of await longList(m, handle)) {
      m.clock.advance(TTL_MS);
      found += (await longList(m, each.handle)).length;
    }
  });
  t.equal(found, 2800);
  t.strictSame(cost, { ListObjectsV2: 1 + 30 + 3 });
});

await t.test('with metadata on objects `find` asks for each directory once', async (t) => {
  const directories = Array.from({ length: 30 }, (_, at) => `tree/d${at}`);
  const m = await mounted(
    t,
    {},
    directories.flatMap((each) => files(each, 10)),
  );
  const root = await m.root();
  await readdirplus(m, root);
  m.clock.advance(LATER_MS);
  const cost = await costOf(m, async () => {
    const { handle } = await m.fs.lookup(m.context, root, Buffer.from('tree'));
    // As fts does: a directory is looked at right before it is read.
    for (const each of await readdirplus(m, handle)) {
      await m.fs.getattr(m.context, each.handle);
      await readdirplus(m, each.handle);
      m.clock.advance(TTL_MS);
    }
  });
  t.strictSame(cost, { ListObjectsV2: 1 + 30 });
});

await t.test(
  'none: a directory that nobody looked into has the times of its marker once somebody does',
  async (t) => {
    const m = await mounted(t, NONE, ['p/d/', 'p/d/f', 'p/e/f']);
    m.clock.advance(LATER_MS);
    const entries = new Map((await readdirplus(m, await m.at('p'))).map((entry) => [entry.name, entry]));
    for (const name of ['d', 'e']) {
      const { handle, attributes: listed } = entries.get(name) ?? {};
      if (handle === undefined || listed === undefined) throw new Error(`nothing was told of ${name}`);
      t.equal(listed.mode, 0o755);
      const cost = await costOf(m, async () => {
        t.same(await m.fs.getattr(m.context, handle), listed, 'GETATTR tells the same');
        t.same((await m.fs.access(m.context, handle)).attributes, listed);
        t.same(await m.stat(`p/${name}`), listed);
      });
      t.strictSame(cost, {});
      t.same(
        (await readdirplus(m, handle)).map((each) => each.name),
        ['f'],
      );
      const looked = await m.fs.getattr(m.context, handle);
      const markerMs = m.store.objects.get(`p/${name}/`)?.lastModifiedMs;
      t.equal(looked.mtimeNs, markerMs === undefined ? listed.mtimeNs : BigInt(markerMs) * 1_000_000n);
      t.equal(looked.ctimeNs > listed.ctimeNs, markerMs !== undefined);
    }
  },
);

await t.test('none: what others do with a directory is seen when the time to live has passed', async (t) => {
  const m = await mounted(t, NONE, ['p/d/f', 'p/gone/f']);
  const [d, gone] = await readdirplus(m, await m.at('p'));
  if (d === undefined || gone === undefined) throw new Error('two directories were put');
  await m.store.delete('p/gone/f', {});
  m.clock.advance(TTL_MS);
  await t.rejects(async () => m.fs.getattr(m.context, gone.handle), { code: 'ESTALE' });
  const looked = await m.fs.getattr(m.context, d.handle);
  m.store.putNow('p/d/g', Buffer.from('x'));
  m.clock.advance(TTL_MS);
  t.ok((await m.fs.getattr(m.context, d.handle)).ctimeNs > looked.ctimeNs);
});

await t.test('pages that grew too old to prove attributes are asked for again, and no HEAD', async (t) => {
  for (const options of [{}, NONE]) {
    const m = await mounted(t, options, [...files('d', 3500), ...files('small', 300)]);
    for (const [name, pages] of [
      ['d', 4],
      ['small', 1],
    ] as const) {
      await longList(m, await m.at(name));
      m.clock.advance(LATER_MS);
      const directory = await m.at(name);
      const cost = await costOf(m, () =>
        longList(m, directory, (call) => {
          if (call % 4 === 3) m.clock.advance(TTL_MS);
        }),
      );
      t.equal(cost['HeadObject'], undefined);
      const lists = cost['ListObjectsV2'] ?? 0;
      t.ok(lists >= pages - 1 && lists <= 4 * pages, `${lists} LISTs of ${pages} pages`);
    }
  }
});

await t.test('of a store without order no page is asked for again', async (t) => {
  const m = await mounted(t, { capabilities: { orderedListing: false } }, files('d', 1500));
  await longList(m, await m.at('d'));
  m.clock.advance(LATER_MS);
  const directory = await m.at('d');
  const cost = await costOf(m, () => readdirplus(m, directory, () => m.clock.advance(TTL_MS)));
  t.strictSame(cost, { ListObjectsV2: 2 });
});

await t.test('a first page that changed here since, or is too old, is asked for again', async (t) => {
  const m = await mounted(t, NONE, files('d', 1500));
  const directory = await m.at('d');
  const names = async (): Promise<string[]> => (await readdirplus(m, directory)).map(({ name }) => name);
  await m.fs.getattr(m.context, directory);
  m.clock.advance(1);
  await m.write('d/f00000-new', 'x');
  await m.remove('d/f00001');
  t.strictSame((await names()).slice(0, 3), ['f00000', 'f00000-new', 'f00002']);
  m.clock.advance(LATER_MS);
  await m.fs.getattr(m.context, directory);
  m.store.putNow('d/f00000-other', Buffer.from('x'));
  m.clock.advance(TTL_MS);
  t.equal((await names())[2], 'f00000-other');
});
