/** What a start does with what a crash left: beside the calls of clients, some files at a time, and never to another writer's object. */
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { StoreError } from '../../src/store/errors.js';
import type { Handle } from '../../src/fs/file-system.js';
import type { StoreCall } from '../support/memory-store.js';
import { codeOf, type Mounted } from './mounted.js';
import { JOURNAL, PART, SMALL_PARTS, mounted, pattern, writeAll } from './small-parts.js';

const unreachable = ({ operation }: StoreCall): never => {
  throw new StoreError('unavailable', 'unreachable', { operation, bucket: 'bucket' });
};

/** A file of six parts and a bit that is committed and not published: parts in an upload, the rest in the spool. */
async function committed(m: Mounted, path: string, data: Buffer): Promise<Handle> {
  const handle = await m.write(path, '', { commit: false });
  await writeAll(m, handle, 0, data);
  await m.fs.commit(m.context, handle);
  return handle;
}

const siblings = (m: Mounted): string[] =>
  Object.keys(m.bucket()).filter((key) => key.includes('.s3nfsd-conflict-'));

await t.test(
  'another writer’s object of the same size, mode, owner and times is not taken for one that was published here',
  async (t) => {
    for (const bytes of [3000, 6 * PART + 100]) {
      const m = await mounted(t, JOURNAL);
      const data = pattern(bytes);
      await committed(m, 'f', data);
      // What it will have: published by another daemon, in another bucket.
      const twin = await mounted(t, JOURNAL);
      await committed(twin, 'f', data);
      await twin.rest(60_000);
      const metadata = twin.store.objects.get('f')?.headers.metadata ?? {};
      await m.crash();
      m.store.uploads.clear();
      const theirs = pattern(bytes, 7);
      m.store.putNow('f', theirs, { metadata });
      await m.open();
      t.ok(m.store.objects.get('f')?.body.equals(theirs), 'it stays');
      const [sibling] = siblings(m);
      if (bytes <= PART)
        t.ok(m.store.objects.get(sibling ?? '')?.body.equals(data), 'ours is kept beside it');
      else {
        t.ok(
          m.logged.some(({ level, msg }) => level === 50 && /in an upload alone/.test(String(msg))),
          'parts that S3 lost are told as an error',
        );
        t.not(m.spool.usedBytes, 0, 'and what is here of the file is kept');
      }
    }
  },
);

await t.test(
  'what was published here before the crash is known by its bytes where its ETag tells nothing',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    const data = pattern(6 * PART + 100);
    await committed(m, 'f', data);
    const done = new Promise<void>((resolve) => {
      m.store.after = ({ operation }) => {
        if (operation !== 'CompleteMultipartUpload') return;
        resolve();
        return new Promise(() => undefined);
      };
    });
    m.clock.advance(60_000);
    await done;
    m.store.after = undefined;
    await m.crash();
    const object = m.store.objects.get('f');
    if (object === undefined) throw new Error('expected it to be published');
    m.store.objects.set('f', { ...object, etag: '"of a key that KMS has"' });
    const calls = m.store.calls.length;
    await m.open();
    t.same(Object.keys(m.bucket()), ['f'], 'and taken for nobody else’s');
    t.notOk(m.callsSince(calls).some((call) => /Put|Copy|UploadPart|Complete/.test(call)));
    t.ok(m.store.objects.get('f')?.body.equals(data));
    t.equal((await m.stat('f')).size, data.length);
    t.equal(m.spool.usedBytes, 0);
  },
);

await t.test('attributes that the upload did not carry follow as a change of the object', async (t) => {
  const m = await mounted(t, JOURNAL);
  const data = pattern(6 * PART + 100);
  const handle = await committed(m, 'f', data);
  await m.fs.setattr(m.context, handle, { mode: 0o604 });
  const done = new Promise<void>((resolve) => {
    m.store.after = ({ operation }) => {
      if (operation !== 'CompleteMultipartUpload') return;
      resolve();
      return new Promise(() => undefined);
    };
  });
  m.clock.advance(60_000);
  await done;
  m.store.after = undefined;
  await m.crash();
  await m.open();
  t.same(siblings(m), []);
  t.ok(m.store.objects.get('f')?.body.equals(data));
  t.equal(m.store.objects.get('f')?.headers.metadata['file-permissions'], '0100604');
  t.equal((await m.stat('f')).mode, 0o604);
});

