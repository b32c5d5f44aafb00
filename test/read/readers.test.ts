import { createHash } from 'node:crypto';
import t from 'tap';
import { StoreError } from '../../src/store/errors.js';
import { storeErrorKind } from '../support/store-error-kind.js';
import { KIB, MIB, ReadRig, pattern, settle, taken } from './read-rig.js';

t.setTimeout(300_000);

const unavailable = (): StoreError =>
  new StoreError('unavailable', 'reset', { operation: 'GetObject', bucket: 'bucket' });

await t.test(
  'a sequential read of 64 MiB fetches no byte twice, and in far fewer GETs than READs',
  async (t) => {
    const rig = new ReadRig();
    const body = pattern(64 * MIB);
    const version = rig.put('k', body);
    for (let at = 0; at < body.length; at += 128 * KIB) {
      const bytes = await rig.bytes(version, at, 128 * KIB);
      if (!bytes.equals(body.subarray(at, at + 128 * KIB))) t.fail(`wrong bytes at ${at}`);
    }
    t.equal(rig.bytesFetched, body.length);
    t.ok(rig.gets < 40, `${rig.gets} GETs`);
    t.ok(
      rig.ranges.some((range) => range.end - range.start >= 6 * MIB),
      'parts grow with what was read',
    );
    const before = rig.gets;
    t.ok((await rig.bytes(version, 5 * MIB + 7, MIB)).equals(body.subarray(5 * MIB + 7, 6 * MIB + 7)));
    t.equal(rig.gets, before, 'cached blocks need no request');
    t.equal(await rig.leaked(), 0);
  },
);

await t.test('a small file is one GET, whatever is read of it', async (t) => {
  const rig = new ReadRig();
  const body = pattern(2 * MIB - 5);
  const version = rig.put('k', body);
  const reads = [];
  for (let at = 0; at < body.length; at += 128 * KIB) reads.push(rig.bytes(version, at, 128 * KIB));
  t.ok(Buffer.concat(await Promise.all(reads)).equals(body));
  t.equal(rig.gets, 1);
  t.equal((await rig.bytes(version, body.length, 10)).length, 0);
  t.equal((await rig.bytes(version, body.length - 3, 10)).length, 3);
  t.equal(rig.gets, 1);
  t.equal(await rig.leaked(), 0);
});

await t.test('random READs of 4 KiB fetch what they ask for, one GET each at most', async (t) => {
  const rig = new ReadRig();
  const body = pattern(16 * MIB);
  const version = rig.put('k', body);
  for (let read = 1; read <= 300; read += 1) {
    const page = createHash('md5').update(`${read}`).digest().readUInt32LE() % (body.length / (4 * KIB) - 1);
    const at = (1 + page) * 4 * KIB;
    if (!(await rig.bytes(version, at, 4 * KIB)).equals(body.subarray(at, at + 4 * KIB)))
      t.fail(`bytes at ${at}`);
    if (rig.gets > read) t.fail(`${rig.gets} GETs for ${read} READs`);
  }
  t.ok(rig.bytesFetched <= 300 * 8 * KIB, `${rig.bytesFetched} bytes fetched`);
  t.equal(await rig.leaked(), 0);
});

await t.test('adjacent READs that wait together are one GET', async (t) => {
  const rig = new ReadRig({ policy: 'random' });
  const body = pattern(4 * MIB);
  const version = rig.put('k', body);
  const reads = await Promise.all(
    [0, 1, 2, 3].map(async (at) => await rig.bytes(version, MIB + at * 4096, 4096)),
  );
  t.ok(Buffer.concat(reads).equals(body.subarray(MIB, MIB + 16 * KIB)));
  t.same(rig.ranges, [{ start: MIB, end: MIB + 16 * KIB }]);
  t.equal(await rig.leaked(), 0);
});

