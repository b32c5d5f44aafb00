/** Who hears of a conflict, and until when. */
import t, { type Test } from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import { callerOf, codeOf, type Mounted } from './mounted.js';
import { mounted } from './small-parts.js';

const ALICE = callerOf(0, '127.0.0.2');
const BOB = callerOf(0, '127.0.0.3');
const CAROL = callerOf(0, '127.0.0.4');

/** A file that Alice and Bob have written parts of when somebody else replaces it. */
async function contested(t: Test): Promise<{ readonly m: Mounted; readonly handle: Handle }> {
  const m = await mounted(t, {});
  const handle = await m.write('f', 'first');
  await m.fs.write(ALICE, handle, 0, Buffer.from('alice'), 'unstable');
  await m.fs.write(BOB, handle, 5, Buffer.from('bob'), 'unstable');
  m.store.putNow('f', Buffer.from('winner'));
  return { m, handle };
}

await t.test('a conflict is told to every client whose bytes lost, and to no other', async (t) => {
  const { m, handle } = await contested(t);
  await m.rest(6000);
  t.equal(m.bucket()['f'], 'winner');
  t.equal(await codeOf(m.fs.commit(CAROL, handle)), 'none');
  t.equal(await codeOf(m.fs.write(CAROL, handle, 6, Buffer.from(', carol'), 'fileSync')), 'none');
  t.equal(await codeOf(m.fs.commit(ALICE, handle)), 'EIO');
  t.equal(await codeOf(m.fs.write(BOB, handle, 8, Buffer.from('bob again'), 'unstable')), 'EIO');
  t.equal(m.bucket()['f'], 'winner, carol');
});

await t.test('COMMITs of several clients that meet a conflict together all fail', async (t) => {
  const { m, handle } = await contested(t);
  const told = await Promise.all([ALICE, BOB].map((client) => codeOf(m.fs.commit(client, handle))));
  t.same(told, ['EIO', 'EIO']);
});

await t.test('what a client goes on sending after a conflict is never put over the winner', async (t) => {
  const { m, handle } = await contested(t);
  await m.rest(6000);
  for (let times = 0; times < 3; times += 1) {
    t.equal(await codeOf(m.fs.write(ALICE, handle, 1000, Buffer.from('more'), 'unstable')), 'EIO');
    t.equal(await codeOf(m.fs.commit(ALICE, handle)), 'EIO');
    m.clock.advance(9_000);
  }
  await m.rest(6000);
  t.equal(m.bucket()['f'], 'winner');
});

await t.test(
  'who cuts the file or makes it anew may write it again, and who comes a minute later',
  async (t) => {
    const { m, handle } = await contested(t);
    await m.rest(6000);
    t.equal(await codeOf(m.fs.commit(ALICE, handle)), 'EIO');
    t.equal(await codeOf(m.fs.commit(BOB, handle)), 'EIO');
    await m.fs.setattr(ALICE, handle, { size: 0 });
    await m.fs.write(ALICE, handle, 0, Buffer.from('anew'), 'fileSync');
    t.equal(m.bucket()['f'], 'anew');
    t.equal(await codeOf(m.fs.write(BOB, handle, 0, Buffer.from('b'), 'fileSync')), 'EIO');
    m.clock.advance(60_000);
    await m.fs.write(BOB, handle, 0, Buffer.from('b'), 'fileSync');
    t.equal(m.bucket()['f'], 'bnew');
    m.store.putNow('f', Buffer.from('winner of another'));
    t.equal(await codeOf(m.fs.write(ALICE, handle, 0, Buffer.from('loses'), 'fileSync')), 'EIO');
    const how = { how: 'unchecked', attributes: {} } as const;
    const again = await m.fs.create(ALICE, await m.root(), Buffer.from('f'), how);
    await m.fs.write(ALICE, again.handle, 0, Buffer.from('W'), 'fileSync');
    t.equal(m.bucket()['f'], 'Winner of another');
  },
);
