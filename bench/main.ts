/**
 * `npm run bench -- [NAME...] [--json] [--runs N] [--memory-limit SIZE] [--endpoint-url URL --bucket B]`: measured cases by
 * default, and by name the loads (loads.ts) that look for wrong bytes, stalls and memory beyond its bound.
 */
import { parseArgs } from 'node:util';
import { CASES, MIB, type Run } from './cases.js';
import { LOADS } from './loads.js';
import { Rig, type Cost, type RigOptions } from './rig.js';

const { values, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    'memory-limit': { type: 'string', default: '256MiB' },
    'endpoint-url': { type: 'string' },
    bucket: { type: 'string', default: 'bench' },
    'node-argument': { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  for (const { name, about } of [...CASES, ...LOADS]) process.stdout.write(`${name.padEnd(20)} ${about}\n`);
  process.exit();
}
const unknown = names.filter((name) => ![...CASES, ...LOADS].some((each) => each.name === name));
const runs = Number(values.runs);
if (unknown.length > 0 || !Number.isInteger(runs) || runs < 1) {
  process.stderr.write(
    `bench: no such case or number of runs: ${unknown.join(', ')} ${values.runs}; see --help\n`,
  );
  process.exit(1);
}
const options: RigOptions = {
  memoryLimit: values['memory-limit'],
  nodeArguments: values['node-argument'],
  ...(values['endpoint-url'] !== undefined && {
    endpoint: { url: values['endpoint-url'], bucket: values.bucket },
  }),
};

function report(result: Record<string, unknown>): void {
  const line = values.json
    ? JSON.stringify(result)
    : Object.entries(result)
        .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
        .join('  ');
  process.stdout.write(`${line}\n`);
}

async function measure(): Promise<void> {
  const chosen = CASES.filter(({ name }) => names.length === 0 || names.includes(name));
  if (chosen.length === 0) return;
  const rig = await Rig.start(options);
  try {
    const prepared = [];
    for (const each of chosen)
      prepared.push({ name: each.name, run: await each.prepare(rig), costs: [] as Cost[] });
    for (let round = 0; round < runs; round++) {
      for (const { run, costs } of prepared) costs.push(await rig.cost(() => run.work(round)));
    }
    for (const { name, run, costs } of prepared) report({ case: name, ...summary(run, costs) });
  } finally {
    await rig.close();
  }
}

/** Medians over the runs; requests are those of the last. */
function summary(run: Run, costs: readonly Cost[]): Record<string, unknown> {
  const of = (value: (cost: Cost) => number): number => {
    const sorted = costs.map(value).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? 0;
  };
  const bytes = run.bytes ?? 0;
  const calls = run.calls ?? 0;
  return {
    runs: costs.length,
    seconds: rounded(of(({ seconds }) => seconds)),
    ...(bytes > 0 && {
      mibPerSecond: rounded(of(({ seconds }) => bytes / MIB / seconds)),
      daemonCpuSecondsPerGiB: rounded(of((cost) => cost.daemonCpuSeconds / (bytes / MIB / 1024))),
      driverCpuSecondsPerGiB: rounded(of((cost) => cost.driverCpuSeconds / (bytes / MIB / 1024))),
    }),
    ...(calls > 0 && {
      perSecond: rounded(of(({ seconds }) => calls / seconds)),
      daemonCpuMicrosecondsPerCall: rounded(of((cost) => (cost.daemonCpuSeconds / calls) * 1e6)),
      driverCpuMicrosecondsPerCall: rounded(of((cost) => (cost.driverCpuSeconds / calls) * 1e6)),
    }),
    peakMiB: rounded(Math.max(...costs.map(({ peakMiB }) => peakMiB))),
    requests: costs.at(-1)?.requests ?? 'unknown',
  };
}

const rounded = (value: number): number => Number(value.toPrecision(4));

await measure();
for (const load of LOADS)
  if (names.includes(load.name)) report({ case: load.name, ...(await load.run(options)) });
// Sockets of clients that were cut off hold nothing that matters.
process.exit();
