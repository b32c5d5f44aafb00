/**
 * How a case is measured: a first round that isn't counted, then rounds of floors and work in turn, so that whatever else the machine does
 * falls on both; ratios are taken within a round.
 */
import type { HttpLoad } from './clients/http-load.js';
import type { NfsLoad } from './clients/nfs-load.js';
import type { NfsClient } from '../test/support/nfs-client.js';
import { DaemonProcess } from './daemon.js';
import type { MeasuredServer, NfsServer, StartServer } from './server.js';
import { requestsBetween, type Store } from './stores/store.js';
import { withPeak } from './usage.js';

/** One run of the work or of a floor. CPU in seconds, of each process apart; absent where no such process takes part. */
export interface Sample {
  /** GiB, calls, files or entries: what cost and throughput are by. */
  readonly units: number;
  readonly seconds: number;
  /** Until the store had all of it, where the last answer doesn't say so. */
  readonly storedSeconds?: number;
  readonly daemonCpu?: number;
  readonly storeCpu?: number;
  readonly clientCpu?: number;
  /** CPU of comparing what was read, which is no part of clientCpu. */
  readonly checkCpu?: number;
  /** By S3 operation. */
  readonly requests?: Readonly<Record<string, number>>;
  /** MiB of objects between store and daemon. */
  readonly storeMiB?: number;
  /** Of the daemon: anonymous and shared memory. */
  readonly peakMiB?: number;
  /** Of the daemon: the peak less what it had before the round. */
  readonly grownMiB?: number;
  /** Of a peer: what it keeps in files. */
  readonly cachedMiB?: number;
  /** Of the daemon. */
  readonly eventLoopP99Ms?: number;
  /** From a READ to its reply, or from a GET to the first byte of its answer. */
  readonly medianMs?: number;
  readonly p99Ms?: number;
}

export interface Floor {
  /** One line. */
  readonly about: string;
  run(round: number): Promise<Sample>;
}

export type Unit = 'GiB' | 'call';

/** The work of one round and its floors' samples. */
export interface Round {
  readonly work: Sample;
  readonly floors: Readonly<Record<string, Sample>>;
}

export interface Prepared {
  readonly unit: Unit;
  readonly floors: Readonly<Record<string, Floor>>;
  /** `round` 0 isn't counted. */
  work(round: number): Promise<Sample>;
  readonly ratios: Readonly<Record<string, (round: Round) => number>>;
}

/** What a case is prepared with. */
export interface Setup {
  /** Of the full size: the short form moves less, and what is to run longer moves more. */
  readonly size: number;
  /** Counted rounds. */
  readonly rounds: number;
  readonly memoryLimit: string;
  /** Options for Node before the daemon's program. */
  readonly nodeArguments: readonly string[];
  /** Whom the work is done by; the daemon unless given. */
  readonly startServer?: StartServer;
  /** To be done at the end, last first; also when preparing fails. */
  defer(end: () => Promise<void>): void;
}

export interface Case {
  readonly name: string;
  /** One line. */
  readonly about: string;
  /** Fails with Missing where the machine lacks something. */
  readonly prepare: (setup: Setup) => Promise<Prepared>;
}

/** Prepares a case, runs it, and ends what it started. */
export async function runCase(
  each: Case,
  options: Omit<Setup, 'defer'>,
): Promise<{ readonly prepared: Prepared; readonly rounds: readonly Round[] }> {
  const ends: (() => Promise<void>)[] = [];
  try {
    const prepared = await prepareCase(each, options, ends);
    return { prepared, rounds: await measure(prepared, options.rounds) };
  } finally {
    await endAll(ends);
  }
}

/** Prepares a case; what is to be done at its end is added to `ends`, also when this fails. */
export async function prepareCase(
  { prepare }: Case,
  options: Omit<Setup, 'defer'>,
  ends: (() => Promise<void>)[],
): Promise<Prepared> {
  return await prepare({ ...options, defer: (end) => void ends.push(end) });
}

/** Last first. */
export async function endAll(ends: readonly (() => Promise<void>)[]): Promise<void> {
  for (const end of [...ends].reverse()) await end();
}

async function measure(prepared: Prepared, rounds: number): Promise<Round[]> {
  const done: Round[] = [];
  for (let round = 0; round <= rounds; round++) {
    const floors: Record<string, Sample> = {};
    for (const [name, floor] of Object.entries(prepared.floors)) floors[name] = await floor.run(round);
    const work = await prepared.work(round);
    if (round > 0) done.push({ work, floors });
  }
  return done;
}

