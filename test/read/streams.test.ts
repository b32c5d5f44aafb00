import t from 'tap';
import fc from '../support/fast-check.js';
import { KIB, MIB, ReadRig, pattern, settle } from './read-rig.js';

const PAGE = 4 * KIB;

await t.test('READs at equal distances find their bytes there, and nothing between is fetched', async (t) => {
  const rig = new ReadRig();
  const body = pattern(64 * MIB);
  const version = rig.put('k', body);
  const ahead: number[] = [];
  for (let piece = 0; piece < 60; piece++) {
    const at = 100 * KIB + piece * MIB;
    const before = rig.gets;
    if (!(await rig.bytes(version, at, 64 * KIB)).equals(body.subarray(at, at + 64 * KIB)))
      t.fail(`wrong bytes at ${at}`);
    if (rig.ranges[before]?.start !== at) ahead.push(piece);
    await settle(1);
  }
  t.ok(ahead.length >= 54, `${ahead.length} of 60 READs were there or under way`);
  t.ok(rig.bytesFetched <= 64 * 64 * KIB, `${rig.bytesFetched / (64 * KIB)} pieces fetched for 60`);
  t.ok(rig.gets <= 64, `${rig.gets} GETs`);
  t.equal(await rig.leaked(), 0);
});

await t.test('neighbours that wait for a slot together are one GET, whatever their order', async (t) => {
  const rig = new ReadRig({ requestsMax: 1 });
  const body = pattern(4 * MIB);
  const version = rig.put('k', body);
  rig.store.holdGets();
  const first = rig.bytes(version, 3 * MIB, PAGE);
  await rig.store.whenHeld(1);
  const pages = [12, 10, 11, 9, 40, 44, 80];
  const reads = pages.map(async (page) => await rig.bytes(version, MIB + page * PAGE, PAGE));
  await settle();
  rig.store.releaseGets();
  await first;
  for (const [at, bytes] of (await Promise.all(reads)).entries()) {
    const from = MIB + (pages[at] ?? 0) * PAGE;
    t.ok(bytes.equals(body.subarray(from, from + PAGE)), `page ${pages[at]}`);
  }
  const of = (from: number, to: number): unknown => ({ start: MIB + from * PAGE, end: MIB + to * PAGE });
  t.same(
    rig.ranges.slice(1),
    [of(9, 13), of(40, 45), of(80, 81)],
    'three pages between two READs are worth a GET less, thirty are not',
  );
  const before = rig.gets;
  await rig.bytes(version, MIB + 41 * PAGE, PAGE);
  t.equal(rig.gets, before, 'what lies between is kept');
  t.equal(await rig.leaked(), 0);
});

await t.test('random READs, many at a time, are one GET each at most and get their bytes', async (t) => {
  const body = pattern(2 * MIB, 3);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(body.length / PAGE - 2), { minLength: 1, maxLength: 64 }),
      fc.integer({ min: 1, max: 64 }),
      fc.constantFrom(MIB, 64 * KIB),
      async (pages, requestsMax, budgetBytes) => {
        const rig = new ReadRig({ requestsMax, budgetBytes, policy: 'random' });
        const version = rig.put('k', body);
        await Promise.all(
          pages.map(async (page) => {
            const from = (page + 1) * PAGE;
            if (!(await rig.bytes(version, from, PAGE)).equals(body.subarray(from, from + PAGE)))
              throw new Error(`wrong bytes of page ${page}`);
          }),
        );
        if (rig.gets > pages.length) throw new Error(`${rig.gets} GETs for ${pages.length} READs`);
        const leaked = await rig.leaked();
        if (leaked !== 0) throw new Error(`${leaked} bytes leaked`);
      },
    ),
    { numRuns: 100 },
  );
  t.pass('every run');
});

