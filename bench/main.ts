/**
 * `npm run bench -- [NAME...] [--json] [--runs N] ...`: the cases (cases/) by default, and by name the loads (loads.ts) that look for wrong bytes,
 * stalls and memory beyond its bound. `--short` compares a few cases with bench/baseline.json, `--record` writes it.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { CASES } from './cases/all.js';
import { XDR_CASES } from './cases/xdr-codec.js';
import { FULL_SIZE_LOADS } from './full-size.js';
import { LOADS as COMPARED_LOADS } from './loads.js';
import { runCase, type Case } from './measure.js';
import { runAgainst } from './peer.js';
import { rclonePeer } from './peers/rclone.js';
import { keepFigures } from './figures/document.js';
import { Missing } from './native.js';
import { caseReport, peerReport, skippedReport, textOf, type CaseReport } from './report.js';
import type { RigOptions } from './rig.js';
import { WIDE_LOADS } from './wide-loads.js';
import { BASELINE_FILE, readBaseline, SHORT_CASES, recorded, shortRun } from './short.js';

const MEMORY_LIMIT = '256MiB';

const { values, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    size: { type: 'string', default: '1' },
    short: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    peer: { type: 'string' },
    output: { type: 'string' },
    'memory-limit': { type: 'string', default: MEMORY_LIMIT },
    'endpoint-url': { type: 'string' },
    bucket: { type: 'string', default: 'bench' },
    'node-argument': { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
});

/** 64 streams read as much as the one of `sequential-read` then. */
const SIZE_MAX = 4;

const LOADS = [...COMPARED_LOADS, ...FULL_SIZE_LOADS, ...WIDE_LOADS];

const USAGE = `npm run bench -- [NAME...] [OPTIONS]

  --json                 one JSON object a line (docs/benchmarks.md)
  --runs N               counted runs of each case. Default: 5
  --size FACTOR          of the bytes, calls and files of a case: a fraction, or more than 1 (up to ${SIZE_MAX}) where memory holds the files. Default: 1
  --memory-limit SIZE    as of s3nfsd serve. Default: ${MEMORY_LIMIT}
  --node-argument ARG    for the daemon's Node, such as --cpu-prof; may be given again
  --short                a few cases, small: fails where one is twice as slow as bench/baseline.json says
  --record               as --short, and writes bench/baseline.json
  --peer rclone          the cases by the daemon and by \`rclone serve nfs\`, in turn, without floors
  --output FILE          keeps what the cases say there as well, in place of what they said last (npm run plot)
  --endpoint-url URL, --bucket NAME    a store for the loads, in place of the embedded server

Cases (all, unless names are given) and loads (by name only):
`;

function fail(message: string): never {
  process.stderr.write(`bench: ${message}; see --help\n`);
  process.exit(1);
}

if (values.help) {
  const lines = [...CASES, ...LOADS].map(({ name, about }) => `  ${name.padEnd(20)} ${about}\n`);
  process.stdout.write(USAGE + lines.join(''));
  process.exit();
}
const unknown = names.filter((name) => ![...CASES, ...LOADS].some((each) => each.name === name));
if (unknown.length > 0) fail(`no such case or load: ${unknown.join(', ')}`);
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) fail(`not a number of runs: ${values.runs}`);
const size = Number(values.size);
if (!(size > 0 && size <= SIZE_MAX))
  fail(`not a size: ${values.size}; it is above 0 and at most ${SIZE_MAX}`);

const options = {
  memoryLimit: values['memory-limit'],
  nodeArguments: values['node-argument'],
};

if (values.peer !== undefined && values.peer !== 'rclone') fail(`no such peer: ${values.peer}`);

/** The command that measures this case again, as it was. */
function commandOf(name: string): string {
  const peer = values.peer === undefined ? [] : ['--peer', values.peer];
  const limit = values['memory-limit'] === MEMORY_LIMIT ? [] : ['--memory-limit', values['memory-limit']];
  const node = values['node-argument'].flatMap((argument) => ['--node-argument', argument]);
  const options = [...peer, ...limit, ...node, '--size', values.size, '--runs', values.runs];
  return ['npm run bench --', ...options, name].join(' ');
}

async function measured(each: Case): Promise<CaseReport> {
  try {
    if (values.peer !== undefined) {
      const peer = await rclonePeer();
      return peerReport(each, peer, await runAgainst(each, peer, { ...options, size, rounds: runs }));
    }
    const { prepared, rounds } = await runCase(each, { ...options, size, rounds: runs });
    return caseReport(each, prepared, rounds);
  } catch (error) {
    if (error instanceof Missing) return skippedReport(each, error.message);
    throw error;
  }
}

async function short(): Promise<boolean> {
  const baseline = await readBaseline();
  const results = [];
  for (const each of SHORT_CASES) {
    const result = await shortRun(each, baseline);
    results.push(result);
    process.stdout.write(`${values.json ? JSON.stringify(result) : textOf(result.report)}\n`);
    for (const worse of result.worse) process.stderr.write(`bench: ${worse}\n`);
  }
  if (values.record) await writeFile(BASELINE_FILE, recorded(results));
  return values.record || results.every(({ worse }) => worse.length === 0);
}

if (values.short || values.record) process.exit((await short()) ? 0 : 1);

for (const each of CASES) {
  if (names.length > 0 && !names.includes(each.name)) continue;
  // These have no server.
  if (values.peer !== undefined && XDR_CASES.includes(each)) continue;
  const report = await measured(each);
  if (values.output !== undefined && report.skipped === undefined)
    await keepFigures(values.output, report, commandOf(each.name));
  process.stdout.write(`${values.json ? JSON.stringify(report) : textOf(report)}\n`);
}
const rigOptions: RigOptions = {
  ...options,
  ...(values['endpoint-url'] !== undefined && {
    endpoint: { url: values['endpoint-url'], bucket: values.bucket },
  }),
};
for (const load of LOADS) {
  if (!names.includes(load.name)) continue;
  const result = { case: load.name, ...(await load.run(rigOptions)) };
  const text = Object.entries(result).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  process.stdout.write(`${values.json ? JSON.stringify(result) : text.join('  ')}\n`);
}
// Sockets of clients that were cut off hold nothing that matters.
process.exit();
