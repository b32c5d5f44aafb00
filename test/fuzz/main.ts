/**
 * `npm run fuzz -- --records N --seed S`: the fuzzer by itself, with its figures. Exit code 1 when anything that must hold did not.
 */
import { parseArgs } from 'node:util';
import { CommandEnds } from '../support/command-ends.js';
import { fuzz } from './fuzz-run.js';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    seed: { type: 'string' },
    connections: { type: 'string', default: '16' },
    portmap: { type: 'string' },
    'node-options': { type: 'string' },
  },
});

const seed = values.seed === undefined ? Date.now() % 0x7fff_ffff : Number(values.seed);
// Port 111 is root's.
const portmap = values.portmap === undefined ? process.getuid?.() === 0 : values.portmap === 'on';
const ends = new CommandEnds();
const say = (line: string): void => void process.stdout.write(`${line}\n`);
try {
  say(`seed ${seed}${portmap ? '' : ', without the portmapper (port 111 needs root)'}`);
  const { tally, ...report } = await fuzz(ends, {
    seed,
    portmap,
    records: Number(values.records),
    connections: Number(values.connections),
    progress: say,
    ...(values['node-options'] !== undefined && { nodeOptions: values['node-options'] }),
  });
  for (const line of tally.lines()) say(line);
  const { records, replies, unanswered, connections, cuts, faultCount } = tally;
  const rate = Math.round(records / report.seconds);
  say(JSON.stringify({ seed, records, replies, unanswered, connections, cuts, faultCount, rate, ...report }));
  for (const fault of tally.faults) say(`FAULT ${JSON.stringify(fault)}`);
  for (const failure of report.failures) say(`FAILURE ${failure}`);
  process.exitCode = faultCount + report.failures.length > 0 ? 1 : 0;
} finally {
  await ends.end();
}
