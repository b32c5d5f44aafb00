/** A disk that the daemon itself has filled to the last block: what is published gives its room back, and nothing is lost. */
import { open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { codeOf, type Mounted } from './mounted.js';
import { JOURNAL, mounted, pattern } from './small-parts.js';

/** Bytes of what is written to the state directory by ordinary calls; the database is mapped into memory. */
async function usedBytes(directory: string): Promise<number> {
  let used = 0;
  for (const name of await readdir(directory, { recursive: true })) {
    if (!/^(?:journal|names-)|^spool\//.test(name)) continue;
    const found = await stat(join(directory, name)).catch(() => undefined);
    if (found?.isFile() === true) used += found.size;
  }
  return used;
}

/** From now on the disk of the state directory has so many bytes more than what is used. Calls its result to make it large again. */
async function limitDisk(t: Test, m: Mounted, spareBytes: number): Promise<() => void> {
  const probe = await open(process.execPath, 'r');
  const prototype = Object.getPrototypeOf(probe) as object;
  await probe.close();
  const limit = (await usedBytes(m.directory)) + spareBytes;
  const restores = ['write', 'writev'].map((name) => {
    const original = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
    const call = original.value as (this: FileHandle, ...given: readonly unknown[]) => Promise<unknown>;
    Object.defineProperty(prototype, name, {
      ...original,
      async value(this: FileHandle, bytes: Uint8Array | readonly Uint8Array[], ...where: readonly number[]) {
        const { size } = await this.stat();
        const slices: readonly Uint8Array[] = bytes instanceof Uint8Array ? [bytes] : bytes;
        const total = slices.reduce((sum, slice) => sum + slice.length, 0);
        const length = name === 'writev' ? total : (where[1] ?? total);
        const at = (name === 'writev' ? where[0] : where[2]) ?? size;
        const growth = Math.max(0, at + length - size);
        if (growth > 0 && (await usedBytes(m.directory)) + growth > limit)
          throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
        return call.call(this, bytes, ...where);
      },
    });
    return () => void Object.defineProperty(prototype, name, original);
  });
  const restore = (): void => restores.forEach((each) => each());
  t.teardown(restore);
  return restore;
}

async function untilTheSpoolIsEmpty(m: Mounted): Promise<void> {
  while (m.spool.usedBytes > 0) await setImmediate();
}

await t.test(
  'segments that fill the disk to the last block are given back when their files are published',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    for (let at = 0; at < 20; at += 1) await m.write(`f${at}`, pattern(1000, at));
    t.same(m.bucket(), {}, 'all rests on journal and spool');
    await limitDisk(t, m, 0);
    const refused = m.fs.create(m.context, await m.root(), Buffer.from('refused'), {
      how: 'guarded',
      attributes: {},
    });
    t.equal(await codeOf(refused), 'ENOSPC');
    await m.rest(60_000);
    await untilTheSpoolIsEmpty(m);
    t.equal(m.spool.usedBytes, 0);
    t.equal(Object.keys(m.bucket()).length, 20);
    await m.write('next', 'there is room again');
    await m.crash();
    await m.open();
    t.equal(m.bucket()['next'], 'there is room again');
    for (let at = 0; at < 20; at += 1) t.ok(m.store.objects.get(`f${at}`)?.body.equals(pattern(1000, at)));
    t.notOk('refused' in m.bucket());
  },
);

await t.test(
  'a file in parts is published from a disk without a block to spare, and one is removed',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    const body = pattern(100_000);
    m.store.putNow('large', body);
    const large = await m.at('large');
    await m.fs.write(m.context, large, 50_000, Buffer.from('in place'), 'unstable');
    await m.fs.commit(m.context, large);
    await m.write('small', pattern(5000));
    await m.write('removed', pattern(5000));
    await limitDisk(t, m, 0);
    await m.remove('removed');
    await m.rest(60_000);
    await untilTheSpoolIsEmpty(m);
    t.equal(m.spool.usedBytes, 0);
    body.write('in place', 50_000);
    t.ok(m.store.objects.get('large')?.body.equals(body));
    t.same(Object.keys(m.bucket()).sort(), ['large', 'small']);
    await m.crash();
    await m.open();
    t.same(Object.keys(m.bucket()).sort(), ['large', 'small']);
  },
);

await t.test('a crash on a full disk: the next start publishes and gives the room back', async (t) => {
  const m = await mounted(t, JOURNAL);
  for (let at = 0; at < 5; at += 1) await m.write(`f${at}`, pattern(1000, at));
  await limitDisk(t, m, 0);
  await m.crash();
  await m.open();
  await untilTheSpoolIsEmpty(m);
  t.equal(m.spool.usedBytes, 0);
  t.equal(Object.keys(m.bucket()).length, 5);
  await m.write('next', 'x');
});

await t.test(
  'on a full disk names are found, listed and read, and changes are refused; all goes on with room',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    await m.write('known', 'bytes');
    await m.rest(60_000);
    for (let at = 0; at < 50; at += 1) m.store.putNow(`foreign/${at}`, Buffer.from(`body ${at}`));
    const makeRoom = await limitDisk(t, m, 0);
    const refused = m.fs.mkdir(m.context, await m.root(), Buffer.from('refused'), {});
    await t.rejects(refused, { code: 'ENOSPC', message: /"refused" in memory\/bucket: .*ENOSPC.*room/ });
    t.equal(await m.read('known'), 'bytes');
    t.equal(await m.read('foreign/7'), 'body 7', 'what nobody had looked at');
    t.equal((await m.list('foreign')).length, 50);
    t.same((await m.list('')).sort(), ['foreign', 'known', 'refused'], 'its marker is in the store');
    const handle = await m.at('foreign/7');
    makeRoom();
    await m.mkdir('accepted');
    await m.crash();
    await m.open();
    t.equal(await m.read(handle), 'body 7', 'the handle survives the crash since there was room');
  },
);

await t.test('on a full disk no more names are given out than memory has room for', async (t) => {
  const m = await mounted(t, JOURNAL);
  for (let at = 0; at < 16_600; at += 1) m.store.putNow(`many/${at}`, Buffer.alloc(0));
  const makeRoom = await limitDisk(t, m, 0);
  t.equal(await codeOf(m.list('many', 1000)), 'ENOSPC');
  makeRoom();
  t.equal((await m.list('many', 1000)).length, 16_600);
});
