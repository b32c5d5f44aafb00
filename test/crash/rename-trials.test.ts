/** The short form of `npm run crash -- --rename`. S3NFSD_CRASH_SEED sets the first seed, S3NFSD_CRASH_TRIALS the number. */
import t from 'tap';
import { runRenameTrials } from './rename-trials.js';

t.setTimeout(900_000);

const SEED = Number(process.env['S3NFSD_CRASH_SEED'] ?? 3);
const TRIALS = Number(process.env['S3NFSD_CRASH_TRIALS'] ?? 2);

await t.test('kill -9 in the rename of a directory loses no file and doubles none', async (t) => {
  const { findings, ...report } = await runRenameTrials(t, { seed: SEED, trials: TRIALS, objects: 200 });
  t.comment(JSON.stringify(report));
  t.strictSame(findings, []);
  t.equal(report.kills, TRIALS);
  t.ok(report.moved > 0);
});
