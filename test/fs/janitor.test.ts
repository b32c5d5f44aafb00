/** Unfinished uploads and losers of conflicts: this daemon's own are ended, another writer's never. */
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { StoreError } from '../../src/store/errors.js';
import type { CopyJournal } from '../../src/store/object-store.js';
import { MemoryStore } from '../support/memory-store.js';
import { pass } from './janitor-rounds.js';
import { codeOf, type Mounted } from './mounted.js';
import { JOURNAL, PART, SMALL_PARTS, mounted, pattern, writeAll } from './small-parts.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOBODY = { metadata: {} };

/** Lets rounds that are due, and their requests, run to their end; not what waits for the disk. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 500; turn += 1) await setImmediate();
}

/** A streamed file that is not committed: its parts are in an upload. */
async function uploading(m: Mounted, name: string): Promise<string> {
  const before = new Set(m.store.uploads.keys());
  const handle = await m.write(name, '', { commit: false });
  await writeAll(m, handle, 0, pattern(4 * PART));
  await settle();
  const [id = ''] = [...m.store.uploads.keys()].filter((known) => !before.has(known));
  return id;
}

await t.test('an upload that a crash left is aborted at the start, another writer’s never', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const foreign = await m.store.createUpload('f', NOBODY);
  t.ok(await uploading(m, 'f'));
  await m.crash();
  await m.open();
  t.same([...m.store.uploads.keys()], [foreign]);
  m.clock.advance(400 * DAY_MS);
  await settle();
  t.same([...m.store.uploads.keys()], [foreign], 'at any age');
});

await t.test('a copy in parts that a crash cut off leaves no upload behind', async (t) => {
  let journal: CopyJournal | undefined;
  const store = Object.assign(new MemoryStore(), {
    journalCopies: (given: CopyJournal) => void (journal = given),
  });
  const m = await mounted(t, { ...SMALL_PARTS, store });
  const [ended, cutOff] = [await store.createUpload('a', NOBODY), await store.createUpload('b', NOBODY)];
  await journal?.started('a', ended);
  await journal?.started('b', cutOff);
  journal?.ended(ended);
  await pass(m, DAY_MS);
  t.same([...store.uploads.keys()], [ended, cutOff], 'while it is under way it is left alone');
  await m.crash();
  await m.open();
  t.same([...store.uploads.keys()], [ended]);
});

await t.test('an upload that could not be aborted is aborted by a later round', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const own = await uploading(m, 'f');
  m.store.before = ({ operation }) => {
    if (operation === 'AbortMultipartUpload')
      throw new StoreError('access-denied', 'no', { operation, bucket: 'bucket' });
  };
  await m.remove('f');
  m.store.before = undefined;
  t.same([...m.store.uploads.keys()], [own]);
  m.clock.advance(HOUR_MS);
  await settle();
  t.equal(m.store.uploads.size, 0);
});

await t.test('an upload that somebody here works with is never aborted, however old', async (t) => {
  const initiator = 'arn:aws:iam::111111111111:user/mount';
  const m = await mounted(t, {
    ...JOURNAL,
    journalRestMs: 10 * DAY_MS,
    janitor: { initiator, uploadAgeMs: HOUR_MS },
  });
  const data = pattern(4 * PART + 5);
  const handle = await m.write('f', '', { commit: false });
  await writeAll(m, handle, 0, data);
  await m.fs.commit(m.context, handle);
  for (let hours = 0; hours < 48; hours += 1) {
    m.clock.advance(HOUR_MS);
    await settle();
  }
  t.equal(m.store.uploads.size, 1);
  await m.rest(20 * DAY_MS);
  t.ok(m.store.objects.get('f')?.body.equals(data));
});

