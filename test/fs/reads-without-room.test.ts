/** READs of what isn't published, while memory and spool are full of it and the store takes nothing. */
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { StoreError, type StoreErrorKind } from '../../src/store/errors.js';
import type { FsErrorCode } from '../../src/fs/errors.js';
import type { Handle } from '../../src/fs/file-system.js';
import { callerOf, codeOf, type Mounted, type MountedOptions } from './mounted.js';
import { JOURNAL, mounted, PART, pattern, SMALL_PARTS, writeAll } from './small-parts.js';

const KIB = 1024;
const FILE = 8 * KIB;
const LITTLE_ROOM = { memoryLimitBytes: 256 * KIB, spoolLimitBytes: 128 * KIB };

/** From now on the store makes no object: it fails so, or doesn't answer. */
function takeNothing(m: Mounted, how: StoreErrorKind | 'no answer'): void {
  m.store.before = ({ operation, key }) => {
    if (operation !== 'PutObject' && operation !== 'CompleteMultipartUpload') return undefined;
    if (how === 'no answer') return new Promise(() => undefined);
    throw new StoreError(how, 'by test', {
      operation,
      bucket: m.store.bucket,
      ...(key !== undefined && { key }),
    });
  };
}

/** Files f0, f1 and so on until a WRITE finds no room: how many are whole. */
async function fill(m: Mounted, commit: boolean): Promise<number> {
  takeNothing(m, 'access-denied');
  for (let at = 0; ; at += 1) {
    if ((await codeOf(m.write(`f${at}`, pattern(FILE, at), { commit: false }))) !== 'none') return at;
    if (commit) await codeOf(m.fs.commit(m.context, await m.at(`f${at}`)));
  }
}

async function readBytes(m: Mounted, handle: Handle, offset = 0, count = FILE): Promise<Buffer> {
  const result = await m.fs.read(callerOf(0), handle, offset, count);
  const bytes = Buffer.concat(result.slices);
  result.release();
  return bytes;
}

const CASES: readonly (readonly [string, MountedOptions, boolean])[] = [
  ['committed by the journal', { ...JOURNAL, ...LITTLE_ROOM }, true],
  ['not committed', { ...SMALL_PARTS, ...LITTLE_ROOM }, false],
];

await t.test(
  'what is not published is read while nothing has room and the store takes nothing',
  async (t) => {
    for (const [what, options, commit] of CASES) {
      await t.test(what, async (t) => {
        const m = await mounted(t, options);
        const taken = await fill(m, commit);
        takeNothing(m, 'no answer');
        const last = await m.at(`f${taken}`);
        // They stand in line for memory, or for the store.
        const writes = Array.from({ length: 8 }, (_, at) =>
          codeOf(m.fs.write(callerOf(0), last, at * FILE, pattern(FILE, at), 'unstable')),
        );
        for (let turn = 0; turn < 5; turn += 1) await setImmediate();
        const handles = await Promise.all(Array.from({ length: taken }, (_, at) => m.at(`f${at}`)));
        const found = await Promise.all(handles.map((handle) => readBytes(m, handle)));
        found.forEach((bytes, at) => t.ok(bytes.equals(pattern(FILE, at)), `f${at}`));
        t.ok(m.budget.blocks.takenBytes <= LITTLE_ROOM.memoryLimitBytes, 'within the limit');
        m.clock.advance(20_000);
        t.same(new Set(await Promise.all(writes)), new Set<FsErrorCode>(['EJUKEBOX']));
      });
    }
  },
);

await t.test(
  'replies that clients have not taken make other READs wait, and those end with them',
  async (t) => {
    const m = await mounted(t, { ...JOURNAL, ...LITTLE_ROOM });
    const taken = await fill(m, true);
    const handles = await Promise.all(Array.from({ length: taken }, (_, at) => m.at(`f${at}`)));
    const replies: { release(): void }[] = [];
    const reads = handles.map(async (handle) => {
      replies.push(await m.fs.read(callerOf(0), handle, 0, FILE));
    });
    let ended = false;
    const all = Promise.all(reads).then(() => (ended = true));
    while (!ended) {
      replies.shift()?.release();
      t.ok(m.budget.blocks.takenBytes <= LITTLE_ROOM.memoryLimitBytes);
      await setImmediate();
    }
    await all;
    for (const reply of replies) reply.release();
    t.equal(m.budget.keptForReads?.usedBytes, 0);
  },
);

await t.test(
  'what only an unfinished upload has: JUKEBOX while the store makes no object of it',
  async (t) => {
    const m = await mounted(t, { ...SMALL_PARTS, memoryLimitBytes: 256 * KIB, spoolLimitBytes: 0 });
    const data = pattern(40 * PART);
    const handle = await m.write('f', '', { commit: false });
    await writeAll(m, handle, 0, data);
    takeNothing(m, 'unavailable');
    t.equal(await codeOf(readBytes(m, handle)), 'EJUKEBOX');
    takeNothing(m, 'no answer');
    const reading = codeOf(readBytes(m, handle));
    for (let turn = 0; turn < 5; turn += 1) await setImmediate();
    m.clock.advance(20_000);
    t.equal(await reading, 'EJUKEBOX');
  },
);

await t.test('what only an unfinished upload has is read as soon as the store answers', async (t) => {
  const m = await mounted(t, { ...SMALL_PARTS, memoryLimitBytes: 256 * KIB, spoolLimitBytes: 0 });
  const data = pattern(40 * PART);
  const handle = await m.write('f', '', { commit: false });
  await writeAll(m, handle, 0, data);
  t.ok((await readBytes(m, handle)).equals(data.subarray(0, FILE)));
  t.ok((await readBytes(m, handle, 30 * PART)).equals(data.subarray(30 * PART, 30 * PART + FILE)));
});
