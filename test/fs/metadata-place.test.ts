/** `--metadata state` and `none`: modes, owners and times that are kept off the objects. */
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import { StoreError } from '../../src/store/errors.js';
import { callUntilHung } from './hold.js';
import { codeOf, Mounted, type MountedOptions } from './mounted.js';

const STATE: MountedOptions = { exports: [{ metadata: 'state' }] };
const NONE: MountedOptions = { exports: [{ metadata: 'none' }] };
/** Seconds that no clock of a test shows. */
const LONG_AGO_NS = 1_000_000_000_123_456_789n;
const REQUESTS_MAX = 12;

async function mounted(t: Test, options: MountedOptions): Promise<Mounted> {
  const m = await Mounted.start(options);
  t.teardown(() => m.end());
  return m;
}

const shown = async (m: Mounted, path: string): Promise<unknown> => {
  const { mode, uid, gid, mtimeNs, atimeNs } = await m.stat(path);
  return { mode, uid, gid, mtimeNs, atimeNs };
};
const SET = { mode: 0o4711, uid: 7, gid: 8, mtimeNs: LONG_AGO_NS, atimeNs: LONG_AGO_NS + 1n };

async function setAll(m: Mounted, path: string): Promise<void> {
  await m.fs.setattr(m.context, await m.at(path), SET);
}

const metadataOf = (m: Mounted, key: string): unknown => m.store.objects.get(key)?.headers.metadata;

await t.test('modes, owners and times that are set cost no request and are not on the objects', async (t) => {
  for (const options of [STATE, NONE]) {
    const m = await mounted(t, options);
    await m.mkdir('d');
    await m.write('d/f', 'bytes');
    for (const path of ['d/f', 'd']) {
      await m.stat(path);
      const from = m.store.calls.length;
      await setAll(m, path);
      await m.rest();
      t.same(m.callsSince(from), [], path);
      t.same(await shown(m, path), SET);
    }
    t.same(metadataOf(m, 'd/f'), {});
    t.same(metadataOf(m, 'd/'), {});
  }
});

await t.test('they hold over time and restarts, for this daemon alone', async (t) => {
  for (const options of [STATE, NONE]) {
    const m = await mounted(t, options);
    const other = await mounted(t, { ...options, store: m.store });
    await m.mkdir('d');
    await m.write('d/f', 'bytes');
    for (const path of ['d/f', 'd']) await setAll(m, path);
    for (const restart of ['crash', 'stop'] as const) {
      m.clock.advance(60_000);
      for (const path of ['d/f', 'd']) t.same(await shown(m, path), SET, path);
      await m[restart]();
      await m.open();
      for (const path of ['d/f', 'd']) t.same(await shown(m, path), SET, `${path} after ${restart}`);
    }
    t.equal((await other.stat('d/f')).mode, 0o644);
  }
});

await t.test('a rename takes them along, of a file and of the directory above', async (t) => {
  for (const options of [STATE, NONE]) {
    const m = await mounted(t, options);
    await m.mkdir('d');
    await m.write('d/f', 'bytes');
    await setAll(m, 'd/f');
    await m.rename('d/f', 'd/g');
    m.clock.advance(10_000);
    t.same(await shown(m, 'd/g'), SET);
    await m.rename('d', 'e');
    m.clock.advance(10_000);
    t.same(await shown(m, 'e/g'), SET);
  }
});

await t.test(
  'what another S3 user puts at the key keeps mode and owner, and has its own times',
  async (t) => {
    for (const options of [STATE, NONE]) {
      const m = await mounted(t, options);
      await m.write('f', 'bytes');
      await setAll(m, 'f');
      m.clock.advance(10_000);
      await m.store.put('f', [Buffer.from('theirs')], { metadata: {} });
      m.clock.advance(10_000);
      const { mode, uid, mtimeNs } = await m.stat('f');
      t.same({ mode, uid }, { mode: SET.mode, uid: SET.uid });
      t.equal(mtimeNs, BigInt(m.store.objects.get('f')?.lastModifiedMs ?? 0) * 1_000_000n);
      t.equal(await m.read('f'), 'theirs');
    }
  },
);

