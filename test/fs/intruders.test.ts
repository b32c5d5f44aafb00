/** Another S3 user at the worst moment: each found by the random histories of external.test.ts or by reading. */
import t, { type Test } from 'tap';
import { Mounted, callerOf, codeOf, type MountedOptions } from './mounted.js';

async function mounted(test: Test, options: MountedOptions = {}): Promise<Mounted> {
  const m = await Mounted.start(options);
  test.teardown(() => m.end());
  return m;
}

await t.test('a directory that others emptied stays while a file below it is not published', async (t) => {
  const m = await mounted(t);
  m.store.putNow('d/e/f', Buffer.from('theirs'));
  const handle = await m.at('d/e/f');
  await m.fs.write(m.context, handle, 0, Buffer.from('OURS'), 'unstable');
  m.store.objects.delete('d/e/f');
  m.clock.advance(3001);
  const root = await m.root();
  t.equal(await codeOf(m.fs.rmdir(m.context, await m.at('d'), Buffer.from('e'))), 'ENOTEMPTY');
  t.equal(await codeOf(m.fs.rmdir(m.context, root, Buffer.from('d'))), 'ENOTEMPTY');
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
  await m.rest(60_000);
  await m.stop();
  t.equal(m.budget.usedBytes, 0);
});

await t.test('a file that others made a directory keeps what is not published', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'first');
  await m.write('g', 'g');
  await m.fs.write(m.context, handle, 0, Buffer.from('SECOND'), 'unstable');
  m.store.putNow('f/below', Buffer.from('theirs'));
  m.clock.advance(3001);
  t.strictSame(await m.list('', 1), ['f', 'g'], 'the scan goes on behind it');
  t.equal(await m.read(handle), 'SECOND');
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'none');
  t.strictSame(m.bucket(), { f: 'SECOND', 'f/below': 'theirs', g: 'g' });
  m.clock.advance(3001);
  t.strictSame(await m.list('', 1), ['f', 'g']);
  t.equal((await m.stat('f')).type, 'directory');
  await m.stop();
  t.equal(m.budget.usedBytes, 0);
});

await t.test("an export's root stays though others put an object at its name", async (t) => {
  const m = await mounted(t, { exports: [{}, { path: '/sub', prefix: 'sub/' }] });
  const root = await m.root('/sub');
  m.store.putNow('sub', Buffer.from('in the way'));
  await m.list('');
  await codeOf(m.at('sub'));
  t.equal((await m.fs.getattr(m.context, root)).type, 'directory');
});

/** Runs `call` after so many turns of the microtask queue. */
async function later<T>(turns: number, call: () => Promise<T>): Promise<T> {
  for (let turn = 0; turn < turns; turn++) await Promise.resolve();
  return call();
}

await t.test('READs at any moment of a conflict give one version', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'first');
  await m.fs.write(m.context, handle, 0, Buffer.from('OURS!'), 'unstable');
  m.store.putNow('f', Buffer.from('their'));
  const reads: Promise<PromiseSettledResult<string>[]>[] = [];
  m.store.after = ({ operation, key }) => {
    if (operation !== 'PutObject' || key === 'f') return;
    for (let turns = 0; turns < 60; turns++)
      reads.push(Promise.allSettled([later(turns, () => m.read(handle))]));
  };
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
  t.equal(reads.length, 60);
  for (const read of (await Promise.all(reads)).flat())
    t.match(read, { status: 'fulfilled', value: /^(OURS!|their)$/ });
});

await t.test(
  "a WRITE at any moment of a conflict goes over the winner's bytes, or into a conflict",
  async (t) => {
    for (let turns = 0; turns < 40; turns += 3) {
      const m = await Mounted.start();
      const handle = await m.write('f', 'first bytes');
      await m.fs.write(m.context, handle, 0, Buffer.from('OURS!'), 'unstable');
      m.store.putNow('f', Buffer.from('their bytes'));
      let writing: Promise<unknown> | undefined;
      m.store.after = ({ operation, key }) => {
        if (operation !== 'PutObject' || key === 'f' || writing !== undefined) return;
        writing = later(turns, () => m.fs.write(m.context, handle, 6, Buffer.from('patch'), 'unstable'));
      };
      await codeOf(m.fs.commit(m.context, handle));
      await writing;
      await codeOf(m.fs.commit(m.context, handle));
      await m.rest(60_000);
      for (const [key, body] of Object.entries(m.bucket()))
        t.match(body, /^(first|OURS!|their) (bytes|patch)$/, `${key} after ${turns} turns`);
      await m.stop();
      t.equal(m.budget.usedBytes, 0);
      await m.end();
    }
  },
);

await t.test('what a scan holds from before proves nothing about now', async (t) => {
  const m = await mounted(t);
  for (let i = 0; i < 1100; i++) m.store.putNow(`f${String(i).padStart(4, '0')}`, Buffer.from('old'));
  m.clock.advance(10_000);
  const handle = await m.at('f0500');
  const root = await m.root();
  const first = await m.fs.readdir(m.context, root, 0n, 100);
  m.clock.advance(5_000);
  m.store.putNow('f0500', Buffer.from('newer'));
  let cookie = first.entries.at(-1)?.cookie ?? 0n;
  for (let page = 0; page < 6; page++) {
    const { entries } = await m.fs.readdir(m.context, root, cookie, 100);
    cookie = entries.at(-1)?.cookie ?? cookie;
    const seen = entries.find(({ name }) => name.toString() === 'f0500');
    if (seen?.attributes !== undefined)
      t.equal(seen.attributes.size, 5, 'attributes older than the time to live');
  }
  t.equal(await m.read(handle), 'newer');
});

