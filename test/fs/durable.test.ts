/** What COMMITs are answered from when nothing is published: upload, spool and journal; and what a crash leaves of it. */
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { FsError } from '../../src/fs/errors.js';
import type { Handle } from '../../src/fs/file-system.js';
import { type Mounted, codeOf } from './mounted.js';
import { hold } from './hold.js';
import { JOURNAL, PART, SMALL_PARTS, mounted, pattern, writeAll } from './small-parts.js';

async function create(m: Mounted, name: string): Promise<Handle> {
  const attributes = { mode: 0o640 };
  return (await m.fs.create(m.context, await m.root(), Buffer.from(name), { how: 'guarded', attributes }))
    .handle;
}

/** A COMMIT that another WRITE of the stream follows at once: its first byte again. */
async function commitInStream(m: Mounted, handle: Handle, firstByte: Buffer): Promise<void> {
  const committing = m.fs.commit(m.context, handle);
  await m.fs.write(m.context, handle, 0, firstByte.subarray(0, 1), 'unstable');
  await committing;
}

/** A file of which the first part was published, and that goes on. */
async function streaming(m: Mounted, data: Buffer): Promise<Handle> {
  const handle = await create(m, 'f');
  await writeAll(m, handle, 0, data.subarray(0, 2 * PART));
  await m.fs.commit(m.context, handle);
  await writeAll(m, handle, 2 * PART, data.subarray(2 * PART));
  return handle;
}

const segmentsOf = async (m: Mounted): Promise<string[]> =>
  (await readdir(join(m.directory, 'spool'))).filter((name) => name.endsWith('.segment'));

await t.test('a COMMIT in a stream is answered from what is safe, and survives a crash', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const data = pattern(10 * PART + 77);
  const handle = await streaming(m, data);
  await commitInStream(m, handle, data);
  t.equal(m.bucket()['f']?.length, 2 * PART, 'it is not published');
  t.equal(m.store.countOf('CompleteMultipartUpload'), 1);
  await m.fs.write(m.context, handle, 0, Buffer.from('never committed'), 'unstable');
  const sent = m.store.countOf('UploadPart');
  await m.crash();
  await m.open();
  t.ok(
    m.store.objects.get('f')?.body.equals(data),
    'published by the restart, what was committed and no more',
  );
  t.equal(m.store.uploads.size, 0);
  t.equal(
    m.store.countOf('UploadPart'),
    sent + 2,
    'parts in the upload were not sent again: the first and the last',
  );
  t.equal((await m.stat('f')).size, data.length);
  t.equal((await m.stat('f')).mode, 0o640);
  t.same(await m.at('f'), handle);
});

await t.test('a COMMIT after which nothing more comes publishes, when it was held for 250 ms', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const data = pattern(6 * PART);
  const handle = await streaming(m, data);
  let answered = false;
  const committing = m.fs.commit(m.context, handle).finally(() => (answered = true));
  m.clock.advance(249);
  await new Promise(setImmediate);
  t.notOk(answered);
  t.equal(m.bucket()['f']?.length, 2 * PART);
  m.clock.advance(1);
  await committing;
  t.ok(m.store.objects.get('f')?.body.equals(data));
});

await t.test('a stream that is not committed again is published after a rest', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const data = pattern(6 * PART);
  const handle = await streaming(m, data);
  await commitInStream(m, handle, data);
  const published = new Promise<void>((resolve) => {
    m.store.after = ({ operation }) => {
      if (operation === 'CompleteMultipartUpload') resolve();
    };
  });
  m.clock.advance(1000);
  await published;
  t.ok(m.store.objects.get('f')?.body.equals(data));
});

await t.test('what is written over a committed part is committed too, and survives a crash', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const data = pattern(10 * PART);
  const handle = await streaming(m, data);
  await commitInStream(m, handle, data);
  for (const at of [5 * PART + 3, 7 * PART - 5]) {
    const change = pattern(10, 5);
    change.copy(data, at);
    await m.fs.write(m.context, handle, at, change, 'unstable');
  }
  await commitInStream(m, handle, data);
  // Over it again, not committed.
  await m.fs.write(m.context, handle, 5 * PART, Buffer.from('gone'), 'unstable');
  await m.crash();
  await m.open();
  t.ok(m.store.objects.get('f')?.body.equals(data));
  t.equal(m.store.uploads.size, 0);
});

