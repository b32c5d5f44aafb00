/**
 * The model's short form: some random histories against a daemon over TCP, every answer compared with the reference. `npm run model` is
 * the long form, and plays a failure again. S3NFSD_MODEL_SEED sets the seed.
 */
import t, { type Test } from 'tap';
import '../support/fast-check.js';
import { runModel, type ModelRun } from './histories.js';

const SEED = Number(process.env['S3NFSD_MODEL_SEED'] ?? 20_260_101);
const SHAPE = { bad: true, callers: true, roads: true, pages: true, large: false };
const RUN: ModelRun = {
  ...{ seed: SEED, runs: 4, steps: 40, clients: 1, mode: 'together', shape: SHAPE },
  ...{ restarts: true, faults: false, ttl: '1s' },
};

async function holds(t: Test, run: Partial<ModelRun>): Promise<void> {
  const { failure, commands, starts, storeFaults } = await runModel(t, { ...RUN, ...run });
  t.comment(`${commands} commands, ${starts} starts of the daemon, ${storeFaults} faults of the store`);
  t.ok(commands > 0);
  if (run.faults === true) t.ok(storeFaults > 0);
  t.equal(failure && `${failure.message}\n${JSON.stringify(failure.history)}`, undefined, `seed ${SEED}`);
}

await t.test("one client: every answer is the reference's, over restarts and kill -9", async (t) =>
  holds(t, {}),
);

await t.test('several clients on the same files: some order of the calls explains their answers', async (t) =>
  holds(t, { clients: 3, runs: 3, steps: 15 }),
);

await t.test("several clients, each in a directory of its own: every answer is the reference's", async (t) =>
  holds(t, { clients: 3, mode: 'apart', runs: 1 }),
);

await t.test('a store that fails now and then changes no answer', async (t) =>
  holds(t, { faults: true, runs: 2, steps: 30 }),
);
