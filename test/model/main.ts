/**
 * `npm run model -- --seed N --clients 3 --mode apart --faults --runs 200`: random histories against a daemon, compared with the
 * reference. A failure is made smaller and written to a file, which `--replay FILE` plays again. Exit code 1 for a failure.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CommandEnds } from '../support/command-ends.js';
import { messageOf, newFigures, play, runModel, type History } from './histories.js';
import { Rig } from './rig.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    path: { type: 'string' },
    clients: { type: 'string', default: '1' },
    mode: { type: 'string', default: 'together' },
    runs: { type: 'string', default: '100' },
    steps: { type: 'string', default: '60' },
    seconds: { type: 'string' },
    ttl: { type: 'string', default: '1s' },
    faults: { type: 'boolean', default: false },
    large: { type: 'boolean', default: false },
    replay: { type: 'string' },
    output: { type: 'string', default: 'model-failure.json' },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const seed = values.seed === undefined ? Date.now() % 0x7fff_ffff : Number(values.seed);
const { faults, ttl } = values;
const clients = Number(values.clients);
const ends = new CommandEnds();

async function replay(file: string): Promise<void> {
  const { history } = JSON.parse(readFileSync(file, 'utf8')) as { history: History };
  const rig = await Rig.start(ends, { faults, seed, ttl });
  try {
    await play(rig, history, newFigures());
    say('every answer was right');
  } catch (error) {
    say(messageOf(error));
    process.exitCode = 1;
  }
}

async function explore(): Promise<void> {
  const { failure, answers, ...report } = await runModel(ends, {
    ...{ seed, clients, faults, ttl },
    ...(values.path !== undefined && { path: values.path }),
    ...(values.seconds !== undefined && { timeLimitMs: Number(values.seconds) * 1000 }),
    mode: values.mode === 'apart' ? 'apart' : 'together',
    runs: Number(values.runs),
    steps: Number(values.steps),
    // What a crash may leave of a large file would be kept many times over.
    restarts: !values.large,
    shape: { bad: true, callers: true, roads: true, pages: true, large: values.large },
  });
  for (const [answer, count] of [...answers].sort(([a], [b]) => (a < b ? -1 : 1))) say(`${answer}: ${count}`);
  say(JSON.stringify({ seed, clients, mode: values.mode, faults, ttl, ...report }));
  if (failure === undefined) return;
  writeFileSync(values.output, `${JSON.stringify(failure, undefined, 1)}\n`);
  say(JSON.stringify(failure.history));
  say(failure.message);
  say(`seed ${failure.seed}, path ${failure.path}; play it again with --replay ${values.output}`);
  process.exitCode = 1;
}

try {
  if (values.replay === undefined) await explore();
  else await replay(values.replay);
} finally {
  await ends.end();
}
