/**
 * Runs test files under one run of tap, each as a process of its own in which nothing but the test is loaded. By itself tap has every file, and by
 * NODE_OPTIONS every program that a file starts, note which modules it loads, for almost half a CPU second each; nothing here asks for those notes.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';

export interface SuiteOptions {
  /** Where the test files are, in any depth. Relative to the working directory. */
  readonly directory: string;
  /** Files at the same time. */
  readonly jobs: number;
  /** What takes longest begins first, in this order, lest it be alone at the end. Paths in the directory without `.test.js`. */
  readonly first?: readonly string[];
  /** One at a time, after all others have ended. */
  readonly alone?: readonly string[];
}

const SUFFIX = '.test.js';
const MS_PER_SECOND = 1000;

/** Runs each file of the directory once. Fails when one that is named isn't there. */
export async function runSuite(t: Test, options: SuiteOptions): Promise<void> {
  const { directory, first = [], alone = [] } = options;
  const found = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(SUFFIX))
    .map((path) => path.slice(0, -SUFFIX.length))
    .sort();
  const named = new Set([...first, ...alone]);
  const missing = [...named].filter((path) => !found.includes(path));
  if (missing.length > 0) throw new Error(`no such test files in ${directory}: ${missing.join(', ')}`);
  // tap's option, for each file that doesn't set its own.
  const timeout = Number(process.env['TAP_TIMEOUT']) * MS_PER_SECOND;
  const run = async (path: string): Promise<void> => {
    const file = join(directory, path + SUFFIX);
    const command = ['-u', 'NODE_OPTIONS', process.execPath, '--enable-source-maps', file];
    await t.spawn('env', command, { name: file, buffered: t.jobs > 1, timeout });
  };
  // Only the files have timeouts.
  t.setTimeout(0);
  t.jobs = options.jobs;
  await Promise.all([...first, ...found.filter((path) => !named.has(path))].map(run));
  t.jobs = 1;
  for (const path of alone) await run(path);
}
