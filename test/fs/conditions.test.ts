/** What somebody else wrote since the daemon last looked is neither deleted nor overwritten by REMOVE and RENAME without a word. */
import t, { type Test } from 'tap';
import { DIRECTORY_CAPABILITIES } from '../support/memory-store.js';
import { callUntilHungIn } from './hold.js';
import { codeOf, Mounted, type MountedOptions } from './mounted.js';

async function mounted(t: Test, options: MountedOptions = {}): Promise<Mounted> {
  const m = await Mounted.start(options);
  t.teardown(() => m.end());
  return m;
}

const put = (m: Mounted, key: string, text: string): unknown => m.store.putNow(key, Buffer.from(text));

/** The log named the key once, as a warning. */
const warned = (m: Mounted, key: string): boolean =>
  m.logged.filter((line) => line['key'] === key && /somebody else/.test(String(line['msg']))).length === 1;

await t.test(
  'REMOVE of what somebody else replaced meanwhile leaves theirs and says so; the next one removes it',
  async (t) => {
    const m = await mounted(t);
    await m.write('f', 'ours');
    put(m, 'f', 'theirs');
    const from = m.store.calls.length;
    t.equal(await codeOf(m.remove('f')), 'EIO');
    t.same(m.callsSince(from), ['DeleteObject f'], 'one request, as without a condition');
    t.same(m.bucket(), { f: 'theirs' });
    t.ok(warned(m, 'f'));
    t.equal(await m.read('f'), 'theirs', 'seen at once');
    await m.remove('f');
    t.same(m.bucket(), {});
  },
);

await t.test(
  'REMOVE of a file with unpublished changes that somebody else replaced keeps both',
  async (t) => {
    const m = await mounted(t);
    const handle = await m.write('f', 'ours');
    await m.fs.write(m.context, handle, 0, Buffer.from('OURS'), 'unstable');
    put(m, 'f', 'theirs');
    t.equal(await codeOf(m.remove('f')), 'EIO');
    t.equal(m.bucket()['f'], 'theirs');
    t.same(Object.values(m.bucket()).sort(), ['OURS', 'theirs']);
    t.equal(await m.read('f'), 'theirs');
    await m.remove('f');
    t.same(Object.values(m.bucket()), ['OURS']);
  },
);

await t.test('REMOVE of what somebody else removed meanwhile succeeds', async (t) => {
  const m = await mounted(t);
  await m.write('f', 'ours');
  m.store.objects.delete('f');
  await m.remove('f');
  t.same(await m.list(''), []);
});

const BUCKETS: readonly MountedOptions[] = [{}, { capabilities: DIRECTORY_CAPABILITIES }];

await t.test(
  'a RENAME to a name that is free never overwrites what somebody else puts there meanwhile',
  async (t) => {
    for (const options of BUCKETS) {
      const m = await mounted(t, options);
      await m.write('a', 'ours');
      t.equal(await codeOf(m.at('b')), 'ENOENT');
      put(m, 'b', 'theirs');
      t.equal(await codeOf(m.rename('a', 'b')), 'EIO');
      t.same(m.bucket(), { a: 'ours', b: 'theirs' });
      t.ok(warned(m, 'b'));
      t.equal(await m.read('b'), 'theirs', 'seen at once');
      await m.rename('a', 'b');
      t.same(m.bucket(), { b: 'ours' });
    }
  },
);

await t.test('a RENAME over what somebody else replaced meanwhile leaves theirs and says so', async (t) => {
  for (const options of BUCKETS) {
    const m = await mounted(t, options);
    await m.write('a', 'ours');
    await m.write('b', 'old');
    put(m, 'b', 'theirs');
    t.equal(await codeOf(m.rename('a', 'b')), 'EIO');
    t.same(m.bucket(), { a: 'ours', b: 'theirs' });
    t.ok(warned(m, 'b'));
    await m.rename('a', 'b');
    t.same(m.bucket(), { b: 'ours' });
  }
});

