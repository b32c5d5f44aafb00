/**
 * Readers over a store that fails, while others replace what they read: a daemon as a process of its own, an embedded store behind a proxy
 * with faults, readers over TCP, and writers that go past the daemon and past the faults. Every READ is judged (judge-reads.ts).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DaemonReport } from '../../src/cli/daemon.js';
import { startFaultProxy, type FaultProxy } from '../../src/store/faults/proxy.js';
import { Bucket, BUCKET, mount, serveChild, type Ends } from '../end-to-end/fixture.js';
import { bytesOf, sizeOf, type Kind, type SoakObject } from './content.js';
import { Judge, type Findings } from './judge-reads.js';
import { harmFiles } from './harm-files.js';
import { open, through, WAYS, type Reading, type Way } from './readers.js';
import { Versions } from './versions.js';
import { CALM, planOf, WEATHERS } from './weather.js';

export interface SoakOptions {
  readonly seed: number;
  readonly seconds: number;
  /** How long a weather holds. */
  readonly weatherMs: number;
  /** Of the daemon: little, so that blocks go and come again. */
  readonly memoryLimit: string;
  /** Of `--metadata-ttl`. */
  readonly ttlMs: number;
  /** Of the daemon: with `off`, flipped bits are counted and nothing is made of them. */
  readonly verifyReads: 'auto' | 'off';
  /** With a disk cache, whose files somebody harms. */
  readonly diskCache: boolean;
  /** Told of each weather. */
  readonly say: (line: string) => void;
}

export interface SoakReport {
  readonly seed: number;
  readonly seconds: number;
  readonly reads: number;
  readonly mib: number;
  readonly replaced: number;
  /** What the disk cache did, and how often a file of it was harmed. */
  readonly disk?: Readonly<Record<string, number>>;
  readonly jukebox: number;
  /** Calls answered with EIO since wrong bytes were noticed, and READs of flipped bits in large files before they were. */
  readonly eio: number;
  readonly flippedUnchecked: number;
  readonly slowestMs: number;
  /** Rounds of each reader. */
  readonly passes: Readonly<Record<string, number>>;
  /** Faults that were carried out. */
  readonly faults: Readonly<Record<string, number>>;
  readonly findings: Findings;
  readonly told: readonly string[];
  readonly clean: boolean;
}

const KIB = 1024;
/** Less than is read, so that blocks go and come again. */
const DISK_CACHE_LIMIT = '64MiB';
const DISK_COUNTS = ['hits', 'misses', 'written', 'dropped', 'bad', 'failures', 'evicted'];
const LARGE: Kind = { baseBytes: 12 * KIB * KIB, stepBytes: 8 * KIB };
const MEDIUM: Kind = { baseBytes: 512 * KIB, stepBytes: KIB };
const SMALL: Kind = { baseBytes: 32, stepBytes: 64 };

/** Readers, and what they read. Two of them read the same large files front to back. */
const READERS: readonly { readonly name: string; readonly way: Way; readonly of: readonly Kind[] }[] = [
  { name: 'sequential', way: WAYS.sequential, of: [LARGE, MEDIUM] },
  { name: 'sequential-2', way: WAYS.sequential, of: [LARGE] },
  { name: 'random', way: WAYS.random, of: [LARGE, MEDIUM] },
  { name: 'strided', way: WAYS.strided, of: [LARGE, MEDIUM] },
  { name: 'small', way: WAYS.small, of: [SMALL] },
  { name: 'small-2', way: WAYS.small, of: [SMALL] },
];

/** Objects of one writer, and how long it rests between two of them at most. */
const WRITERS: readonly { readonly of: Kind; readonly restMs: number }[] = [
  { of: LARGE, restMs: 1500 },
  { of: MEDIUM, restMs: 300 },
  { of: SMALL, restMs: 40 },
];

const COUNTS = new Map<Kind, number>([
  [LARGE, 6],
  [MEDIUM, 4],
  [SMALL, 40],
]);

export async function runSoak(ends: Ends, options: SoakOptions): Promise<SoakReport> {
  const bucket = await Bucket.start(ends);
  const proxy = await startFaultProxy({ to: bucket.endpoint, host: '127.0.0.1', port: 0 });
  ends.teardown(() => proxy.close());
  const versions = new Versions(options.ttlMs);
  const judge = new Judge(versions, options.verifyReads !== 'off');
  const objects = soakObjects();
  for (const object of objects) await replace(bucket, versions, object);
  const args = [
    `s3://${BUCKET}`,
    '--metadata-ttl',
    `${options.ttlMs}ms`,
    '--verify-reads',
    options.verifyReads,
  ];
  const disk = options.diskCache ? mkdtempSync(join(tmpdir(), 's3nfsd-soak-disk-')) : undefined;
  if (disk !== undefined) {
    ends.teardown(() => rmSync(disk, { recursive: true, force: true }));
    args.push('--disk-cache', disk, '--disk-cache-limit', DISK_CACHE_LIMIT, '--log-level', 'info');
  }
  const { child, report } = await serveChild(ends, bucket, [...args, '--memory-limit', options.memoryLimit], {
    AWS_ENDPOINT_URL_S3: proxy.endpoint,
  });
  const passes: Record<string, number> = {};
  const faults: Record<string, number> = {};
  const endMs = performance.now() + options.seconds * 1000;
  const stopped = (): boolean => performance.now() >= endMs;
  const running = [
    ...READERS.map(async ({ name, way, of }, index) => {
      passes[name] = 0;
      const random = randomSequence(options.seed * 31 + index);
      const own = objects.filter(({ kind }) => of.includes(kind));
      const passed = (): void => void (passes[name] = (passes[name] ?? 0) + 1);
      await way({ judge, ...(await mount(ends, report)), objects: own, random, stopped, passed });
    }),
    ...WRITERS.map(async ({ of, restMs }, index) => {
      const random = randomSequence(options.seed * 37 + index);
      const own = objects.filter(({ kind }) => kind === of);
      while (!stopped()) {
        const object = own[Math.floor(random() * own.length)];
        // The first of each kind stays as it is.
        if (object !== undefined && object !== own[0]) await replace(bucket, versions, object);
        await delay(random() * restMs);
      }
    }),
  ];
  let harmed = 0;
  if (disk !== undefined) {
    const random = randomSequence(options.seed * 41);
    running.push(harmFiles(join(disk, 'blocks'), random, stopped).then((count) => void (harmed = count)));
  }
  await Promise.all([...running, changeWeather(proxy, options, stopped, faults)]);
  await lookAtAll(ends, report, judge, objects, options);
  const counts = diskCounts(await ended(child));
  return {
    ...{ seed: options.seed, seconds: options.seconds, reads: judge.reads },
    mib: Math.round(judge.bytes / KIB / KIB),
    replaced: objects.reduce((sum, object) => sum + versions.newest(object) - 1, 0),
    ...(disk === undefined ? {} : { disk: { harmed, ...counts } }),
    ...{ eio: judge.eio, flippedUnchecked: judge.flippedUnchecked },
    ...{ jukebox: judge.jukebox, slowestMs: Math.round(judge.slowestMs), passes, faults },
    ...{ findings: judge.findings, told: judge.told, clean: judge.clean },
  };
}