await t.test('an answer is as old as its question', async (t) => {
  const m = await mounted(t);
  m.store.putNow('f', Buffer.from('old'));
  const handle = await m.at('f');
  m.clock.advance(3001);
  m.store.after = ({ operation }) => {
    if (operation !== 'HeadObject') return;
    m.store.after = undefined;
    // The HEAD has been answered, and is long on its way.
    m.store.putNow('f', Buffer.from('newer'));
    m.clock.advance(3001);
  };
  await m.fs.getattr(m.context, handle);
  t.equal((await m.fs.getattr(m.context, handle)).size, 5);
});

await t.test('with a time to live of 0 nobody is given an answer to a question asked before', async (t) => {
  const m = await mounted(t, { metadataTtlMs: 0 });
  m.store.putNow('f', Buffer.from('old'));
  const handle = await m.at('f');
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  let arrive = (): void => undefined;
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  m.store.after = ({ operation }) => {
    if (operation !== 'HeadObject') return;
    m.store.after = undefined;
    arrive();
    return opened;
  };
  const before = m.fs.getattr(m.context, handle);
  await arrived;
  m.store.putNow('f', Buffer.from('newer'));
  const since = [m.fs.getattr(m.context, handle), m.fs.getattr(m.context, handle)];
  const heads = m.store.countOf('HeadObject');
  open();
  await before;
  for (const each of since) t.equal((await each).size, 5);
  t.equal(m.store.countOf('HeadObject') - heads, 1, 'those who ask together share one request');
});

await t.test('a file that is overwritten while it is renamed is not lost', async (t) => {
  const m = await mounted(t);
  await m.write('a', 'first');
  m.store.after = ({ operation }) => {
    if (operation !== 'CopyObject') return;
    m.store.after = undefined;
    m.store.putNow('a', Buffer.from('theirs'));
  };
  await codeOf(m.rename('a', 'b'));
  t.ok(Object.values(m.bucket()).includes('theirs'), JSON.stringify(m.bucket()));
});

await t.test('a file that is overwritten while its directory is renamed is not lost', async (t) => {
  const m = await mounted(t);
  await m.mkdir('d');
  await m.write('d/f', 'first');
  let copies = 0;
  m.store.after = ({ operation }) => {
    if (operation !== 'CopyObject' || ++copies < 2) return;
    m.store.after = undefined;
    m.store.putNow('d/f', Buffer.from('theirs'));
  };
  await codeOf(m.rename('d', 'e'));
  t.ok(Object.values(m.bucket()).includes('theirs'), JSON.stringify(m.bucket()));
});

await t.test(
  'a file that is overwritten while a crashed rename of its directory waits is not lost',
  async (t) => {
    const m = await mounted(t);
    await m.mkdir('d');
    await m.write('d/f', 'first');
    await m.write('d/g', 'g');
    let copies = 0;
    let stop = (): void => undefined;
    const stopped = new Promise<void>((resolve) => (stop = resolve));
    m.store.before = ({ operation, key }) => {
      if (operation !== 'CopyObject' || key === 'e/f' || ++copies < 2) return;
      stop();
      return new Promise<void>(() => undefined);
    };
    void m.rename('d', 'e');
    await stopped;
    m.store.before = undefined;
    t.ok('e/f' in m.bucket());
    await m.crash();
    m.store.putNow('d/f', Buffer.from('theirs'));
    await m.open();
    t.ok(Object.values(m.bucket()).includes('theirs'), JSON.stringify(m.bucket()));
  },
);

await t.test('a call whose client went away takes nobody else with it', async (t) => {
  const m = await mounted(t);
  m.store.putNow('f', Buffer.alloc(8192, 'x'));
  const handle = await m.at('f');
  m.clock.advance(3001);
  const gone = new AbortController();
  const leaving = { ...callerOf(0), signal: gone.signal };
  let reached = (): void => undefined;
  const head = new Promise<void>((resolve) => (reached = resolve));
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  m.store.before = ({ operation }) => {
    if (operation !== 'HeadObject') return;
    reached();
    return opened;
  };
  m.store.holdGets();
  const first = codeOf(async () => m.fs.read(leaving, handle, 0, 4096));
  await head;
  const others = [m.read(handle), m.fs.getattr(m.context, handle)] as const;
  gone.abort();
  open();
  m.store.before = undefined;
  t.equal(await first, 'EJUKEBOX');
  t.equal((await others[1]).size, 8192);
  m.store.releaseGets();
  t.equal((await others[0]).length, 8192);
  // What is unpublished is published though who asked for it went away in the middle.
  await m.fs.write(leaving, handle, 0, Buffer.from('y'), 'unstable');
  await m.fs.commit(leaving, handle);
  t.equal(m.bucket()['f']?.[0], 'y');
});
