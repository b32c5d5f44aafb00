/** Many files made and removed in one directory: what is asked of the store, and what is seen while LISTs of it are under way. */
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import fc from '../support/fast-check.js';
import pLimit from 'p-limit';
import type { MemoryStore } from '../support/memory-store.js';
import { callerOf, codeOf, Mounted, type MountedOptions } from './mounted.js';

const TTL_MS = 1000;

async function mounted(t: Test, options: MountedOptions = {}): Promise<Mounted> {
  const m = await Mounted.start({ metadataTtlMs: TTL_MS, ...options });
  t.teardown(() => m.end());
  return m;
}

const put = (m: Mounted, key: string, text = 'theirs'): unknown => m.store.putNow(key, Buffer.from(text));

/** How many calls of each operation there were since `from`. */
function counts(store: MemoryStore, from: number): Record<string, number> {
  const seen: Record<string, number> = {};
  for (const { operation } of store.calls.slice(from)) seen[operation] = (seen[operation] ?? 0) + 1;
  return seen;
}

/** Does `each` with 0 to `count` - 1, eight at a time. With every hundredth a little more than half of the time to live passes. */
async function burst(m: Mounted, count: number, each: (index: number) => Promise<void>): Promise<void> {
  const eight = pLimit(8);
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      eight(async () => {
        if (index % 100 === 99) m.clock.advance(TTL_MS / 2 + 1);
        await each(index);
      }),
    ),
  );
}

await t.test('files are made at a PUT each, and a LIST each time to live', async (t) => {
  const m = await mounted(t);
  const directory = await m.mkdir('d');
  // A LIST takes as long as other calls do: while it is under way, files come into being.
  m.store.after = async ({ operation }) => {
    const puts = m.store.countOf('PutObject');
    for (let turn = 0; operation === 'ListObjectsV2' && turn < 500; turn++)
      if (m.store.countOf('PutObject') === puts) await setImmediate();
  };
  const from = m.store.calls.length;
  await burst(m, 400, async (index) => {
    const mode = { how: 'unchecked', attributes: {} } as const;
    const { handle } = await m.fs.create(m.context, directory, Buffer.from(`f-${index}`), mode);
    await m.fs.write(m.context, handle, 0, Buffer.from('content'), 'unstable');
    await m.fs.commit(m.context, handle);
  });
  const { PutObject, ListObjectsV2 = 0, HeadObject = 0, ...others } = counts(m.store, from);
  t.equal(PutObject, 400);
  t.ok(ListObjectsV2 <= 3, `${ListObjectsV2} LISTs in two times to live`);
  t.ok(HeadObject <= 1, `${HeadObject} HEADs: of the marker`);
  t.same(others, {});
});

await t.test('files are removed at a DELETE each, and a LIST each time to live', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  for (let index = 0; index < 400; index++) put(m, `d/f-${index}`);
  m.clock.advance(60_000);
  const from = m.store.calls.length;
  await burst(m, 400, (index) => m.remove(`d/f-${index}`));
  const { DeleteObject, ListObjectsV2 = 0, HeadObject = 0, ...others } = counts(m.store, from);
  t.equal(DeleteObject, 400);
  t.ok(ListObjectsV2 <= 6, `${ListObjectsV2} LISTs, of root and directory, in three times to live`);
  t.ok(HeadObject <= 8 * 3, `${HeadObject} HEADs: of those under way when a time to live passed`);
  t.same(others, {});
  t.same(m.bucket(), { 'd/': '' });
});