await t.test('files are recovered some at a time', async (t) => {
  const m = await mounted(t, JOURNAL);
  const names = Array.from({ length: 60 }, (_, at) => `f${at}`);
  for (const name of names) await m.write(name, name);
  await m.crash();
  let underWay = 0;
  let most = 0;
  m.store.before = async () => {
    most = Math.max(most, ++underWay);
    await setImmediate();
    underWay -= 1;
  };
  await m.open();
  t.ok(most > 4 && most <= 16, `${most} requests at a time`);
  t.same(m.bucket(), Object.fromEntries(names.map((name) => [name, name])));
});

await t.test(
  'a volume is served while files of an earlier run are recovered; those who want them wait',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    await m.write('published', 'published');
    await m.rest(60_000);
    await m.write('slow', 'committed');
    await m.write('new', 'committed, too');
    await m.crash();
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    m.store.before = ({ key }) => (key === 'slow' || key === 'new' ? held : undefined);
    await openAndWait(m);
    t.equal(await m.read('published'), 'published');
    t.same((await m.list('')).sort(), ['new', 'published', 'slow'], 'listings show them');
    const looking = m.stat('slow');
    const removing = m.remove('new');
    const refused = codeOf(looking);
    await setImmediate();
    m.clock.advance(20_000);
    t.equal(await refused, 'EJUKEBOX', 'and comes back later');
    letGo();
    m.store.before = undefined;
    await codeOf(removing);
    t.equal(await m.read('slow'), 'committed');
    t.equal((await m.stat('slow')).size, 9);
  },
);

await t.test(
  'a store that can not be reached at the start: nothing is lost, and the start goes on with it',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    const data = pattern(6 * PART + 100);
    await committed(m, 'large', data);
    await m.write('small', 'small');
    await m.crash();
    m.store.before = unreachable;
    await openAndWait(m);
    m.store.before = undefined;
    m.clock.advance(10_000);
    t.equal(await m.read('small'), 'small');
    t.equal((await m.stat('large')).size, data.length);
    await m.rest(60_000);
    t.equal(m.bucket()['small'], 'small');
    t.ok(m.store.objects.get('large')?.body.equals(data));
    t.equal(m.store.uploads.size, 0);
  },
);

await t.test('a start that fails for want of the store leaves everything to the next one', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  await m.mkdir('a');
  await m.write('a/f', 'bytes');
  const handle = await m.at('a/f');
  const { verifier } = await m.fs.commit(m.context, handle);
  let copying = (): void => undefined;
  const copied = new Promise<void>((resolve) => (copying = resolve));
  m.store.before = ({ operation }) => {
    if (operation !== 'CopyObject') return;
    copying();
    return new Promise(() => undefined);
  };
  m.rename('a', 'b').catch(() => undefined);
  await copied;
  await m.crash();
  m.store.before = unreachable;
  await t.rejects(m.open(), /unreachable/);
  await t.rejects(m.open(), /unreachable/);
  m.store.before = undefined;
  await m.open();
  t.equal(await m.read('b/f'), 'bytes');
  t.same(await m.list(''), ['b']);
  t.same((await m.fs.commit(m.context, handle)).verifier, verifier, 'nothing unstable was lost');
});

await t.test('what one file is refused does not keep the others from being served', async (t) => {
  const m = await mounted(t, JOURNAL);
  await m.write('refused', 'committed');
  await m.write('fine', 'committed, too');
  await m.crash();
  m.store.before = ({ operation, key }) => {
    if (key === 'refused') throw new StoreError('access-denied', 'no', { operation, bucket: 'bucket' });
  };
  await openAndWait(m);
  t.equal(await m.read('fine'), 'committed, too');
  m.store.before = undefined;
  m.clock.advance(10_000);
  t.equal(await m.read('refused'), 'committed');
});

/** Starts while time goes on: it serves as soon as it waited long enough. */
async function openAndWait(m: Mounted): Promise<void> {
  let isOpen = false;
  const opening = m.open().finally(() => (isOpen = true));
  while (!isOpen) {
    await setImmediate();
    m.clock.advance(100);
  }
  await opening;
}

await t.test(
  'a stop while the store is down keeps what is not published: the write verifier stays, and nothing is lost',
  async (t) => {
    for (const isStateEphemeral of [false, true]) {
      const m = await mounted(t, { ...SMALL_PARTS, isStateEphemeral });
      const handle = await m.write('f', 'first');
      const { verifier } = await m.fs.write(m.context, handle, 0, Buffer.from('unstable'), 'unstable');
      m.store.before = unreachable;
      await m.stop();
      m.store.before = undefined;
      await m.open();
      const after = await m.fs.commit(m.context, handle);
      t.equal(Buffer.compare(after.verifier, verifier) === 0, !isStateEphemeral);
      t.equal(m.bucket()['f'], isStateEphemeral ? 'first' : 'unstable');
    }
  },
);
