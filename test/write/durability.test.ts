/** What a COMMIT in the middle of a stream rests on. */
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { pino } from 'pino';
import type { DurableRecord } from '../../src/write/durable-record.js';
import { SpoolSegments } from '../../src/write/spool-segments.js';
import { KIB, pattern, SessionBench, SMALL_PARTS } from './session-bench.js';

await t.test(
  'a part that is filled, sent and let go while others are spooled is safe in the upload',
  async (t) => {
    const bench = await SessionBench.make({ budgetBytes: 128 * KIB, spoolBytes: 0 });
    t.teardown(() => bench.close());
    const records: DurableRecord[] = [];
    const room = {
      directory: t.testdir(),
      tryReserve: () => true,
      release: () => undefined,
      refuse: (error: unknown) => {
        throw error;
      },
    };
    const segments = await SpoolSegments.open(room, pino({ level: 'silent' }), []);
    const session = bench.session('a', undefined, SMALL_PARTS, {
      segments,
      journal: {
        write: async (record) => void records.push(await Promise.resolve(record)),
        touch: async () => Promise.resolve(),
        end: async () => Promise.resolve(),
      },
    });
    const data = pattern(64 * KIB);
    const write = (start: number, end: number): Promise<void> =>
      session.write(start, data.subarray(start, end));
    await write(0, 8 * KIB);
    await write(16 * KIB, 24 * KIB);
    const spool = segments.write.bind(segments);
    let filled: Promise<unknown> | undefined;
    segments.write = async (slices) => {
      // While the first piece is written the second part fills, and goes.
      filled ??= (async () => {
        await write(24 * KIB, 32 * KIB);
        while (!bench.budget.tryReserve(120 * KIB)) await setImmediate();
        bench.budget.release(120 * KIB);
      })();
      await filled;
      return await spool(slices);
    };
    await session.keep();
    t.equal(records.length, 1);
    t.same(
      [...(records[0]?.parts ?? [])].map(({ start, end }) => [start, end]),
      [[16 * KIB, 32 * KIB]],
    );
    t.same(
      [...(records[0]?.extents ?? [])].map(({ start, end }) => [start, end]),
      [[0, 8 * KIB]],
    );
    await session.discard();
  },
);
