/**
 * `node dist/bench/known-files.js [--files 10000000]`: what it costs to know so many files, beside 10,000. The node table of the daemon is filled
 * with directories of 1,000 files, each with what a HEAD tells of it. Then, each in a process of its own: how long it takes to open, lookups by
 * handle and by path in random order, the move of a directory, new facts of a file, and a kill -9 with names that are in the log alone. One JSON
 * object for each count.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { draw } from '../src/store/faults/random.js';
import { HandleKey } from '../src/state/handle-key.js';
import { NodeTable } from '../src/state/node-table.js';
import { scratchDirectory } from './scratch.js';
import { anonymousMiB } from './usage.js';

const FILES_A_DIRECTORY = 1000;
const COMPARED_WITH = 10_000;
const LOOKUPS = 200_000;
const EXPORT_ID = 17n;
const SECRET = Buffer.alloc(32, 7);
/** Names that are in the log, and not yet in the database, when the process is killed. */
const LAST_NAMES = 1000;
const VOLUME = 'bench/bucket';

interface Step {
  readonly what: 'fill' | 'look' | 'die' | 'look again';
  readonly directory: string;
  readonly files: number;
}

const directoryName = (at: number): string => `directory-${at}`;
const fileName = (at: number): string => `file-number-${at}.parquet`;
const factsOf = (at: number): unknown => ({
  k: 'f',
  m: 0o644,
  u: 1000,
  g: 1000,
  t: ['1700000000123456789', '1700000000123456789', '1700000000123456789'],
  v: [`"${at.toString(16).padStart(32, '0')}"`, at, 1_700_000_000_000],
  p: true,
});

/** Microseconds of CPU that one of `count` calls took. */
function microsecondsOf(count: number, call: (at: number) => void): number {
  const before = process.cpuUsage();
  for (let at = 0; at < count; at++) call(at);
  const { user, system } = process.cpuUsage(before);
  return Number(((user + system) / count).toPrecision(3));
}

async function fill(table: NodeTable, files: number): Promise<void> {
  const root = table.root(VOLUME);
  for (let first = 0; first < files; first += FILES_A_DIRECTORY) {
    const { id } = table.intern(root.id, directoryName(first / FILES_A_DIRECTORY));
    table.setFacts(id, { k: 'd' });
    for (let at = first; at < Math.min(files, first + FILES_A_DIRECTORY); at++)
      table.setFacts(table.intern(id, fileName(at)).id, factsOf(at));
    await (first % (50 * FILES_A_DIRECTORY) === 0 ? table.flushed() : table.settled());
  }
  await table.flushed();
}

/** Any file, in an order that no cache can foresee. */
const anyFile = (files: number, draws: number): number => Math.floor(draw(1, draws) * files);

/** The id of a file by its path; fails where it isn't known. */
function idOf(
  table: NodeTable,
  at: number,
  directory = directoryName(Math.floor(at / FILES_A_DIRECTORY)),
): bigint {
  const parent = table.childId(table.root(VOLUME).id, directory);
  const id = parent === undefined ? undefined : table.childId(parent, fileName(at));
  if (id === undefined) throw new Error(`file ${at} is not known`);
  return id;
}

function look(table: NodeTable, files: number): Record<string, number> {
  const key = new HandleKey(SECRET);
  // In one piece: what they take is no matter of the table.
  const handles = Buffer.concat(
    Array.from({ length: LOOKUPS }, (_, at) =>
      key.seal({ exportId: EXPORT_ID, nodeId: idOf(table, anyFile(files, at)) }),
    ),
  );
  const bytes = handles.length / LOOKUPS;
  const fresh = new HandleKey(SECRET);
  const byHandle = microsecondsOf(LOOKUPS, (at) => {
    const fields = fresh.open(handles.subarray(at * bytes, (at + 1) * bytes));
    if (fields === undefined || table.path(fields.nodeId)?.length !== 2)
      throw new Error('a handle leads nowhere');
  });
  const byPath = microsecondsOf(
    LOOKUPS,
    (at) => void fresh.seal({ exportId: EXPORT_ID, nodeId: idOf(table, anyFile(files, LOOKUPS + at)) }),
  );
  return { byHandleMicroseconds: byHandle, byPathMicroseconds: byPath };
}

