/** Publications whose answer never came, or came to a daemon that had died: what they left in S3 is nobody else's. */
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import { StoreError } from '../../src/store/errors.js';
import type { StoreOperation } from '../support/memory-store.js';
import { hold } from './hold.js';
import { loseAnswer, unanswered } from './lost-answer.js';
import { codeOf, type Mounted, type MountedOptions } from './mounted.js';
import { JOURNAL, PART, SMALL_PARTS, mounted, pattern, writeAll } from './small-parts.js';

const KINDS: readonly (readonly [what: string, operation: StoreOperation, bytes: number])[] = [
  ['a PUT', 'PutObject', 100],
  ['an upload', 'CompleteMultipartUpload', 3 * PART + 100],
];

/** The next request of a kind waits until it is let go on, has its effect, and is not answered. */
function holdAndLose(m: Mounted, operation: StoreOperation): ReturnType<typeof hold> {
  loseAnswer(m, operation);
  return hold(m, operation);
}

/** A file with an object, of which nothing is known to be streamed. */
async function published(m: Mounted, bytes: number): Promise<Handle> {
  const handle = await m.write('f', '', { commit: false });
  await writeAll(m, handle, 0, pattern(bytes, 3));
  await m.fs.commit(m.context, handle);
  await m.rest(60_000);
  m.clock.advance(60_000);
  return handle;
}

/** A COMMIT, after which nothing more comes: one of a stream is held for a while. */
async function commit(m: Mounted, handle: Handle): Promise<string> {
  const committing = codeOf(m.fs.commit(m.context, handle));
  m.clock.advance(300);
  return committing;
}

/** A COMMIT whose publication has its effect and is not answered. */
async function commitUnanswered(m: Mounted, handle: Handle, operation: StoreOperation): Promise<void> {
  const lost = holdAndLose(m, operation);
  const committing = codeOf(m.fs.commit(m.context, handle));
  await lost.reached;
  lost.open();
  await committing;
}

function requireOne(t: Test, m: Mounted, data: Buffer, mode?: string): void {
  t.strictSame(Object.keys(m.bucket()), ['f']);
  t.ok(m.store.objects.get('f')?.body.equals(data));
  if (mode !== undefined) t.equal(m.store.objects.get('f')?.headers.metadata['file-permissions'], mode);
}

interface Written {
  readonly m: Mounted;
  readonly handle: Handle;
  /** What was written to the whole file, and not committed. */
  readonly data: Buffer;
  /** The request that publishes it. */
  readonly operation: StoreOperation;
}

/** Runs a test for each way in which a file is published. */
async function eachWay(
  t: Test,
  options: MountedOptions,
  task: (t: Test, written: Written) => Promise<void>,
): Promise<void> {
  for (const [what, operation, bytes] of KINDS) {
    for (const isNew of [true, false])
      await t.test(`${what} of ${isNew ? 'a new file' : 'a file that has an object'}`, async (t) => {
        const m = await mounted(t, options);
        const handle = isNew ? await m.write('f', '', { commit: false }) : await published(m, bytes);
        const data = pattern(bytes);
        await writeAll(m, handle, 0, data);
        await task(t, { m, handle, data, operation });
      });
  }
}

const writeNew = async (m: Mounted, handle: Handle): Promise<unknown> =>
  m.fs.write(m.context, handle, 10, Buffer.from('NEW'), 'unstable');

await t.test('a publication whose answer is lost, and a write behind it: no conflict', async (t) =>
  eachWay(t, SMALL_PARTS, async (t, { m, handle, data, operation }) => {
    await commitUnanswered(m, handle, operation);
    await writeNew(m, handle);
    t.equal(await commit(m, handle), 'none');
    await m.rest(60_000);
    data.write('NEW', 10);
    requireOne(t, m, data);
  }),
);

await t.test(
  'a publication whose answer is lost, and then refused, and a write behind it: no conflict',
  async (t) =>
    eachWay(t, SMALL_PARTS, async (t, { m, handle, data, operation }) => {
      m.store.after = (call) => {
        if (call.operation !== operation) return;
        m.store.after = undefined;
        // As after a night's sleep: the connection is gone, and so are the credentials of the next attempt.
        const about = { operation, bucket: 'bucket', code: 'ExpiredToken', httpStatus: 400 };
        throw new StoreError('credentials', 'expired', { ...about, isAfterUnanswered: true });
      };
      t.equal(await commit(m, handle), 'EJUKEBOX');
      await writeNew(m, handle);
      t.equal(await commit(m, handle), 'none');
      await m.rest(60_000);
      data.write('NEW', 10);
      requireOne(t, m, data);
    }),
);

