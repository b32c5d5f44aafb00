/**
 * A crash takes no handle from a file that lives. The journal and the log of names are two files: a kill may come when one of them has a
 * change and the other has not; and another kill while the first one's traces are seen to.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import { NodeTable } from '../../src/state/node-table.js';
import { StoreError } from '../../src/store/errors.js';
import type { StoreCall } from '../support/memory-store.js';
import type { Mounted } from './mounted.js';
import { JOURNAL, mounted } from './small-parts.js';

const VOLUME = 'memory/bucket';
const REQUESTS_MAX = 12;

/** Changes the log of names of a daemon that is down. */
async function withTable(m: Mounted, change: (table: NodeTable) => void): Promise<void> {
  const table = NodeTable.open(m.directory, { secret: await readFile(join(m.directory, 'secret')) });
  change(table);
  await table.close();
}

/** As if the kill had come before the log of names had heard of a rename, which the journal knows. */
const backTo = (m: Mounted, from: string, to: string): Promise<void> =>
  withTable(m, (table) => {
    const root = table.root(VOLUME).id;
    const id = table.childId(root, to) ?? 0n;
    table.move(id, root, from);
  });

await t.test('a rename that the journal knows and the log of names does not', async (t) => {
  for (const commit of [false, true]) {
    const m = await mounted(t, JOURNAL);
    const handle = await m.write('f', commit ? 'bytes' : '', { commit });
    await m.rename('f', 'g');
    await m.crash();
    await backTo(m, 'f', 'g');
    await m.open();
    t.same(await m.list(''), ['g']);
    t.equal(await m.read(handle), commit ? 'bytes' : '');
    t.same(await m.at('g'), handle);
  }
});

await t.test('renames in a circle that the journal knows and the log of names does not', async (t) => {
  const m = await mounted(t, JOURNAL);
  const a = await m.write('a', 'of a');
  const b = await m.write('b', 'of b');
  await m.rename('a', 'free');
  await m.rename('b', 'a');
  await m.rename('free', 'b');
  await m.crash();
  await withTable(m, (table) => {
    const root = table.root(VOLUME).id;
    const [aNow, bNow] = [table.childId(root, 'b') ?? 0n, table.childId(root, 'a') ?? 0n];
    table.move(aNow, root, 'free');
    table.move(bNow, root, 'b');
    table.move(aNow, root, 'a');
  });
  await m.open();
  t.equal(await m.read(a), 'of a');
  t.equal(await m.read(b), 'of b');
  t.same(await m.at('b'), a);
  t.same(await m.at('a'), b);
  t.same(m.bucket(), { a: 'of b', b: 'of a' });
});

await t.test('a file that took another one’s name, in the journal alone', async (t) => {
  const m = await mounted(t, JOURNAL);
  await m.write('target', 'old');
  await m.rest(60_000);
  const handle = await m.write('new', 'new');
  await m.rename('new', 'target');
  await m.crash();
  await withTable(m, (table) => {
    const root = table.root(VOLUME).id;
    const id = table.childId(root, 'target') ?? 0n;
    table.move(id, root, 'new');
    table.setFacts(table.intern(root, 'target').id, { k: 'f' });
  });
  await m.open();
  t.same(await m.list(''), ['target']);
  t.equal(await m.read(handle), 'new');
  t.same(await m.at('target'), handle);
  t.same(m.bucket(), { target: 'new' });
});

await t.test('a removal that the log of names knows and the journal does not', async (t) => {
  for (const bytes of ['', 'bytes']) {
    const m = await mounted(t, JOURNAL);
    await m.write('kept', 'kept');
    await m.write('f', bytes, { commit: bytes !== '' });
    const journal = await readFile(join(m.directory, 'journal'));
    await m.remove('f');
    await m.crash();
    await writeFile(join(m.directory, 'journal'), journal);
    await m.open();
    t.same(await m.list(''), ['kept'], 'nothing comes back under another handle');
    await m.rest(60_000);
    t.same(m.bucket(), { kept: 'kept' });
    await m.crash();
    await m.open();
    t.same(await m.list(''), ['kept'], 'nor at the start after that');
  }
});