await t.test('bytes are served as they arrive, before their part is complete', async (t) => {
  const rig = new ReadRig();
  const body = pattern(MIB);
  const version = rig.put('k', body);
  rig.store.holdGets();
  const first = rig.bytes(version, 0, 100_000);
  await rig.store.whenHeld(1);
  const [held] = rig.store.heldGets;
  t.same(held?.call.range, { offset: 0, length: MIB });
  const second = rig.bytes(version, 100_000, 50_000);
  held?.deliver(100_000);
  t.ok((await first).equals(body.subarray(0, 100_000)));
  held?.deliver(50_000);
  t.ok((await second).equals(body.subarray(100_000, 150_000)));
  t.notOk(held?.over);
  rig.store.releaseGets();
  t.equal(await rig.leaked(), 0);
});

await t.test('a forward seek inside the window is not fetched again', async (t) => {
  const rig = new ReadRig();
  const body = pattern(32 * MIB);
  const version = rig.put('k', body);
  for (let at = 0; at < 2 * MIB; at += 128 * KIB) await rig.bytes(version, at, 128 * KIB);
  await settle();
  const furthest = Math.max(...rig.ranges.map((range) => range.end));
  t.ok(furthest >= 4 * MIB, `read ahead up to ${furthest}`);
  const at = 2 * MIB + 700_000;
  t.ok((await rig.bytes(version, at, 128 * KIB)).equals(body.subarray(at, at + 128 * KIB)));
  const asked = rig.ranges
    .filter((range) => range.start < furthest)
    .reduce((sum, r) => sum + r.end - r.start, 0);
  t.equal(asked, furthest, 'no byte twice');
  t.equal(await rig.leaked(), 0);
});

await t.test(
  'a READ is aborted by its signal, and its fetch with it when nobody else wants it',
  async (t) => {
    const rig = new ReadRig();
    const version = rig.put('k', pattern(8 * MIB));
    rig.store.holdGets();
    const abort = new AbortController();
    const alone = rig.bytes(version, 5 * MIB, 4096, abort.signal);
    const shared = rig.bytes(version, 2 * MIB, 4096, abort.signal);
    const other = rig.bytes(version, 2 * MIB, 4096);
    await rig.store.whenHeld(2);
    abort.abort();
    t.equal(await storeErrorKind(alone), 'aborted');
    t.equal(await storeErrorKind(shared), 'aborted');
    await settle();
    t.equal(rig.store.getsUnderWay, 1, 'the fetch that another READ wants goes on');
    rig.store.releaseGets();
    t.equal((await other).length, 4096);
    t.equal(await storeErrorKind(rig.bytes(version, 0, 1, AbortSignal.abort())), 'aborted');
    t.equal(await rig.leaked(), 0);
  },
);

await t.test(
  "a block that the store may still write to is nobody else's until the GET has settled",
  async (t) => {
    const rig = new ReadRig({ budgetBytes: 256 * KIB, policy: 'random', fillsRooms: true });
    const body = pattern(256 * KIB, 2);
    const cut = rig.put('cut', pattern(256 * KIB));
    const other = rig.put('other', body);
    const abort = new AbortController();
    const first = storeErrorKind(rig.bytes(cut, 0, 256 * KIB, abort.signal));
    // The store has the block, and has told of no bytes yet.
    while (rig.store.getsUnderWay === 0) await Promise.resolve();
    abort.abort();
    const read = await rig.readers.read(other, 0, 256 * KIB);
    // The GET that was cut off writes once more.
    await settle();
    t.equal(await first, 'aborted');
    t.ok(Buffer.concat(read.slices).equals(body));
    read.release();
    t.equal(await rig.leaked(), 0);
  },
);

await t.test('readahead of a stream that went idle is cancelled, and its blocks may go', async (t) => {
  const rig = new ReadRig({ idleMs: 1000 });
  const version = rig.put('k', pattern(32 * MIB));
  await rig.bytes(version, 0, 128 * KIB);
  rig.store.holdGets();
  await rig.bytes(version, 128 * KIB, 128 * KIB);
  await rig.store.whenHeld(1);
  rig.readers.expire();
  await settle();
  t.equal(rig.store.getsUnderWay, 1, 'not idle yet');
  rig.nowMs = 2000;
  rig.readers.expire();
  await settle();
  t.equal(rig.store.getsUnderWay, 0);
  t.equal(rig.readers.size, 1, 'cached blocks stay');
  rig.readers.forget('k');
  t.equal(rig.readers.size, 0);
  t.equal(await rig.leaked(), 0);
});