await t.test(
  'uploads of a lost state directory are aborted by age where their initiator is named',
  async (t) => {
    const initiator = 'arn:aws:iam::111111111111:user/mount';
    for (const janitor of [{}, { initiator, uploadAgeMs: DAY_MS }]) {
      const m = await mounted(t, {
        ...SMALL_PARTS,
        exports: [{ path: '/bucket', prefix: 'mine/' }],
        janitor,
      });
      const stray = await m.store.createUpload('mine/f', NOBODY);
      const beside = await m.store.createUpload('theirs/f', NOBODY);
      m.store.initiator = 'arn:aws:iam::111111111111:user/backup';
      const foreign = await m.store.createUpload('mine/f', NOBODY);
      m.clock.advance(DAY_MS - HOUR_MS);
      await settle();
      t.ok(m.store.uploads.has(stray), 'not before its age');
      m.clock.advance(HOUR_MS);
      await settle();
      t.equal(m.store.uploads.has(stray), janitor.initiator === undefined);
      t.ok(m.store.uploads.has(foreign), 'another initiator’s never');
      t.ok(m.store.uploads.has(beside), 'nor what lies beside the export');
      const told = m.logged.filter(({ msg }) => String(msg).includes('was aborted'));
      t.same(
        told.map(({ key, uploadId }) => ({ key, uploadId })),
        janitor.initiator === undefined ? [] : [{ key: 'mine/f', uploadId: stray }],
        'the log says what was aborted',
      );
    }
  },
);

await t.test('a bucket that is exported read-only is left alone', async (t) => {
  const initiator = 'arn:aws:iam::111111111111:user/mount';
  const m = await mounted(t, { exports: [{ readOnly: true }], janitor: { initiator, uploadAgeMs: 0 } });
  const stray = await m.store.createUpload('f', NOBODY);
  m.clock.advance(30 * DAY_MS);
  await settle();
  t.ok(m.store.uploads.has(stray));
  t.equal(m.store.countOf('ListMultipartUploads'), 0);
});

await t.test(
  'the loser of a conflict is removed at an age, where there is one, unless somebody changed it',
  async (t) => {
    for (const janitor of [{}, { conflictAgeMs: 2 * DAY_MS }]) {
      const m = await mounted(t, { ...SMALL_PARTS, janitor });
      for (const name of ['f', 'g']) {
        const handle = await m.write(name, 'first');
        await m.fs.write(m.context, handle, 0, Buffer.from('loser'), 'unstable');
        m.store.putNow(name, Buffer.from('winner'));
        t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
      }
      const losers = Object.keys(m.bucket()).filter((key) => key.includes('.s3nfsd-conflict-'));
      t.equal(losers.length, 2);
      m.store.putNow(losers[1] ?? '', Buffer.from('changed by hand'));
      m.clock.advance(DAY_MS);
      await settle();
      t.ok((losers[0] ?? '') in m.bucket(), 'not before');
      await m.stop();
      await m.open();
      await pass(m, 2 * DAY_MS);
      const left = Object.keys(m.bucket()).filter((key) => key.includes('.s3nfsd-conflict-'));
      t.same(left, janitor.conflictAgeMs === undefined ? losers : losers.slice(1));
    }
  },
);

await t.test('the loser that is in an unfinished upload is removed at that age, too', async (t) => {
  const m = await mounted(t, { ...JOURNAL, janitor: { conflictAgeMs: 2 * DAY_MS } });
  const handle = await m.write('f', '', { commit: false });
  await writeAll(m, handle, 0, pattern(6 * PART + 100));
  await m.fs.commit(m.context, handle);
  await m.crash();
  m.store.putNow('f', Buffer.from('winner'));
  await m.open();
  await pass(m, DAY_MS);
  t.equal(m.store.uploads.size, 1, 'not before');
  await pass(m, DAY_MS);
  t.equal(m.store.uploads.size, 0);
  t.same(m.bucket(), { f: 'winner' });
  await m.stop();
  await m.open();
  t.equal(m.spool.usedBytes, 0);
  t.same(m.bucket(), { f: 'winner' });
});