interface Case {
  readonly before: (m: Mounted) => Promise<Readonly<Record<string, Handle>>>;
  readonly call: (m: Mounted) => Promise<unknown>;
  /** Which handle each name may have, by the names of before. */
  readonly allowed: readonly Readonly<Record<string, string>>[];
}

/** A crash at a request of the call, and one at a request of the start after it. True where neither came. */
async function crashTwice(t: Test, each: Case, at: number, again: number): Promise<[boolean, boolean]> {
  const m = await mounted(t, JOURNAL);
  const handles = await each.before(m);
  let requests = 0;
  const hung = new Promise<'hung'>((resolve) => {
    m.store.before = () => {
      if (++requests < at) return;
      resolve('hung');
      return new Promise<void>(() => undefined);
    };
  });
  const call = each.call(m).then(
    () => 'over' as const,
    () => 'over' as const,
  );
  const ended = await Promise.race([call, hung]);
  await m.crash();
  // The store has been out of reach since the request before: as far as it got, it was killed.
  let isCut = false;
  requests = 0;
  m.store.before = ({ operation }: StoreCall) => {
    if (++requests < again) return;
    isCut = true;
    throw new StoreError('unavailable', 'unreachable', { operation, bucket: 'bucket' });
  };
  let isOpen = false;
  const opening = m.open().then(
    () => m.crash(),
    () => undefined,
  );
  void opening.then(() => (isOpen = true));
  while (!isOpen) {
    m.clock.advance(100);
    await setImmediate();
  }
  m.store.before = undefined;
  await m.open();
  await m.rest(60_000);
  const found: Record<string, string> = {};
  for (const name of await m.list('')) {
    const handle = await m.at(name);
    await m.read(handle);
    found[name] = Object.keys(handles).find((known) => handles[known]?.equals(handle)) ?? 'unknown';
  }
  const allowed = each.allowed.some((state) => same(state, found));
  t.ok(allowed, `request ${at}, then ${again}: ${JSON.stringify(found)}`);
  return [ended === 'over', isCut];
}

const same = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean =>
  JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());

async function crashEverywhere(t: Test, each: Case): Promise<void> {
  for (let at = 1; at <= REQUESTS_MAX; at++) {
    let isOver = false;
    for (let again = 1; again <= REQUESTS_MAX; again++) {
      const [over, isCut] = await crashTwice(t, each, at, again);
      isOver = over;
      if (!isCut) break;
    }
    if (isOver) break;
  }
}

await t.test('two crashes around a rename over a file: handles stay', async (t) => {
  for (const rested of [false, true]) {
    await crashEverywhere(t, {
      before: async (m) => {
        const target = await m.write('target', 'old');
        if (rested) await m.rest(60_000);
        const source = await m.write('source', 'new');
        return { source, target };
      },
      call: (m) => m.rename('source', 'target'),
      allowed: [{ source: 'source', target: 'target' }, { target: 'source' }],
    });
  }
});

await t.test('two crashes around a rename of an object: handles stay', async (t) => {
  await crashEverywhere(t, {
    before: async (m) => {
      const source = await m.write('source', 'bytes');
      await m.rest(60_000);
      await m.fs.write(m.context, source, 0, Buffer.from('other'), 'unstable');
      await m.fs.commit(m.context, source);
      return { source };
    },
    call: (m) => m.rename('source', 'target'),
    allowed: [{ source: 'source' }, { target: 'source' }],
  });
});

await t.test('two crashes around a publication: handles stay', async (t) => {
  await crashEverywhere(t, {
    before: async (m) => {
      const empty = await m.write('empty', '', { commit: false });
      const f = await m.write('f', 'bytes');
      return { empty, f };
    },
    call: async (m) => m.rest(60_000),
    allowed: [{ empty: 'empty', f: 'f' }],
  });
});
