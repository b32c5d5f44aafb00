/** Small files before they are read: which requests a walk costs, what is left alone, and that nothing of it shows but time. */
import t, { type Test } from 'tap';
import { StoreError } from '../../src/store/errors.js';
import { settle } from '../read/read-rig.js';
import type { Handle } from '../../src/fs/file-system.js';
import { codeOf, Mounted, type MountedOptions } from './mounted.js';

const TTL_MS = 3000;

const nameOf = (index: number): string => `f-${String(index).padStart(5, '0')}`;
const keyOf = (index: number): string => `dir/${nameOf(index)}`;
const bodyOf = (index: number, version = 1): string =>
  `${keyOf(index)} of version ${version} `.repeat(100 + version);

/** `dir` with so many files that another S3 user put there a while ago: long enough for what a GET tells to be proof. */
async function withFiles(t: Test, count: number, options: MountedOptions = {}): Promise<Mounted> {
  const mounted = await Mounted.start(options);
  t.teardown(() => mounted.end());
  for (let index = 0; index < count; index += 1) put(mounted, index);
  mounted.clock.advance(10_000);
  return mounted;
}

function put(mounted: Mounted, index: number, version = 1): void {
  const metadata = { 'file-permissions': '0100604', 'file-owner': String(index + 1), 'file-group': '7' };
  mounted.store.putNow(keyOf(index), Buffer.from(bodyOf(index, version)), { metadata });
}

/** Reads files one after the other; what isn't as it should be. */
async function walk(mounted: Mounted, indexes: Iterable<number>): Promise<string[]> {
  const wrong: string[] = [];
  for (const index of indexes) {
    const handle = await mounted.at(keyOf(index));
    const { size, mode, uid } = await mounted.fs.getattr(mounted.context, handle);
    const bytes = await mounted.read(handle);
    if (bytes !== bodyOf(index)) wrong.push(`bytes of ${nameOf(index)}`);
    if (size !== bytes.length || mode !== 0o604 || uid !== index + 1) wrong.push(`attributes of ${index}`);
    // The client takes its time; what is fetched ahead begins meanwhile.
    await settle();
  }
  return wrong;
}

function* range(from: number, to: number): Generator<number> {
  for (let index = from; index < to; index += 1) yield index;
}

/** How many requests of each kind were made since, and the files that were asked for by HEAD. */
function costs(mounted: Mounted, from: number): { heads: number; gets: number; lists: number } {
  const calls = mounted.store.calls.slice(from);
  const count = (operation: string): number => calls.filter((call) => call.operation === operation).length;
  return { heads: count('HeadObject'), gets: count('GetObject'), lists: count('ListObjectsV2') };
}

await t.test(
  'a directory read file after file costs one GET a file, and the first ones a HEAD',
  async (t) => {
    const mounted = await withFiles(t, 200);
    await mounted.list('dir');
    const before = mounted.store.calls.length;
    t.same(await walk(mounted, range(0, 200)), []);
    t.same(costs(mounted, before), { heads: 3, gets: 200, lists: 0 });
    t.same(
      mounted.callsSince(before).slice(0, 9),
      [
        'HeadObject dir/f-00000',
        'GetObject dir/f-00000',
        'HeadObject dir/f-00001',
        'GetObject dir/f-00001',
        'HeadObject dir/f-00002',
        'GetObject dir/f-00002',
        'GetObject dir/f-00003',
        'GetObject dir/f-00004',
        'GetObject dir/f-00005',
      ],
      'three files in a row, then the next ones, behind the READ',
    );
  },
);

await t.test('switched off, each file is asked for when it is looked up and read', async (t) => {
  const mounted = await withFiles(t, 30, { smallFilesAhead: false });
  await mounted.list('dir');
  const before = mounted.store.calls.length;
  t.same(await walk(mounted, range(0, 30)), []);
  t.same(costs(mounted, before), { heads: 30, gets: 30, lists: 0 });
  t.same(
    mounted.callsSince(before),
    [...range(0, 30)].flatMap((index) => [`HeadObject ${keyOf(index)}`, `GetObject ${keyOf(index)}`]),
  );
});

await t.test('a directory of many pages is listed on while it is walked', async (t) => {
  const mounted = await withFiles(t, 5200);
  await mounted.list('dir', 1000);
  // The pages that are held are the last ones.
  const before = mounted.store.calls.length;
  t.same(await walk(mounted, range(0, 1300)), []);
  const { heads, gets } = costs(mounted, before);
  t.same(
    mounted.callsSince(before).filter((call) => call.startsWith('List')),
    ['ListObjectsV2 dir/', 'ListObjectsV2 dir/'],
    'the first two pages once more',
  );
  t.ok(gets >= 1300 && gets <= 1300 + 64, `${gets} GETs`);
  t.ok(heads <= 8, `${heads} HEADs`);
});

