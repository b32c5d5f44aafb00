/** WRITEs that find memory and spool full of what isn't published yet: it is published for them, where the store takes it. */
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { StoreError, type StoreErrorKind } from '../../src/store/errors.js';
import type { FsErrorCode } from '../../src/fs/errors.js';
import { codeOf, type Mounted, type MountedOptions } from './mounted.js';
import { JOURNAL, mounted, pattern, SMALL_PARTS } from './small-parts.js';

const KIB = 1024;
const FILE = 8 * KIB;
/** Twice what memory and spool hold. */
const FILES = 96;
const LITTLE_ROOM = { memoryLimitBytes: 256 * KIB, spoolLimitBytes: 128 * KIB };

/** Writes files f0, f1 and so on until a WRITE fails, or all are there: how many were taken, and what the last one got. */
async function fill(
  m: Mounted,
  commit: boolean,
): Promise<{ readonly taken: number; readonly code: FsErrorCode | 'none' }> {
  for (let at = 0; at < FILES; at += 1) {
    const code = await codeOf(m.write(`f${at}`, pattern(FILE, at), { commit: false }));
    if (code !== 'none') return { taken: at, code };
    // Where the spool is full it is published instead, which may fail: then it is unstable data like any other.
    if (commit) await codeOf(m.fs.commit(m.context, await m.at(`f${at}`)));
  }
  return { taken: FILES, code: 'none' };
}

async function requireAll(t: Test, m: Mounted, count: number): Promise<void> {
  for (let at = 0; at < count; at += 1)
    t.ok(Buffer.from(await readBytes(m, `f${at}`)).equals(pattern(FILE, at)), `f${at}`);
}

async function readBytes(m: Mounted, path: string): Promise<Buffer> {
  const result = await m.fs.read(m.context, await m.at(path), 0, FILE);
  const bytes = Buffer.concat(result.slices);
  result.release();
  return bytes;
}

/** From now on the store answers PutObject with an error of this kind. */
function refuse(m: Mounted, kind: StoreErrorKind): void {
  m.store.before = ({ operation, key }) => {
    if (operation === 'PutObject')
      throw new StoreError(kind, 'by test', {
        operation,
        bucket: m.store.bucket,
        ...(key !== undefined && { key }),
      });
  };
}

const CASES: readonly (readonly [string, MountedOptions, boolean])[] = [
  ['committed by the journal, at rest', { ...JOURNAL, ...LITTLE_ROOM }, true],
  ['not committed yet', { ...SMALL_PARTS, ...LITTLE_ROOM }, false],
];

for (const [what, options, commit] of CASES) {
  await t.test(`files that are ${what} are published when others need their room`, async (t) => {
    const m = await mounted(t, options);
    t.same(await fill(m, commit), { taken: FILES, code: 'none' });
    t.ok(m.store.objects.size > 0, `${m.store.objects.size} files are in the bucket before their rest`);
    await m.rest(60_000);
    t.equal(m.store.objects.size, FILES);
    await requireAll(t, m, FILES);
  });

  await t.test(
    `files that are ${what}, and a store that fails: JUKEBOX, and on when it answers`,
    async (t) => {
      const m = await mounted(t, options);
      refuse(m, 'unavailable');
      const { taken, code } = await fill(m, commit);
      t.equal(code, 'EJUKEBOX');
      m.store.before = undefined;
      await m.fs.write(m.context, await m.at(`f${taken}`), 0, pattern(FILE, taken), 'unstable');
      await requireAll(t, m, taken + 1);
      await m.rest(60_000);
      t.equal(m.store.objects.size, taken + 1);
    },
  );

  await t.test(
    `files that are ${what}, and a store that refuses them: NOSPC, and nothing is lost`,
    async (t) => {
      const m = await mounted(t, options);
      refuse(m, 'access-denied');
      const { taken, code } = await fill(m, commit);
      t.equal(code, 'ENOSPC');
      m.store.before = undefined;
      await m.rest(60_000);
      await requireAll(t, m, taken);
      t.equal(m.store.objects.size, taken + 1, 'with the one that stayed empty');
    },
  );

  await t.test(`files that are ${what}, and a store that doesn't answer: JUKEBOX after 20 s`, async (t) => {
    const m = await mounted(t, options);
    refuse(m, 'access-denied');
    const { taken } = await fill(m, commit);
    m.store.before = ({ operation }) =>
      operation === 'PutObject' ? new Promise(() => undefined) : undefined;
    const last = await m.at(`f${taken}`);
    const writing = codeOf(m.fs.write(m.context, last, 0, pattern(FILE, taken), 'unstable'));
    for (let turn = 0; turn < 5; turn += 1) await setImmediate();
    m.clock.advance(20_000);
    t.equal(await writing, 'EJUKEBOX');
  });
}
