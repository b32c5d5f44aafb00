/**
 * What COMMITs in the middle of a stream cost, and what they promise. Sizes are those of real streams divided by 512: parts of 16 KiB
 * instead of 8 MiB, 40 MiB instead of 20 GiB.
 */
import { open, type FileHandle } from 'node:fs/promises';
import t, { type Test } from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import { Mounted } from './mounted.js';

const KIB = 1024;
const PART = 16 * KIB;
const HOLD_MS = 250;
const SMALL_PARTS = {
  capabilities: { partBytesMin: PART },
  writeOptions: { partBytes: PART, putBytesMax: PART, copyPartBytesMax: 1024 * KIB },
};

async function mounted(test: Test): Promise<Mounted> {
  const m = await Mounted.start(SMALL_PARTS);
  test.teardown(() => m.end());
  return m;
}

/** Bytes that tell their place, and are not the same twice. */
function pattern(start: number, bytes: number): Buffer {
  const data = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; at += 1) data[at] = ((start + at) * 31 + ((start + at) >>> 10) * 7) & 255;
  return data;
}

interface Disk {
  bytes: number;
  syncs: number;
}

/** Counts what is written to files, and how often files are synced, until the test ends. */
async function watchDisk(t: Test): Promise<Disk> {
  const probe = await open(process.execPath, 'r');
  const prototype = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const disk = { bytes: 0, syncs: 0 };
  const write = Object.getOwnPropertyDescriptor(prototype, 'write') as PropertyDescriptor;
  const datasync = Object.getOwnPropertyDescriptor(prototype, 'datasync') as PropertyDescriptor;
  Object.defineProperty(prototype, 'write', {
    ...write,
    async value(this: FileHandle, ...args: unknown[]) {
      const written = (await (write.value as (...given: unknown[]) => unknown).apply(this, args)) as {
        bytesWritten: number;
      };
      disk.bytes += written.bytesWritten;
      return written;
    },
  });
  Object.defineProperty(prototype, 'datasync', {
    ...datasync,
    value(this: FileHandle) {
      disk.syncs += 1;
      return (datasync.value as (this: FileHandle) => Promise<void>).call(this);
    },
  });
  t.teardown(() => {
    Object.defineProperty(prototype, 'write', write);
    Object.defineProperty(prototype, 'datasync', datasync);
  });
  return disk;
}

interface Stream {
  readonly bytes: number;
  readonly commitEvery: number;
  readonly writeBytes: number;
  /** WRITEs go on while a COMMIT is under way, as the kernel's do; or each waits for it, as a program's that calls fsync. */
  readonly waits: boolean;
}

async function create(m: Mounted, name: string): Promise<Handle> {
  const attributes = {};
  return (await m.fs.create(m.context, await m.root(), Buffer.from(name), { how: 'guarded', attributes }))
    .handle;
}

/** A COMMIT that is held from now on is held to its end, unless something comes at once. */
function endHolds(m: Mounted): void {
  const after = m.clock.after.bind(m.clock);
  m.clock.after = (delayMs, run) => {
    if (delayMs === HOLD_MS) setImmediate(() => m.clock.advance(HOLD_MS));
    return after(delayMs, run);
  };
}

/** Writes a stream and commits it on the way and in the end. */
async function stream(
  m: Mounted,
  handle: Handle,
  { bytes, commitEvery, writeBytes, waits }: Stream,
): Promise<void> {
  if (waits) endHolds(m);
  let committing: Promise<unknown> | undefined;
  for (let at = 0, due = commitEvery; at < bytes;) {
    const count = Math.min(writeBytes, bytes - at, due - at);
    await m.fs.write(m.context, handle, at, pattern(at, count), 'unstable');
    at += count;
    await committing;
    committing = undefined;
    if (at < due && at < bytes) continue;
    due += commitEvery;
    if (at === bytes && !waits) endHolds(m);
    committing = m.fs.commit(m.context, handle);
    if (waits || at === bytes) await committing;
  }
}

interface Cost {
  readonly requests: number;
  readonly sentBytes: number;
  readonly copiedBytes: number;
  readonly diskBytes: number;
  readonly syncs: number;
  readonly commits: number;
}

async function costOf(t: Test, options: Stream): Promise<Cost> {
  const m = await mounted(t);
  const disk = await watchDisk(t);
  const handle = await create(m, 'stream');
  await stream(m, handle, options);
  await m.rest(60_000);
  const object = m.store.objects.get('stream');
  t.ok(object?.body.equals(pattern(0, options.bytes)), 'the object is what was written');
  t.equal(m.store.uploads.size, 0, 'no upload is left behind');
  await m.stop();
  await m.open();
  t.equal(m.spool.usedBytes, 0, 'the spool is given back');
  const changing = m.store.calls.filter(({ operation }) => /Upload|Put|Copy/.test(operation));
  const bytesOf = (operation: string): number =>
    changing.reduce(
      (sum, call) => (call.operation === operation ? sum + (call.bytes ?? call.range?.length ?? 0) : sum),
      0,
    );
  return {
    requests: changing.length,
    sentBytes: bytesOf('UploadPart') + bytesOf('PutObject'),
    copiedBytes: bytesOf('UploadPartCopy') + bytesOf('CopyObject'),
    diskBytes: disk.bytes,
    syncs: disk.syncs,
    commits: Math.ceil(options.bytes / options.commitEvery),
  };
}

/** Linear in bytes, parts and COMMITs: the constants are the same whatever a stream's length. */
async function isLinear(t: Test, options: Omit<Stream, 'waits'>): Promise<void> {
  for (const waits of [false, true]) {
    const cost = await costOf(t, { ...options, waits });
    t.comment(`${waits ? 'each COMMIT waited for' : 'WRITEs go on'}: ${JSON.stringify(cost)}`);
    const parts = Math.ceil(options.bytes / PART);
    t.ok(cost.sentBytes <= 1.1 * options.bytes + 64 * PART, `${cost.sentBytes} bytes sent`);
    t.ok(cost.copiedBytes <= 2 * options.bytes, `${cost.copiedBytes} bytes copied inside the store`);
    t.ok(cost.requests <= 1.5 * parts + 100, `${cost.requests} requests`);
    t.ok(cost.diskBytes <= 3 * options.bytes, `${cost.diskBytes} bytes to the disk`);
    t.ok(cost.syncs <= 2 * cost.commits + 200, `${cost.syncs} syncs`);
  }
}

await t.test('COMMITs in a stream cost what is linear: 20 GiB with one every 256 MiB', async (t) => {
  await isLinear(t, { bytes: 40960 * KIB, commitEvery: 512 * KIB, writeBytes: 16 * KIB });
});

await t.test('COMMITs in a stream cost what is linear: 20 GiB with one every 257 MiB + 1', async (t) => {
  await isLinear(t, { bytes: 40960 * KIB, commitEvery: 514 * KIB + 1, writeBytes: 16 * KIB });
});

await t.test('COMMITs in a stream cost what is linear: 2 GiB with one every 1 MiB', async (t) => {
  await isLinear(t, { bytes: 4096 * KIB, commitEvery: 2 * KIB, writeBytes: 2 * KIB });
});
