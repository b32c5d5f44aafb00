/**
 * Another S3 user changes the bucket between the calls of the mount and in the middle of them. S3NFSD_EXTERNAL_RUNS sets the number of
 * random histories, S3NFSD_EXTERNAL_SEED the seed.
 */
import fc from '../support/fast-check.js';
import t from 'tap';
import { History, step } from './external/history.js';

const RUNS = Number(process.env['S3NFSD_EXTERNAL_RUNS'] ?? 40);
const SEED = Number(process.env['S3NFSD_EXTERNAL_SEED'] ?? 20_260_101);
t.setTimeout(600_000);

await t.test(
  'random histories: no mixed versions, nothing of theirs overwritten, and the mount shows the bucket in the end',
  async () => {
    const history = fc.array(step, { minLength: 1, maxLength: 25, size: 'max' });
    await fc.assert(
      fc.asyncProperty(history, fc.constantFrom(0, 3000), async (steps, metadataTtlMs) => {
        const played = await History.start(metadataTtlMs);
        try {
          for (const each of steps) await played.play(each);
          await played.settle();
        } finally {
          await played.mounted.end();
        }
      }),
      { numRuns: RUNS, seed: SEED },
    );
  },
);