await t.test('small files that memory has no room for any more leave no reader behind', async (t) => {
  const rig = new ReadRig({ budgetBytes: 4 * MIB });
  const body = pattern(64 * KIB);
  for (let file = 0; file < 200; file += 1) {
    const version = rig.put(`k${file}`, body);
    if (!(await rig.bytes(version, 0, body.length)).equals(body)) t.fail(`bytes of file ${file}`);
  }
  t.ok(rig.readers.size <= 64, `${rig.readers.size} readers`);
  t.equal(await rig.leaked(), 0);
});

await t.test('a failed fetch fails those who wait; the next READ tries again', async (t) => {
  const rig = new ReadRig();
  const body = pattern(MIB);
  const version = rig.put('k', body);
  rig.store.holdGets();
  const first = rig.bytes(version, 0, 1000);
  const second = rig.bytes(version, 500_000, 1000);
  const third = storeErrorKind(rig.bytes(version, 900_000, 1000));
  await rig.store.whenHeld(1);
  rig.store.heldGets[0]?.deliver(600_000);
  rig.store.heldGets[0]?.fail(unavailable());
  t.ok((await first).equals(body.subarray(0, 1000)));
  t.ok((await second).equals(body.subarray(500_000, 501_000)), 'what arrived before is good');
  t.equal(await third, 'unavailable');
  rig.store.releaseGets();
  t.ok((await rig.bytes(version, 900_000, 1000)).equals(body.subarray(900_000, 901_000)));
  t.equal(await rig.leaked(), 0);
});

await t.test('a version that is gone is precondition-failed, replaced or deleted', async (t) => {
  const rig = new ReadRig();
  const old = rig.put('k', pattern(MIB, 1));
  const fresh = rig.put('k', pattern(MIB, 2));
  t.equal(await storeErrorKind(rig.bytes(old, 0, 10)), 'precondition-failed');
  t.ok((await rig.bytes(fresh, 0, 10)).equals(pattern(10, 2)));
  rig.store.objects.delete('k');
  t.ok(
    (await rig.bytes(fresh, 20, 10)).equals(pattern(30, 2).subarray(20)),
    'cached bytes are of their version',
  );
  rig.readers.forget('k');
  t.equal(await storeErrorKind(rig.bytes(fresh, 0, 10)), 'precondition-failed');
  t.equal(await rig.leaked(), 0);
});

await t.test('slices stay unchanged until they are released, also when the key is forgotten', async (t) => {
  const rig = new ReadRig({ budgetBytes: 2 * MIB });
  const body = pattern(MIB, 1);
  const version = rig.put('k', body);
  const read = await rig.readers.read(version, 0, MIB);
  rig.readers.forget('k');
  const other = rig.put('other', pattern(16 * MIB, 2));
  for (let at = 0; at < other.size; at += MIB / 2) await rig.bytes(other, at, MIB / 2);
  t.ok(Buffer.concat(read.slices).equals(body));
  t.ok(rig.budget.usedBytes >= MIB, 'its bytes are counted');
  t.equal(await rig.leaked(), MIB, 'what is out is still counted after close');
  read.release();
  t.equal(rig.budget.usedBytes, 0);
  t.throws(() => read.release(), /twice/);
});

await t.test('64 streams under a small budget all finish, within the budget', async (t) => {
  for (const budgetBytes of [MIB, 4 * MIB, 16 * MIB]) {
    const rig = new ReadRig({ budgetBytes });
    const sizeBytes = 3 * MIB + 17;
    const streams = Array.from({ length: 64 }, async (_, at) => {
      const body = pattern(sizeBytes, at + 1);
      const version = rig.put(`k${at}`, body);
      for (let offset = 0; offset < sizeBytes; offset += 256 * KIB) {
        const read = await rig.readers.read(version, offset, 256 * KIB);
        if (rig.budget.usedBytes > budgetBytes) t.fail('over the budget');
        // The reply is on its way for a while.
        await settle(1);
        if (!taken(read).equals(body.subarray(offset, offset + 256 * KIB)))
          t.fail(`wrong bytes of ${at} at ${offset}`);
      }
    });
    await Promise.all(streams);
    t.ok(rig.bytesFetched <= 64 * sizeBytes * 2, `${rig.bytesFetched / (64 * sizeBytes)} times the bytes`);
    t.equal(await rig.leaked(), 0);
  }
});

