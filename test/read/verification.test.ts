/** What is read is checked against the store's checksums: small files before they are given out, larger ones once they were read through. */
import t from 'tap';
import fc from '../support/fast-check.js';
import { StoreError } from '../../src/store/errors.js';
import type { ObjectChecksum } from '../../src/store/object-store.js';
import { CheckedStore } from '../support/checked-store.js';
import { collectLog } from '../support/collected-log.js';
import { KIB, pattern, ReadRig } from './read-rig.js';

const SMALL = 40 * KIB + 7;
const LARGE = 200 * KIB + 123;
const SIZES = {
  blockBytes: 16 * KIB,
  windowBytesMin: 16 * KIB,
  beginningBytes: 64 * KIB,
  windowBytesMax: 128 * KIB,
  partBytesMin: 16 * KIB,
  partBytesMax: 32 * KIB,
  partBytesEfficient: 32 * KIB,
  smallFileBytes: 48 * KIB,
  chunkBytes: 5000,
};

type Algorithm = ObjectChecksum['algorithm'] | 'none';

function rigOf(algorithm: Algorithm, fillsRooms = false, budgetBytes = 4096 * KIB) {
  const { log, lines } = collectLog();
  const store = new CheckedStore({ chunkBytes: SIZES.chunkBytes, fillsRooms }, algorithm);
  const rig = new ReadRig({ ...SIZES, budgetBytes, store, log });
  return { rig, store, errors: () => lines.filter(({ level }) => level === 50) };
}

/** Flips a bit in the first `times` chunks that hold the byte at `at`. */
function flipped(at: number, times: number): (chunk: Buffer, offset: number) => void {
  let left = times;
  return (chunk, offset) => {
    if (at < offset || at >= offset + chunk.length || left === 0) return;
    left -= 1;
    chunk.writeUInt8(chunk.readUInt8(at - offset) ^ 4, at - offset);
  };
}

