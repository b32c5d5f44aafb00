/** Which charts are made of the figures. Pure. */
import type { Figure } from '../report.js';
import type { Bar, Chart } from './bar-chart.js';
import type { Entry } from './document.js';
import { floorTarget, meets, peerTarget, type Target } from './targets.js';

interface Kind {
  /** Of the SVG, without its ending. */
  readonly file: string;
  readonly title: string;
  readonly subtitle: string;
  /** Name of a ratio. */
  readonly ratio: string;
}

const RATHER_LESS = 'Less is better. Line: least to greatest of the rounds; dashed: target.';
const RATHER_MORE = 'Above 1 s3nfsd takes less. Line: least to greatest of the rounds; dashed: target.';

const FLOOR_CHARTS: readonly Kind[] = [
  {
    file: 'total-cpu',
    title: 'CPU of daemon, store and client, in multiples of a raw client in C and its store',
    subtitle: RATHER_LESS,
    ratio: 'totalCpu',
  },
  {
    file: 'daemon-cpu',
    title: 'CPU of the daemon, in multiples of a raw client in C (small calls: of NULL)',
    subtitle: RATHER_LESS,
    ratio: 'daemonCpu',
  },
  {
    file: 'daemon-cpu-to-sdk',
    title: 'CPU of the daemon, in multiples of the AWS SDK doing the same requests',
    subtitle: RATHER_LESS,
    ratio: 'daemonCpuToSdk',
  },
  {
    file: 'far-time',
    title: 'Time over a far store, in multiples of eight connections of a raw client',
    subtitle: RATHER_LESS,
    ratio: 'timeToEight',
  },
];

const peerCharts = (peer: string): readonly Kind[] => [
  {
    file: `${peer}-time`,
    title: `Time of ${peer}, in multiples of s3nfsd`,
    subtitle: RATHER_MORE,
    ratio: 'time',
  },
  {
    file: `${peer}-stored-time`,
    title: `Time of ${peer} until what was written is in the store, in multiples of s3nfsd`,
    subtitle: RATHER_MORE,
    ratio: 'storedTime',
  },
  {
    file: `${peer}-cpu`,
    title: `CPU of ${peer}, in multiples of s3nfsd`,
    subtitle: RATHER_MORE,
    ratio: 'cpu',
  },
  {
    file: `${peer}-memory`,
    title: `Peak memory of ${peer}, in multiples of s3nfsd`,
    subtitle: RATHER_MORE,
    ratio: 'memory',
  },
];

/** By file name, without its ending. */
export function chartsOf(entries: readonly Entry[]): ReadonlyMap<string, Chart> {
  const peers = [...new Set(entries.flatMap(({ peer }) => (peer === undefined ? [] : [peer.name])))];
  const charts = [
    ...FLOOR_CHARTS.map((kind) =>
      chartOf(
        kind,
        entries.filter(({ peer }) => peer === undefined),
        ({ ratios }) => ratios,
        floorTarget,
      ),
    ),
    ...peers.flatMap((name) =>
      peerCharts(name).map((kind) =>
        chartOf(
          kind,
          entries.filter(({ peer }) => peer?.name === name),
          ({ peer }) => peer?.ratios,
          peerTarget,
        ),
      ),
    ),
  ];
  return new Map(charts.filter(([, { bars }]) => bars.length > 0));
}

function chartOf(
  { file, title, subtitle, ratio }: Kind,
  entries: readonly Entry[],
  ratiosOf: (entry: Entry) => Readonly<Record<string, Figure>> | undefined,
  targetOf: (name: string, ratio: string) => Target | undefined,
): [string, Chart] {
  const bars = entries.flatMap((entry): Bar[] => {
    const figure = ratiosOf(entry)?.[ratio];
    if (figure === undefined) return [];
    const [median, least, greatest] = figure;
    const target = targetOf(entry.case, ratio);
    const wanted = target === undefined ? {} : { target: target.value, met: meets(target, median) };
    return [{ label: entry.case, median, least, greatest, ...wanted }];
  });
  return [file, { title, subtitle, bars }];
}