await t.test(
  'a large directory is emptied in the order of its listing at a DELETE each, and a LIST each time to live',
  async (t) => {
    const m = await mounted(t);
    const names = Array.from({ length: 1500 }, (_, index) => `f-${String(index).padStart(5, '0')}`);
    for (const name of names) put(m, `d/${name}`);
    put(m, 'd/', '');
    t.equal((await m.list('d', 1000)).length, 1500);
    const directory = await m.at('d');
    const from = m.store.calls.length;
    await burst(m, 1500, (index) =>
      m.fs.remove(m.context, directory, Buffer.from(names[index] ?? '')).then(() => undefined),
    );
    const { DeleteObject, ListObjectsV2 = 0, HeadObject = 0, ...others } = counts(m.store, from);
    t.equal(DeleteObject, 1500);
    t.ok(HeadObject <= 8 * 8, `${HeadObject} HEADs: of those under way when a time to live passed`);
    t.ok(ListObjectsV2 <= 10, `${ListObjectsV2} LISTs in eight times to live`);
    t.same(others, {});
    t.same(m.bucket(), { 'd/': '' });
  },
);

await t.test('what others put and take away during a burst is seen after a time to live', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  const names: string[] = [];
  for (let index = 0; index < 20; index++) {
    await m.write(`d/f-${index}`, 'content');
    names.push(`f-${index}`);
    put(m, `d/t-${index}`);
    m.store.objects.delete(`d/t-${index - 1}`);
    m.clock.advance(TTL_MS);
    t.same((await m.list('d')).sort(), [...names, `t-${index}`].sort());
    t.equal(await codeOf(m.at(`d/t-${index - 1}`)), 'ENOENT');
    t.equal(await m.read(`d/t-${index}`), 'theirs');
  }
});

await t.test('a file that was listed is removed as the version that was listed, and no other', async (t) => {
  const m = await mounted(t);
  put(m, 'f', 'one');
  put(m, 'g', 'one');
  t.same(await m.list(''), ['f', 'g']);
  put(m, 'f', 'two');
  const from = m.store.calls.length;
  t.equal(await codeOf(m.remove('f')), 'EIO');
  t.same(counts(m.store, from), { DeleteObject: 1 });
  t.equal(m.bucket()['f'], 'two');
  t.equal(await m.read('f'), 'two');
  await m.remove('f');
  await m.remove('g');
  t.same(m.bucket(), {});
});

await t.test(
  'of a file that was looked at before it was replaced the version that was listed since goes',
  async (t) => {
    const m = await mounted(t);
    put(m, 'f', 'one');
    t.equal(await m.read('f'), 'one');
    put(m, 'f', 'two');
    m.clock.advance(TTL_MS);
    t.same(await m.list(''), ['f']);
    const from = m.store.calls.length;
    await m.remove('f');
    t.same(counts(m.store, from), { DeleteObject: 1 });
    t.same(m.bucket(), {});
  },
);

await t.test('with a time to live of 0 REMOVE looks at what it takes away', async (t) => {
  const m = await mounted(t, { metadataTtlMs: 0 });
  put(m, 'f', 'one');
  t.same(await m.list(''), ['f']);
  put(m, 'f', 'two');
  await m.remove('f');
  t.same(m.bucket(), {});
});

await t.test('in a sticky directory the owner of a file that was listed decides', async (t) => {
  const m = await mounted(t);
  await m.fs.setattr(m.context, await m.mkdir('d'), { mode: 0o1777 });
  const metadata = { 'file-owner': '7', 'file-group': '7', 'file-permissions': '0100644' };
  m.store.putNow('d/f', Buffer.from('theirs'), { metadata });
  m.clock.advance(TTL_MS);
  const directory = await m.at('d');
  await m.list('d');
  t.equal(await codeOf(m.fs.remove(callerOf(8), directory, Buffer.from('f'))), 'EPERM');
  t.same(m.bucket(), { 'd/': '', 'd/f': 'theirs' });
  await m.fs.remove(callerOf(7), directory, Buffer.from('f'));
  t.same(m.bucket(), { 'd/': '' });
});

await t.test('a directory that was listed is not removed by REMOVE', async (t) => {
  const m = await mounted(t);
  put(m, 'd/f');
  t.same(await m.list(''), ['d']);
  t.equal(await codeOf(m.remove('d')), 'EISDIR');
  t.same(m.bucket(), { 'd/f': 'theirs' });
});

