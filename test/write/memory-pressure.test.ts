/** Many writers and little memory: nobody waits for ever, and the budget holds. */
import { clearInterval, setInterval } from 'node:timers';
import { setImmediate } from 'node:timers/promises';
import fc from '../support/fast-check.js';
import t, { type Test } from 'tap';
import { SpoolFullError, type SpoolOptions } from '../../src/write/spool.js';
import { storeErrorKind } from '../support/store-error-kind.js';
import { KIB, pattern, readAll, SessionBench } from './session-bench.js';

const HEADERS = { metadata: {} };

await t.test('64 writers out of order finish with memory for four parts', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 64 * KIB });
  t.teardown(() => bench.close());
  const files = Array.from({ length: 64 }, (_, at) => ({ key: `f${at}`, data: pattern(50 * KIB + at, at) }));
  const sessions = await Promise.all(
    files.map(async ({ key, data }) => {
      const session = bench.session(key);
      const offsets = Array.from({ length: Math.ceil(data.length / KIB) }, (_, at) => at * KIB).reverse();
      // Every other block first, so that no part is full before the end.
      const scattered = [
        ...offsets.filter((at) => at % (2 * KIB) === 0),
        ...offsets.filter((at) => at % (2 * KIB) > 0),
      ];
      for (let at = 0; at < scattered.length; at += 4) {
        await Promise.all(
          scattered
            .slice(at, at + 4)
            .map((offset) => session.write(offset, data.subarray(offset, offset + KIB))),
        );
        if (bench.budget.usedBytes > bench.budget.limitBytes) throw new Error('over the budget');
      }
      return { key, data, session };
    }),
  );
  t.ok(bench.spool.usedBytes > 0, 'there was no memory for all');
  for (const { data, session } of sessions.slice(0, 3)) t.ok((await readAll(session)).equals(data));
  await Promise.all(sessions.map(({ key, session }) => session.publish({ key, headers: HEADERS })));
  t.ok(files.every(({ key, data }) => bench.body(key)?.equals(data)));
  t.equal(bench.budget.usedBytes, 0);
  t.equal(bench.budget.blocks.takenBytes, 0);
  t.equal(bench.spool.usedBytes, 0);
  t.same(await bench.spooledFiles(), []);
  t.equal(bench.store.uploads.size, 0);
});

await t.test('uploaded parts stay in memory until a quarter of it is all that is free', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 128 * KIB });
  t.teardown(() => bench.close());
  const data = pattern(7 * 16 * KIB);
  const session = bench.session('a');
  const until = async (reached: () => boolean): Promise<void> => {
    while (!reached()) await setImmediate();
  };
  const upload = async (part: number): Promise<void> => {
    await session.write(part * 16 * KIB, data.subarray(part * 16 * KIB, (part + 1) * 16 * KIB));
    // A file of one part may become a PUT.
    await until(() => part === 0 || bench.store.countOf('UploadPart') === part + 1);
  };
  for (let part = 0; part < 6; part += 1) await upload(part);
  await setImmediate();
  t.equal(bench.spool.usedBytes, 0);
  await upload(6);
  await until(() => bench.budget.usedBytes === 96 * KIB);
  t.equal(bench.spool.usedBytes, 16 * KIB, 'one part made room');
  t.equal(bench.budget.tryReserveFree(48 * KIB), false, 'a reader wants more');
  await until(() => bench.budget.usedBytes === 80 * KIB);
  t.equal(bench.spool.usedBytes, 32 * KIB);
  t.equal(bench.budget.tryReserveFree(48 * KIB), true);
  t.equal(bench.budget.tryReserveFree(128 * KIB), false, 'and another one more than there is');
  await until(() => bench.budget.usedBytes === (48 + 32) * KIB);
  t.equal(bench.budget.tryReserveFree(128 * KIB), false);
  await setImmediate();
  t.equal(bench.budget.usedBytes, (48 + 32) * KIB, 'a quarter is left to writers');
  bench.budget.release(48 * KIB);
  t.ok((await readAll(session)).equals(data));
  await session.publish({ key: 'a', headers: HEADERS });
  t.ok(bench.body('a')?.equals(data));
  t.equal(bench.budget.usedBytes, 0);
});

