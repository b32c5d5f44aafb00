/** Attributes and sizes that SETATTRs were answered for, and a crash at any request of the start that carries them out, and of what follows. */
import { copyFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { StoreError } from '../../src/store/errors.js';
import type { Handle } from '../../src/fs/file-system.js';
import { callUntilHung } from './hold.js';
import type { Mounted, MountedOptions } from './mounted.js';
import { JOURNAL, PART, SMALL_PARTS, mounted, pattern, writeAll } from './small-parts.js';

const REQUESTS_MAX = 16;
const MTIME_NS = 1_234_567_890_123_456_789n;

interface Case {
  readonly options: MountedOptions;
  /** Leaves changes of "f" that are answered and not published. */
  readonly before: (m: Mounted) => Promise<unknown>;
  readonly body: Buffer;
}

const OWNED = { mode: 0o4711, uid: 901, gid: 1646 };

/** True where the start was over before so many requests. */
async function crashAt(t: Test, each: Case, request: number, when: 'before' | 'after'): Promise<boolean> {
  const m = await mounted(t, each.options);
  await each.before(m);
  await m.crash();
  let opening: Promise<void> | undefined;
  const ended = await callUntilHung(m, when, request, () => (opening = m.open()));
  // A start waits 5 s at most for files that are looked at.
  while ((await Promise.race([opening, setImmediate('waits')])) === 'waits') m.clock.advance(100);
  await m.crash();
  m.store[when] = undefined;
  await m.open();
  await m.rest(60_000);
  const where = `${when} request ${request} (${ended})`;
  const { mode, uid, gid, mtimeNs } = await m.stat('f');
  t.same({ mode, uid, gid, mtimeNs }, { ...OWNED, mtimeNs: MTIME_NS }, `attributes: ${where}`);
  const object = m.store.objects.get('f');
  t.ok(object?.body.equals(each.body), `bytes: ${where}`);
  t.match(
    object?.headers.metadata,
    {
      'file-permissions': '0104711',
      'file-owner': '901',
      'file-group': '1646',
      'file-mtime': `${MTIME_NS}ns`,
    },
    `metadata: ${where}`,
  );
  await m.end();
  return ended === 'over';
}

async function crashEverywhere(t: Test, each: Case): Promise<void> {
  for (const when of ['before', 'after'] as const) {
    for (let request = 1; request <= REQUESTS_MAX; request++)
      if (await crashAt(t, each, request, when)) break;
  }
}

/** A published file. */
async function published(m: Mounted, data: Buffer): Promise<Handle> {
  const handle = await m.write('f', '', { commit: false });
  await writeAll(m, handle, 0, data);
  await m.fs.commit(m.context, handle);
  await m.rest(60_000);
  return handle;
}

for (const [what, bytes] of [
  ['in one piece', 1000],
  ['in parts', 6 * PART + 100],
] as const) {
  const data = pattern(bytes);

  await t.test(`mode, owner and times of a published file ${what}`, async (t) =>
    crashEverywhere(t, {
      options: JOURNAL,
      before: async (m) => {
        const handle = await published(m, data);
        await m.fs.setattr(m.context, handle, OWNED);
        await m.fs.setattr(m.context, handle, { mtimeNs: MTIME_NS });
      },
      body: data,
    }),
  );

  await t.test(
    `sizes of a published file ${what}, after its mode and owner and before its times`,
    async (t) =>
      crashEverywhere(t, {
        options: JOURNAL,
        before: async (m) => {
          const handle = await published(m, data);
          await m.fs.setattr(m.context, handle, OWNED);
          await m.fs.setattr(m.context, handle, { size: 300 });
          await m.fs.setattr(m.context, handle, { size: bytes - 50 });
          await m.fs.setattr(m.context, handle, { mtimeNs: MTIME_NS });
        },
        body: Buffer.concat([data.subarray(0, 300), Buffer.alloc(bytes - 350)]),
      }),
  );

  await t.test(`the size of a new file ${what}`, async (t) =>
    crashEverywhere(t, {
      options: SMALL_PARTS,
      before: async (m) => {
        const handle = await m.write('f', '', { commit: false });
        await m.fs.setattr(m.context, handle, OWNED);
        await m.fs.setattr(m.context, handle, { size: bytes });
        await m.fs.setattr(m.context, handle, { mtimeNs: MTIME_NS });
      },
      body: Buffer.alloc(bytes),
    }),
  );
}

for (const options of [SMALL_PARTS, JOURNAL]) {
  const policy = options === JOURNAL ? 'journal' : 'publish';
  await t.test('a file that is emptied and written again as it was', async (t) => {
    const m = await mounted(t, options);
    const data = pattern(1000);
    const handle = await published(m, data);
    const etag = m.store.objects.get('f')?.etag;
    await m.fs.setattr(m.context, handle, { size: 0 });
    await m.fs.write(m.context, handle, 0, data, 'unstable');
    await m.fs.commit(m.context, handle);
    const [journal, then] = [join(m.directory, 'journal'), join(m.directory, 'journal.then')];
    if (policy === 'journal') {
      // Its bytes aren't needed in the journal any more, as soon as the store has them.
      const answered = new Promise<void>((resolve) => {
        m.store.after = ({ operation }) => (operation === 'PutObject' ? resolve() : undefined);
      });
      m.clock.advance(60_000);
      await answered;
      m.store.after = undefined;
      await m.rest(60_000);
    }
    // The moment of the answer: what is on its way to the disk then is lost.
    copyFileSync(journal, then);
    t.equal(m.store.objects.get('f')?.etag, etag, 'the object has the ETag that it had');
    await m.crash();
    await copyFile(then, journal);
    await m.open();
    await m.rest(60_000);
    t.ok(
      m.store.objects.get('f')?.body.equals(data),
      `policy ${policy}: the size of in between is not set again`,
    );
  });
}

await t.test('a size that was published before the answer got lost is not set again', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const data = pattern(1000);
  const handle = await published(m, data);
  await m.fs.setattr(m.context, handle, { size: 0 });
  await m.fs.write(m.context, handle, 0, data, 'unstable');
  m.store.after = ({ operation }) => {
    if (operation === 'PutObject')
      throw new StoreError('unavailable', 'no answer', { operation, bucket: 'bucket' });
  };
  await t.rejects(m.fs.commit(m.context, handle));
  m.store.after = undefined;
  m.store.before = ({ operation }) => {
    if (operation !== 'HeadObject')
      throw new StoreError('unavailable', 'unreachable', { operation, bucket: 'bucket' });
  };
  await m.fs.setattr(m.context, handle, { mode: 0o604 });
  await m.crash();
  m.store.before = undefined;
  await m.open();
  await m.rest(60_000);
  t.ok(m.store.objects.get('f')?.body.equals(data));
  t.equal((await m.stat('f')).mode, 0o604);
});