await t.test('a truncation of a committed stream survives a crash', async (t) => {
  for (const size of [PART + 5, 3 * PART + 5, 20 * PART]) {
    const m = await mounted(t, SMALL_PARTS);
    const data = pattern(10 * PART);
    const handle = await streaming(m, data);
    await commitInStream(m, handle, data);
    await m.fs.setattr(m.context, handle, { size, mode: 0o600 });
    await m.crash();
    await m.open();
    const expected = Buffer.alloc(size);
    data.copy(expected);
    t.ok(m.store.objects.get('f')?.body.equals(expected), `${size} bytes`);
    t.match(await m.stat('f'), { size, mode: 0o600 });
    t.equal(m.store.uploads.size, 0);
  }
});

await t.test('a crash right after the publication finds out that the object is there', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const data = pattern(10 * PART + 5);
  const handle = await streaming(m, data);
  await commitInStream(m, handle, data);
  const done = new Promise<void>((resolve) => {
    m.store.after = ({ operation }) => {
      if (operation !== 'CompleteMultipartUpload') return;
      resolve();
      return new Promise(() => undefined);
    };
  });
  m.clock.advance(1000);
  await done;
  m.store.after = undefined;
  await m.crash();
  const calls = m.store.calls.length;
  await m.open();
  t.same(Object.keys(m.bucket()), ['f'], 'and takes it for nobody else’s');
  t.ok(m.store.objects.get('f')?.body.equals(data));
  t.notOk(
    m
      .callsSince(calls)
      .some((call) => /Upload|Put|Copy/.test(call) && !call.startsWith('List') && !call.startsWith('Abort')),
  );
});

await t.test('parts that S3 lost with their upload are not made up', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const data = pattern(10 * PART);
  const handle = await streaming(m, data);
  await commitInStream(m, handle, data);
  await m.crash();
  m.store.uploads.clear();
  await m.open();
  t.equal(m.bucket()['f']?.length, 2 * PART, 'the object is as it was');
  t.match(
    m.logged.filter(({ level }) => level === 50).map(({ msg }) => msg),
    [/in an upload alone/],
    'said as an error',
  );
  t.same(Object.keys(m.bucket()), ['f']);
});

await t.test('bytes that the disk changed are found out and not published', async (t) => {
  const m = await mounted(t, JOURNAL);
  const handle = await create(m, 'f');
  await m.fs.write(m.context, handle, 0, pattern(3000), 'fileSync');
  await m.crash();
  const [name = ''] = await segmentsOf(m);
  const path = join(m.directory, 'spool', name);
  const bytes = await readFile(path);
  bytes[1500] = (bytes[1500] ?? 0) ^ 4;
  await writeFile(path, bytes);
  await m.open();
  await m.rest(60_000);
  t.same(m.bucket(), {}, 'nothing that nobody wrote');
});

await t.test(
  'policy journal: COMMIT and FILE_SYNC are answered without S3, and survive a crash',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    const small = await create(m, 'small');
    await m.fs.write(m.context, small, 0, Buffer.from('hello'), 'fileSync');
    const large = await create(m, 'large');
    const data = pattern(5 * PART + 9);
    await writeAll(m, large, 0, data);
    await m.fs.commit(m.context, large);
    t.same(m.bucket(), {});
    t.equal(await m.read(small), 'hello');
    await m.crash();
    await m.open();
    t.equal(m.bucket()['small'], 'hello');
    t.ok(m.store.objects.get('large')?.body.equals(data));
    t.same(await m.at('large'), large);
    t.equal((await m.stat('small')).mode, 0o640);
    t.equal(m.store.uploads.size, 0);
  },
);

await t.test('policy journal: a burst of calls on one file is one PUT', async (t) => {
  const m = await mounted(t, { ...JOURNAL, journalRestMs: 500 });
  const handle = await create(m, 'f');
  await m.fs.write(m.context, handle, 0, Buffer.from('bytes'), 'fileSync');
  await m.fs.setattr(m.context, handle, { mode: 0o604 });
  m.clock.advance(499);
  await m.fs.setattr(m.context, handle, { mtimeNs: 5n, atimeNs: 6n });
  m.clock.advance(499);
  t.same(m.bucket(), {});
  await m.rest(1);
  t.same(m.bucket(), { f: 'bytes' });
  const changing = m.store.calls.filter(({ operation }) => /Put|Copy|Upload/.test(operation));
  t.equal(changing.length, 1);
  t.match(m.store.objects.get('f')?.headers.metadata, { 'file-permissions': '0100604', 'file-mtime': '5ns' });
});