await t.test('in sequence without a spool: parts leave memory when they are uploaded', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 128 * KIB, spoolBytes: 0 });
  t.teardown(() => bench.close());
  const data = pattern(1024 * KIB);
  const session = bench.session('a');
  for (let at = 0; at < data.length; at += 8 * KIB) await session.write(at, data.subarray(at, at + 8 * KIB));
  t.equal(bench.store.countOf('CreateMultipartUpload'), 1);
  await t.rejects(session.read(0, KIB), SpoolFullError, 'what only the upload holds can not be read');
  await session.publish({ key: 'a', headers: HEADERS });
  t.ok(bench.body('a')?.equals(data));
  t.equal(bench.budget.usedBytes, 0);
  t.equal(bench.budget.blocks.takenBytes, 0);
});

await t.test(
  'an upload that vanishes while data arrives frees no memory: nothing relies on it',
  async (t) => {
    const bench = await SessionBench.make({ budgetBytes: 128 * KIB, spoolBytes: 256 * KIB });
    t.teardown(() => bench.close());
    const data = pattern(320 * KIB);
    const session = bench.session('a');
    const gone = new Promise<void>((resolve) => {
      bench.store.before = ({ operation, partNumber }) => {
        if (operation !== 'UploadPart' || partNumber !== 5) return;
        bench.store.uploads.clear();
        resolve();
      };
    });
    for (let at = 0; at < data.length; at += 8 * KIB)
      await session.write(at, data.subarray(at, at + 8 * KIB));
    await gone;
    bench.store.before = undefined;
    t.ok((await readAll(session)).equals(data));
    await session.publish({ key: 'a', headers: HEADERS });
    t.ok(bench.body('a')?.equals(data));
    t.equal(bench.journal.size, 0);
    t.equal(bench.budget.usedBytes, 0);
    t.equal(bench.budget.blocks.takenBytes, 0);
    t.equal(bench.spool.usedBytes, 0);
  },
);

await t.test('what only the upload holds is not lost to a conflict: it is named and kept', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 128 * KIB, spoolBytes: 0 });
  t.teardown(() => bench.close());
  const session = bench.session('a');
  const data = pattern(512 * KIB);
  for (let at = 0; at < data.length; at += 8 * KIB) await session.write(at, data.subarray(at, at + 8 * KIB));
  const [uploadId] = bench.journal.keys();
  bench.put('a', Buffer.from('the winner'));
  const condition = { ifNoneMatch: '*' } as const;
  const contested = session.publish({ key: 'a', headers: HEADERS, condition });
  t.equal(await storeErrorKind(contested), 'precondition-failed');
  const sibling = session.publish({ key: 'sibling', headers: HEADERS });
  await t.rejects(sibling, new SpoolFullError());
  await t.rejects(sibling, { message: new RegExp(`upload ${uploadId} of a`) });
  t.equal(bench.store.uploads.size, 1);
  t.equal(String(bench.body('a')), 'the winner');
  bench.store.objects.delete('a');
  await session.publish({ key: 'a', headers: HEADERS, condition });
  t.ok(bench.body('a')?.equals(data));
});

await t.test('who waits for an upload to end looks for memory now and then, not all the time', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 64 * KIB, spoolBytes: 0 });
  t.teardown(() => bench.close());
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  bench.store.before = ({ operation }) => (operation === 'UploadPart' ? opened : undefined);
  const session = bench.session('a');
  const data = pattern(256 * KIB);
  const writing = (async () => {
    for (let at = 0; at < data.length; at += 8 * KIB)
      await session.write(at, data.subarray(at, at + 8 * KIB));
  })();
  while (bench.budget.waiting === 0) await setImmediate();
  let searches = 0;
  bench.budget.addRelief(() => {
    searches += 1;
    return 0;
  });
  const TURNS = 500;
  for (let turn = 0; turn < TURNS; turn += 1) await setImmediate();
  t.ok(searches < TURNS / 10, `${searches} searches in ${TURNS} turns`);
  open();
  await writing;
  await session.publish({ key: 'a', headers: HEADERS });
  t.ok(bench.body('a')?.equals(data));
});