await t.test('a large directory that no client has listed is not listed for it', async (t) => {
  const mounted = await withFiles(t, 1100);
  const before = mounted.store.calls.length;
  t.same(await walk(mounted, range(0, 20)), []);
  const calls = mounted.callsSince(before).filter((call) => call === 'ListObjectsV2 dir/');
  t.equal(calls.length, 1, 'its first page, for its attributes');
});

await t.test('in any order, files that are looked up to be read cost one GET each', async (t) => {
  const mounted = await withFiles(t, 300);
  await mounted.list('dir');
  const before = mounted.store.calls.length;
  // 7 is prime to 300, and farther than neighbours are.
  const order = [...range(0, 300)].map((index) => (index * 47) % 300);
  t.same(await walk(mounted, order), []);
  t.same(costs(mounted, before), { heads: 4, gets: 300, lists: 0 });
});

await t.test('who only looks gets HEADs, and no bytes are fetched', async (t) => {
  const mounted = await withFiles(t, 100);
  await mounted.list('dir');
  const before = mounted.store.calls.length;
  for (const index of range(0, 100)) await mounted.stat(keyOf(index));
  t.same(costs(mounted, before), { heads: 100, gets: 0, lists: 0 });
});

await t.test('directories, empty and large files do not end a walk', async (t) => {
  const mounted = await withFiles(t, 60);
  mounted.store.putNow('dir/f-00010', Buffer.alloc(0));
  mounted.store.putNow('dir/f-00011', Buffer.alloc(3 * 1024 * 1024, 'large'));
  mounted.store.putNow('dir/f-00012x/below', Buffer.from('below'));
  mounted.clock.advance(10_000);
  await mounted.list('dir');
  t.same(await walk(mounted, range(0, 10)), []);
  await mounted.stat('dir/f-00010');
  t.equal((await mounted.read('dir/f-00011')).length, 3 * 1024 * 1024);
  await settle();
  const before = mounted.store.calls.length;
  t.same(await walk(mounted, range(12, 60)), []);
  t.equal(costs(mounted, before).heads, 0);
});

await t.test(
  'an object that is replaced after it was fetched ahead is seen as the time to live says',
  async (t) => {
    const mounted = await withFiles(t, 40, { metadataTtlMs: TTL_MS });
    await mounted.list('dir');
    t.same(await walk(mounted, range(0, 10)), []);
    put(mounted, 11, 2);
    put(mounted, 12, 2);
    const early = await mounted.at(keyOf(11));
    const { size } = await mounted.fs.getattr(mounted.context, early);
    t.equal(size, bodyOf(11).length, 'within the time to live the attributes fetched hold');
    t.equal(await mounted.read(early), bodyOf(11), 'and the bytes are of the same version');
    mounted.clock.advance(TTL_MS);
    t.equal(await mounted.read(keyOf(12)), bodyOf(12, 2), 'afterwards the new version is there');
    t.equal((await mounted.stat(keyOf(12))).size, bodyOf(12, 2).length);
    t.equal(await mounted.read(keyOf(11)), bodyOf(11, 2));
  },
);

await t.test(
  'an object that is removed after it was fetched ahead is gone as the time to live says',
  async (t) => {
    const mounted = await withFiles(t, 40, { metadataTtlMs: TTL_MS });
    await mounted.list('dir');
    t.same(await walk(mounted, range(0, 10)), []);
    mounted.store.objects.delete(keyOf(11));
    mounted.clock.advance(TTL_MS);
    t.equal(await codeOf(mounted.read(keyOf(11))), 'ENOENT');
    t.same(await walk(mounted, range(12, 40)), []);
  },
);

await t.test('with a time to live of 0 every replacement is seen at once', async (t) => {
  const mounted = await withFiles(t, 40, { metadataTtlMs: 0 });
  await mounted.list('dir');
  for (const index of range(0, 20)) {
    put(mounted, index, 2);
    t.equal(await mounted.read(keyOf(index)), bodyOf(index, 2));
    t.equal((await mounted.stat(keyOf(index))).size, bodyOf(index, 2).length);
    await settle();
  }
});

