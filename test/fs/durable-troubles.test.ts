/** What COMMITs were answered for, when the next start finds other settings, a spool without room, or less than was there. */
import { open, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { StoreError } from '../../src/store/errors.js';
import type { Mounted } from './mounted.js';
import { JOURNAL, PART, SMALL_PARTS, mounted, pattern, writeAll } from './small-parts.js';

const errorsOf = (m: Mounted): string[] =>
  m.logged.filter(({ level }) => level === 50).map(({ msg }) => String(msg));

await t.test('state that is declared ephemeral later: what is in it is published all the same', async (t) => {
  const m = await mounted(t, JOURNAL);
  await m.write('small', 'committed');
  const data = pattern(4 * PART + 100);
  const large = await m.write('large', '');
  await writeAll(m, large, 0, data);
  await m.fs.commit(m.context, large);
  await m.crash();
  await m.open({ isStateEphemeral: true });
  t.equal(m.bucket()['small'], 'committed');
  t.ok(m.store.objects.get('large')?.body.equals(data));
  await m.stop();
  await m.open();
  t.same(Object.keys(m.bucket()), ['large', 'small'], 'once');
  t.equal(m.spool.usedBytes, 0);
});

await t.test('bytes that a start can not read are not given up for what is written next', async (t) => {
  const m = await mounted(t, JOURNAL);
  const handle = await m.write('f', 'published');
  await m.rest(60_000);
  await m.fs.write(m.context, handle, 0, Buffer.from('committed'), 'fileSync');
  await m.crash();
  const spool = join(m.directory, 'spool');
  const [segment = ''] = (await readdir(spool)).filter((name) => name.endsWith('.segment'));
  await rename(join(spool, segment), join(m.directory, 'away'));
  await m.open();
  t.equal(m.bucket()['f'], 'published');
  await m.fs.setattr(m.context, handle, { size: 0 });
  await m.fs.write(m.context, handle, 0, Buffer.from('next'), 'fileSync');
  await m.rest(60_000);
  t.equal(m.bucket()['f'], 'next');
  await m.stop();
  await rename(join(m.directory, 'away'), join(spool, segment));
  await m.open();
  t.equal(m.bucket()['f'], 'next');
  t.ok(Object.values(m.bucket()).includes('committed'), 'kept beside it');
});

await t.test(
  'a spool that was filled by the file itself does not keep it from being published',
  async (t) => {
    const m = await mounted(t, { ...JOURNAL, spoolLimitBytes: 8000 });
    const handle = await m.write('f', pattern(6000));
    await m.fs.write(m.context, handle, 6000, pattern(6000, 3), 'unstable');
    await m.fs.commit(m.context, handle);
    t.ok(m.store.objects.get('f')?.body.equals(Buffer.concat([pattern(6000), pattern(6000, 3)])));
  },
);

await t.test('the same where committed parts in the upload were written over', async (t) => {
  const m = await mounted(t, { ...JOURNAL, spoolLimitBytes: 8000 });
  const handle = await m.write('f', '');
  const data = pattern(4 * PART + 6000);
  await writeAll(m, handle, 0, data);
  await m.fs.commit(m.context, handle);
  t.same(m.bucket(), {}, 'answered from upload and spool');
  const change = pattern(100, 5);
  change.copy(data, PART + 50);
  await m.fs.write(m.context, handle, PART + 50, change, 'unstable');
  await m.fs.commit(m.context, handle);
  t.ok(m.store.objects.get('f')?.body.equals(data));
  t.equal(m.store.uploads.size, 0);
});

await t.test('what belongs to a bucket that is not exported any more stays, and the log tells', async (t) => {
  const m = await mounted(t, JOURNAL);
  await m.write('f', 'committed');
  await m.crash();
  await m.open({ exports: [{ volumeName: 'memory/other', commitPolicy: 'journal' }] });
  t.same(m.bucket(), {});
  t.match(errorsOf(m).join('\n'), /memory\/bucket is not exported/);
  await m.write('g', 'of the other');
  await m.rest(60_000);
  await m.stop();
  await m.open();
  t.equal(m.bucket()['f'], 'committed');
});

await t.test('uploads that may not be aborted any more do not keep the bucket from being read', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const handle = await m.write('f', 'published');
  await writeAll(m, handle, 0, pattern(3 * PART));
  await m.crash();
  t.equal(m.store.uploads.size, 1);
  m.store.before = ({ operation }) => {
    if (operation !== 'AbortMultipartUpload') return;
    throw new StoreError('access-denied', 'no', { operation, bucket: 'bucket' });
  };
  await m.open();
  t.equal(await m.read('f'), 'published');
  await m.stop();
  m.store.before = undefined;
  await m.open();
  t.equal(m.store.uploads.size, 0, 'aborted when it may be');
});

