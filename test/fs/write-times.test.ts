/** The mtime of bytes is on the object that has them, whenever a publication begins. */
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { MountedOptions } from './mounted.js';
import { mounted } from './small-parts.js';

/** The mtime that the object of `f` tells, in nanoseconds. */
function publishedMtime(metadata: Readonly<Record<string, string>> | undefined): bigint {
  return BigInt(metadata?.['file-mtime']?.replace(/ns$/, '') ?? -1);
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await setImmediate();
}

async function writeBeforePublication(t: Test, options: MountedOptions): Promise<void> {
  const m = await mounted(t, { ...options, metadataTtlMs: 0 });
  const handle = await m.write('f', 'first', { commit: false });
  m.clock.advance(70);
  // The WRITE waits for memory, with the file's session open for it.
  const held = m.budget.limitBytes - m.budget.usedBytes;
  t.ok(m.budget.tryReserve(held));
  const writing = m.fs.write(m.context, handle, 5, Buffer.alloc(100_000, 's'), 'unstable');
  await turns();
  const publishing = m.fs.commit(m.context, handle);
  await turns();
  m.clock.advance(30);
  m.budget.release(held);
  const { file } = await writing;
  await publishing;
  await m.rest(60_000);
  const object = m.store.objects.get('f');
  t.equal(object?.body.length, 100_005, 'its bytes are in the object');
  t.equal(publishedMtime(object?.headers.metadata), file.after?.mtimeNs);
  t.equal((await m.stat('f')).mtimeNs, file.after?.mtimeNs);
  await m.crash();
  await m.open();
  t.equal((await m.stat('f')).mtimeNs, file.after?.mtimeNs);
  const next = await m.fs.write(m.context, await m.at('f'), 0, Buffer.from('n'), 'unstable');
  t.ok((next.file.after?.mtimeNs ?? 0n) > (file.after?.mtimeNs ?? 0n), 'the next WRITE moves it');
}

await t.test(
  'policy publish: a WRITE that is being taken when a publication begins is in it with its mtime',
  (t) => writeBeforePublication(t, {}),
);

await t.test(
  'policy journal: a WRITE that is being taken when a publication begins is in it with its mtime',
  (t) => writeBeforePublication(t, { exports: [{ commitPolicy: 'journal' }] }),
);

await t.test('each WRITE moves mtime, also within a millisecond', async (t) => {
  const m = await mounted(t, {});
  const handle = await m.write('f', 'x', { commit: false });
  let last = (await m.fs.getattr(m.context, handle)).mtimeNs;
  for (let times = 0; times < 3; times += 1) {
    const { file } = await m.fs.write(m.context, handle, times, Buffer.from('y'), 'unstable');
    const { mtimeNs = 0n } = file.after ?? {};
    t.ok(mtimeNs > last);
    last = mtimeNs;
    await m.fs.commit(m.context, handle);
    t.equal(publishedMtime(m.store.objects.get('f')?.headers.metadata), last);
  }
  m.clock.advance(1000);
  const later = await m.fs.write(m.context, handle, 0, Buffer.from('z'), 'unstable');
  t.equal(later.file.after?.mtimeNs, BigInt(m.clock.nowMs()) * 1_000_000n);
});

await t.test('a SETATTR to the time of now does not take mtime back behind a WRITE', async (t) => {
  const m = await mounted(t, {});
  const handle = await m.write('f', 'x', { commit: false });
  const mtime = async (): Promise<bigint> => (await m.fs.getattr(m.context, handle)).mtimeNs;
  for (const changes of [{ mtimeNs: 'now' }, { size: 0 }] as const) {
    await m.fs.write(m.context, handle, 0, Buffer.from('y'), 'unstable');
    await m.fs.write(m.context, handle, 0, Buffer.from('z'), 'unstable');
    const written = await mtime();
    await m.fs.setattr(m.context, handle, changes);
    t.ok((await mtime()) > written);
  }
});