await t.test('a small file with a flipped bit is fetched again before it is given out', async (t) => {
  for (const algorithm of ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'] as const)
    for (const fillsRooms of [false, true])
      await t.test(`${algorithm}, ${fillsRooms ? 'into' : 'beside'} the blocks`, async (t) => {
        const { rig, store, errors } = rigOf(algorithm, fillsRooms);
        const body = pattern(SMALL);
        const version = rig.put('small', body);
        store.corrupt = flipped(SMALL - 3, 2);
        t.same(await rig.bytes(version, 100, 50), body.subarray(100, 150));
        t.equal(rig.gets, 3, 'asked for again, twice');
        t.same(await rig.bytes(version, 0, SMALL), body);
        t.equal(rig.gets, 3, 'all of it is there');
        t.equal(store.asked, 0, 'its answer tells the checksum');
        t.same(errors(), []);
        t.equal(await rig.leaked(), 0);
      });
});

await t.test(
  'a small file that stays wrong fails with an error that names it; later READs ask again',
  async (t) => {
    const { rig, store, errors } = rigOf('crc32');
    const body = pattern(SMALL);
    const version = rig.put('dir/small', body);
    store.corrupt = flipped(5, Infinity);
    const error = await rig.bytes(version, 20 * KIB, 10).catch((thrown: unknown) => thrown);
    t.ok(error instanceof StoreError);
    t.match(error, { kind: 'checksum', key: 'dir/small', message: /"dir\/small".*checksum/ });
    t.equal(rig.gets, 5);
    t.match(errors(), [{ key: 'dir/small' }]);
    store.corrupt = undefined;
    t.same(await rig.bytes(version, 0, SMALL), body);
    t.equal(await rig.leaked(), 0);
  },
);

await t.test('a small file of which blocks were evicted is fetched whole again', async (t) => {
  const { rig, store } = rigOf('crc64nvme', true, 128 * KIB);
  const [body, other] = [pattern(SMALL), pattern(LARGE, 2)];
  const version = rig.put('small', body);
  const large = rig.put('large', other);
  t.same(await rig.bytes(version, 0, SMALL), body);
  for (let offset = 0; offset < LARGE; offset += 16 * KIB) await rig.bytes(large, offset, 16 * KIB);
  store.corrupt = flipped(17 * KIB, 1);
  t.same(await rig.bytes(version, 0, SMALL), body);
  const whole = rig.ranges.filter(({ end }) => end === SMALL);
  t.ok(whole.length > 1 && whole.every(({ start }) => start === 0));
  t.equal(await rig.leaked(), 0);
});

await t.test(
  'a store without checksums: bytes are given out as they arrive, by as many GETs as without checks',
  async (t) => {
    const { rig, store } = rigOf('none');
    const body = pattern(SMALL);
    const version = rig.put('small', body);
    t.same(await rig.bytes(version, 0, 10), body.subarray(0, 10));
    t.same(await rig.bytes(version, 30 * KIB, 10), body.subarray(30 * KIB, 30 * KIB + 10));
    const large = rig.put('large', pattern(LARGE));
    await rig.bytes(large, 0, LARGE);
    await rig.bytes(large, 0, LARGE);
    t.equal(store.asked, 1, 'one HEAD tells that there is none');
    t.equal(await rig.leaked(), 0);
  },
);

await t.test(
  'a larger file with a flipped bit: the READ that completes it fails, it is dropped and read anew',
  async (t) => {
    const { rig, store, errors } = rigOf('crc64nvme');
    const body = pattern(LARGE);
    const version = rig.put('large', body);
    store.corrupt = flipped(50 * KIB, 1);
    const read = async (): Promise<string[]> => {
      const failed: string[] = [];
      for (let offset = 0; offset < LARGE; offset += 10 * KIB)
        await rig.bytes(version, offset, 10 * KIB).catch((error: unknown) => {
          failed.push(error instanceof StoreError ? error.kind : String(error));
        });
      return failed;
    };
    const failed = await read();
    t.ok(failed.length > 0 && failed.every((kind) => kind === 'checksum'), `${failed.length} READs failed`);
    t.match(errors(), [{ key: 'large', served: true }]);
    t.equal(errors().length, 1);
    const again = await rig.bytes(version, 0, 10).catch((error: unknown) => error);
    t.match(again, { kind: 'checksum' }, 'a client that tries again at once is told again');
    rig.nowMs += 5_000;
    const before = rig.gets;
    t.same(await read(), []);
    t.ok(rig.gets > before, 'nothing of it was kept');
    t.equal(store.asked, 1);
    t.equal(await rig.leaked(), 0);
  },
);

await t.test(
  'a larger file that was read through: blocks fetched again are checked before they are given out',
  async (t) => {
    const { rig, store, errors } = rigOf('crc32', true, 128 * KIB);
    const body = pattern(LARGE);
    const version = rig.put('large', body);
    for (let offset = 0; offset < LARGE; offset += 16 * KIB) await rig.bytes(version, offset, 16 * KIB);
    let flips = 0;
    store.corrupt = (chunk) => {
      if (flips++ % 20 === 10) chunk.writeUInt8(chunk.readUInt8(0) ^ 1, 0);
    };
    for (let offset = 0; offset < LARGE; offset += 16 * KIB)
      t.same(await rig.bytes(version, offset, 16 * KIB), body.subarray(offset, offset + 16 * KIB));
    t.ok(flips > 20);
    t.same(errors(), []);
    t.equal(await rig.leaked(), 0);
  },
);

/** Bytes of the object were fetched again: those before them may have been wrong, and nobody knows. */
function askedTwice({ calls }: CheckedStore, key: string): boolean {
  const ranges = calls.flatMap((call) => (call.key === key && call.range !== undefined ? [call.range] : []));
  ranges.sort((one, other) => one.offset - other.offset);
  return ranges.some(({ offset }, at) => {
    const before = ranges[at - 1];
    return before !== undefined && before.offset + before.length > offset;
  });
}

const step = fc.record({
  file: fc.integer({ min: 0, max: 2 }),
  offset: fc.integer({ min: 0, max: LARGE }),
  count: fc.integer({ min: 1, max: 60 * KIB }),
});

await t.test(
  'READs in any order over corrupted bodies: small files never with a wrong byte, larger ones never unnoticed to the end',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.constantFrom('crc32' as const, 'crc64nvme' as const),
        fc.constantFrom(128 * KIB, 200 * KIB, 4096 * KIB),
        fc.boolean(),
        fc.integer({ min: 5, max: 60 }),
        async (steps, algorithm, budgetBytes, fillsRooms, every) => {
          const { rig, store, errors } = rigOf(algorithm, fillsRooms, budgetBytes);
          const bodies = [pattern(SMALL, 1), pattern(SMALL - 9000, 2), pattern(LARGE, 3)];
          const versions = bodies.map((body, at) => rig.put(`k${at}`, body));
          let chunks = 0;
          store.corrupt = (chunk) => {
            if (++chunks % every === 0)
              chunk.writeUInt8(chunk.readUInt8(chunk.length >> 1) ^ 16, chunk.length >> 1);
          };
          let wrong = 0;
          await Promise.all(
            steps.map(async ({ file, offset, count }) => {
              const [version, body] = [versions[file], bodies[file]];
              if (version === undefined || body === undefined) return;
              try {
                const read = await rig.bytes(version, offset, count);
                if (read.equals(body.subarray(offset, offset + count))) return;
                if (file < 2) throw new Error(`wrong bytes of ${version.key}`);
                wrong += 1;
              } catch (error) {
                if (!(error instanceof StoreError) || error.kind !== 'checksum') throw error;
              }
            }),
          );
          // To the end: what was wrong above is told now at the latest, if it is still in memory or its sum is known.
          store.corrupt = undefined;
          rig.nowMs += 6_000;
          const large = versions[2];
          if (large === undefined) throw new Error('no large file');
          for (let offset = 0; offset < LARGE; offset += 30 * KIB)
            await rig.bytes(large, offset, 30 * KIB).catch((error: unknown) => {
              if (!(error instanceof StoreError) || error.kind !== 'checksum') throw error;
            });
          if (wrong > 0 && errors().length === 0 && !askedTwice(store, 'k2'))
            throw new Error(`${wrong} READs of wrong bytes, and nobody was told`);
          if ((await rig.leaked()) !== 0) throw new Error('memory leaked');
        },
      ),
      { numRuns: 60 },
    );
  },
);

