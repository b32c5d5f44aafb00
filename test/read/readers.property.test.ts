import t from 'tap';
import fc from '../support/fast-check.js';
import { StoreError } from '../../src/store/errors.js';
import { KIB, ReadRig, pattern, settle, taken } from './read-rig.js';

const SIZE = 300 * KIB + 123;
const BODIES = [pattern(SIZE, 1), pattern(SIZE - 5000, 2)];

const read = fc.record({
  kind: fc.constant('read' as const),
  file: fc.integer({ min: 0, max: 1 }),
  offset: fc.integer({ min: 0, max: SIZE + 10 }),
  count: fc.integer({ min: 0, max: 40 * KIB }),
  abort: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});
const run = fc.record({
  kind: fc.constant('run' as const),
  file: fc.integer({ min: 0, max: 1 }),
  offset: fc.integer({ min: 0, max: SIZE }),
  count: fc.integer({ min: 1, max: 16 * KIB }),
  /** Order of arrival of up to 8 READs in a row. */
  order: fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7]),
});
const event = fc.record({ kind: fc.constantFrom('settle', 'forget', 'idle', 'fault', 'replace') });

await t.test(
  'READs in any order, with faults and aborts, get the bytes of their version, within the budget',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof({ weight: 4, arbitrary: read }, { weight: 3, arbitrary: run }, event), {
          maxLength: 40,
        }),
        fc.constantFrom(64 * KIB, 200 * KIB, 4096 * KIB),
        fc.constantFrom('adaptive' as const, 'sequential' as const, 'random' as const),
        fc.boolean(),
        async (steps, budgetBytes, policy, fillsRooms) => {
          const rig = new ReadRig({
            fillsRooms,
            budgetBytes,
            policy,
            chunkBytes: 5000,
            blockBytes: 16 * KIB,
            windowBytesMin: 16 * KIB,
            windowBytesMax: 128 * KIB,
            partBytesMin: 16 * KIB,
            partBytesMax: 32 * KIB,
            smallFileBytes: 8 * KIB,
            streamsMax: 3,
            requestsMax: 4,
          });
          const versions = BODIES.map((body, at) => rig.put(`k${at}`, body));
          const bodies = [...BODIES];
          let replacements = 0;
          let faults = 0;
          let failures = 0;
          rig.store.before = (call) => {
            if (faults === 0) return;
            faults -= 1;
            throw new StoreError('unavailable', 'fault', { operation: call.operation, bucket: 'bucket' });
          };
          const reads: Promise<void>[] = [];
          const begin = (file: number, offset: number, count: number, abort: AbortController): void => {
            const version = versions[file];
            const body = bodies[file];
            if (version === undefined || body === undefined) throw new Error(`no file ${file}`);
            const one = async (): Promise<void> => {
              try {
                const slices = await rig.readers.read(version, offset, count, abort.signal);
                await settle(1);
                if (!taken(slices).equals(body.subarray(offset, offset + count)))
                  throw new Error(`wrong bytes at ${offset}`);
              } catch (error) {
                if (!(error instanceof StoreError)) throw error;
                const expected =
                  (error.kind === 'aborted' && abort.signal.aborted) ||
                  (error.kind === 'unavailable' && failures > 0) ||
                  (error.kind === 'precondition-failed' && replacements > 0);
                if (!expected) throw error;
              }
              if (rig.budget.usedBytes > budgetBytes) throw new Error(`${rig.budget.usedBytes} bytes used`);
            };
            reads.push(one());
          };
          for (const step of steps) {
            if (step.kind === 'read' && 'abort' in step) {
              const abort = new AbortController();
              begin(step.file, step.offset, step.count, abort);
              if (step.abort) setImmediate(() => abort.abort());
            } else if (step.kind === 'run' && 'order' in step) {
              for (const at of step.order)
                begin(step.file, step.offset + at * step.count, step.count, new AbortController());
            } else if (step.kind === 'settle') await settle(1);
            else if (step.kind === 'forget') rig.readers.forget('k0');
            else if (step.kind === 'fault') {
              faults += 1;
              failures += 1;
            } else if (step.kind === 'idle') {
              rig.nowMs += 100_000;
              rig.readers.expire();
            } else {
              replacements += 1;
              bodies[0] = pattern(SIZE - replacements, 10 + replacements);
              versions[0] = rig.put('k0', bodies[0]);
            }
          }
          await Promise.all(reads);
          const leaked = await rig.leaked();
          if (leaked !== 0) throw new Error(`${leaked} bytes leaked`);
        },
      ),
      {
        numRuns: 250,
        examples: [
          // A reader whose blocks were dropped goes on: what it asks for lies within a GET that waits for its slot.
          [
            [
              { kind: 'run', file: 0, offset: 0, count: 7022, order: [5, 6, 3, 2] },
              { kind: 'run', file: 0, offset: 0, count: 1, order: [2, 7, 4] },
              { kind: 'replace' },
              { kind: 'run', file: 0, offset: 0, count: 1, order: [7] },
            ],
            64 * KIB,
            'sequential',
            false,
          ],
        ],
      },
    );
    t.pass('every run');
  },
);

const small = fc.record({
  file: fc.integer({ min: 0, max: 11 }),
  /** Turns of the event loop for which the READ keeps its slices. */
  keeps: fc.integer({ min: 0, max: 6 }),
  ahead: fc.boolean(),
  abort: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});
const SMALL = Array.from({ length: 12 }, (_, at) => pattern(1 + ((at * 9973) % (70 * KIB)), 50 + at));

await t.test(
  'slices of small files stay as they are until they are given back, while others take their room',
  async (t) => {
    let evicted = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(small, { minLength: 40, maxLength: 80 }),
        fc.constantFrom(100 * KIB, 160 * KIB),
        fc.boolean(),
        async (steps, budgetBytes, fillsRooms) => {
          const rig = new ReadRig({ fillsRooms, budgetBytes, chunkBytes: 5000, requestsMax: 4 });
          const versions = SMALL.map((body, at) => rig.put(`s${at}`, body));
          const reads = steps.map(async ({ file, keeps, ahead, abort }, turn) => {
            const version = versions[file];
            const body = SMALL[file];
            if (version === undefined || body === undefined) throw new Error(`no file ${file}`);
            await settle(turn);
            if (ahead) rig.readers.fetchAhead(version, version.size, { waits: false });
            const cancel = new AbortController();
            if (abort) setImmediate(() => cancel.abort());
            try {
              const slices = await rig.readers.read(version, 0, version.size, cancel.signal);
              for (let left = keeps; left >= 0; left -= 1) {
                if (!Buffer.concat(slices.slices).equals(body))
                  throw new Error(`wrong bytes of file ${file}`);
                await settle(1);
              }
              slices.release();
            } catch (error) {
              if (!(error instanceof StoreError) || !cancel.signal.aborted) throw error;
            }
          });
          await Promise.all(reads);
          if (rig.gets > SMALL.length) evicted += 1;
          const leaked = await rig.leaked();
          if (leaked !== 0) throw new Error(`${leaked} bytes leaked`);
          if (rig.budget.blocks.takenBytes !== 0) throw new Error('a buffer was not given back');
        },
      ),
      { numRuns: 60 },
    );
    t.ok(evicted > 0, 'files were fetched again');
  },
);
