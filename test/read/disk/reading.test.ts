/** Readers over a disk cache: which bytes come from where, and whose buffers are whose while the disk is slow. */
import t, { type Test } from 'tap';
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { ObjectVersion } from '../../../src/memory/byte-slices.js';
import { DiskVolume } from '../../../src/read/disk/version-blocks.js';
import { Readers } from '../../../src/read/readers.js';
import { StoreError } from '../../../src/store/errors.js';
import { MemoryStore } from '../../support/memory-store.js';
import { KIB, MIB, pattern, settle, taken } from '../read-rig.js';
import { DiskRig } from './disk-rig.js';

const BODY = pattern(5 * MIB + 4321, 11);
const BLOCK = 256 * KIB;

class Rig {
  readonly disk: DiskRig;
  readonly store = new MemoryStore({ chunkBytes: 64 * KIB });
  readonly version: ObjectVersion;
  readers: Readers;

  private constructor(disk: DiskRig) {
    this.disk = disk;
    this.version = { key: 'k', etag: this.store.putNow('k', BODY).etag, size: BODY.length };
    this.readers = this.#readersNow();
  }

  static async open(t: Test, budgetBytes = 64 * MIB): Promise<Rig> {
    return new Rig(await DiskRig.open(t, { limitBytes: 16 * MIB, segmentBytes: MIB, budgetBytes }));
  }

  /** Empties the memory, and keeps the disk. */
  async restart(): Promise<void> {
    // Bytes are served before the GET that brought them has ended, and kept when it has.
    await settle();
    await this.readers.close();
    await this.disk.restart();
    this.readers = this.#readersNow();
  }

  async bytes(offset: number, count: number, signal?: AbortSignal): Promise<Buffer> {
    return taken(await this.readers.read(this.version, offset, count, signal));
  }

  /** Reads all of it as clients do, 128 KiB at a time. */
  async readThrough(): Promise<boolean> {
    let right = true;
    for (let at = 0; at < BODY.length; at += 128 * KIB) {
      const expected = BODY.subarray(at, at + 128 * KIB);
      if (!(await this.bytes(at, 128 * KIB)).equals(expected)) right = false;
    }
    return right;
  }

  get gets(): number {
    return this.store.countOf('GetObject');
  }

  #readersNow(): Readers {
    const { budget, collected, cache } = this.disk;
    const disk = new DiskVolume(cache, 'aws/bucket');
    return new Readers({ store: this.store, budget, log: collected.log, disk });
  }
}

await t.test('what was read comes from disk, what was not from the store', async (t) => {
  const rig = await Rig.open(t);
  t.ok((await rig.bytes(MIB, 4 * BLOCK)).equals(BODY.subarray(MIB, 2 * MIB)));
  await rig.restart();
  const gets = rig.gets;
  t.ok((await rig.bytes(MIB, 4 * BLOCK)).equals(BODY.subarray(MIB, 2 * MIB)));
  t.ok((await rig.bytes(MIB + 5000, 3000)).equals(BODY.subarray(MIB + 5000, MIB + 8000)));
  t.equal(rig.gets, gets);
  t.ok((await rig.bytes(MIB - BLOCK, MIB)).equals(BODY.subarray(MIB - BLOCK, 2 * MIB - BLOCK)));
  t.ok(rig.gets > gets);
  await rig.readers.close();
});

await t.test('read ahead and not served, blocks are not kept', async (t) => {
  const rig = await Rig.open(t);
  await rig.bytes(0, 4 * KIB);
  await rig.disk.cache.settled();
  t.ok(
    rig.store.calls.some(({ range }) => (range?.length ?? 0) > BLOCK),
    'more was fetched than served',
  );
  await rig.restart();
  t.equal(await rig.disk.reads({ ...rig.version, bytes: BODY }, BLOCK, 4 * KIB), false);
  await rig.readers.close();
});

await t.test('what has gone bad on disk is fetched, and kept anew', async (t) => {
  const rig = await Rig.open(t);
  t.ok(await rig.readThrough());
  await rig.restart();
  for (const name of rig.disk.segmentFiles())
    if (name.endsWith('.blocks')) truncateSync(join(rig.disk.folder, name), BLOCK + 7);
  const gets = rig.gets;
  t.ok(await rig.readThrough());
  t.ok(rig.gets > gets);
  t.ok(rig.disk.cache.counts.bad > 0);
  await rig.restart();
  const after = rig.gets;
  t.ok(await rig.readThrough());
  t.equal(rig.gets, after);
  await rig.readers.close();
});

