/** Two daemons on one bucket, with one configured secret and a state directory each. */
import t from 'tap';
import { StoreError } from '../../src/store/errors.js';
import { codeOf, type Mounted } from './mounted.js';
import { mounted } from './small-parts.js';

const SECRET = Buffer.from('a secret of at least 32 bytes, the same for both');

async function pair(t: Parameters<typeof mounted>[0]): Promise<readonly [Mounted, Mounted]> {
  const one = await mounted(t, { handleSecret: SECRET });
  return [one, await mounted(t, { handleSecret: SECRET, store: one.store })];
}

await t.test(
  'two daemons with one secret give the same handles and file ids for the same keys',
  async (t) => {
    const [one, two] = await pair(t);
    for (const key of ['a', 'd/b', 'd/deep/c']) one.store.putNow(key, Buffer.from(key));
    // In another order, with what one of them made itself, and after a restart.
    await one.mkdir('made');
    await one.write('made/f', 'bytes');
    for (const path of ['made/f', 'd/deep/c', 'd/b', 'a', 'd', '']) await two.at(path);
    await two.crash();
    await two.open();
    for (const path of ['', 'a', 'd', 'd/b', 'd/deep', 'd/deep/c', 'made', 'made/f']) {
      const handle = await one.at(path);
      t.ok(handle.equals(await two.at(path)), `handle of "${path}"`);
      t.equal(
        (await two.fs.getattr(two.context, handle)).fileid,
        (await one.stat(path)).fileid,
        `id of "${path}"`,
      );
    }
    t.equal(await two.read(await one.at('made/f')), 'bytes');
  },
);

await t.test(
  'a file that one of two daemons renamed has a handle at each, and neither leads to another file',
  async (t) => {
    const [one, two] = await pair(t);
    for (const key of ['f', 'other', 'd/x', 'd/y']) one.store.putNow(key, Buffer.from(key));
    const file = await one.at('f');
    const below = await one.at('d/x');
    t.ok(file.equals(await two.at('f')) && below.equals(await two.at('d/x')));
    await one.rename('f', 'g');
    await one.rename('d', 'e');
    two.clock.advance(10_000);
    t.equal(await one.read(file), 'f', 'it goes on where it was renamed');
    t.equal(await one.read(below), 'd/x');
    t.equal(await codeOf(() => two.fs.getattr(two.context, file)), 'ESTALE', 'it is gone where it was not');
    t.equal(await codeOf(() => two.fs.getattr(two.context, below)), 'ESTALE');
    for (const [path, bytes] of [
      ['g', 'f'],
      ['e/x', 'd/x'],
      ['e/y', 'd/y'],
      ['other', 'other'],
    ] as const) {
      const handle = await two.at(path);
      t.equal(await two.read(handle), bytes, `${path}, by the handle of the other`);
      // Either the first one knows it for the same file, or not at all.
      const there = await one.read(handle).catch(() => undefined);
      t.ok(there === undefined || there === bytes, `${path}: ${there}`);
    }
    t.ok((await one.at('other')).equals(await two.at('other')), 'all else is as it was');
  },
);

await t.test('losers of two daemons at one key within a second are both kept', async (t) => {
  const [one, two] = await pair(t);
  one.store.putNow('f', Buffer.from('first'));
  const handles = await Promise.all([one, two].map((m) => m.at('f')));
  await Promise.all(
    [one, two].map((m, at) =>
      m.fs.write(m.context, handles[at] as Buffer, 0, Buffer.from(`loser ${at}`), 'unstable'),
    ),
  );
  one.store.putNow('f', Buffer.from('winner'));
  // Both have found the name free before either takes it.
  let held = 0;
  let open = (): void => undefined;
  const bothLooked = new Promise<void>((resolve) => (open = resolve));
  one.store.after = ({ operation, key = '' }) => {
    if (operation !== 'HeadObject' || !key.includes('conflict') || held === 2) return;
    held += 1;
    if (held === 2) open();
    return bothLooked;
  };
  const told = await Promise.all(
    [one, two].map((m, at) => codeOf(m.fs.commit(m.context, handles[at] as Buffer))),
  );
  t.same(told, ['EIO', 'EIO']);
  t.same(Object.values(one.bucket()).sort(), ['loser 0', 'loser 1', 'winner']);
});

await t.test(
  'a loser whose name can not be had for now stays unpublished, and is not given up',
  async (t) => {
    const [m] = await pair(t);
    m.store.putNow('f', Buffer.from('first'));
    const handle = await m.at('f');
    await m.fs.write(m.context, handle, 0, Buffer.from('loser'), 'unstable');
    m.store.putNow('f', Buffer.from('winner'));
    m.store.before = ({ operation, key = '' }) => {
      if (operation !== 'PutObject' || !key.includes('conflict')) return;
      const about = { operation, bucket: 'bucket', code: 'ConditionalRequestConflict', httpStatus: 409 };
      throw new StoreError('precondition-failed', 'conflict', about);
    };
    t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EJUKEBOX');
    m.store.before = undefined;
    t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
    t.same(Object.values(m.bucket()).sort(), ['loser', 'winner']);
  },
);
