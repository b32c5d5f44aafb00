/** What is said of a case: one object, its figures medians, with the smallest and greatest beside them. Fields: docs/benchmarks.md. */
import type { Case, Prepared, Round, Sample, Unit } from './measure.js';
import type { PeerComparison, PeerRound } from './peer.js';
import type { Peer } from './server.js';

/** Median, least, greatest. */
export type Figure = readonly [median: number, min: number, max: number];

export interface CaseReport {
  readonly case: string;
  readonly about: string;
  readonly runs: number;
  /** Why nothing was measured. */
  readonly skipped?: string;
  readonly figures?: Readonly<Record<string, Figure>>;
  /** S3 requests of a run; of the last, where runs differ. */
  readonly requests?: Readonly<Record<string, number>>;
  readonly floors?: Readonly<
    Record<string, { readonly about: string; readonly figures: Readonly<Record<string, Figure>> }>
  >;
  readonly ratios?: Readonly<Record<string, Figure>>;
  /** The same work by another server. */
  readonly peer?: PeerReport;
}

export interface PeerReport {
  readonly name: string;
  readonly version: string;
  readonly options: readonly string[];
  /** Why it was given up. */
  readonly failed?: string;
  readonly figures?: Readonly<Record<string, Figure>>;
  readonly requests?: Readonly<Record<string, number>>;
  /** What it takes, in multiples of what the daemon takes: above 1 the daemon is better. */
  readonly ratios?: Readonly<Record<string, Figure>>;
}

export function caseReport({ name, about }: Case, prepared: Prepared, rounds: readonly Round[]): CaseReport {
  const { unit } = prepared;
  const work = rounds.map((round) => round.work);
  const requests = work.at(-1)?.requests;
  return {
    case: name,
    about,
    runs: rounds.length,
    figures: figuresOf(work, unit),
    ...(requests !== undefined && { requests }),
    floors: Object.fromEntries(
      Object.entries(prepared.floors).map(([floor, { about: floorAbout }]) => [
        floor,
        {
          about: floorAbout,
          figures: figuresOf(
            rounds.flatMap(({ floors }) => floors[floor] ?? []),
            unit,
          ),
        },
      ]),
    ),
    ratios: Object.fromEntries(
      Object.entries(prepared.ratios).map(([ratio, of]) => [ratio, figure(rounds.map(of))]),
    ),
  };
}

/** The daemon and a peer; no floors. */
export function peerReport(
  { name, about }: Case,
  { name: peerName, version, options }: Peer,
  { prepared: { unit }, rounds, alone, failure }: PeerComparison,
): CaseReport {
  const ours = [...rounds.map((round) => round.ours), ...alone];
  const theirs = rounds.map((round) => round.theirs);
  const requests = ours.at(-1)?.requests;
  const peerRequests = theirs.at(-1)?.requests;
  return {
    case: name,
    about,
    runs: ours.length,
    figures: figuresOf(ours, unit),
    ...(requests !== undefined && { requests }),
    peer: {
      ...{ name: peerName, version, options },
      ...(failure !== undefined && { failed: failure }),
      ...(theirs.length > 0 && { figures: figuresOf(theirs, unit), ratios: peerRatios(rounds) }),
      ...(peerRequests !== undefined && { requests: peerRequests }),
    },
  };
}

/** `storedTime`: until the store has it, which the daemon's last answer says. */
const PEER_RATIOS: Readonly<Record<string, (ours: Sample, theirs: Sample) => number>> = {
  time: (ours, theirs) => theirs.seconds / theirs.units / (ours.seconds / ours.units),
  storedTime: (ours, theirs) =>
    (theirs.storedSeconds ?? NaN) / theirs.units / ((ours.storedSeconds ?? ours.seconds) / ours.units),
  median: (ours, theirs) => (theirs.medianMs ?? NaN) / (ours.medianMs ?? NaN),
  cpu: (ours, theirs) => (theirs.daemonCpu ?? NaN) / theirs.units / ((ours.daemonCpu ?? NaN) / ours.units),
  memory: (ours, theirs) => (theirs.peakMiB ?? NaN) / (ours.peakMiB ?? NaN),
};

