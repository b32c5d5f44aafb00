/**
 * `npm run crash -- --trials 300 --seed 1`: trials of kill -9 (trial.ts), one after the other. `--rename`: of the rename of one directory
 * (rename-trials.ts), of `--objects` files. Exit code 1 for anything that is wrong.
 */
import { parseArgs } from 'node:util';
import { CommandEnds } from '../support/command-ends.js';
import { planOf, planText, type Policy } from './plan.js';
import { runRenameTrials } from './rename-trials.js';
import { runTrials } from './run.js';

const { values } = parseArgs({
  options: {
    trials: { type: 'string', default: '20' },
    seed: { type: 'string' },
    policy: { type: 'string' },
    minutes: { type: 'string' },
    'keep-going': { type: 'boolean', default: false },
    rename: { type: 'boolean', default: false },
    objects: { type: 'string', default: '1000' },
    verbose: { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const ends = new CommandEnds();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void ends.end().finally(() => process.exit(130)));
const first = values.seed === undefined ? Date.now() % 0x7fff_ffff : Number(values.seed);
if (values.rename) await renames();
else await trials();

async function renames(): Promise<void> {
  const { findings, ...report } = await runRenameTrials(ends, {
    seed: first,
    trials: Number(values.trials),
    objects: Number(values.objects),
    ...(values.minutes !== undefined && { minutes: Number(values.minutes) }),
    onEnd: say,
  });
  for (const finding of findings) say(finding);
  say(JSON.stringify(report));
  if (findings.length > 0) process.exitCode = 1;
}

async function trials(): Promise<void> {
  const policy = values.policy as Policy | undefined;
  const { failures, ...report } = await runTrials(ends, {
    seed: first,
    trials: Number(values.trials),
    ...(policy !== undefined && { policy }),
    ...(values.minutes !== undefined && { minutes: Number(values.minutes) }),
    failuresMax: values['keep-going'] ? Infinity : 1,
    onBegin: (seed) => {
      if (values.verbose) say(`${seed}: ${planText(planOf(seed, policy))}`);
    },
    onEnd: (seed, story, seconds) => {
      if (values.verbose) say(`${seed}: ${seconds.toFixed(1)} s`);
      if (story.length === 0) return;
      say(`FAILED, seed ${seed}`);
      for (const line of story) say(line);
      const forced = policy === undefined ? '' : ` --policy ${policy}`;
      say(`again: npm run crash -- --trials 1 --seed ${seed}${forced}`);
    },
  });
  say(JSON.stringify(report));
  if (failures.length > 0) process.exitCode = 1;
}