/** A directory gets another name and a file is replaced: ids stay. Milliseconds. */
function change(table: NodeTable, files: number): Record<string, number> {
  const root = table.root(VOLUME).id;
  const id = idOf(table, 0);
  const directory = table.childId(root, directoryName(0));
  if (directory === undefined) throw new Error('the first directory is not known');
  const beganMs = performance.now();
  table.move(directory, root, 'moved');
  const movedMs = performance.now() - beganMs;
  table.setFacts(id, factsOf(files));
  if (idOf(table, 0, 'moved') !== id || table.path(id)?.[0] !== 'moved')
    throw new Error('a moved file has another id');
  table.move(directory, root, directoryName(0));
  return { moveDirectoryMs: Number(movedMs.toPrecision(3)) };
}

/** In a process of its own. */
async function make({ what, directory, files }: Step): Promise<Record<string, number>> {
  const beganMs = performance.now();
  const table = NodeTable.open(directory, { secret: SECRET });
  const openMs = Math.round(performance.now() - beganMs);
  const before = process.cpuUsage();
  if (what === 'fill') {
    await fill(table, files);
    const { user, system } = process.cpuUsage(before);
    await table.close();
    return {
      fillMicroseconds: Number(((user + system) / files).toPrecision(3)),
      fillMiB: Math.round(anonymousMiB(process.pid)),
    };
  }
  if (what === 'die') {
    const { id } = table.intern(table.root(VOLUME).id, directoryName(0));
    for (let at = 0; at < LAST_NAMES; at++) table.setFacts(table.intern(id, `last-${at}`).id, factsOf(at));
    await table.settled();
    process.kill(process.pid, 'SIGKILL');
  }
  if (what === 'look again') {
    const parent = table.childId(table.root(VOLUME).id, directoryName(0)) ?? 0n;
    for (let at = 0; at < LAST_NAMES; at++)
      if (table.childId(parent, `last-${at}`) === undefined)
        throw new Error('a name that was settled is gone');
  }
  const figures = {
    openMs,
    ...look(table, files),
    ...change(table, files),
    anonymousMiB: Math.round(anonymousMiB(process.pid)),
  };
  await table.close();
  return figures;
}

async function run(step: Step): Promise<Record<string, number>> {
  const child = fork(fileURLToPath(import.meta.url), [], {
    env: { ...process.env, KNOWN_FILES_STEP: JSON.stringify(step) },
  });
  let figures: Record<string, number> = {};
  child.on('message', (message) => (figures = message as Record<string, number>));
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  if (code !== 0 && !(step.what === 'die' && signal === 'SIGKILL')) throw new Error(`${step.what} failed`);
  return figures;
}

async function measure(files: number): Promise<Record<string, unknown>> {
  const directory = await scratchDirectory();
  try {
    const filled = await run({ what: 'fill', directory, files });
    const { size } = await stat(join(directory, 'nodes.lmdb'));
    const looked = await run({ what: 'look', directory, files });
    await run({ what: 'die', directory, files });
    const again = await run({ what: 'look again', directory, files });
    return { files, diskBytesPerFile: Math.round(size / files), ...filled, ...looked, afterKill: again };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const step = process.env['KNOWN_FILES_STEP'];
if (step !== undefined) process.send?.(await make(JSON.parse(step) as Step), () => process.exit(0));
else {
  const { values } = parseArgs({ options: { files: { type: 'string', default: '10000000' } } });
  for (const files of [COMPARED_WITH, Number(values.files)])
    process.stdout.write(`${JSON.stringify(await measure(files))}\n`);
}