await t.test('what others read stays while a file larger than memory is read through', async (t) => {
  const rig = new ReadRig({ budgetBytes: 16 * MIB });
  const small = rig.put('small', pattern(2 * MIB));
  await rig.bytes(small, 0, 2 * MIB);
  const body = pattern(40 * MIB, 2);
  const large = rig.put('large', body);
  for (let round = 0; round < 2; round += 1) {
    for (let offset = 0; offset < large.size; offset += MIB) {
      const read = await rig.readers.read(large, offset, MIB);
      await settle(1);
      if (!taken(read).equals(body.subarray(offset, offset + MIB))) t.fail(`wrong bytes at ${offset}`);
      if (rig.budget.usedBytes > 16 * MIB) t.fail('over the budget');
    }
    const gets = rig.gets;
    await rig.bytes(small, 0, 2 * MIB);
    t.equal(rig.gets, gets, 'nothing of it is fetched again');
  }
  t.equal(await rig.leaked(), 0);
});

await t.test(
  'who follows another reader through a file larger than memory finds its bytes there',
  async (t) => {
    // So near that both seem to be one stream, and farther away.
    for (const behind of [3 * MIB, 6 * MIB]) {
      const rig = new ReadRig({ budgetBytes: 24 * MIB });
      const large = rig.put('large', pattern(48 * MIB));
      for (let offset = 0; offset < large.size + behind; offset += 256 * KIB) {
        if (offset < large.size) await rig.bytes(large, offset, 256 * KIB);
        await settle(1);
        if (offset >= behind) await rig.bytes(large, offset - behind, 256 * KIB);
      }
      t.ok(rig.bytesFetched < 1.1 * large.size, `${rig.bytesFetched / large.size} times the bytes`);
      t.equal(await rig.leaked(), 0);
    }
  },
);

await t.test(
  'a writer gets cached memory at once, and READs that pin the rest let it in when they end',
  async (t) => {
    const rig = new ReadRig({ budgetBytes: 4 * MIB });
    const version = rig.put('k', pattern(2 * MIB));
    await rig.bytes(version, 0, 2 * MIB);
    await settle();
    t.ok(rig.budget.usedBytes >= 2 * MIB);
    t.ok(rig.budget.tryReserve(4 * MIB), 'all of it');
    rig.budget.release(4 * MIB);
    const read = await rig.readers.read(version, 0, 2 * MIB);
    const writer = rig.budget.reserve(4 * MIB);
    await settle();
    t.equal(rig.budget.waiting, 1);
    read.release();
    await writer;
    rig.budget.release(4 * MIB);
    t.equal(await rig.leaked(), 0);
  },
);

await t.test('no more GETs than allowed are in flight, and readahead leaves room for READs', async (t) => {
  const rig = new ReadRig({ requestsMax: 4 });
  const version = rig.put('k', pattern(64 * MIB));
  for (let at = 0; at < 4 * MIB; at += 256 * KIB) await rig.bytes(version, at, 256 * KIB);
  await settle();
  rig.store.holdGets();
  for (let at = 4 * MIB; at < 8 * MIB; at += 256 * KIB)
    void rig.bytes(version, at, 256 * KIB).catch(() => undefined);
  await settle();
  t.ok(rig.store.getsUnderWay <= 3, `${rig.store.getsUnderWay} of readahead`);
  const random = [30, 35, 40, 45].map(async (at) => await rig.bytes(version, at * MIB, 4096));
  await settle();
  t.equal(rig.store.getsUnderWay, 4);
  rig.store.releaseGets();
  t.equal((await Promise.all(random)).length, 4);
  t.equal(await rig.leaked(), 0);
});