await t.test('what is on its way for a stream whose reader has gone elsewhere is cancelled', async (t) => {
  const rig = new ReadRig();
  const version = rig.put('k', pattern(128 * MIB));
  for (let at = 0; at < 2 * MIB; at += 256 * KIB, rig.nowMs += 1) await rig.bytes(version, at, 256 * KIB);
  await settle();
  rig.store.holdGets();
  const last = rig.bytes(version, 2 * MIB, 256 * KIB);
  await settle();
  const onTheirWay = rig.store.getsUnderWay;
  t.ok(onTheirWay > 0);
  await last;
  const held = [...rig.store.heldGets];
  const bytesSeen = rig.bytesFetched;
  // Another stream, all of it delivered at once.
  for (let read = 0; read < 64; read++, rig.nowMs += 10) {
    const bytes = rig.bytes(version, 64 * MIB + read * 256 * KIB, 256 * KIB);
    await settle();
    for (const get of rig.store.heldGets) if (!held.includes(get)) get.finish();
    await bytes;
  }
  await settle();
  t.ok(rig.bytesFetched > bytesSeen);
  const left = rig.store.heldGets.filter((get) => held.includes(get));
  t.equal(left.length, 0, `${onTheirWay} GETs were cut off`);
  rig.store.releaseGets();
  t.equal((await rig.bytes(version, 4 * MIB, 256 * KIB)).length, 256 * KIB, 'its reader may come back');
  t.equal(await rig.leaked(), 0);
});

await t.test(
  'a GET that nobody wants runs out when little is left of it: its connection is worth more',
  async (t) => {
    for (const left of [100 * KIB, 600 * KIB]) {
      const rig = new ReadRig({ requestsMax: 4 });
      const version = rig.put('k', pattern(2 * MIB));
      rig.store.holdGets();
      const abort = new AbortController();
      const read = rig.bytes(version, MIB, MIB, abort.signal).catch(() => undefined);
      await rig.store.whenHeld(1);
      const [held] = rig.store.heldGets;
      held?.deliver(MIB - left);
      abort.abort();
      await read;
      await settle();
      t.equal(rig.store.getsUnderWay, left > 256 * KIB ? 0 : 1, `${left} bytes left`);
      held?.finish();
      await settle();
      t.equal(rig.store.getsUnderWay, 0);
      rig.store.releaseGets();
      const again = await rig.bytes(version, 2 * MIB - left, left);
      t.ok(again.equals(pattern(2 * MIB).subarray(2 * MIB - left)), 'its last bytes were not taken');
      t.equal(await rig.leaked(), 0);
    }
  },
);

await t.test('a GET that runs out is cut off when the readers close', async (t) => {
  const rig = new ReadRig();
  const version = rig.put('k', pattern(2 * MIB));
  rig.store.holdGets();
  const abort = new AbortController();
  const read = rig.bytes(version, MIB, MIB, abort.signal).catch(() => undefined);
  await rig.store.whenHeld(1);
  rig.store.heldGets[0]?.deliver(MIB - KIB);
  abort.abort();
  await read;
  t.equal(rig.store.getsUnderWay, 1);
  t.equal(await rig.leaked(), 0);
});

await t.test('once files were read on, the next is fetched whole by its first READ', async (t) => {
  const rig = new ReadRig();
  const bodies = [1, 2, 3].map((seed) => pattern(5 * MIB, seed));
  const firstReads: number[] = [];
  for (const [at, body] of bodies.entries()) {
    const version = rig.put(`k${at}`, body);
    const before = rig.bytesFetched;
    for (let from = 0; from < body.length; from += 128 * KIB) {
      if (!(await rig.bytes(version, from, 128 * KIB)).equals(body.subarray(from, from + 128 * KIB)))
        t.fail(`wrong bytes of ${at} at ${from}`);
      if (from === 0) firstReads.push(rig.bytesFetched - before);
    }
  }
  t.same(firstReads, [512 * KIB, 5 * MIB, 5 * MIB]);
  t.equal(rig.bytesFetched, 15 * MIB, 'no byte twice');
  t.equal(await rig.leaked(), 0);
});

await t.test('where only headers are read, no more than that is fetched', async (t) => {
  const rig = new ReadRig();
  const body = pattern(3 * MIB);
  const through = rig.put('through', body);
  for (let from = 0; from < body.length; from += 128 * KIB) await rig.bytes(through, from, 128 * KIB);
  const fetched: number[] = [];
  for (let file = 0; file < 75; file++) {
    const before = rig.bytesFetched;
    await rig.bytes(rig.put(`k${file}`, body), 0, 4 * KIB);
    fetched.push(rig.bytesFetched - before);
  }
  t.equal(fetched[0], 3 * MIB);
  t.ok(
    fetched.slice(-10).every((bytes) => bytes <= 512 * KIB),
    `it was learned: ${fetched.slice(-10).join(' ')}`,
  );
  t.equal(await rig.leaked(), 0);
});