function peerRatios(rounds: readonly PeerRound[]): Record<string, Figure> {
  const ratios: Record<string, Figure> = {};
  for (const [name, of] of Object.entries(PEER_RATIOS)) {
    // CPU comes in steps of 10 ms: of nothing there is no ratio.
    const values = rounds.map(({ ours, theirs }) => of(ours, theirs)).filter(Number.isFinite);
    if (values.length > 0) ratios[name] = figure(values);
  }
  return ratios;
}

export function skippedReport({ name, about }: Case, reason: string): CaseReport {
  return { case: name, about, runs: 0, skipped: reason };
}

const MIB_PER_GIB = 1024;

function figuresOf(samples: readonly Sample[], unit: Unit): Record<string, Figure> {
  const figures: Record<string, Figure> = {};
  const add = (name: string, of: (sample: Sample) => number | undefined): void => {
    const values = samples.map(of).filter((value) => value !== undefined);
    if (values.length > 0) figures[name] = figure(values);
  };
  const each = unit === 'GiB' ? 'SecondsPerGiB' : 'MicrosecondsPerCall';
  const scale = unit === 'GiB' ? 1 : 1e6;
  const cpu = (of: (sample: Sample) => number | undefined) => (sample: Sample) => {
    const seconds = of(sample);
    return seconds === undefined ? undefined : (seconds / sample.units) * scale;
  };
  if (unit === 'GiB') add('mibPerSecond', ({ units, seconds }) => (units * MIB_PER_GIB) / seconds);
  else add('callsPerSecond', ({ units, seconds }) => units / seconds);
  add(
    `daemonCpu${each}`,
    cpu(({ daemonCpu }) => daemonCpu),
  );
  add(
    `storeCpu${each}`,
    cpu(({ storeCpu }) => storeCpu),
  );
  add(
    `clientCpu${each}`,
    cpu(({ clientCpu }) => clientCpu),
  );
  add(
    `checkCpu${each}`,
    cpu(({ checkCpu }) => (checkCpu === 0 ? undefined : checkCpu)),
  );
  add('storeMiB', ({ storeMiB }) => storeMiB);
  add('peakMiB', ({ peakMiB }) => peakMiB);
  add('grownMiB', ({ grownMiB }) => grownMiB);
  add('cachedMiB', ({ cachedMiB }) => cachedMiB);
  add('storedSeconds', ({ storedSeconds }) => storedSeconds);
  add('eventLoopP99Ms', ({ eventLoopP99Ms }) => eventLoopP99Ms);
  add('medianMs', ({ medianMs }) => medianMs);
  add('p99Ms', ({ p99Ms }) => p99Ms);
  return figures;
}

function figure(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? 0;
  const median = Number.isInteger(middle) ? (upper + (sorted[middle - 1] ?? 0)) / 2 : upper;
  return [rounded(median), rounded(sorted[0] ?? 0), rounded(sorted.at(-1) ?? 0)];
}

const rounded = (value: number): number => Number(value.toPrecision(4));

/** For people: a line a figure. */
export function textOf(report: CaseReport): string {
  const lines = [`${report.case}: ${report.about}`];
  if (report.skipped !== undefined) return `${lines[0] ?? ''}\n  skipped: ${report.skipped}`;
  const add = (indent: string, figures: Readonly<Record<string, Figure>> = {}): void => {
    for (const [name, [median, min, max]] of Object.entries(figures))
      lines.push(`${indent}${name.padEnd(34 - indent.length)} ${median}  (${min} to ${max})`);
  };
  add('  ', report.figures);
  if (report.requests !== undefined) lines.push(`  requests ${JSON.stringify(report.requests)}`);
  for (const [name, floor] of Object.entries(report.floors ?? {})) {
    lines.push(`  floor ${name}: ${floor.about}`);
    add('    ', floor.figures);
  }
  if (report.ratios !== undefined) lines.push('  ratios');
  add('    ', report.ratios);
  const { peer } = report;
  if (peer !== undefined) {
    lines.push(`  peer ${peer.version}${peer.failed === undefined ? '' : `, failed: ${peer.failed}`}`);
    add('    ', peer.figures);
    if (peer.requests !== undefined) lines.push(`    requests ${JSON.stringify(peer.requests)}`);
    lines.push('    what it takes, in multiples of the daemon');
    add('      ', peer.ratios);
  }
  return lines.join('\n');
}
