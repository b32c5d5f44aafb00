/** `npm run power -- --trials 20 --seed 1`: trials of loss of power (power-trials.ts), one after the other. Exit code 1 for anything that is wrong. */
import { parseArgs } from 'node:util';
import { planText } from '../test/crash/plan.js';
import { runTrials } from '../test/crash/run.js';
import { CommandEnds } from '../test/support/command-ends.js';
import { noGuestReason } from './guest.js';
import { Network } from './network.js';
import { guestIn, powerPlanOf } from './power-trials.js';

const { values } = parseArgs({
  options: {
    trials: { type: 'string', default: '5' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    'keep-going': { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const reason = noGuestReason();
if (reason !== undefined) throw new Error(reason);
const ends = new CommandEnds();
const network = await Network.create('power');
ends.teardown(() => network.remove());
try {
  const { failures, ...report } = await runTrials(ends, {
    seed: values.seed === undefined ? Date.now() % 0x7fff_ffff : Number(values.seed),
    trials: Number(values.trials),
    ...(values.minutes !== undefined && { minutes: Number(values.minutes) }),
    failuresMax: values['keep-going'] ? Infinity : 1,
    plan: powerPlanOf,
    elsewhere: guestIn(network),
    onBegin: (seed) => say(`${seed}: ${planText(powerPlanOf(seed))}`),
    onEnd: (seed, story, seconds) => {
      say(`${seed}: ${seconds.toFixed(1)} s`);
      if (story.length > 0) for (const line of [`FAILED, seed ${seed}`, ...story]) say(line);
    },
  });
  say(JSON.stringify(report));
  if (failures.length > 0) process.exitCode = 1;
} finally {
  await ends.end();
}
