/** EXCLUSIVE creates between daemons on one bucket, where they are asked to be exclusive there. */
import t, { type Test } from 'tap';
import type { CreateMode } from '../../src/fs/file-system.js';
import { callUntilHung, callUntilHungIn } from './hold.js';
import { codeOf, Mounted, type MountedOptions } from './mounted.js';

async function mounted(t: Test, options: MountedOptions): Promise<Mounted> {
  const m = await Mounted.start(options);
  t.teardown(() => m.end());
  return m;
}

const IN_BUCKET: MountedOptions = { exports: [{ exclusiveCreate: 'bucket' }] };

async function create(m: Mounted, verifier: string): Promise<unknown> {
  const mode: CreateMode = { how: 'exclusive', verifier: Buffer.from(verifier) };
  return m.fs.create(m.context, await m.root(), Buffer.from('lock'), mode);
}

await t.test('EXCLUSIVE create is exclusive between daemons, where it is asked for', async (t) => {
  for (const commitPolicy of ['publish', 'journal'] as const) {
    const exports = [{ exclusiveCreate: 'bucket', commitPolicy }] as const;
    const first = await mounted(t, { exports });
    const second = await mounted(t, { exports, store: first.store });
    // Neither asks again whether the name is there.
    for (const m of [first, second]) t.equal(await codeOf(m.at('lock')), 'ENOENT');
    const from = first.store.calls.length;
    const codes = await Promise.all([
      codeOf(create(first, '1'.repeat(8))),
      codeOf(create(second, '2'.repeat(8))),
    ]);
    t.same(codes.sort(), ['EEXIST', 'none'], commitPolicy);
    t.equal(first.callsSince(from).filter((call) => call === 'PutObject lock').length, 2, 'one PUT each');
    t.same(first.bucket(), { lock: '' });
    for (const m of [first, second]) t.equal((await m.stat('lock')).size, 0, 'both see it at once');
    t.same(Object.keys(first.bucket()), ['lock'], 'no loser is kept');
  }
});

await t.test('the same call again is the same file, also after a crash', async (t) => {
  const m = await mounted(t, IN_BUCKET);
  await create(m, 'verifier');
  await create(m, 'verifier');
  await m.crash();
  await m.open();
  await create(m, 'verifier');
  t.equal(await codeOf(create(m, 'another!')), 'EEXIST');
  t.same(m.bucket(), { lock: '' });
});

await t.test('without it a create is answered from the journal', async (t) => {
  const m = await mounted(t, {});
  await create(m, 'verifier');
  t.equal(m.store.countOf('PutObject'), 0);
});

await t.test(
  'what somebody else made meanwhile is no new file of a daemon without a state directory',
  async (t) => {
    const m = await mounted(t, { isStateEphemeral: true });
    t.equal(await codeOf(m.at('lock')), 'ENOENT');
    m.store.putNow('lock', Buffer.from('theirs'));
    t.equal(await codeOf(create(m, 'verifier')), 'EEXIST');
    t.equal(await m.read('lock'), 'theirs');
  },
);

await t.test(
  'a create that a crash cut off at any request is the client’s own when it comes again',
  async (t) => {
    const ephemeral: MountedOptions = { isStateEphemeral: true };
    for (const options of [IN_BUCKET, ephemeral]) {
      for (const when of ['before', 'after'] as const) {
        for (let request = 1, isOver = false; !isOver; request++) {
          const m = await mounted(t, options);
          await m.at('');
          isOver = (await callUntilHung(m, when, request, () => create(m, 'verifier'))) === 'over';
          await m.crash();
          m.store[when] = undefined;
          await m.open();
          const what = `${when} request ${request}`;
          t.equal(await codeOf(create(m, 'verifier')), 'none', what);
          t.equal(await codeOf(create(m, 'another!')), 'EEXIST', what);
          t.same(m.bucket(), { lock: '' }, what);
        }
      }
    }
  },
);

await t.test('what another daemon made in the same millisecond is not taken for that', async (t) => {
  const m = await mounted(t, IN_BUCKET);
  const other = await mounted(t, { ...IN_BUCKET, store: m.store });
  for (const each of [m, other]) t.equal(await codeOf(each.at('lock')), 'ENOENT');
  await callUntilHungIn(m, 'before', ['PutObject'], () => create(m, 'verifier'));
  await m.crash();
  m.store.before = undefined;
  await create(other, 'another!');
  await m.open();
  t.equal(await codeOf(create(m, 'verifier')), 'EEXIST');
});
