/**
 * `npm run plot [-- FILE]`: charts (docs/benchmarks/*.svg) and tables (README.md, docs/benchmarks/README.md) of the figures in
 * docs/benchmarks/latest.json, which `npm run bench -- --output docs/benchmarks/latest.json` leaves there.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { barChart } from './figures/bar-chart.js';
import { chartsOf } from './figures/charts.js';
import { readFigures } from './figures/document.js';
import { tablesOf, withFigures } from './figures/tables.js';

const ROOT = join(import.meta.dirname, '../..');
const DIRECTORY = 'docs/benchmarks';
/** Those that the front page shows. */
const SHOWN_FIRST: readonly string[] = ['total-cpu', 'rclone-time'];

const entries = await readFigures(process.argv[2] ?? join(ROOT, DIRECTORY, 'latest.json'));
if (entries.length === 0) throw new Error(`no figures: npm run bench -- --output ${DIRECTORY}/latest.json`);
const charts = chartsOf(entries);
for (const [file, chart] of charts) await writeFile(join(ROOT, DIRECTORY, `${file}.svg`), barChart(chart));

const images = (directory: string, files: readonly string[]): string[] =>
  files.flatMap((file) => {
    const chart = charts.get(file);
    return chart === undefined ? [] : [`![${chart.title}](${directory}${file}.svg)`];
  });

async function rewrite(page: string, parts: readonly string[]): Promise<void> {
  const path = join(ROOT, page);
  await writeFile(path, withFigures(await readFile(path, 'utf8'), parts.join('\n\n')));
}

const tables = tablesOf(entries);
await rewrite('README.md', [...images(`${DIRECTORY}/`, SHOWN_FIRST), tables]);
await rewrite(`${DIRECTORY}/README.md`, [...images('', [...charts.keys()]), tables]);
process.stdout.write(
  `${charts.size} charts and the tables of ${entries.length} measurements in ${DIRECTORY}/\n`,
);
