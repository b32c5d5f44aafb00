/** Renames whose requests took effect and were not answered: the client is told JUKEBOX, and repeats the call. */
import t, { type Test } from 'tap';
import type { StoreOperation } from '../support/memory-store.js';
import { loseAnswer } from './lost-answer.js';
import { codeOf, type Mounted } from './mounted.js';
import { JOURNAL, PART, SMALL_PARTS, mounted, pattern, writeAll } from './small-parts.js';

async function make(m: Mounted, path: string, data: Buffer): Promise<void> {
  const handle = await m.write(path, '', { commit: false });
  await writeAll(m, handle, 0, data);
  await m.fs.commit(m.context, handle);
  await m.rest(60_000);
}

async function eachFile(t: Test, task: (t: Test, m: Mounted) => Promise<void>): Promise<void> {
  for (const options of [SMALL_PARTS, JOURNAL])
    for (const bytes of [100, 3 * PART + 100])
      for (const isOver of [false, true])
        await t.test(`${bytes} bytes, ${isOver ? 'over another file' : 'to a free name'}`, async (t) => {
          const m = await mounted(t, options);
          const data = pattern(bytes);
          await make(m, 'a', data);
          if (isOver) await make(m, 'b', Buffer.from('replaced'));
          await task(t, m);
          t.strictSame(Object.keys(m.bucket()), ['b']);
          t.ok(m.store.objects.get('b')?.body.equals(data));
          t.equal(await m.read('b'), data.toString('utf8'));
        });
}

async function again(t: Test, m: Mounted, operation: StoreOperation): Promise<void> {
  loseAnswer(m, operation);
  const first = await codeOf(m.rename('a', 'b'));
  if (first !== 'none') t.equal(await codeOf(m.rename('a', 'b')), 'none');
}

await t.test('a rename whose CopyObject is not answered, and again', async (t) =>
  eachFile(t, (t, m) => again(t, m, 'CopyObject')),
);

await t.test('a rename whose DeleteObject is not answered, and again', async (t) =>
  eachFile(t, (t, m) => again(t, m, 'DeleteObject')),
);

await t.test('what somebody else put at the new name since is not taken for the copy', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  await make(m, 'a', Buffer.from('bytes'));
  loseAnswer(m, 'CopyObject');
  t.equal(await codeOf(m.rename('a', 'b')), 'EJUKEBOX');
  m.store.putNow('b', Buffer.from('other'));
  t.equal(await codeOf(m.rename('a', 'b')), 'EIO');
  t.strictSame(m.bucket(), { a: 'bytes', b: 'other' });
});