await t.test(
  'state: metadata found on objects is understood; rewrites keep it, without times of before',
  async (t) => {
    const m = await mounted(t, STATE);
    const found = { 'file-permissions': '0100750', 'file-owner': '5', color: 'red' };
    await m.store.put('f', [Buffer.from('bytes')], {
      metadata: { ...found, 'file-mtime': `${LONG_AGO_NS}ns`, mtime: '1000000000' },
    });
    const { mode, uid, mtimeNs } = await m.stat('f');
    t.same({ mode, uid, mtimeNs }, { mode: 0o750, uid: 5, mtimeNs: LONG_AGO_NS });
    await m.fs.write(m.context, await m.at('f'), 0, Buffer.from('B'), 'fileSync');
    t.same(metadataOf(m, 'f'), found);
    t.ok((await m.stat('f')).mtimeNs > LONG_AGO_NS);
    t.equal((await m.stat('f')).mode, 0o750);
  },
);

await t.test('state: a symlink is an object that says so, and nothing else', async (t) => {
  const m = await mounted(t, STATE);
  await m.fs.symlink(m.context, await m.root(), Buffer.from('l'), Buffer.from('target'), { uid: 9 });
  t.same(metadataOf(m, 'l'), { 'file-permissions': '0120777' });
  m.clock.advance(10_000);
  await m.crash();
  await m.open();
  const { type, uid } = await m.stat('l');
  t.same({ type, uid }, { type: 'symlink', uid: 9 });
  t.equal((await m.fs.readlink(m.context, await m.at('l'))).target.toString(), 'target');
});

await t.test('none: there are no symlinks', async (t) => {
  const m = await mounted(t, NONE);
  const symlink = m.fs.symlink(m.context, await m.root(), Buffer.from('l'), Buffer.from('target'), {});
  t.equal(await codeOf(symlink), 'ENOTSUP');
  t.same(m.bucket(), {});
});

await t.test('none: a listing tells attributes of every file, without a HEAD', async (t) => {
  const m = await mounted(t, NONE);
  const metadata = { 'file-permissions': '0100600', 'file-mtime': `${LONG_AGO_NS}ns` };
  for (let at = 0; at < 1500; at++) await m.store.put(`d/${at}`, [Buffer.from('bytes')], { metadata });
  m.clock.advance(10_000);
  const directory = await m.at('d');
  let from = m.store.calls.length;
  let told = 0;
  let same = 0;
  for (let cookie = 0n, end = false; !end;) {
    const page = await m.fs.readdir(m.context, directory, cookie, 200);
    for (const { name, attributes, handle } of page.entries) {
      if (name.toString().startsWith('.')) continue;
      told += attributes?.size === 5 && attributes.mode === 0o644 && attributes.type === 'file' ? 1 : 0;
      if (handle === undefined) continue;
      same += isDeepStrictEqual(await m.fs.getattr(m.context, handle), attributes) ? 1 : 0;
    }
    cookie = page.entries.at(-1)?.cookie ?? cookie;
    ({ end } = page);
  }
  t.equal(told, 1500);
  t.equal(same, 1500, 'GETATTR tells the same');
  t.same([...new Set(m.callsSince(from))], ['ListObjectsV2 d/']);
  m.clock.advance(10_000);
  // What lies in a listed directory is looked up without one, too.
  await m.store.put('small/f', [Buffer.from('bytes')], { metadata });
  await m.list('small');
  from = m.store.calls.length;
  t.equal((await m.stat('small/f')).size, 5);
  t.same(m.callsSince(from), []);
});

await t.test('none: a listing from before a change made here tells nothing of the file', async (t) => {
  const m = await mounted(t, NONE);
  for (let at = 1000; at < 2500; at++) await m.store.put(`d/${at}`, [Buffer.from('old')], { metadata: {} });
  const directory = await m.at('d');
  await m.fs.readdir(m.context, directory, 0n, 10);
  m.clock.advance(1);
  await m.write('d/1500', 'larger than before');
  await m.rename('d/1501', 'd/1502');
  await m.fs.setattr(m.context, await m.at('d/1503'), { size: 1 });
  await m.rest();
  const sizes = new Map<string, number | undefined>();
  for (let cookie = 0n, end = false; !end;) {
    const page = await m.fs.readdir(m.context, directory, cookie, 100);
    for (const { name, attributes } of page.entries) sizes.set(name.toString(), attributes?.size);
    cookie = page.entries.at(-1)?.cookie ?? cookie;
    ({ end } = page);
  }
  t.equal(sizes.get('1500'), 18);
  t.equal(sizes.get('1501'), undefined);
  t.equal(sizes.get('1502'), 3);
  t.equal(sizes.get('1503'), 1);
  t.equal(await m.read('d/1500'), 'larger than before');
});

