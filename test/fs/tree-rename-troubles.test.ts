/** Renames of directories while somebody else writes there, or the store or the journal refuses something. */
import t from 'tap';
import { StoreError } from '../../src/store/errors.js';
import { DIRECTORY_CAPABILITIES } from '../support/memory-store.js';
import { interceptAppends } from './journal-appends.js';
import { codeOf } from './mounted.js';
import { FILES, makeTree } from './renamed-tree.js';
import { mounted } from './small-parts.js';

await t.test(
  'what somebody puts under the new name of a directory meanwhile is not overwritten',
  async (t) => {
    const m = await mounted(t, {});
    await makeTree(m, 'd/');
    await m.at('d');
    m.store.before = (call) => {
      if (call.operation === 'CopyObject' && call.key === 'e/z') m.store.putNow('e/z', Buffer.from('theirs'));
    };
    t.equal(await codeOf(m.rename('d', 'e')), 'EIO');
    m.store.before = undefined;
    const left = { ...Object.fromEntries(FILES.map((name) => [`d/${name}`, `bytes of ${name}`])) };
    t.strictSame(m.bucket(), { ...left, 'e/z': 'theirs' });
    t.equal(await codeOf(m.rename('d', 'e')), 'ENOTEMPTY');
  },
);

await t.test('nor in a directory bucket: their file has the new name, and the other one stays', async (t) => {
  const m = await mounted(t, { capabilities: DIRECTORY_CAPABILITIES });
  await makeTree(m, 'd/');
  await m.at('d');
  m.store.before = (call) => {
    if (call.operation === 'RenameObject' && call.key === 'e/z') m.store.putNow('e/z', Buffer.from('theirs'));
  };
  await m.rename('d', 'e');
  m.store.before = undefined;
  const moved = Object.fromEntries(FILES.map((name) => [`e/${name}`, `bytes of ${name}`]));
  t.strictSame(m.bucket(), { ...moved, 'e/z': 'theirs', 'd/z': 'bytes of z' });
  m.clock.advance(3001);
  t.equal(await m.read('d/z'), 'bytes of z');
  t.equal(await m.read('e/z'), 'theirs');
});

await t.test('a copy in the rename of a directory whose answer was lost is known again', async (t) => {
  const m = await mounted(t, {});
  await makeTree(m, 'd/');
  await m.at('d');
  const lost = new Set<string>();
  m.store.before = async (call) => {
    // As a store does that has made the copy in an attempt before.
    if (call.operation !== 'CopyObject' || call.key === undefined || lost.has(call.key)) return;
    lost.add(call.key);
    await m.store.copy(call.key.replace('e/', 'd/'), call.key, {});
  };
  await m.rename('d', 'e');
  t.strictSame(m.bucket(), Object.fromEntries(FILES.map((name) => [`e/${name}`, `bytes of ${name}`])));
});

await t.test('a directory that can not be moved over an empty one leaves that there', async (t) => {
  const m = await mounted(t, {});
  await makeTree(m, 'd/');
  m.store.putNow('d/', Buffer.alloc(0));
  m.store.putNow('e/', Buffer.alloc(0));
  await m.at('d');
  m.store.before = (call) => {
    if (call.operation === 'CopyObject' && call.key === 'e/z')
      throw new StoreError('access-denied', 'no', { operation: 'CopyObject', bucket: 'bucket' });
  };
  t.equal(await codeOf(m.rename('d', 'e')), 'EACCES');
  t.strictSame(Object.keys(m.bucket()), ['d/', ...FILES.map((name) => `d/${name}`), 'e/'].sort());
});

await t.test(
  'a directory of which the journal can not say that it was copied stays where it is',
  async (t) => {
    const m = await mounted(t, {});
    await makeTree(m, 'd/');
    await m.at('d');
    let refused = 0;
    interceptAppends(t, (intent) => {
      if (intent?.kind !== 'rename-directory' || intent.copied !== true || refused > 0) return undefined;
      refused++;
      return Promise.reject(new Error('no room'));
    });
    t.not(await codeOf(m.rename('d', 'e')), 'none');
    t.equal(refused, 1);
    t.strictSame(Object.keys(m.bucket()), FILES.map((name) => `d/${name}`).sort());
    await m.crash();
    await m.open();
    t.strictSame(
      Object.keys(m.bucket()),
      FILES.map((name) => `d/${name}`).sort(),
      'and the next start does nothing',
    );
  },
);

await t.test(
  'sources that could not be deleted go at the next start, and nothing that was made at their names since',
  async (t) => {
    const m = await mounted(t, {});
    await makeTree(m, 'd/');
    await m.at('d');
    m.store.before = (call) => {
      if (call.operation === 'DeleteObjects')
        throw new StoreError('access-denied', 'no', { operation: 'DeleteObjects', bucket: 'bucket' });
    };
    await m.rename('d', 'e');
    m.store.before = undefined;
    m.clock.advance(10_000);
    // The same bytes, by somebody who copied them back.
    await m.write('d/a', 'bytes of a');
    await m.crash();
    await m.open();
    t.ok(Object.keys(m.bucket()).includes('d/a'));
    t.strictSame(
      Object.keys(m.bucket()).filter((key) => key !== 'd/large' && key !== 'd/a'),
      FILES.map((name) => `e/${name}`).sort(),
    );
  },
);