await t.test('COMMITs of scattered pieces publish when there are more than the journal takes', async (t) => {
  const m = await mounted(t, {
    ...JOURNAL,
    writeOptions: { ...JOURNAL.writeOptions, extentsMax: 20 },
  });
  const data = pattern(8 * PART);
  const handle = await m.write('f', '', { commit: false });
  await writeAll(m, handle, 0, data);
  await m.rest(60_000);
  let published = m.store.countOf('CompleteMultipartUpload');
  const publications: number[] = [];
  for (let piece = 0; piece < 50; piece += 1) {
    const at = (piece * 2 * 997) % data.length;
    await m.fs.write(m.context, handle, at, Buffer.from([piece]), 'fileSync');
    data[at] = piece;
    const now = m.store.countOf('CompleteMultipartUpload');
    if (now > published) publications.push(piece);
    published = now;
  }
  t.same(publications, [20, 41], 'each for more than 20 pieces');
  await m.crash();
  await m.open();
  t.ok(m.store.objects.get('f')?.body.equals(data));
});

await t.test('a WRITE while a COMMIT journals parts sends nothing over them', async (t) => {
  const m = await mounted(t, JOURNAL);
  const data = pattern(4 * PART + 100);
  const handle = await m.write('f', '', { commit: false });
  // No part goes out before the file is published, and that is refused at its end.
  m.store.before = ({ operation }) => {
    const about = { operation, bucket: 'bucket', httpStatus: 403 };
    if (operation === 'CreateMultipartUpload' && m.store.countOf(operation) === 1)
      throw new StoreError('unavailable', 'for now', about);
    if (operation === 'CompleteMultipartUpload') throw new StoreError('access-denied', 'refused', about);
  };
  await writeAll(m, handle, 0, data);
  m.clock.advance(5000);
  while (!m.logged.some(({ msg }) => /^publishing in the background failed/.test(String(msg))))
    await setImmediate();
  t.equal(m.store.uploads.size, 1);
  const sent = m.store.countOf('UploadPart');
  t.ok(sent >= 4);
  const probe = await open(process.execPath, 'r');
  const prototype = Object.getPrototypeOf(probe) as object;
  await probe.close();
  const original = Object.getOwnPropertyDescriptor(prototype, 'datasync') as PropertyDescriptor;
  const restore = (): void => void Object.defineProperty(prototype, 'datasync', original);
  t.teardown(restore);
  let goOn = (): void => undefined;
  const syncing = new Promise<void>((reached) => {
    Object.defineProperty(prototype, 'datasync', {
      ...original,
      async value(this: object) {
        restore();
        reached();
        await new Promise<void>((resolve) => (goOn = resolve));
        await (original.value as (this: object) => Promise<void>).call(this);
      },
    });
  });
  const committing = m.fs.commit(m.context, handle);
  await syncing;
  await m.fs.write(m.context, handle, PART + 10, Buffer.from('unstable'), 'unstable');
  await setImmediate();
  t.equal(m.store.countOf('UploadPart'), sent);
  goOn();
  await committing;
  await m.crash();
  m.store.before = undefined;
  await m.open();
  t.ok(m.store.objects.get('f')?.body.equals(data));
});