await t.test('objects replaced since they were listed are read in their new version', async (t) => {
  const mounted = await withFiles(t, 60, { metadataTtlMs: 60_000 });
  await mounted.list('dir');
  for (const index of range(20, 30)) put(mounted, index, 2);
  t.same(await walk(mounted, range(0, 20)), []);
  for (const index of range(20, 30)) {
    t.equal(await mounted.read(keyOf(index)), bodyOf(index, 2));
    t.equal((await mounted.stat(keyOf(index))).size, bodyOf(index, 2).length);
    await settle();
  }
  t.same(await walk(mounted, range(30, 60)), []);
});

await t.test('what fails ahead is no error of the client', async (t) => {
  const mounted = await withFiles(t, 60);
  await mounted.list('dir');
  let failing = true;
  mounted.store.before = (call) => {
    if (call.operation !== 'GetObject' || !failing || (call.key ?? '') < keyOf(3)) return;
    throw new StoreError('access-denied', 'fails by plan', { operation: 'GetObject', bucket: 'bucket' });
  };
  t.same(await walk(mounted, range(0, 3)), []);
  for (const index of range(3, 10)) {
    t.equal((await mounted.stat(keyOf(index))).size, bodyOf(index).length, 'a HEAD does it');
    t.equal(await codeOf(mounted.read(keyOf(index))), 'EACCES', 'the READ’s own GET tells');
  }
  failing = false;
  t.same(await walk(mounted, range(3, 60)), []);
});

await t.test('a file is waited for while it is on its way, and asked for once', async (t) => {
  const mounted = await withFiles(t, 60);
  await mounted.list('dir');
  t.same(await walk(mounted, range(0, 2)), []);
  const before = mounted.store.calls.length;
  mounted.store.holdGets();
  const third = mounted.read(keyOf(2));
  await mounted.store.whenHeld(4);
  const looked = mounted.stat(keyOf(3));
  const read = mounted.read(keyOf(4));
  await settle();
  mounted.store.releaseGets();
  t.equal(await third, bodyOf(2));
  t.equal((await looked).uid, 4);
  t.equal(await read, bodyOf(4));
  const calls = mounted.callsSince(before);
  t.notOk(calls.includes(`HeadObject ${keyOf(3)}`));
  t.equal(calls.filter((call) => call === `GetObject ${keyOf(4)}`).length, 1);
});

await t.test('what is changed here while it is fetched ahead is not overtaken', async (t) => {
  const mounted = await withFiles(t, 60);
  await mounted.list('dir');
  for (const index of [3, 4]) await mounted.stat(keyOf(index));
  t.same(await walk(mounted, range(0, 2)), []);
  mounted.store.holdGets();
  const third = mounted.read(keyOf(2));
  await mounted.store.whenHeld(4);
  await mounted.remove(keyOf(3));
  const written = mounted.write(keyOf(4), 'written here', { attributes: { size: 0 } });
  await settle();
  mounted.store.releaseGets();
  t.equal(await third, bodyOf(2));
  await written;
  await settle();
  t.equal(await codeOf(mounted.stat(keyOf(3))), 'ENOENT');
  t.equal(await mounted.read(keyOf(4)), 'written here');
  t.equal((await mounted.stat(keyOf(4))).mode, 0o604);
  t.notOk((await mounted.list('dir')).includes(nameOf(3)));
  t.same(await walk(mounted, range(5, 60)), []);
});

/** `dir` with files of 3 MiB, all with the same bytes; each is read in pieces, and settled in between. */
const MEDIUM = Buffer.alloc(3 * 1024 * 1024, 'a file of some MiB');
const PIECE_BYTES = 512 * 1024;

async function withMediumFiles(t: Test, count: number, options: MountedOptions = {}): Promise<Mounted> {
  const mounted = await Mounted.start(options);
  t.teardown(() => mounted.end());
  for (const index of range(0, count)) mounted.store.putNow(keyOf(index), MEDIUM);
  mounted.clock.advance(10_000);
  await mounted.list('dir');
  return mounted;
}

/** Reads each file to its end; those that were wrong. */
async function readThrough(mounted: Mounted, indexes: Iterable<number>): Promise<string[]> {
  const wrong: string[] = [];
  for (const index of indexes) {
    const handle = await mounted.at(keyOf(index));
    for (let at = 0; at < MEDIUM.length; at += PIECE_BYTES) {
      const { slices, release } = await readPiece(mounted, handle, at);
      if (!Buffer.concat(slices).equals(MEDIUM.subarray(at, at + PIECE_BYTES))) wrong.push(keyOf(index));
      release();
    }
    await settle();
  }
  return wrong;
}