await t.test('a publication whose answer is lost while a write and a SETATTR wait: no conflict', async (t) =>
  eachWay(t, SMALL_PARTS, async (t, { m, handle, data, operation }) => {
    const lost = holdAndLose(m, operation);
    const committing = codeOf(m.fs.commit(m.context, handle));
    await lost.reached;
    const writing = writeNew(m, handle);
    const setting = m.fs.setattr(m.context, handle, { mode: 0o600 });
    await setImmediate();
    lost.open();
    t.equal(await committing, 'EJUKEBOX');
    await Promise.all([writing, setting]);
    t.equal(await commit(m, handle), 'none');
    await m.rest(60_000);
    data.write('NEW', 10);
    requireOne(t, m, data, '0100600');
  }),
);

await t.test('a publication whose answer is lost, a COMMIT behind it, and a crash: no conflict', async (t) =>
  eachWay(t, JOURNAL, async (t, { m, handle, data, operation }) => {
    const lost = holdAndLose(m, operation);
    m.clock.advance(5000);
    await lost.reached;
    const writing = writeNew(m, handle);
    await setImmediate();
    lost.open();
    await writing;
    await m.fs.commit(m.context, handle);
    await m.crash();
    await m.open();
    await m.rest(60_000);
    data.write('NEW', 10);
    requireOne(t, m, data);
  }),
);

await t.test('a publication that has its effect when the next start has looked: no conflict', async (t) =>
  eachWay(t, JOURNAL, async (t, { m, handle, data, operation }) => {
    await m.fs.commit(m.context, handle);
    const first = hold(m, operation);
    m.clock.advance(5000);
    await first.reached;
    await m.crash();
    const second = hold(m, operation);
    const opening = m.open();
    await second.reached;
    first.open();
    await setImmediate();
    t.ok(m.store.objects.get('f')?.body.equals(data), 'the first one is there');
    second.open();
    await opening;
    await m.rest(60_000);
    requireOne(t, m, data);
  }),
);

await t.test('a write while the empty object of a new file is put, whose answer is lost', async (t) => {
  for (const options of [SMALL_PARTS, JOURNAL]) {
    const m = await mounted(t, options);
    const root = await m.root();
    const lost = holdAndLose(m, 'PutObject');
    const { handle } = await m.fs.create(m.context, root, Buffer.from('f'), {
      how: 'unchecked',
      attributes: {},
    });
    m.clock.advance(5000);
    await lost.reached;
    const writing = m.fs.write(m.context, handle, 0, Buffer.from('bytes'), 'unstable');
    await setImmediate();
    lost.open();
    await writing;
    await m.fs.commit(m.context, handle);
    if (options === JOURNAL) {
      await m.crash();
      await m.open();
    }
    await m.rest(60_000);
    requireOne(t, m, Buffer.from('bytes'));
  }
});

/** A file that was given a mode since its upload was begun, by both policies and with and without an object. */
async function eachGiven(
  t: Test,
  task: (
    t: Test,
    given: { readonly m: Mounted; readonly handle: Handle; readonly data: Buffer; readonly policy: string },
  ) => Promise<void>,
): Promise<void> {
  for (const policy of ['publish', 'journal']) {
    for (const isNew of [true, false])
      await t.test(`policy ${policy}, ${isNew ? 'a new file' : 'a file that has an object'}`, async (t) => {
        const m = await mounted(t, policy === 'journal' ? JOURNAL : SMALL_PARTS);
        const handle = isNew ? await m.write('f', '', { commit: false }) : await published(m, 100);
        const data = pattern(3 * PART + 100);
        await writeAll(m, handle, 0, data);
        await m.fs.setattr(m.context, handle, { mode: 0o600 });
        if (policy === 'journal') await m.fs.commit(m.context, handle);
        await task(t, { m, handle, data, policy });
      });
  }
}

await t.test('a crash between an upload and the copy that sets its mode: it has it', async (t) =>
  eachGiven(t, async (t, { m, handle, data, policy }) => {
    const copy = hold(m, 'CopyObject');
    const ended = policy === 'journal' ? m.rest(60_000) : m.fs.commit(m.context, handle);
    ended.catch(() => undefined);
    await copy.reached;
    await m.crash();
    await m.open();
    await m.rest(60_000);
    requireOne(t, m, data, '0100600');
  }),
);