await t.test(
  'a SETATTR that repeats one whose answer told of a failure is safe when it is answered',
  async (t) => {
    const m = await mounted(t, SMALL_PARTS);
    const handle = await published(m, pattern(1000));
    m.store.before = ({ operation }) => {
      if (operation !== 'HeadObject')
        throw new StoreError('unavailable', 'unreachable', { operation, bucket: 'bucket' });
    };
    await Promise.all([
      m.fs.setattr(m.context, handle, { mode: 0o604 }),
      m.fs
        .setattr(m.context, handle, { mode: 0o604 })
        .then(() => copyFileSync(join(m.directory, 'journal'), join(m.directory, 'journal.then'))),
    ]);
    await m.crash();
    m.store.before = undefined;
    await copyFile(join(m.directory, 'journal.then'), join(m.directory, 'journal'));
    await m.open();
    t.equal((await m.stat('f')).mode, 0o604);
  },
);

await t.test('the ctime of a WRITE that was committed does not go back with a crash', async (t) => {
  for (const commitPolicy of ['publish', 'journal'] as const) {
    const m = await mounted(t, { exports: [{ commitPolicy }] });
    const file = await m.write('f', 'first');
    await m.rest(60_000);
    m.clock.advance(1234);
    await m.fs.write(m.context, file, 0, Buffer.from('F'), 'unstable');
    const { ctimeNs } = (await m.fs.commit(m.context, file)).file.after ?? (await m.stat('f'));
    await m.crash();
    await m.open();
    t.equal(await m.read('f'), 'First');
    t.ok((await m.stat('f')).ctimeNs >= ctimeNs, commitPolicy);
  }
});
