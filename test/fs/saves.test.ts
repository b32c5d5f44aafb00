/** Saves by rename where COMMITs are answered from the journal: what takes an object's place, when, and what a crash leaves. */
import t from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import type { Mounted } from './mounted.js';
import { JOURNAL, mounted } from './small-parts.js';

const CHANGES = /Put|Copy|Upload|Delete/;

async function written(
  m: Mounted,
  name: string,
  text: string,
  stable: 'unstable' | 'fileSync',
): Promise<Handle> {
  const attributes = { mode: 0o604 };
  const root = await m.root();
  const { handle } = await m.fs.create(m.context, root, Buffer.from(name), { how: 'guarded', attributes });
  await m.fs.write(m.context, handle, 0, Buffer.from(text), stable);
  return handle;
}

for (const crashes of [false, true])
  for (const stable of ['unstable', 'fileSync'] as const)
    await t.test(
      `policy journal: a save by rename is one PUT over the old version${crashes ? ', also after a crash' : ''}, ${stable}`,
      async (t) => {
        const m = await mounted(t, JOURNAL);
        const old = m.store.putNow('text', Buffer.from('old'), {
          metadata: { colour: 'red' },
          contentType: 'text/old',
        });
        const before = await m.at('text');
        const handle = await written(m, 'text~', 'new', stable);
        const calls = m.store.calls.length;
        await m.rename('text~', 'text');
        t.equal(await m.read('text'), 'new');
        t.equal(m.bucket()['text'], 'old', 'not published yet');
        t.same(await m.list(''), ['text']);
        t.same(await m.at('text'), handle);
        t.not(before.toString('hex'), handle.toString('hex'));
        if (crashes) {
          await m.crash();
          await m.open();
        } else await m.rest(60_000);
        t.same(m.bucket(), { text: 'new' });
        const made = m.store.calls.slice(calls).filter(({ operation }) => CHANGES.test(operation));
        t.same(
          made.map(({ operation, key, condition }) => ({ operation, key, condition })),
          [{ operation: 'PutObject', key: 'text', condition: { ifMatch: old.etag } }],
        );
        t.equal((await m.stat('text')).mode, 0o604);
        t.same(await m.at('text'), handle);
        if (!crashes) t.equal(m.store.objects.get('text')?.headers.contentType, undefined);
      },
    );

await t.test(
  'policy journal: a save by rename over what somebody else wrote meanwhile keeps both',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    m.store.putNow('text', Buffer.from('old'));
    await m.at('text');
    const handle = await written(m, 'text~', 'new', 'fileSync');
    await m.rename('text~', 'text');
    m.store.putNow('text', Buffer.from('of somebody else'));
    await m.rest(60_000);
    await t.rejects(m.fs.commit(m.context, handle), { code: 'EIO' });
    const { text, ...kept } = m.bucket();
    t.equal(text, 'of somebody else');
    t.same(Object.values(kept), ['new']);
  },
);

await t.test('policy journal: what was saved by rename is removed and renamed as any file', async (t) => {
  const m = await mounted(t, JOURNAL);
  for (const key of ['a', 'b']) m.store.putNow(key, Buffer.from('old'));
  for (const name of ['a', 'b']) {
    await m.at(name);
    await written(m, `${name}~`, `new ${name}`, 'fileSync');
    await m.rename(`${name}~`, name);
  }
  await m.remove('a');
  await m.rename('b', 'c');
  await m.rest(60_000);
  t.same(m.bucket(), { c: 'new b' });
  await m.crash();
  await m.open();
  t.same(m.bucket(), { c: 'new b' });
  t.same(await m.list(''), ['c']);
});

await t.test(
  'policy journal: over a file that has changes of its own a save by rename publishes first',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    m.store.putNow('text', Buffer.from('old'));
    await m.fs.write(m.context, await m.at('text'), 0, Buffer.from('OLD'), 'unstable');
    await written(m, 'text~', 'new', 'fileSync');
    await m.rename('text~', 'text');
    t.same(m.bucket(), { text: 'new' });
  },
);
