/**
 * The crash trials' short form: one of each policy. `npm run crash` is the long form. S3NFSD_CRASH_SEED sets the first seed, S3NFSD_CRASH_TRIALS the
 * number of each.
 */
import t, { type Test } from 'tap';
import type { Policy } from './plan.js';
import { runTrials } from './run.js';

t.setTimeout(900_000);

const SEED = Number(process.env['S3NFSD_CRASH_SEED'] ?? 109);
const TRIALS = Number(process.env['S3NFSD_CRASH_TRIALS'] ?? 1);

async function holds(t: Test, policy: Policy): Promise<void> {
  const { failures, ...report } = await runTrials(t, { seed: SEED, trials: TRIALS, policy, failuresMax: 1 });
  t.comment(JSON.stringify(report));
  t.strictSame(failures, []);
  t.ok(report.calls > 0 && report.durableBytes > 0);
  t.ok(Object.keys(report.kills).length > 0);
  t.strictSame({ lost: report.lost, torn: report.torn }, { lost: 0, torn: 0 });
}

await t.test(
  'policy publish: kill -9 takes nothing that was acknowledged, and leaves no half object',
  async (t) => holds(t, 'publish'),
);

await t.test(
  'policy journal: kill -9 takes nothing that was acknowledged, and leaves no half object',
  async (t) => holds(t, 'journal'),
);