await t.test('none: what is replaced while it is read is read in its new version', async (t) => {
  const m = await mounted(t, NONE);
  await m.store.put('d/f', [Buffer.from('old bytes')], { metadata: {} });
  await m.list('d');
  const file = await m.at('d/f');
  await m.store.put('d/f', [Buffer.from('new')], { metadata: {} });
  t.equal(await m.read(file), 'new');
  t.equal((await m.stat('d/f')).size, 3);
});

await t.test('what a client was answered survives a crash at any request', async (t) => {
  for (const options of [STATE, NONE]) {
    for (const when of ['before', 'after'] as const) {
      let isOver = false;
      for (let request = 1; request <= REQUESTS_MAX && !isOver; request++) {
        const m = await Mounted.start(options);
        await m.at('');
        const directory = await m.root();
        const attributes = { mode: 0o711, uid: 7, gid: 8, mtimeNs: LONG_AGO_NS };
        const created = await m.fs.create(m.context, directory, Buffer.from('f'), {
          how: 'unchecked',
          attributes,
        });
        await m.fs.write(m.context, created.handle, 0, Buffer.from('bytes'), 'unstable');
        await m.fs.setattr(m.context, created.handle, { mtimeNs: LONG_AGO_NS });
        isOver =
          (await callUntilHung(m, when, request, () => m.fs.commit(m.context, created.handle))) === 'over';
        await setImmediate();
        await m.crash();
        m.store[when] = undefined;
        await m.open();
        const { mode, uid, gid } = await m.stat('f');
        t.same({ mode, uid, gid }, { mode: 0o711, uid: 7, gid: 8 }, `${when} request ${request}`);
        if (isOver) t.equal((await m.stat('f')).mtimeNs, LONG_AGO_NS);
        if (isOver) t.equal(await m.read('f'), 'bytes');
        await m.end();
      }
      t.ok(isOver, 'every request was tried');
    }
  }
});

await t.test(
  'an answer that is lost: ours is known by its bytes, theirs of the same size stays',
  async (t) => {
    for (const whose of ['ours', 'theirs'] as const) {
      const m = await mounted(t, STATE);
      const file = await m.write('f', '12345', { commit: false });
      let isLost = false;
      m.store[whose === 'ours' ? 'after' : 'before'] = ({ operation }) => {
        if (operation !== 'PutObject' || isLost) return;
        isLost = true;
        if (whose === 'theirs') m.store.putNow('f', Buffer.from('54321'));
        throw new StoreError('unavailable', 'reset', { operation, bucket: 'bucket' });
      };
      t.equal(await codeOf(m.fs.commit(m.context, file)), 'EJUKEBOX');
      m.store.before = undefined;
      t.equal(await codeOf(m.fs.commit(m.context, file)), whose === 'ours' ? 'none' : 'EIO');
      t.equal(m.bucket()['f'], whose === 'ours' ? '12345' : '54321');
      const kept = Object.entries(m.bucket()).filter(([key]) => key.includes('conflict'));
      t.same(
        kept.map(([, bytes]) => bytes),
        whose === 'ours' ? [] : ['12345'],
      );
    }
  },
);

await t.test('of exports that share a bucket the one that keeps objects cleanest holds', async (t) => {
  const m = await mounted(t, {
    exports: [{}, { path: '/clean', prefix: 'clean/', metadata: 'state' }],
  });
  await m.write('f', 'bytes');
  t.same(metadataOf(m, 'f'), {});
});

await t.test('with objects again, what is set is on the objects again', async (t) => {
  for (const options of [STATE, NONE]) {
    const m = await mounted(t, options);
    await m.store.put('theirs', [Buffer.from('bytes')], { metadata: { 'file-permissions': '0100700' } });
    await m.write('f', 'bytes');
    await setAll(m, 'f');
    m.clock.advance(10_000);
    await m.list('');
    await m.stat('theirs');
    await m.crash();
    await m.open({ exports: [{}] });
    await m.list('');
    t.equal((await m.stat('theirs')).mode, 0o700, 'what the object says is looked at');
    t.equal((await m.stat('f')).mode, 0o644, 'what the state directory alone had is not taken over');
    await setAll(m, 'f');
    await m.rest();
    t.match(metadataOf(m, 'f'), { 'file-permissions': '0104711', 'file-mtime': `${LONG_AGO_NS}ns` });
  }
});
