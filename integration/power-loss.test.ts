/** The daemon's machine loses its power: the short form of `npm run power`. S3NFSD_POWER_SEED sets the first seed, S3NFSD_LONG=1 takes more trials. */
import t, { type Test } from 'tap';
import type { Policy } from '../test/crash/plan.js';
import { runTrials } from '../test/crash/run.js';
import { noGuestReason } from './guest.js';
import { Network } from './network.js';
import { guestIn, powerPlanOf } from './power-trials.js';

const SEED = Number(process.env['S3NFSD_POWER_SEED'] ?? 104);
const TRIALS = process.env['S3NFSD_LONG'] === '1' ? 10 : 1;

async function holds(t: Test, policy: Policy): Promise<void> {
  const network = await Network.create(`power-${policy}`);
  t.teardown(() => network.remove());
  const { failures, ...report } = await runTrials(t, {
    seed: SEED,
    trials: TRIALS,
    policy,
    failuresMax: 1,
    plan: powerPlanOf,
    elsewhere: guestIn(network),
  });
  t.comment(JSON.stringify(report));
  t.strictSame(failures, []);
  t.ok(report.calls > 0 && report.durableBytes > 0);
  t.ok(Object.keys(report.kills).length > 0);
  t.strictSame({ lost: report.lost, torn: report.torn }, { lost: 0, torn: 0 });
}

const OPTIONS = { skip: noGuestReason() ?? false };

await t.test(
  'policy publish: loss of power takes nothing that was acknowledged as safe, and leaves no half object',
  OPTIONS,
  async (t) => holds(t, 'publish'),
);

await t.test(
  'policy journal: loss of power takes nothing that was acknowledged as safe, and leaves no half object',
  OPTIONS,
  async (t) => holds(t, 'journal'),
);
