/**
 * The short form: a few cases, small, compared with what was recorded (baseline.json). Ratios to a floor measured in the same rounds, never times:
 * these stay near what they are on a slower machine. A ratio that became twice as bad fails, if it does so in several measurements, one after the
 * other; so does any other number of S3 requests.
 */
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { getattr } from './cases/small-calls.js';
import { listing } from './cases/listing.js';
import { sequentialRead } from './cases/sequential-read.js';
import { sequentialWrite } from './cases/sequential-write.js';
import { smallCreate, smallRead } from './cases/small-files.js';
import { ownCpu, runCase, type Case, type Round, type Sample } from './measure.js';
import { caseReport, type CaseReport } from './report.js';

export interface ShortCase {
  readonly case: Case;
  /** Of the full size. */
  readonly size: number;
  /** The daemon's CPU is compared with this floor's: one in the same language, which suffers from a busy machine as the daemon does. */
  readonly floor: string;
  /** S3 operations whose number doesn't depend on how long things take. */
  readonly requests: readonly string[];
}

const ROUNDS = 4;
/**
 * What others do on the machine makes a ratio worse at times, never better: one good measurement of so many will do. Each has a daemon of its own,
 * and one in four of those reads at twice the CPU, all through its life (docs/benchmarks.md).
 */
const ATTEMPTS = 5;
/** A ratio may be this much of the recorded one. */
const WORSE_BY = 2;

export const SHORT_CASES: readonly ShortCase[] = [
  // How many GETs it makes follows from the store's pace (src/read/pace.ts).
  { case: sequentialRead, size: 1 / 32, floor: 'sdk', requests: [] },
  {
    case: sequentialWrite,
    size: 1 / 4,
    floor: 'sdk',
    requests: ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'],
  },
  { case: smallCreate, size: 1 / 4, floor: 'sdk', requests: ['PutObject'] },
  // What is fetched ahead, a few files at most in vain, follows from who comes first: test/end-to-end/requests.test.ts has the requests.
  { case: smallRead, size: 1 / 4, floor: 'sdk', requests: [] },
  { case: getattr, size: 1 / 2, floor: 'null', requests: [] },
  { case: listing, size: 1, floor: 'sdk', requests: [] },
];

interface Recorded {
  /** The daemon's CPU in the best of the rounds, in multiples of the floor's in its best. */
  readonly ratio: number;
  readonly requests: Readonly<Record<string, number>>;
}

export interface Baseline {
  /** Where and when it was recorded: for people. */
  readonly machine: string;
  readonly date: string;
  readonly cases: Readonly<Record<string, Recorded>>;
}

export interface ShortResult {
  readonly report: CaseReport;
  /** What is to be recorded. */
  readonly found: Recorded;
  /** What became worse, in words. */
  readonly worse: readonly string[];
}

export const BASELINE_FILE = join(import.meta.dirname, '../../bench/baseline.json');

export async function readBaseline(): Promise<Baseline> {
  return JSON.parse(await readFile(BASELINE_FILE, 'utf8')) as Baseline;
}

/** Measures, and anew where something seems worse. Fails with Missing where the machine lacks something. */
export async function shortRun(short: ShortCase, baseline: Baseline): Promise<ShortResult> {
  for (let number = 1; ; number++) {
    const result = await attempt(short, baseline);
    if (result.worse.length === 0 || number === ATTEMPTS) return result;
  }
}

async function attempt(short: ShortCase, baseline: Baseline): Promise<ShortResult> {
  const { prepared, rounds } = await runCase(short.case, {
    size: short.size,
    rounds: ROUNDS,
    memoryLimit: '256MiB',
    nodeArguments: [],
  });
  const report = caseReport(short.case, prepared, rounds);
  const found: Recorded = {
    ratio: bestRatio(rounds, short.floor),
    requests: Object.fromEntries(short.requests.map((name) => [name, report.requests?.[name] ?? 0])),
  };
  const before = baseline.cases[short.case.name];
  return { report, found, worse: before === undefined ? [] : compared(short.case.name, before, found) };
}

/** A busy machine makes CPU dearer, never cheaper: the least of the rounds is what comes nearest to the truth. */
function bestRatio(rounds: readonly Round[], floor: string): number {
  const least = (samples: readonly (Sample | undefined)[]): number =>
    Math.min(...samples.map((sample) => (sample === undefined ? NaN : ownCpu(sample))));
  const ratio = least(rounds.map(({ work }) => work)) / least(rounds.map(({ floors }) => floors[floor]));
  return Number(ratio.toPrecision(3));
}

/** What of `found` is worse than what was recorded, in words. */
export function compared(name: string, before: Recorded, found: Recorded): string[] {
  const limit = WORSE_BY * before.ratio;
  const ratio =
    found.ratio <= limit
      ? []
      : [`${name}: the daemon's CPU is ${found.ratio} times its floor's, recorded are ${before.ratio}`];
  const requests = Object.entries(before.requests).flatMap(([operation, was]) => {
    const is = found.requests[operation] ?? 0;
    return is === was ? [] : [`${name}: ${is} requests ${operation}, recorded are ${was}`];
  });
  return [...ratio, ...requests];
}

/** The text of a baseline. */
export function recorded(results: readonly ShortResult[]): string {
  const processors = cpus();
  const baseline: Baseline = {
    machine: `${processors[0]?.model ?? 'unknown'}, ${processors.length} cores, Node ${process.versions.node}`,
    date: new Date().toISOString().slice(0, 10),
    cases: Object.fromEntries(results.map(({ report, found }) => [report.case, found])),
  };
  return `${JSON.stringify(baseline, undefined, 2)}\n`;
}