/** A session with a part on its way to a store that doesn't answer, and one that waits for memory while others have the whole spool. */
async function waitingForTheSpool(
  t: Test,
  spool: Partial<SpoolOptions> = {},
): Promise<{ readonly bench: SessionBench; readonly writing: Promise<void> }> {
  const bench = await SessionBench.make({ budgetBytes: 64 * KIB, spoolBytes: 64 * KIB, spool });
  t.teardown(() => bench.close());
  const called = new Promise<void>((resolve) => {
    bench.store.before = ({ operation }) => {
      if (operation !== 'UploadPart') return undefined;
      resolve();
      return new Promise(() => undefined);
    };
  });
  await bench.session('stuck').write(0, pattern(16 * KIB));
  await bench.session('stuck too').write(0, pattern(20 * KIB));
  await called;
  t.ok(bench.spool.tryReserve(64 * KIB), 'others take the spool');
  const session = bench.session('waiting');
  const writing = (async () => {
    for (let at = 0; at < 8; at += 1) await session.write(at * 16 * KIB, pattern(4 * KIB, at));
  })();
  while (bench.budget.waiting === 0) await setImmediate();
  for (let turn = 0; turn < 5; turn += 1) await setImmediate();
  t.equal(bench.budget.waiting, 1);
  return { bench, writing };
}

await t.test('room that others give back to the spool wakes those who wait for memory', async (t) => {
  const { bench, writing } = await waitingForTheSpool(t);
  bench.spool.release(64 * KIB);
  t.equal(bench.spool.usedBytes, 0, 'not at once: whoever gives room back is in the middle of it');
  // By no clock: as many turns of the event loop as it takes to look.
  for (let turn = 0; turn < 3; turn += 1) await setImmediate();
  t.ok(bench.spool.usedBytes > 0, 'something is moved there');
  await writing;
});

await t.test('who waits for memory is woken when a disk that refused is tried again', async (t) => {
  const { bench, writing } = await waitingForTheSpool(t, { refusalMs: 20 });
  bench.spool.refuse(new Error('by test'));
  bench.spool.release(64 * KIB);
  t.notOk(bench.spool.hasRoom(1), 'the disk is left alone');
  // No process lives for the spool's timer.
  const alive = setInterval(() => undefined, 1000);
  await writing.finally(() => clearInterval(alive));
});

await t.test('whatever room comes and goes, nobody who waits for memory is forgotten', async (t) => {
  const sizes = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(sizes, async (steps) => {
      const { bench, writing } = await waitingForTheSpool(t);
      let taken = 64 * KIB;
      for (const step of steps) {
        const bytes = step * KIB;
        if (step % 2 === 0 && bytes <= taken) {
          bench.spool.release(bytes);
          taken -= bytes;
        } else if (bench.spool.tryReserve(bytes)) taken += bytes;
        if (step % 3 === 0) await setImmediate();
      }
      bench.spool.release(taken);
      await writing;
    }),
    { numRuns: 25 },
  );
});

await t.test('scattered data that fits nowhere is refused, and the session goes on', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 64 * KIB, spoolBytes: 0 });
  t.teardown(() => bench.close());
  const session = bench.session('a');
  const write = async (): Promise<number> => {
    for (let at = 0; ; at += 16 * KIB) await session.write(at, Buffer.alloc(4 * KIB, 1));
  };
  await t.rejects(write(), SpoolFullError);
  t.ok(bench.budget.usedBytes <= bench.budget.limitBytes);
  const { size } = session;
  t.equal(
    (await session.read(size - 4 * KIB, 1).catch(() => undefined)) === undefined,
    true,
    'no memory to read',
  );
  await session.discard();
  t.equal(bench.budget.usedBytes, 0);
  t.equal(bench.budget.blocks.takenBytes, 0);
});

await t.test('uploaded copies make room in the spool for data that is nowhere else', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 64 * KIB, spoolBytes: 128 * KIB });
  t.teardown(() => bench.close());
  const streamed = bench.session('a');
  const data = pattern(160 * KIB);
  for (let at = 0; at < data.length; at += 8 * KIB) await streamed.write(at, data.subarray(at, at + 8 * KIB));
  const scattered = bench.session('b');
  for (let at = 0; at < 24; at += 1) await scattered.write(at * 16 * KIB, pattern(4 * KIB, at));
  await t.rejects(streamed.read(0, KIB), SpoolFullError, 'only the upload has it now');
  const body = Buffer.alloc(23 * 16 * KIB + 4 * KIB);
  for (let at = 0; at < 24; at += 1) pattern(4 * KIB, at).copy(body, at * 16 * KIB);
  await scattered.publish({ key: 'b', headers: HEADERS });
  await streamed.publish({ key: 'a', headers: HEADERS });
  t.ok(bench.body('a')?.equals(data));
  t.ok(bench.body('b')?.equals(body));
  t.equal(bench.spool.usedBytes, 0);
  t.same(await bench.spooledFiles(), []);
});