await t.test(
  'a READ that ends while the disk reads leaves its buffer alone until the disk has',
  async (t) => {
    const rig = await Rig.open(t);
    t.ok(await rig.readThrough());
    await rig.restart();
    const disk = rig.disk;
    let proceed: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (proceed = resolve));
    let reads = 0;
    disk.files.before = async (operation) => {
      if (operation !== 'read') return;
      reads += 1;
      await held;
    };
    const abort = new AbortController();
    const read = rig.bytes(2 * MIB, BLOCK, abort.signal);
    await settle();
    t.ok(reads > 0, 'the disk reads');
    abort.abort();
    await t.rejects(read, { name: 'StoreError', message: /aborted/ });
    rig.readers.forget('k');
    const used = disk.budget.usedBytes;
    t.ok(used > 0);
    const other: ObjectVersion = {
      key: 'other',
      etag: rig.store.putNow('other', pattern(2 * MIB, 5)).etag,
      size: 2 * MIB,
    };
    // The memory there is besides is used up and used again: were the buffer among it, the disk would write into these bytes.
    const slices = [];
    for (let at = 0; at < 4; at += 1) slices.push(await rig.readers.read(other, at * BLOCK, BLOCK));
    disk.files.before = () => undefined;
    proceed();
    await rig.readers.close();
    for (const [at, lent] of slices.entries())
      t.ok(taken(lent).equals(pattern(2 * MIB, 5).subarray(at * BLOCK, (at + 1) * BLOCK)));
    await disk.stop();
    t.equal(disk.budget.usedBytes, 0);
  },
);

for (const hanging of ['read', 'write'] as const) {
  await t.test(`a disk that neither answers nor fails a ${hanging} does not hold up the end`, async (t) => {
    const rig = await Rig.open(t);
    const { disk } = rig;
    if (hanging === 'read') t.ok(await rig.readThrough());
    disk.endMs = 20;
    await rig.restart();
    let proceed: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (proceed = resolve));
    let hung = 0;
    disk.files.before = async (operation) => {
      if (operation !== hanging) return;
      hung += 1;
      await held;
    };
    const read = rig.bytes(2 * MIB, BLOCK);
    if (hanging === 'read') {
      while (hung === 0) await settle();
      await Promise.all([rig.readers.close(), t.rejects(read, { name: 'StoreError', message: /aborted/ })]);
    } else {
      await read;
      while (hung === 0) await settle();
      await rig.readers.close();
    }
    await disk.stop();
    t.match(disk.warnings, [/does not answer/]);
    t.ok(disk.budget.usedBytes > 0, 'what the disk has is nobody else’s');
    proceed();
    const closed = (): boolean => disk.collected.lines.at(-1)?.['msg'] === 'disk cache closed';
    while (!closed()) await settle();
    t.equal(disk.budget.usedBytes, 0);
  });
}

await t.test('while the disk does not write, READs go on within the memory, in right bytes', async (t) => {
  const rig = await Rig.open(t, 4 * MIB);
  let proceed: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (proceed = resolve));
  rig.disk.files.before = async (operation) => {
    if (operation === 'write') await held;
  };
  t.ok(await rig.readThrough());
  t.ok(await rig.readThrough());
  t.ok(rig.disk.cache.counts.dropped > 0, 'the queue was full');
  rig.disk.files.before = () => undefined;
  proceed();
  await rig.disk.cache.settled();
  await rig.restart();
  t.ok(await rig.readThrough(), 'what was written meanwhile is right');
  await rig.readers.close();
});

await t.test('bytes of a GET that failed at its end are not kept', async (t) => {
  const rig = await Rig.open(t);
  rig.store.after = ({ operation }) => {
    throw new StoreError('unavailable', 'fault at the end', { operation, bucket: 'bucket' });
  };
  // All bytes come before the error does: they are served.
  await rig.bytes(0, BLOCK).catch((error: unknown) => t.match(error, { message: 'fault at the end' }));
  await rig.disk.cache.settled();
  t.equal(rig.disk.cache.counts.written, 0);
  await rig.readers.close();
});