function soakObjects(): SoakObject[] {
  const names = new Map<Kind, string>([
    [LARGE, 'large'],
    [MEDIUM, 'medium'],
    [SMALL, 'small'],
  ]);
  return [...COUNTS].flatMap(([kind, count], group) =>
    Array.from({ length: count }, (_, index) => ({
      key: `${names.get(kind) ?? ''}/file-${index}`,
      id: (group + 1) * 1000 + index,
      kind,
    })),
  );
}

/** Puts the next version of an object into the store, past daemon and faults. */
async function replace(bucket: Bucket, versions: Versions, object: SoakObject): Promise<void> {
  const version = versions.begin(object);
  await bucket.put(object.key, bytesOf(object, version, 0, sizeOf(object, version)));
  versions.done(object, version);
}

async function changeWeather(
  proxy: FaultProxy,
  { seed, weatherMs, say }: SoakOptions,
  stopped: () => boolean,
  faults: Record<string, number>,
): Promise<void> {
  for (let round = 0; !stopped(); round++) {
    const weather = WEATHERS[(round + seed) % WEATHERS.length] ?? CALM;
    proxy.faults.setPlan(planOf(weather, seed + round));
    await delay(weatherMs);
    const { fired } = proxy.faults.report();
    for (const [name, count] of Object.entries(fired)) faults[name] = (faults[name] ?? 0) + count;
    say(`${weather.name}: ${JSON.stringify(fired)}`);
  }
  proxy.faults.setPlan(undefined);
}

/** After the storm every object is what is in the store. */
async function lookAtAll(
  ends: Ends,
  report: DaemonReport,
  judge: Judge,
  objects: readonly SoakObject[],
  { ttlMs, verifyReads }: SoakOptions,
): Promise<void> {
  const verifying = verifyReads !== 'off';
  await delay(2 * ttlMs);
  const mounted = { judge, ...(await mount(ends, report)) };
  // What was flipped in blocks that are still held is noticed when a file has been read through: from then on nothing is.
  for (const object of objects) await lookAt(mounted, object);
  const { flippedUnchecked } = judge;
  for (const object of objects) await lookAt(mounted, object);
  if (verifying && judge.flippedUnchecked > flippedUnchecked)
    judge.note(
      'flipped',
      `${judge.flippedUnchecked - flippedUnchecked} READs of files that had been read through`,
    );
}

/** All of an object, which is the newest. */
async function lookAt(mounted: Pick<Reading, 'judge' | 'nfs' | 'root'>, object: SoakObject): Promise<void> {
  const { judge } = mounted;
  const file = await open(mounted, object);
  const size = await judge.size(mounted.nfs, file, object);
  if (size !== sizeOf(object, judge.versions.newest(object)))
    judge.note('stale', `${object.key} at the end: ${size} bytes, not those of the newest version`);
  for (let offset = 0; offset < size; offset += KIB * KIB)
    await through(mounted, file, object, offset, Math.min(KIB * KIB, size - offset));
}

/** The daemon ends well, and told of no defect but wrong bytes; its log. */
async function ended(child: Awaited<ReturnType<typeof serveChild>>['child']): Promise<string[]> {
  const { code, stderr } = await child.end();
  const defects = stderr.filter(
    (line) => (!line.startsWith('{') || /"level":(50|60)/.test(line)) && !line.includes('"WrongBytes"'),
  );
  if (code !== 0 || defects.length > 0)
    throw new Error(`the daemon ended with ${String(code)}: ${defects.slice(0, 5).join(' / ')}`);
  return [...stderr];
}

/** What the disk cache said when it closed. */
function diskCounts(log: readonly string[]): Record<string, number> {
  const line = log.find((text) => text.includes('"disk cache closed"'));
  const said = line === undefined ? [] : Object.entries(JSON.parse(line) as Record<string, unknown>);
  const numbers = said.filter((entry): entry is [string, number] => typeof entry[1] === 'number');
  return Object.fromEntries(numbers.filter(([name]) => DISK_COUNTS.includes(name)));
}

/** Numbers in [0, 1), the same for the same seed. */
function randomSequence(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