await t.test('GETs of a larger file that begin together ask for its checksum once', async (t) => {
  const { rig, store, errors } = rigOf('crc32');
  const body = pattern(LARGE);
  const version = rig.put('large', body);
  const begun = rig.readers.fetchAhead(version, 128 * KIB, { waits: false });
  t.equal(begun?.bytes, 128 * KIB);
  t.equal((await begun?.head)?.etag, version.etag);
  t.same(await rig.bytes(version, 0, 128 * KIB), body.subarray(0, 128 * KIB));
  t.ok(rig.gets >= 4, `${rig.gets} GETs`);
  t.equal(store.asked, 1);
  t.same(await rig.bytes(version, 128 * KIB, LARGE), body.subarray(128 * KIB));
  t.same(errors(), []);
  t.equal(await rig.leaked(), 0);
});

await t.test('when the GET that asked for the checksum is cut off, another one asks', async (t) => {
  const { rig, store } = rigOf('crc32');
  const body = pattern(LARGE);
  const version = rig.put('large', body);
  const tell = store.checksums.of.bind(store.checksums);
  let asked = 0;
  // The first question has no answer before it is cut off.
  Object.assign(store.checksums, {
    of: async (...[key, etag, signal]: Parameters<typeof tell>): ReturnType<typeof tell> => {
      asked += 1;
      if (asked > 1) return await tell(key, etag, signal);
      return await new Promise((_, reject) =>
        signal?.addEventListener('abort', () => reject(new Error('cut off')), { once: true }),
      );
    },
  });
  const begun = rig.readers.fetchAhead(version, 128 * KIB, { waits: false });
  t.equal(begun?.bytes, 128 * KIB);
  const read = rig.bytes(version, 64 * KIB, 10);
  t.equal(asked, 1);
  // All are cut off but the one that is waited for.
  rig.readers.disregard(version);
  t.same(await read, body.subarray(64 * KIB, 64 * KIB + 10));
  t.equal(asked, 2);
  t.equal(await begun?.head, undefined);
  t.equal(await rig.leaked(), 0);
});
