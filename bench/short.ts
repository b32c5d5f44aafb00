/**
 * The short form: a few cases, small, compared with what was recorded (baseline.json). Ratios to a floor measured in the same rounds, never times:
 * these stay near what they are on a slower machine. A ratio that became twice as bad fails, if it does so in several measurements, one after the
 * other; so does any other number of S3 requests.
 */
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { getattr } from './cases/getattr.js';
import { listing } from './cases/listing.js';
import { sequentialRead } from './cases/sequential-read.js';
import { sequentialWrite } from './cases/sequential-write.js';
import { smallCreate, smallRead } from './cases/small-files.js';
import { runCase, type Case } from './measure.js';
import { caseReport, type CaseReport } from './report.js';

export interface ShortCase {
  readonly case: Case;
  /** Of the full size. */
  readonly size: number;
  /** Ratios of CPU that were found to be steady. */
  readonly ratios: readonly string[];
  /** S3 operations whose number doesn't depend on how long things take. */
  readonly requests: readonly string[];
}

const ROUNDS = 3;
/** What others do on the machine makes a ratio worse at times, never better: one good measurement of so many will do. */
const ATTEMPTS = 3;
/** A ratio may be this much of the recorded one. */
const WORSE_BY = 2;

export const SHORT_CASES: readonly ShortCase[] = [
  { case: sequentialRead, size: 1 / 4, ratios: ['daemonCpuToSdk'], requests: ['GetObject'] },
  {
    case: sequentialWrite,
    size: 1 / 4,
    ratios: ['daemonCpuToSdk'],
    requests: ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'],
  },
  { case: smallCreate, size: 1 / 4, ratios: ['daemonCpuToSdk'], requests: ['PutObject'] },
  { case: smallRead, size: 1 / 4, ratios: ['daemonCpuToSdk'], requests: ['GetObject'] },
  { case: getattr, size: 1 / 2, ratios: ['daemonCpu'], requests: [] },
  { case: listing, size: 1, ratios: ['daemonCpuToSdk'], requests: [] },
];

interface Recorded {
  readonly ratios: Readonly<Record<string, number>>;
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
    ratios: picked(short.ratios, (name) => report.ratios?.[name]?.[0]),
    requests: picked(short.requests, (name) => report.requests?.[name]),
  };
  const before = baseline.cases[short.case.name];
  return { report, found, worse: before === undefined ? [] : compared(short.case.name, before, found) };
}

function picked(names: readonly string[], of: (name: string) => number | undefined): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, of(name) ?? 0]));
}

/** What of `found` is worse than what was recorded, in words. */
export function compared(name: string, before: Recorded, found: Recorded): string[] {
  const ratios = Object.entries(before.ratios).flatMap(([ratio, was]) => {
    const is = found.ratios[ratio] ?? Infinity;
    return is > WORSE_BY * was ? [`${name}: ${ratio} is ${is} times its floor, recorded are ${was}`] : [];
  });
  const requests = Object.entries(before.requests).flatMap(([operation, was]) => {
    const is = found.requests[operation] ?? 0;
    return is === was ? [] : [`${name}: ${is} requests ${operation}, recorded are ${was}`];
  });
  return [...ratios, ...requests];
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
