/** The figures as tables in Markdown, each row with its command and date. Pure. */
import type { Figure } from '../report.js';
import type { Entry, Measured } from './document.js';
import { floorTarget, meets, peerTarget, type Target } from './targets.js';

type Figures = Readonly<Record<string, Figure>>;

const RATIO_NAMES: Readonly<Record<string, string>> = {
  totalCpu: 'all CPU to raw',
  daemonCpu: 'its CPU to raw',
  daemonCpuToSdk: 'its CPU to the SDK',
  time: 'time to raw',
  timeToReply: 'time to replies alone',
  timeToOne: 'time to one connection',
  timeToEight: 'time to eight connections',
  timeToSixteen: 'time to sixteen connections',
  timeToThirtyTwo: 'time to 32 connections',
  timeToDirect: 'time to LISTs one after another, own transport',
  timeToSdk: 'the same, by the SDK',
  requestsToPages: 'requests to pages',
  addedMedianMs: 'ms to the first byte beyond the store',
  addedP99Ms: 'the same, 99th percentile',
  cpu: 'CPU to @stellar/js-xdr',
};

export function tablesOf(entries: readonly Entry[]): string {
  const own = entries.filter(({ peer, skipped }) => peer === undefined && skipped === undefined);
  const peers = entries.filter(({ peer }) => peer !== undefined);
  return [
    ...machines(entries),
    ...(own.length === 0 ? [] : [floorTable(own)]),
    ...(peers.length === 0 ? [] : [peerTable(peers)]),
  ].join('\n\n');
}

/** Text between `<!-- figures -->` and `<!-- end -->` is replaced. Fails where the marks are missing. */
export function withFigures(document: string, figures: string): string {
  const [begin, end] = ['<!-- figures -->', '<!-- end -->'];
  const from = document.indexOf(begin);
  const to = document.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`expected ${begin} and ${end}`);
  return `${document.slice(0, from + begin.length)}\n\n${figures}\n\n${document.slice(to)}`;
}

function machines(entries: readonly Entry[]): string[] {
  const found = new Map<string, number[]>();
  for (const { measured } of entries)
    found.set(measured.machine, [...(found.get(measured.machine) ?? []), measured.loadAverage]);
  return [...found].map(([machine, loads]) => {
    const [least, greatest] = [Math.min(...loads), Math.max(...loads)];
    return `Measured on: ${machine}; load average ${least} to ${greatest}. Medians of the rounds, with the least and the greatest.`;
  });
}

function floorTable(entries: readonly Entry[]): string {
  const rows = entries.map((entry) => {
    const ratios = Object.entries(entry.ratios ?? {}).flatMap(([name, figure]) => {
      const shown = RATIO_NAMES[name];
      if (shown === undefined) return [];
      return [`${shown} ${spanOf(figure)}${wanted(floorTarget(entry.case, name), figure)}`];
    });
    return [
      entry.case,
      rate(entry.figures),
      cost(entry.figures),
      memory(entry.figures),
      ratios.join('; '),
      said(entry.measured),
    ];
  });
  return table(['case', 'rate', 'CPU of the daemon', 'peak MiB', 'ratios', 'measured by'], rows);
}

function peerTable(entries: readonly Entry[]): string {
  const rows = entries.map((entry) => {
    const { peer, figures, measured } = entry;
    const cell = (ratio: string): string => {
      const figure = peer?.ratios?.[ratio];
      return figure === undefined ? '–' : `${spanOf(figure)}${wanted(peerTarget(entry.case, ratio), figure)}`;
    };
    const failed = peer?.failed === undefined ? '' : ` (gave up: ${peer.failed.replaceAll('|', '/')})`;
    return [
      `${entry.case}${failed}`,
      rate(figures),
      rate(peer?.figures),
      `${memory(figures)}, ${memory(peer?.figures)}`,
      shownOr(peer?.figures?.['cachedMiB']),
      ...['time', 'storedTime', 'cpu', 'memory'].map(cell),
      said(measured),
    ];
  });
  const name = entries[0]?.peer?.version ?? 'peer';
  const head = [
    'case',
    's3nfsd',
    name,
    'peak MiB',
    'in its files, MiB',
    'time',
    'time until stored',
    'CPU',
    'memory',
    'measured by',
  ];
  return `What ${name} takes, in multiples of what s3nfsd takes: above 1, s3nfsd takes less.\n\n${table(head, rows)}`;
}

function rate(figures: Figures | undefined): string {
  const [name, unit] = figures?.['mibPerSecond'] ? ['mibPerSecond', 'MiB/s'] : ['callsPerSecond', 'a second'];
  const figure = figures?.[name];
  return figure === undefined ? '–' : `${shown(figure[0])} ${unit}`;
}

function cost(figures: Figures | undefined): string {
  const seconds = figures?.['daemonCpuSecondsPerGiB'];
  if (seconds !== undefined) return `${spanOf(seconds)} s/GiB`;
  const calls = figures?.['daemonCpuMicrosecondsPerCall'];
  return calls === undefined ? '–' : `${spanOf(calls)} µs`;
}

const memory = (figures: Figures | undefined): string => shownOr(figures?.['peakMiB']);

const shownOr = (figure: Figure | undefined): string => (figure === undefined ? '–' : shown(figure[0]));

const wanted = (target: Target | undefined, [median]: Figure): string =>
  target === undefined
    ? ''
    : ` ${meets(target, median) ? '✓' : '**✗**'} ${target.bound === 'most' ? '≤' : '≥'} ${target.value}`;

const said = ({ command, date }: Measured): string => `\`${command}\`, ${date}`;

const spanOf = ([median, least, greatest]: Figure): string =>
  `${shown(median)} (${shown(least)} to ${shown(greatest)})`;

const shown = (value: number): string => String(Number(value.toPrecision(3)));

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