await t.test(
  'policy journal: a file that is written under another name and renamed is one PUT',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    for (const crashes of [false, true]) {
      const name = crashes ? 'crashed' : 'renamed';
      const handle = await create(m, '.temporary');
      await m.fs.write(m.context, handle, 0, Buffer.from('bytes'), 'fileSync');
      await m.fs.setattr(m.context, handle, { mode: 0o604 });
      const calls = m.store.calls.length;
      await m.rename('.temporary', name);
      t.equal(await m.read(name), 'bytes');
      if (crashes) {
        await m.crash();
        await m.open();
      } else await m.rest(60_000);
      t.equal(m.bucket()[name], 'bytes');
      t.notOk('.temporary' in m.bucket());
      t.same(
        m.callsSince(calls).filter((call) => /Put|Copy|Upload|Delete/.test(call)),
        [`PutObject ${name}`],
      );
      t.equal((await m.stat(name)).mode, 0o604);
      t.same(await m.at(name), handle);
    }
  },
);

await t.test('policy publish: the same burst is a PUT and a copy', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const handle = await create(m, 'f');
  await m.fs.write(m.context, handle, 0, Buffer.from('bytes'), 'fileSync');
  await m.fs.setattr(m.context, handle, { mode: 0o604 });
  await m.fs.setattr(m.context, handle, { mtimeNs: 5n, atimeNs: 6n });
  await m.rest();
  t.same(
    m.store.calls.map(({ operation }) => operation).filter((operation) => /Put|Copy|Upload/.test(operation)),
    ['PutObject', 'CopyObject'],
  );
});

await t.test('policy journal: a conflict that the background meets keeps both, and is told', async (t) => {
  const m = await mounted(t, JOURNAL);
  const handle = await m.write('f', 'first');
  await m.rest(60_000);
  await m.fs.write(m.context, handle, 0, Buffer.from('loser'), 'fileSync');
  m.store.putNow('f', Buffer.from('winner'));
  await m.rest(60_000);
  t.equal(m.bucket()['f'], 'winner');
  t.ok(
    Object.entries(m.bucket()).some(
      ([key, body]) => key.startsWith('f.s3nfsd-conflict-') && body === 'loser',
    ),
  );
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
});

await t.test(
  'state declared ephemeral: CREATE puts the empty object, and every COMMIT publishes',
  async (t) => {
    const m = await mounted(t, { ...SMALL_PARTS, isStateEphemeral: true });
    const handle = await create(m, 'f');
    t.same(m.bucket(), { f: '' });
    t.equal(m.store.objects.get('f')?.headers.metadata['file-permissions'], '0100640');
    const data = pattern(6 * PART);
    for (const bytes of [2 * PART, 4 * PART, 6 * PART]) {
      await writeAll(m, handle, bytes - 2 * PART, data.subarray(bytes - 2 * PART, bytes));
      const committing = m.fs.commit(m.context, handle);
      await m.fs.write(m.context, handle, 0, data.subarray(0, 1), 'unstable');
      await committing;
      t.ok(m.store.objects.get('f')?.body.equals(data.subarray(0, bytes)), `${bytes} bytes`);
    }
    m.store.before = ({ operation }) => {
      if (operation === 'PutObject') throw new FsError('EACCES', 'refused');
    };
    t.equal(await codeOf(create(m, 'refused')), 'EACCES');
    t.same(await m.list(''), ['f'], 'what could not be made is not there');
  },
);

await t.test('many files whose COMMITs come together share their syncs', async (t) => {
  const m = await mounted(t, JOURNAL);
  const handles = await Promise.all(Array.from({ length: 50 }, (_, at) => create(m, `f${at}`)));
  await Promise.all(
    handles.map((handle, at) => m.fs.write(m.context, handle, 0, pattern(900, at + 1), 'unstable')),
  );
  const probe = await open(process.execPath, 'r');
  const prototype = Object.getPrototypeOf(probe) as { datasync: () => Promise<void> };
  await probe.close();
  const { datasync } = prototype;
  let syncs = 0;
  // No sync ends before the other COMMITs had many turns of the event loop: what they could share doesn't depend on the disk's speed.
  prototype.datasync = async function (this: unknown) {
    syncs += 1;
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    return datasync.call(this);
  };
  t.teardown(() => (prototype.datasync = datasync));
  await Promise.all(handles.map((handle) => m.fs.commit(m.context, handle)));
  t.ok(syncs <= 40, `${syncs} syncs for 50 COMMITs`);
  await m.crash();
  await m.open();
  t.equal(Object.keys(m.bucket()).length, 50);
});

await t.test('the spool is given back when files are published or removed', async (t) => {
  const m = await mounted(t, JOURNAL);
  await m.write('published', pattern(3000));
  await m.write('removed', pattern(3000));
  t.equal(m.spool.usedBytes, 6000);
  await m.remove('removed');
  await m.rest(60_000);
  await m.stop();
  await m.open();
  t.equal(m.spool.usedBytes, 0);
  t.same(await segmentsOf(m), []);
});

