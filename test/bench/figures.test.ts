/** Charts and tables of the benchmarks' figures. */
import t from 'tap';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { XMLValidator } from 'fast-xml-parser';
import { barChart } from '../../bench/figures/bar-chart.js';
import { chartsOf } from '../../bench/figures/charts.js';
import { keepFigures, readFigures, type Entry } from '../../bench/figures/document.js';
import { tablesOf, withFigures } from '../../bench/figures/tables.js';

const measured = {
  date: '2026-11-21',
  command: 'npm run bench -- --size 1 --runs 5 sequential-read',
  machine: 'a machine',
  loadAverage: 3,
};
const read: Entry = {
  ...{ case: 'sequential-read', about: 'a <file> & more', runs: 5, measured },
  figures: {
    mibPerSecond: [500, 400, 600],
    daemonCpuSecondsPerGiB: [0.5, 0.4, 0.6],
    peakMiB: [300, 290, 310],
  },
  ratios: { totalCpu: [2, 1.9, 2.4], daemonCpu: [4, 3.5, 5] },
};
const { ratios, ...work } = read;
const peer: Entry = {
  ...work,
  peer: {
    ...{ name: 'rclone', version: 'rclone v1', options: [], figures: { mibPerSecond: [100, 90, 110] } },
    ratios: { time: [2, 1.5, 2.5], cpu: [3, 2, 4], memory: [0.5, 0.4, 0.6] },
  },
};

await t.test('a chart for each ratio, whose bars say whether the target is met', (t) => {
  t.ok(ratios);
  const charts = chartsOf([read, peer]);
  t.strictSame([...charts.keys()], ['total-cpu', 'daemon-cpu', 'rclone-time', 'rclone-cpu', 'rclone-memory']);
  const met = (file: string): unknown => charts.get(file)?.bars.map((bar) => [bar.target, bar.met]);
  t.strictSame(met('total-cpu'), [[2.3, true]]);
  t.strictSame(met('daemon-cpu'), [[3.2, false]]);
  t.strictSame(met('rclone-time'), [[3, false]]);
  t.strictSame(met('rclone-memory'), [[1, false]]);
  for (const chart of charts.values()) {
    const svg = barChart({ ...chart, title: `${chart.title} <&"` });
    t.equal(XMLValidator.validate(svg), true);
    t.notMatch(svg, /NaN|Infinity/);
  }
  t.end();
});

await t.test('tables tell each figure with its command and date, and stand between the marks', (t) => {
  const tables = tablesOf([read, peer]);
  t.match(tables, /\| sequential-read \| 500 MiB\/s \| 0\.5 \(0\.4 to 0\.6\) s\/GiB \| 300 \|/);
  t.match(tables, /its CPU to raw 4 \(3\.5 to 5\) \*\*✗\*\* ≤ 3\.2/);
  t.match(tables, /`npm run bench -- --size 1 --runs 5 sequential-read`, 2026-11-21/);
  const page = withFigures('a\n<!-- figures -->\nold\n<!-- end -->\nb', tables);
  t.notMatch(page, 'old');
  t.equal(withFigures(page, tables), page);
  t.throws(() => withFigures('no marks', tables), /<!-- figures -->/);
  t.end();
});

await t.test(
  'a case that is measured again takes the place of what it said last; its peer stays',
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 's3nfsd-figures-'));
    t.teardown(() => rm(directory, { recursive: true }));
    const path = join(directory, 'figures.json');
    t.strictSame(await readFigures(path), []);
    await keepFigures(path, read, 'first');
    await keepFigures(path, peer, 'second');
    await keepFigures(path, { ...read, runs: 9 }, 'third');
    const entries = await readFigures(path);
    t.strictSame(
      entries.map(({ runs, measured: { command } }) => [runs, command]),
      [
        [9, 'third'],
        [5, 'second'],
      ],
    );
  },
);