await t.test('attributes that a listing proves need no HEAD after a restart', async (t) => {
  const m = await mounted(t);
  put(m, 'f');
  m.clock.advance(10_000);
  await m.stat('f');
  await m.stop();
  await m.open();
  await m.list('');
  const from = m.store.calls.length;
  t.equal((await m.stat('f')).size, 6);
  t.same(counts(m.store, from), {});
});

type Kind = 'file' | 'directory' | undefined;
const STEPS = ['write', 'create', 'symlink', 'mkdir', 'remove', 'rename', 'pass'] as const;
const NAMES = [0, 1, 2] as const;

const steps = fc.array(
  fc.record({
    what: fc.constantFrom(...STEPS),
    name: fc.constantFrom(...NAMES),
    other: fc.constantFrom(...NAMES),
  }),
  { maxLength: 8 },
);

/** Does the steps with names of its own, and looks after each one at what is there. */
async function lane(
  m: Mounted,
  own: string,
  each: typeof steps extends fc.Arbitrary<infer S> ? S : never,
): Promise<void> {
  const kinds = new Map<string, Kind>();
  const root = await m.root();
  for (const { what, name: number, other: otherNumber } of each) {
    const [name, other] = [`${own}${number}`, `${own}${otherNumber}`];
    const [kind, otherKind] = [kinds.get(name), kinds.get(other)];
    if (what === 'pass') m.clock.advance(TTL_MS);
    else if (what === 'remove' && kind === 'file') {
      await m.remove(name);
      kinds.set(name, undefined);
    } else if (what === 'remove' && kind === 'directory') {
      await m.fs.rmdir(m.context, root, Buffer.from(name));
      kinds.set(name, undefined);
    } else if (what === 'rename' && kind !== undefined && name !== other) {
      if (otherKind !== undefined && otherKind !== kind) continue;
      await m.rename(name, other);
      kinds.set(name, undefined);
      kinds.set(other, kind);
    } else if (kind === undefined && (what === 'write' || what === 'create')) {
      await m.write(name, 'content', { commit: what === 'write' });
      kinds.set(name, 'file');
    } else if (kind === undefined && what === 'symlink') {
      await m.fs.symlink(m.context, root, Buffer.from(name), Buffer.from('target'), {});
      kinds.set(name, 'file');
    } else if (kind === undefined && what === 'mkdir') {
      await m.mkdir(name);
      kinds.set(name, 'directory');
    }
    for (const each of NAMES) {
      const code = await codeOf(m.at(`${own}${each}`));
      const expected = kinds.get(`${own}${each}`) === undefined ? 'ENOENT' : 'none';
      if (code !== expected) throw new Error(`${own}${each} after ${what} ${name}: ${code}, not ${expected}`);
    }
  }
}

await t.test(
  'whatever LISTs are under way, what is made here is there and what is removed here is not',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.tuple(steps, steps, steps), async (scheduler, lanes) => {
        const m = await Mounted.start({ metadataTtlMs: TTL_MS });
        try {
          put(m, 'theirs');
          // The store takes each call at one instant, between question and answer.
          m.store.before = async (call) => scheduler.schedule(Promise.resolve(), `${call.operation} begins`);
          m.store.after = async (call) => scheduler.schedule(Promise.resolve(), `${call.operation} ends`);
          await scheduler.waitFor(
            Promise.all(lanes.map((each, index) => lane(m, 'abc'.charAt(index), each))),
          );
          // What nobody waits for may have begun with the last step.
          await scheduler.waitFor(m.rest());
          m.store.before = undefined;
          m.store.after = undefined;
          m.clock.advance(TTL_MS);
          const there = new Set(Object.keys(m.bucket()).map((key) => key.replace(/\/$/, '')));
          const seen = await m.list('');
          if ([...there].sort().join() !== [...seen].sort().join())
            throw new Error(`listed ${seen.join()}; in the bucket ${[...there].join()}`);
        } finally {
          m.store.before = undefined;
          m.store.after = undefined;
          await scheduler.waitFor(m.end());
        }
      }),
      { numRuns: 25 },
    );
  },
);