await t.test('what the spool has no room for is published before COMMIT is answered', async (t) => {
  const m = await mounted(t, { ...JOURNAL, spoolLimitBytes: 4000 });
  const first = await m.write('first', pattern(3000));
  t.same(m.bucket(), {});
  const second = await m.write('second', pattern(3000));
  t.same(Object.keys(m.bucket()), ['second'], 'answered by S3');
  await m.rest(60_000);
  t.same(Object.keys(m.bucket()), ['first', 'second']);
  for (const handle of [first, second]) t.equal((await m.fs.getattr(m.context, handle)).size, 3000);
});

await t.test(
  'the loser of a conflict that is in an unfinished upload is kept there until its key is free',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    const handle = await create(m, 'f');
    const data = pattern(6 * PART + 100);
    await writeAll(m, handle, 0, data);
    await m.fs.commit(m.context, handle);
    await m.crash();
    m.store.putNow('f', Buffer.from('winner'));
    await m.open();
    t.same(m.bucket(), { f: 'winner' });
    t.equal(await m.read(await m.at('f')), 'winner', 'the file goes on with the winner');
    t.equal(await codeOf(m.write('f', 'winner, changed')), 'EIO', 'told once');
    await m.write('f', 'winner, changed');
    await m.rest(60_000);
    t.same(m.bucket(), { f: 'winner, changed' });
    await m.stop();
    await m.open();
    t.same(m.bucket(), { f: 'winner, changed' });
    t.equal(m.store.uploads.size, 1, 'the upload is kept');
    await m.stop();
    m.store.objects.delete('f');
    await m.open();
    t.ok(m.store.objects.get('f')?.body.equals(data), 'what was written here is published');
    t.equal(m.store.uploads.size, 0);
    await m.stop();
    await m.open();
    t.equal(m.spool.usedBytes, 0);
  },
);

/** Every write to a file fails, as on a disk without room, until the returned function is called. */
async function fullDisk(t: Test): Promise<() => void> {
  const probe = await open(process.execPath, 'r');
  const prototype = Object.getPrototypeOf(probe) as object;
  await probe.close();
  const original = Object.getOwnPropertyDescriptor(prototype, 'write') as PropertyDescriptor;
  const restore = (): void => void Object.defineProperty(prototype, 'write', original);
  t.teardown(restore);
  Object.defineProperty(prototype, 'write', {
    ...original,
    value: () =>
      Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })),
  });
  return restore;
}

await t.test(
  'a disk of the state directory that is full: ENOSPC by name, nothing lost, and on with room',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    const kept = await m.write('kept', 'committed before');
    const making = await create(m, 'making');
    const makeRoom = await fullDisk(t);
    await t.rejects(create(m, 'refused'), {
      code: 'ENOSPC',
      message: /"refused" in memory\/bucket: .*ENOSPC/,
    });
    await t.rejects(m.fs.setattr(m.context, kept, { mode: 0o600 }), {
      code: 'ENOSPC',
      message: /"kept" in memory\/bucket/,
    });
    await m.fs.write(m.context, making, 0, Buffer.from('by S3'), 'fileSync');
    t.equal(m.bucket()['making'], 'by S3', 'what can not be kept here is published');
    makeRoom();
    t.same(await m.list(''), ['kept', 'making'], 'what was refused is not there');
    await create(m, 'refused');
    t.equal(await m.read(kept), 'committed before');
    await m.crash();
    await m.open();
    t.match(m.bucket(), { kept: 'committed before', making: 'by S3', refused: '' });
  },
);

await t.test(
  'a disk that was full while a file was published: the spool is given back with room',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    await m.write('f', 'bytes');
    const put = hold(m, 'PutObject');
    m.clock.advance(5000);
    await put.reached;
    const makeRoom = await fullDisk(t);
    put.open();
    await m.rest(0);
    t.ok(m.spool.usedBytes > 0, 'the journal names them still');
    makeRoom();
    await create(m, 'next');
    while (m.spool.usedBytes > 0) await new Promise((resolve) => setImmediate(resolve));
    t.same(m.bucket(), { f: 'bytes' });
  },
);

await t.test('a new file removed while the disk is full leaves nothing in memory', async (t) => {
  const m = await mounted(t, JOURNAL);
  await m.write('f', Buffer.alloc(100_000), { commit: false });
  const makeRoom = await fullDisk(t);
  await t.rejects(m.remove('f'), { code: 'ENOSPC' });
  t.equal(m.budget.usedBytes, 0);
  makeRoom();
});

await t.test('what was spilled before a crash is off the disk after the next start', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  await m.crash();
  await writeFile(join(m.directory, 'spool', '4321-1.part'), 'spilled');
  await m.open();
  t.same(await readdir(join(m.directory, 'spool')), []);
});