/** A daemon over the store, with further options of `s3nfsd serve`, and a client of it. */
export async function serve(
  setup: Setup,
  store: { readonly url: string; readonly certificateFile?: string },
  serveArguments: readonly string[] = [],
): Promise<{ readonly daemon: NfsServer; readonly nfs: NfsClient; readonly root: Buffer }> {
  const { memoryLimit, nodeArguments, startServer = (options) => DaemonProcess.start(options) } = setup;
  const { url: storeUrl, certificateFile } = store;
  const certificate = certificateFile === undefined ? {} : { certificateFile };
  const daemon = await startServer({ storeUrl, memoryLimit, nodeArguments, serveArguments, ...certificate });
  setup.defer(() => daemon.close());
  return { daemon, ...(await daemon.mount()) };
}

/** Runs work of the NFS client through the daemon; `units` of it are counted, by what the client tells. */
export async function daemonSample(
  daemon: MeasuredServer,
  store: Store,
  units: (load: NfsLoad) => number,
  work: () => Promise<NfsLoad>,
): Promise<Sample> {
  const before = await store.use();
  await daemon.eventLoopP99Ms?.();
  const cpuBefore = daemon.cpuSeconds();
  const beganMs = performance.now();
  let storedSeconds: number | undefined;
  const { result, peakMiB } = await withPeak(daemon.pid, async () => {
    const load = await work();
    if ((await daemon.stored?.()) === true) storedSeconds = (performance.now() - beganMs) / 1000;
    return load;
  });
  const daemonCpu = daemon.cpuSeconds() - cpuBefore;
  const eventLoopP99Ms = await daemon.eventLoopP99Ms?.();
  const cachedMiB = await daemon.cachedMiB?.();
  const after = await store.use();
  return {
    units: units(result),
    seconds: result.seconds,
    daemonCpu,
    storeCpu: after.cpuSeconds - before.cpuSeconds,
    clientCpu: result.cpuSeconds - result.checkSeconds,
    checkCpu: result.checkSeconds,
    requests: requestsBetween(before, after),
    storeMiB: (after.bytes - before.bytes) / 2 ** 20,
    peakMiB,
    ...(eventLoopP99Ms !== undefined && { eventLoopP99Ms }),
    ...(cachedMiB !== undefined && { cachedMiB }),
    ...(storedSeconds !== undefined && { storedSeconds }),
    ...(result.readMedianMs > 0 && { medianMs: result.readMedianMs, p99Ms: result.readP99Ms }),
  };
}

/** Runs the raw client against the store. */
export async function rawSample(
  store: Store,
  units: number,
  work: () => Promise<Pick<HttpLoad, 'seconds' | 'cpuSeconds'> & Partial<HttpLoad>>,
): Promise<Sample> {
  const before = await store.use();
  const { seconds, cpuSeconds, firstByteMedianMs, firstByteP99Ms } = await work();
  const after = await store.use();
  return {
    units,
    seconds,
    storeCpu: after.cpuSeconds - before.cpuSeconds,
    clientCpu: cpuSeconds,
    ...(firstByteMedianMs !== undefined && { medianMs: firstByteMedianMs }),
    ...(firstByteP99Ms !== undefined && { p99Ms: firstByteP99Ms }),
  };
}

/** CPU of all that took part, by unit. */
export function totalCpu({ units, daemonCpu = 0, storeCpu = 0, clientCpu = 0 }: Sample): number {
  return (daemonCpu + storeCpu + clientCpu) / units;
}

/** Wall time by unit. */
export function time({ units, seconds }: Sample): number {
  return seconds / units;
}

/** CPU of the daemon by unit; of the floor's client, where there is no daemon. */
export function ownCpu({ units, daemonCpu, clientCpu = 0 }: Sample): number {
  return (daemonCpu ?? clientCpu) / units;
}

/** A time of the work less the floor's, in milliseconds. */
export function added(floor: string, time: (sample: Sample) => number | undefined): (round: Round) => number {
  return ({ work, floors }) => {
    const sample = floors[floor];
    if (sample === undefined) throw new Error(`no floor ${floor}`);
    return (time(work) ?? NaN) - (time(sample) ?? NaN);
  };
}

/** `cost` of the work, in multiples of the floor's. */
export function over(floor: string, cost: (sample: Sample) => number): (round: Round) => number {
  return ({ work, floors }) => {
    const sample = floors[floor];
    if (sample === undefined) throw new Error(`no floor ${floor}`);
    return cost(work) / cost(sample);
  };
}
