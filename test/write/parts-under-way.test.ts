import t from 'tap';
import { partsUnderWay, WRITE_OPTIONS_DEFAULT } from '../../src/write/session-options.js';
import { pattern, SessionBench, KIB, SMALL_PARTS } from './session-bench.js';

const MIB = 1024 * KIB;

await t.test('parts under way are as many as memory has room for, 8 at least and 32 at most', async (t) => {
  const underWay = (memory: number, part: number): number =>
    partsUnderWay(WRITE_OPTIONS_DEFAULT, memory * MIB, part * MIB);
  t.equal(underWay(1024, 8), 32);
  t.equal(underWay(224, 8), 21);
  t.equal(underWay(56, 8), 8);
  t.equal(underWay(224, 80), 8);
  t.equal(partsUnderWay({ ...WRITE_OPTIONS_DEFAULT, parallelUploads: 4 }, 1024 * MIB, 8 * MIB), 4);
});

await t.test('a store that is slow to answer has that many parts of one file at a time', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 512 * KIB });
  t.teardown(() => bench.close());
  const uploadPart = bench.store.uploadPart.bind(bench.store);
  let running = 0;
  let most = 0;
  let go = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  bench.store.uploadPart = async (...given) => {
    running += 1;
    most = Math.max(most, running);
    // All that may be under way are: the store answers.
    if (running === 24) go();
    await held;
    running -= 1;
    return await uploadPart(...given);
  };
  const session = bench.session('a', undefined, { ...SMALL_PARTS, parallelUploads: 32 });
  const bytes = pattern(40 * 16 * KIB);
  for (let at = 0; at < bytes.length; at += 16 * KIB)
    await session.write(at, bytes.subarray(at, at + 16 * KIB));
  await session.publish({ key: 'a', headers: { metadata: {} } });
  t.equal(most, 24);
  t.ok(bench.body('a')?.equals(bytes));
});
