/** The disk cache as users have it: what was read is read again after a restart without asking S3 for it, and is never wrong. */
import t, { type Test } from 'tap';
import { readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ENTRY_BYTES, PAGE_BYTES, pagesOf } from '../../src/read/disk/entry.js';
import { StartError } from '../../src/cli/start-error.js';
import { requestLine } from '../support/request-log.js';
import {
  Bucket,
  BUCKET,
  MIB,
  mount,
  patternBytes,
  readPath,
  serveChild,
  startIn,
  type Mounted,
} from './fixture.js';

const BIG = patternBytes(9 * MIB + 12_345, 7);

interface Cached {
  readonly mounted: Mounted;
  readonly log: readonly Record<string, unknown>[];
  stop(): Promise<void>;
}

function argsOf(bucket: Bucket): string[] {
  return [`s3://${BUCKET}`, '--disk-cache', join(bucket.directory, 'cache'), '--disk-cache-limit', '64MiB'];
}

function folderOf(bucket: Bucket): string {
  return join(bucket.directory, 'cache', 'blocks');
}

/** A daemon with a disk cache that has loaded what is there. */
async function serveCached(t: Test, bucket: Bucket, more: readonly string[] = []): Promise<Cached> {
  const { daemon, log } = await startIn(t, bucket, [...argsOf(bucket), ...more]);
  while (!log.some(({ msg }) => msg === 'disk cache loaded')) await new Promise(setImmediate);
  return { mounted: await mount(t, daemon.report), log, stop: () => daemon.stop() };
}

/**
 * Bytes from the object's start on that outlive a kill -9, of a cache of one object: their blocks are entered, and written to their ends. Entry
 * and block are written at the same time, and one of them may be there long before the other.
 */
function bytesKept(folder: string): number {
  const kept = readdirSync(folder).flatMap((name) => {
    const number = /^(\d+)\.index$/.exec(name)?.[1];
    return number === undefined ? [] : entriesKept(join(folder, name), join(folder, `${number}.blocks`));
  });
  let bytes = 0;
  for (const { offset, length } of kept.sort((a, b) => a.offset - b.offset))
    if (offset <= bytes) bytes = Math.max(bytes, offset + length);
  return bytes;
}

function entriesKept(indexPath: string, blocksPath: string): { offset: number; length: number }[] {
  const index = readFileSync(indexPath);
  const blocksBytes = statSync(blocksPath).size;
  const count = Math.floor(index.length / ENTRY_BYTES);
  return Array.from({ length: count }, (_, at) => {
    const entry = index.subarray(at * ENTRY_BYTES);
    const [offset, length, page] = [entry.readDoubleLE(16), entry.readUInt32LE(24), entry.readUInt32LE(28)];
    return { offset, length, isWritten: (page + pagesOf(length)) * PAGE_BYTES <= blocksBytes };
  }).filter(({ isWritten }) => isWritten);
}

/** Resolves when all of BIG outlives the daemon, and what was read before it; the stop of a daemon waits for a slow disk no longer than 2 s. */
async function untilKept(bucket: Bucket): Promise<void> {
  while (bytesKept(folderOf(bucket)) < BIG.length) await setTimeout(5);
}

/** The GETs of an action. */
async function getsOf(bucket: Bucket, action: () => Promise<unknown>): Promise<string[]> {
  const requests = await bucket.requestsOf(action);
  return requests.map(requestLine).filter((line) => line.startsWith('GetObject'));
}

await t.test('what was read is read again after a restart without a GET', async (t) => {
  const bucket = await Bucket.start(t);
  await bucket.put('big', BIG);
  await bucket.put('dir/small', 'a few bytes');
  const first = await serveCached(t, bucket);
  t.equal((await readPath(first.mounted, 'dir/small')).toString(), 'a few bytes');
  t.ok((await readPath(first.mounted, 'big')).equals(BIG));
  await untilKept(bucket);
  await first.stop();
  const second = await serveCached(t, bucket);
  const gets = await getsOf(bucket, async () => {
    t.ok((await readPath(second.mounted, 'big')).equals(BIG));
    t.equal((await readPath(second.mounted, 'dir/small')).toString(), 'a few bytes');
    const { handle } = await second.mounted.nfs.lookup(second.mounted.root, 'big');
    const { data } = await second.mounted.nfs.read(handle, 5 * MIB + 4096 * 3, 8192);
    t.ok(data.equals(BIG.subarray(5 * MIB + 4096 * 3, 5 * MIB + 4096 * 5)));
  });
  t.same(gets, []);
  t.equal(statSync(folderOf(bucket)).mode & 0o777, 0o700);
  for (const name of readdirSync(folderOf(bucket)))
    if (/blocks|index|key/.test(name))
      t.equal(statSync(join(folderOf(bucket), name)).mode & 0o777, 0o600, name);
});

await t.test('after kill -9 what reached the disk is read without a GET', async (t) => {
  const bucket = await Bucket.start(t);
  await bucket.put('big', BIG);
  const { child, report } = await serveChild(t, bucket, [...argsOf(bucket), '--log-level', 'info']);
  while (!child.stderr.some((line) => line.includes('disk cache loaded'))) await new Promise(setImmediate);
  t.ok((await readPath(await mount(t, report), 'big')).equals(BIG));
  await untilKept(bucket);
  await child.end('SIGKILL');
  const second = await serveCached(t, bucket);
  const gets = await getsOf(bucket, async () => t.ok((await readPath(second.mounted, 'big')).equals(BIG)));
  t.same(gets, []);
});

await t.test('an object that was replaced is read anew', async (t) => {
  const bucket = await Bucket.start(t);
  await bucket.put('big', BIG);
  const first = await serveCached(t, bucket);
  t.ok((await readPath(first.mounted, 'big')).equals(BIG));
  await first.stop();
  const other = patternBytes(BIG.length, 8);
  await bucket.put('big', other);
  const second = await serveCached(t, bucket);
  t.ok((await readPath(second.mounted, 'big')).equals(other));
});

await t.test('files cut or removed while it runs cost requests, and no READ fails', async (t) => {
  const bucket = await Bucket.start(t);
  await bucket.put('big', BIG);
  const first = await serveCached(t, bucket);
  t.ok((await readPath(first.mounted, 'big')).equals(BIG));
  await untilKept(bucket);
  await first.stop();
  const second = await serveCached(t, bucket);
  for (const name of readdirSync(folderOf(bucket)))
    if (name.endsWith('.blocks')) truncateSync(join(folderOf(bucket), name), 300 * 1024);
  t.ok((await readPath(second.mounted, 'big')).equals(BIG));
  t.ok(second.log.some(({ msg }) => String(msg).includes('not what was written')));
  rmSync(join(bucket.directory, 'cache'), { recursive: true });
  t.ok((await readPath(second.mounted, 'big')).equals(BIG));
});

await t.test(
  'a directory that another daemon has, or that cannot be written, is refused at the start',
  async (t) => {
    const bucket = await Bucket.start(t);
    await serveCached(t, bucket);
    const apart = ['--state-dir', join(bucket.directory, 'other-state')];
    await t.rejects(startIn(t, bucket, [...argsOf(bucket), ...apart]), {
      name: StartError.name,
      message: /^cannot use disk cache directory .*: another s3nfsd has it/,
    });
    const file = bucket.write('a-file', '');
    await t.rejects(startIn(t, bucket, [`s3://${BUCKET}`, ...apart, '--disk-cache', file]), {
      name: StartError.name,
      message: /^cannot use disk cache directory .*: EEXIST|ENOTDIR/,
    });
  },
);