await t.test('a RENAME of what somebody else replaced meanwhile moves theirs', async (t) => {
  for (const options of BUCKETS) {
    const m = await mounted(t, options);
    await m.write('a', 'ours');
    put(m, 'a', 'theirs');
    await m.rename('a', 'b');
    t.same(m.bucket(), { b: 'theirs' });
    t.equal(await m.read('b'), 'theirs');
  }
});

await t.test(
  'a RENAME over a file with unpublished changes that somebody else replaced keeps all',
  async (t) => {
    const m = await mounted(t);
    await m.write('a', 'ours');
    const handle = await m.write('b', 'old');
    await m.fs.write(m.context, handle, 0, Buffer.from('OLD'), 'unstable');
    put(m, 'b', 'theirs');
    t.equal(await codeOf(m.rename('a', 'b')), 'EIO');
    t.same(Object.values(m.bucket()).sort(), ['OLD', 'ours', 'theirs']);
    await m.rename('a', 'b');
    t.equal(m.bucket()['b'], 'ours');
    t.same(Object.values(m.bucket()).sort(), ['OLD', 'ours']);
  },
);

/** A rename, and a crash before or after its CopyObject or RenameObject. */
async function crashInRename(m: Mounted, when: 'before' | 'after'): Promise<void> {
  await callUntilHungIn(m, when, ['CopyObject', 'RenameObject'], () => m.rename('source', 'target'));
  await m.crash();
  m.store[when] = undefined;
}

await t.test(
  'after a crash in the middle of a RENAME what somebody else put at the new name stays',
  async (t) => {
    for (const options of BUCKETS) {
      for (const before of ['free', 'taken'] as const) {
        const m = await mounted(t, options);
        await m.write('source', 'ours');
        if (before === 'taken') await m.write('target', 'old');
        await crashInRename(m, 'before');
        put(m, 'target', 'theirs');
        await m.open();
        t.same(m.bucket(), { source: 'ours', target: 'theirs' }, before);
        t.same(await m.list(''), ['source', 'target']);
        t.equal(await m.read('source'), 'ours');
        t.equal(await m.read('target'), 'theirs');
        t.ok(m.logged.some((line) => line['key'] === 'target' && /keeps its name/.test(String(line['msg']))));
        await m.rename('source', 'target');
        t.same(m.bucket(), { target: 'ours' }, 'the next one replaces it, as any');
      }
    }
  },
);

await t.test('… and a RENAME over what was there when it began is finished', async (t) => {
  for (const options of BUCKETS) {
    for (const before of ['free', 'taken', 'removed meanwhile'] as const) {
      const m = await mounted(t, options);
      await m.write('source', 'ours');
      if (before !== 'free') await m.write('target', 'old');
      await crashInRename(m, 'before');
      if (before === 'removed meanwhile') m.store.objects.delete('target');
      await m.open();
      t.same(m.bucket(), { target: 'ours' }, before);
      t.equal(await m.read('target'), 'ours');
      t.same(await m.list(''), ['target']);
    }
  }
});

await t.test('a copy of before the crash that has another ETag is known by its bytes', async (t) => {
  const bytes = 'p'.repeat(1000);
  for (const whose of ['ours', 'theirs'] as const) {
    const m = await mounted(t, {
      capabilities: { partBytesMin: 256 },
      writeOptions: { partBytes: 256, putBytesMax: 256 },
    });
    await m.write('source', bytes);
    await crashInRename(m, 'after');
    const copy = m.store.objects.get('target');
    t.not(copy?.etag, m.store.objects.get('source')?.etag);
    const theirs = `${bytes.slice(1)}q`;
    if (whose === 'theirs') m.store.putNow('target', Buffer.from(theirs), copy?.headers);
    await m.open();
    t.same(m.bucket(), whose === 'ours' ? { target: bytes } : { source: bytes, target: theirs }, whose);
  }
});
