/** The figures that the documents show, as one JSON file: what each case said last, and where, when and by which command that was. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { cpus, loadavg, release } from 'node:os';
import type { CaseReport } from '../report.js';

/** Where and when a report was made. */
export interface Measured {
  readonly date: string;
  readonly command: string;
  readonly machine: string;
  /** Of the last minute, when the case had ended: what else the machine did counts in it. */
  readonly loadAverage: number;
}

export interface Entry extends CaseReport {
  readonly measured: Measured;
}

export async function readFigures(path: string): Promise<Entry[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '[]';
    throw error;
  });
  return JSON.parse(text) as Entry[];
}

/** Puts a report in the place of the same case's, floors and peers apart. */
export async function keepFigures(path: string, report: CaseReport, command: string): Promise<void> {
  const entries = await readFigures(path);
  const entry: Entry = { ...report, measured: measuredNow(command) };
  const at = entries.findIndex((each) => each.case === report.case && each.peer?.name === report.peer?.name);
  if (at < 0) entries.push(entry);
  else entries[at] = entry;
  await writeFile(`${path}.new`, `${JSON.stringify(entries, undefined, 1)}\n`);
  await rename(`${path}.new`, path);
}

function measuredNow(command: string): Measured {
  const processors = cpus();
  const processor = processors[0]?.model ?? 'unknown processor';
  return {
    date: new Date().toISOString().slice(0, 10),
    command,
    machine: `${processor}, ${processors.length} cores, Linux ${release()}, Node ${process.versions.node}`,
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(1)),
  };
}