await t.test('a copy that sets a mode and fails, and a write behind it: no conflict', async (t) =>
  eachGiven(t, async (t, { m, handle, data, policy }) => {
    m.store.before = ({ operation }) => {
      if (operation === 'CopyObject') throw unanswered(operation);
    };
    if (policy === 'journal') await m.rest(60_000);
    else t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EJUKEBOX');
    m.store.before = undefined;
    await writeNew(m, handle);
    t.equal(await commit(m, handle), 'none');
    await m.rest(60_000);
    data.write('NEW', 10);
    requireOne(t, m, data, '0100600');
  }),
);

await t.test('what somebody else writes before the copy that sets a mode stays', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const handle = await m.write('f', '', { commit: false });
  await writeAll(m, handle, 0, pattern(3 * PART + 100));
  await m.fs.setattr(m.context, handle, { mode: 0o600 });
  await m.fs.commit(m.context, handle);
  const copy = m.store.calls.findLast(({ operation }) => operation === 'CopyObject');
  t.equal(copy?.condition?.ifMatch, copy?.ifMatch);
  t.type(copy?.ifMatch, 'string');
});

await t.test('two conflicts of one file within a second keep the bytes of both', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const handle = await m.write('f', 'first');
  for (const loser of ['one', 'two']) {
    await m.fs.setattr(m.context, handle, { size: 3 });
    await m.fs.write(m.context, handle, 0, Buffer.from(loser), 'unstable');
    m.store.putNow('f', Buffer.from(`not ${loser}`));
    t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
  }
  t.strictSame(Object.values(m.bucket()).sort(), ['not two', 'one', 'two']);
});

await t.test('a write behind a lost answer, while the store does not tell: JUKEBOX after 20 s', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const handle = await m.write('f', '', { commit: false });
  await writeAll(m, handle, 0, pattern(100));
  await commitUnanswered(m, handle, 'PutObject');
  const head = hold(m, 'HeadObject');
  const writing = codeOf(writeNew(m, handle));
  await head.reached;
  m.clock.advance(20_000);
  t.equal(await writing, 'EJUKEBOX');
  head.open();
  t.equal(await codeOf(writeNew(m, handle)), 'none');
});

await t.test(
  'a PUT that is carried out after it was given up, and after the file was looked at: no conflict',
  async (t) => {
    for (const isLate of [true, false]) {
      const m = await mounted(t, SMALL_PARTS);
      const handle = await published(m, 100);
      const data = pattern(100);
      await writeAll(m, handle, 0, data);
      const base = m.store.objects.get('f')?.etag ?? '';
      // Given up, and not there yet.
      m.store.before = ({ operation }) => {
        if (operation === 'PutObject') throw unanswered(operation);
      };
      t.equal(await commit(m, handle), 'EJUKEBOX');
      const arrive = async (): Promise<void> => {
        m.store.before = undefined;
        await m.store.put('f', [data], { metadata: {} }, { ifMatch: base }).catch(() => undefined);
      };
      m.store.before = isLate
        ? undefined
        : ({ operation }) => (operation === 'PutObject' ? arrive() : undefined);
      await writeNew(m, handle);
      if (isLate) await arrive();
      t.equal(await commit(m, handle), 'none');
      await m.rest(60_000);
      data.write('NEW', 10);
      requireOne(t, m, data);
    }
  },
);

await t.test('a PUT of a daemon that died is carried out when its file was written again', async (t) => {
  const m = await mounted(t, JOURNAL);
  const handle = await published(m, 100);
  const data = pattern(100);
  await writeAll(m, handle, 0, data);
  await m.fs.commit(m.context, handle);
  const first = hold(m, 'PutObject');
  m.clock.advance(5000);
  await first.reached;
  await m.crash();
  const second = hold(m, 'PutObject');
  const opening = m.open();
  await second.reached;
  m.clock.advance(5000);
  await opening;
  const writing = writeNew(m, handle);
  first.open();
  for (let turn = 0; turn < 5; turn++) await setImmediate();
  second.open();
  await writing;
  t.equal(await commit(m, handle), 'none');
  await m.rest(60_000);
  data.write('NEW', 10);
  requireOne(t, m, data);
});

await t.test('a publication whose parts can not be sent leaves no doubt: WRITEs go on', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const handle = await m.write('f', '', { commit: false });
  const data = pattern(3 * PART + 100);
  m.store.before = ({ operation }) => {
    if (operation === 'UploadPart') throw unanswered(operation);
  };
  await writeAll(m, handle, 0, data);
  t.equal(await commit(m, handle), 'EJUKEBOX');
  const from = m.store.calls.length;
  await writeNew(m, handle);
  t.strictSame(m.callsSince(from), []);
  m.store.before = undefined;
  t.equal(await commit(m, handle), 'none');
  data.write('NEW', 10);
  requireOne(t, m, data);
});