async function readPiece(
  mounted: Mounted,
  handle: Handle,
  at: number,
): Promise<{ slices: readonly Buffer[]; release: () => void }> {
  const bytes = await mounted.fs.read(mounted.context, handle, at, PIECE_BYTES);
  return { slices: bytes.slices, release: () => bytes.release() };
}

/** Bytes of GETs since. */
function bytesAsked(mounted: Mounted, from: number): number {
  const gets = mounted.store.calls.slice(from).filter(({ operation }) => operation === 'GetObject');
  return gets.reduce((sum, { range: asked }) => sum + (asked?.length ?? 0), 0);
}

await t.test('of larger files the beginnings are fetched ahead, and no byte twice', async (t) => {
  const mounted = await withMediumFiles(t, 24);
  const before = mounted.store.calls.length;
  t.same(await readThrough(mounted, range(0, 24)), []);
  t.equal(costs(mounted, before).heads, 3, 'the first three files are looked up');
  t.equal(bytesAsked(mounted, before), 24 * MEDIUM.length);
});

await t.test('a larger file is there before it is opened once there is credit for it', async (t) => {
  const mounted = await withMediumFiles(t, 24);
  t.same(await readThrough(mounted, range(0, 20)), []);
  const before = mounted.store.calls.length;
  const handle = await mounted.at(keyOf(20));
  const { release } = await readPiece(mounted, handle, 0);
  release();
  const asked = mounted.store.calls.slice(before).filter(({ key }) => key === keyOf(20));
  t.notOk(asked.some(({ operation }) => operation === 'HeadObject'));
  t.notOk(
    asked.some(({ range: at }) => at !== undefined && at.offset < PIECE_BYTES),
    'its first bytes were there',
  );
});

await t.test('switched off, nothing of larger files is fetched ahead', async (t) => {
  const mounted = await withMediumFiles(t, 12, { smallFilesAhead: false });
  const before = mounted.store.calls.length;
  t.same(await readThrough(mounted, range(0, 12)), []);
  t.equal(costs(mounted, before).heads, 12);
});

await t.test(
  'larger files in random order: a tenth of the bytes and the grant at most are in vain',
  async (t) => {
    for (const seed of [23, 7]) {
      const mounted = await withMediumFiles(t, 48);
      const before = mounted.store.calls.length;
      // Every third file is left out: what was fetched of those is never read.
      const order = [...range(0, 24)].map((index) => (index * seed) % 24).filter((index) => index % 3 !== 0);
      t.same(await readThrough(mounted, order), []);
      const read = order.length * MEDIUM.length;
      const asked = bytesAsked(mounted, before);
      t.ok(asked <= read * 1.1 + 1024 * 1024, `${asked - read} bytes beyond ${read}`);
    }
  },
);

await t.test(
  'who reads only the first piece of larger files in order is not sent all of the others',
  async (t) => {
    const mounted = await withMediumFiles(t, 24);
    const before = mounted.store.calls.length;
    for (const index of range(0, 20)) {
      const handle = await mounted.at(keyOf(index));
      (await readPiece(mounted, handle, 0)).release();
      await settle();
    }
    const read = 20 * PIECE_BYTES;
    const asked = bytesAsked(mounted, before);
    // What READs themselves fetch at a file's start is no part of this.
    const off = await withMediumFiles(t, 24, { smallFilesAhead: false });
    const offBefore = off.store.calls.length;
    for (const index of range(0, 20)) {
      (await readPiece(off, await off.at(keyOf(index)), 0)).release();
      await settle();
    }
    const without = bytesAsked(off, offBefore);
    t.ok(asked <= without + read * 0.1 + 1024 * 1024, `${asked} bytes, ${without} switched off`);
  },
);

await t.test('memory that others hold is left to them', async (t) => {
  const mounted = await withFiles(t, 60);
  await mounted.list('dir');
  t.same(await walk(mounted, range(0, 2)), []);
  const { budget } = mounted;
  const held = budget.limitBytes - budget.usedBytes - 8192;
  await budget.reserve(held);
  const before = mounted.store.calls.length;
  t.same(await walk(mounted, range(2, 20)), []);
  t.ok(budget.usedBytes <= budget.limitBytes);
  const { gets } = costs(mounted, before);
  t.ok(gets <= 18 + 8, `${gets} GETs: what was fetched ahead and evicted is no more than the grant`);
  budget.release(held);
  t.same(await walk(mounted, range(20, 60)), []);
});