/** 64 streams, two READs of each in line at a time, over a store that finishes GETs in the order they came; the most GETs anybody waited. */
async function mostGetsWaited(budgetBytes: number, requestsMax: number): Promise<number> {
  const rig = new ReadRig({ budgetBytes, requestsMax });
  const readBytes = 64 * KIB;
  const sizeBytes = 20 * readBytes;
  const body = pattern(sizeBytes);
  let finished = 0;
  let most = 0;
  let reading = 64 * 2;
  rig.store.holdGets();
  const lanes = Array.from({ length: 64 }, (_, at) => {
    const version = rig.put(`k${at}`, body);
    let next = 0;
    return [0, 1].map(async () => {
      for (let offset = next; offset < sizeBytes; offset = next) {
        next += readBytes;
        const asked = finished;
        const read = await rig.readers.read(version, offset, readBytes);
        most = Math.max(most, finished - asked);
        // The reply is on its way for a while.
        await settle(1);
        if (!taken(read).equals(body.subarray(offset, offset + readBytes))) throw new Error('wrong bytes');
      }
      reading -= 1;
    });
  });
  while (reading > 0) {
    await settle(2);
    const held = rig.store.heldGets.shift();
    if (held === undefined) continue;
    finished += 1;
    held.finish();
  }
  await Promise.all(lanes.flat());
  rig.store.releaseGets();
  if ((await rig.leaked()) !== 0) throw new Error('leaked');
  return most;
}

await t.test('each of 64 readers gets its bytes within one round of the others', async (t) => {
  for (const budgetBytes of [2 * MIB, 64 * MIB]) {
    for (const requestsMax of [4, 32]) {
      const most = await mostGetsWaited(budgetBytes, requestsMax);
      // What the others had asked for before, one GET each at most, and what was on its way.
      t.ok(most <= 64 * 2 + requestsMax, `${most} GETs, budget ${budgetBytes}, ${requestsMax} at a time`);
    }
  }
});

await t.test('READs that waited for memory, and find a part there, give back what they took', async (t) => {
  const sizes = { blockBytes: 16 * KIB, windowBytesMin: 16 * KIB, windowBytesMax: 32 * KIB };
  const parts = { partBytesMin: 16 * KIB, partBytesMax: 32 * KIB, smallFileBytes: 4 * KIB };
  for (const smallReads of [[8], [0, 8], [4, 8, 12]]) {
    const rig = new ReadRig({ budgetBytes: 64 * KIB, policy: 'random', ...sizes, ...parts });
    const other = rig.put('other', pattern(64 * KIB, 1));
    const body = pattern(64 * KIB, 2);
    const version = rig.put('file', body);
    const held = await rig.readers.read(other, 0, 64 * KIB);
    const small = smallReads.map((at) => rig.bytes(version, at * KIB, 4 * KIB));
    const large = rig.bytes(version, 0, 16 * KIB);
    await settle(1);
    t.equal(rig.budget.waiting, smallReads.length + 1);
    taken(held);
    await Promise.all(small);
    t.ok((await large).equals(body.subarray(0, 16 * KIB)));
    t.equal(await rig.leaked(), 0, `READs at ${smallReads.join()}`);
  }
});

await t.test('close fails what waits', async (t) => {
  const rig = new ReadRig({ budgetBytes: 256 * KIB });
  const version = rig.put('k', pattern(8 * MIB));
  rig.store.holdGets();
  const forBytes = storeErrorKind(rig.bytes(version, 0, 256 * KIB));
  const forMemory = storeErrorKind(rig.bytes(version, MIB, 256 * KIB));
  await rig.store.whenHeld(1);
  t.equal(rig.budget.waiting, 1);
  t.equal(await rig.leaked(), 0);
  t.equal(await forBytes, 'aborted');
  t.equal(await forMemory, 'aborted');
  t.equal(await storeErrorKind(rig.bytes(version, 0, 1)), 'aborted');
});
