/** How long a name that wasn't there is taken for absent, beside the time to live of what is there. */
import t, { type Test } from 'tap';
import { codeOf, Mounted } from './mounted.js';

async function mounted(t: Test, metadataTtlMs: number, negativeTtlMs: number): Promise<Mounted> {
  const m = await Mounted.start({ exports: [{ metadataTtlMs, negativeTtlMs }] });
  // More than a page of LIST: no listing of the directory tells that a name is there.
  for (let n = 0; n < 1100; n++) m.store.putNow(`a${String(n)}`, Buffer.from('x'));
  t.teardown(() => m.end());
  return m;
}

const put = (m: Mounted, key: string): unknown => m.store.putNow(key, Buffer.from('theirs'));

await t.test('a name that others make is seen after the negative time to live', async (t) => {
  for (const metadataTtlMs of [0, 1000, Infinity]) {
    const m = await mounted(t, metadataTtlMs, 5000);
    t.equal(await codeOf(m.at('f')), 'ENOENT');
    put(m, 'f');
    m.clock.advance(4999);
    const from = m.store.calls.length;
    t.equal(await codeOf(m.at('f')), 'ENOENT');
    const asked = m.callsSince(from).filter((call) => call.includes('f'));
    t.same(asked, [], 'the name is not asked for');
    m.clock.advance(1);
    t.equal(await m.read('f'), 'theirs', String(metadataTtlMs));
  }
});

await t.test('0 asks for an absent name every time, also right after its directory was listed', async (t) => {
  const m = await mounted(t, 60_000, 0);
  await m.list('');
  t.equal(await codeOf(m.at('f')), 'ENOENT');
  put(m, 'f');
  t.equal(await m.read('f'), 'theirs');
});

await t.test('indefinite: an absent name is seen when a listing shows it', async (t) => {
  const m = await mounted(t, 1000, Infinity);
  t.equal(await codeOf(m.at('f')), 'ENOENT');
  put(m, 'f');
  m.clock.advance(400 * 86_400_000);
  t.equal(await codeOf(m.at('f')), 'ENOENT');
  t.ok((await m.list('')).includes('f'));
  t.equal(await m.read('f'), 'theirs');
});

await t.test(
  'names made and removed through the mount are seen at once, whatever the times to live',
  async (t) => {
    for (const [metadataTtlMs, negativeTtlMs] of [
      [0, 0],
      [0, Infinity],
      [Infinity, 0],
      [Infinity, Infinity],
    ] as const) {
      const m = await mounted(t, metadataTtlMs, negativeTtlMs);
      for (let round = 0; round < 2; round++) {
        t.equal(await codeOf(m.at('f')), 'ENOENT');
        await m.write('f', 'content');
        t.equal(await m.read('f'), 'content');
        await m.rename('f', 'g');
        t.equal(await codeOf(m.at('f')), 'ENOENT');
        t.equal(await m.read('g'), 'content');
        await m.mkdir('f');
        t.equal((await m.stat('f')).type, 'directory');
        await m.fs.rmdir(m.context, await m.root(), Buffer.from('f'));
        await m.remove('g');
        t.equal((await m.list('')).length, 1100);
      }
    }
  },
);

await t.test('of exports that share a bucket the smallest holds', async (t) => {
  const m = await Mounted.start({
    metadataTtlMs: 60_000,
    exports: [{ negativeTtlMs: 60_000 }, { path: '/other', negativeTtlMs: 1000 }],
  });
  t.teardown(() => m.end());
  t.equal(await codeOf(m.at('f')), 'ENOENT');
  put(m, 'f');
  m.clock.advance(1000);
  t.equal(await m.read('f'), 'theirs');
});
