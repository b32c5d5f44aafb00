/**
 * Random histories of a client, run on the file system and on the reference in memory: every answer, the tree, the handles and in
 * the end the bucket must agree. S3NFSD_MODEL_RUNS sets the number of histories, S3NFSD_MODEL_SEED the seed.
 */
import fc from '../support/fast-check.js';
import t from 'tap';
import type { Capabilities } from '../../src/store/object-store.js';
import { DIRECTORY_CAPABILITIES } from '../support/memory-store.js';
import { mutation, query, type Operation } from './model/operations.js';
import { Twins } from './model/twins.js';

const RUNS = Number(process.env['S3NFSD_MODEL_RUNS'] ?? 12);
// Each history opens and syncs a state directory several times.
t.setTimeout(600_000);
const parameters = (runs: number): { numRuns: number; seed?: number } => ({
  numRuns: runs,
  ...(process.env['S3NFSD_MODEL_SEED'] !== undefined && { seed: Number(process.env['S3NFSD_MODEL_SEED']) }),
});

type Step =
  | { readonly step: 'run'; readonly operations: readonly Operation[] }
  | { readonly step: 'advance'; readonly ms: number }
  | { readonly step: 'rest' }
  | { readonly step: 'restart' };

const operation = fc.oneof({ weight: 3, arbitrary: mutation }, { weight: 2, arbitrary: query });
const stepOf = (together: fc.Arbitrary<readonly Operation[]>): fc.Arbitrary<Step> =>
  fc.oneof(
    { weight: 20, arbitrary: fc.record({ step: fc.constant('run' as const), operations: together }) },
    {
      weight: 3,
      arbitrary: fc.record({
        step: fc.constant('advance' as const),
        ms: fc.constantFrom(1, 100, 300, 3000, 6000, 30_000),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ step: 'rest' as const }) },
    { weight: 1, arbitrary: fc.constant({ step: 'restart' as const }) },
  );

async function play(
  steps: readonly Step[],
  metadataTtlMs: number,
  capabilities: Partial<Capabilities>,
  commitPolicy: 'publish' | 'journal',
): Promise<void> {
  const twins = await Twins.start({ metadataTtlMs, capabilities }, commitPolicy);
  const { mounted } = twins;
  try {
    for (const each of steps) {
      switch (each.step) {
        case 'run':
          await twins.run(...each.operations);
          break;
        case 'advance':
          mounted.clock.advance(each.ms);
          break;
        case 'rest':
          await mounted.rest();
          break;
        case 'restart':
          await mounted.stop();
          await mounted.open();
          break;
      }
    }
    await twins.compare();
    await mounted.rest();
    await twins.compareBucket();
    await twins.compareHandles();
    await mounted.stop();
    await mounted.open();
    await twins.compareHandles();
    await twins.compare();
    await mounted.stop();
    if (mounted.budget.usedBytes !== 0)
      throw new Error(`${mounted.budget.usedBytes} bytes of the budget leaked`);
  } finally {
    await mounted.end();
  }
}

const ttl = fc.constantFrom(0, 3000);
/** An ordinary bucket, or a directory bucket: no client can tell which. */
const store = fc.constantFrom<Partial<Capabilities>[]>({}, DIRECTORY_CAPABILITIES);

const policy = fc.constantFrom('publish' as const, 'journal' as const);

await t.test("one client: every answer is the reference's", async () => {
  const history = fc.array(stepOf(fc.tuple(operation)), { minLength: 1, maxLength: 60, size: 'max' });
  await fc.assert(fc.asyncProperty(history, ttl, store, policy, play), parameters(RUNS));
});

await t.test('clients at the same time: some order of the calls explains their answers', async () => {
  const together = fc.array(fc.oneof({ weight: 4, arbitrary: mutation }, { weight: 1, arbitrary: query }), {
    minLength: 1,
    maxLength: 3,
  });
  const history = fc.array(stepOf(together), { minLength: 1, maxLength: 25, size: 'max' });
  await fc.assert(fc.asyncProperty(history, ttl, store, policy, play), parameters(Math.ceil(RUNS / 2)));
});
