/**
 * A daemon of its own, attacked over all its ports at once, and watched from outside. What must hold: it lives, it answers every call
 * once and rightly, others are served meanwhile, and afterwards it holds no more than before.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { MOUNT1, MOUNT3 } from '../../protocol/mount3/program.js';
import { NFS3 } from '../../protocol/nfs3/program.js';
import { PMAP_PORT, PORTMAP2 } from '../../protocol/portmap/program.js';
import { RPCBIND3, RPCBIND4 } from '../../protocol/portmap/rpcbind.js';
import type { Program } from '../../protocol/program.js';
import type { DaemonReport } from '../../src/cli/daemon.js';
import { Bucket, BUCKET, mount, serveChild, type Ends } from '../end-to-end/fixture.js';
import type { NfsClient } from '../support/nfs-client.js';
import type { S3nfsdProcess } from '../support/s3nfsd-process.js';
import { CallGenerator } from './calls.js';
import { Canary, descriptors, memoryKiB, openConnections } from './daemon-watch.js';
import { Pool, type KnownHandle } from './pool.js';
import { Random } from './random.js';
import { Tally } from './tally.js';
import { TcpAttacker, type AttackerOptions } from './tcp-attacker.js';
import { UdpAttacker } from './udp-attacker.js';

export interface FuzzOptions {
  /** Messages to send, about. */
  readonly records: number;
  readonly seed: number;
  /** Attackers by TCP, shared among the ports; one by UDP for each port comes on top. */
  readonly connections: number;
  /** Also the portmapper, on port 111 of an address of its own: needs root. */
  readonly portmap: boolean;
  /** NODE_OPTIONS of the daemon: a small heap shows what it keeps. */
  readonly nodeOptions?: string;
  /** Told now and then. */
  readonly progress?: (line: string) => void;
}

export interface FuzzReport {
  readonly tally: Tally;
  readonly seconds: number;
  /** What was wrong beyond single replies. Empty: all that must hold held. */
  readonly failures: readonly string[];
  readonly memoryKiB: { readonly warm: number; readonly peak: number; readonly end: number };
  readonly descriptors: { readonly warm: number; readonly end: number };
  readonly canary: { readonly calls: number; readonly slowestMs: number };
  /** Lines of the log by level. */
  readonly logged: Readonly<Record<string, number>>;
}

const HANG_MS = 60_000;
const MEMORY_LIMIT_MIB = 32;
/** The memory limit, kept replies and the young generation, and as much again. */
const GROWTH_KIB_MAX = 2 * (MEMORY_LIMIT_MIB + 16 + 32) * 1024;
/** Connections to the store and files that happen to be open, more than at the first look. */
const DESCRIPTORS_GROWTH_MAX = 80;
/** Time for what was begun to end after the last attacker has left. */
const REST_MS_MAX = 30_000;

export async function fuzz(ends: Ends, options: FuzzOptions): Promise<FuzzReport> {
  const { seed, records } = options;
  const host = addressOf(seed);
  const bucket = await Bucket.start(ends, ['file', 'dir/file', 'dir/sub/file']);
  const args = [
    ...[`s3://${BUCKET}`, '--listen', host],
    ...['--portmap', options.portmap ? 'embedded' : 'off'],
    ...['--memory-limit', `${MEMORY_LIMIT_MIB}MiB`, '--metadata-ttl', '1h', '--log-level', 'warn'],
  ];
  const env = options.nodeOptions === undefined ? {} : { NODE_OPTIONS: options.nodeOptions };
  const { child, report } = await serveChild(ends, bucket, args, env);
  const { nfs, root } = await mount(ends, report, { host });
  const paths = ['', 'file', 'dir', 'dir/sub', 'dir/sub/file'];
  const fixed = [{ handle: (await nfs.symlink(root, 'link', 'file')).handle, type: 'NF3LNK' as const }];
  const pool = new Pool([...fixed, ...(await Promise.all(paths.map((path) => known(nfs, root, path))))]);
  const tally = new Tally();
  const canary = new Canary(nfs, root, HANG_MS);
  const watch = new Watch(report.pid, child);
  const ports = portsOf(report, options.portmap);
  const startedMs = performance.now();
  canary.start();
  const more = (): boolean => {
    if (tally.records >= records / 2) watch.warm();
    return tally.records < records && tally.faultCount < 1000 && canary.fault === undefined && watch.alive;
  };
  const sampling = watch.sample(more, () => {
    const rate = Math.round(tally.records / ((performance.now() - startedMs) / 1000));
    options.progress?.(
      `${tally.records} records, ${rate}/s, ${tally.replies} replies, ${tally.faultCount} faults, ${watch.nowKiB} KiB`,
    );
  });
  await Promise.all(attackers(options, host, ports, { pool, tally }).map((attacker) => attacker.run(more)));
  const seconds = (performance.now() - startedMs) / 1000;
  await sampling;
  await canary.stop();
  await nfs.close();
  const numbers = ports.map(({ port }) => port);
  await watch.rest(() => openConnections(host, numbers) === 0);
  const open = openConnections(host, numbers);
  const failures = [...watch.failures(), ...(canary.fault === undefined ? [] : [canary.fault])];
  if (open > 0) failures.push(`${open} connections are still open`);
  const { code, stderr } = await child.end('SIGTERM');
  if (code !== 0) failures.push(`the daemon ended with ${code}`);
  const logged = levelsOf(stderr);
  const bad = stderr.filter((line) => !line.startsWith('{') || /"level":(50|60)/.test(line));
  if (bad.length > 0)
    failures.push(`${bad.length} lines of the log tell of defects: ${bad.slice(0, 3).join(' / ')}`);
  return {
    tally,
    seconds,
    failures,
    memoryKiB: watch.memory,
    descriptors: watch.descriptors,
    canary: { calls: canary.calls, slowestMs: Math.round(canary.slowestMs) },
    logged,
  };
}

async function known(nfs: NfsClient, root: Buffer, path: string): Promise<KnownHandle> {
  const handle = await nfs.lookupPath(root, path);
  return { handle, type: (await nfs.getattr(handle)).type };
}

/** A loopback address of its own: several runs, and a portmapper on its well-known port, don't meet. */
function addressOf(seed: number): string {
  const random = new Random(seed ^ process.pid);
  return `127.${1 + random.below(250)}.${random.below(250)}.${1 + random.below(250)}`;
}

interface Port {
  readonly port: number;
  readonly programs: readonly Program[];
  /** Of the attackers by TCP. */
  readonly share: number;
}

function portsOf(report: DaemonReport, portmap: boolean): readonly Port[] {
  return [
    // More often NFS, which has more to get wrong.
    { port: report.nfsPort, programs: [NFS3, NFS3, NFS3, NFS3, MOUNT3, MOUNT1], share: 0.85 },
    ...(portmap ? [{ port: PMAP_PORT, programs: [PORTMAP2, RPCBIND3, RPCBIND4], share: 0.15 }] : []),
  ];
}

function attackers(
  { seed, connections }: FuzzOptions,
  host: string,
  ports: readonly Port[],
  shared: Pick<AttackerOptions, 'pool' | 'tally'>,
): readonly (TcpAttacker | UdpAttacker)[] {
  let stream = 0;
  const optionsFor = ({ port, programs }: Port): AttackerOptions => {
    const random = new Random(seed, stream++);
    const calls = new CallGenerator(programs, shared.pool, random);
    return { host, port, calls, random, hangMs: HANG_MS, ...shared };
  };
  return ports.flatMap((port) => [
    ...Array.from(
      { length: Math.max(1, Math.round(connections * port.share)) },
      () => new TcpAttacker(optionsFor(port)),
    ),
    new UdpAttacker(optionsFor(port)),
  ]);
}

/** The daemon's process over the run. */
class Watch {
  readonly #pid: number;
  #ended = false;
  #warm: { readonly kib: number; readonly descriptors: number } | undefined;
  #peakKiB = 0;
  #end = { kib: 0, descriptors: 0 };

  constructor(pid: number, child: S3nfsdProcess) {
    this.#pid = pid;
    void child.finished().then(() => (this.#ended = true));
  }

  get alive(): boolean {
    return !this.#ended;
  }

  get nowKiB(): number {
    return this.#ended ? 0 : memoryKiB(this.#pid);
  }

  get memory(): FuzzReport['memoryKiB'] {
    return { warm: this.#warm?.kib ?? 0, peak: this.#peakKiB, end: this.#end.kib };
  }

  get descriptors(): FuzzReport['descriptors'] {
    return { warm: this.#warm?.descriptors ?? 0, end: this.#end.descriptors };
  }

  /** The first call is what later looks are held against. */
  warm(): void {
    this.#warm ??= this.#look();
  }

  async sample(more: () => boolean, tick: () => void): Promise<void> {
    for (let rounds = 1; more(); rounds++) {
      this.#peakKiB = Math.max(this.#peakKiB, this.#look().kib);
      if (rounds % 20 === 0) tick();
      await delay(500);
    }
  }

  /** Waits until `quiet`, and takes the last look. */
  async rest(quiet: () => boolean): Promise<void> {
    const until = performance.now() + REST_MS_MAX;
    while (!quiet() && performance.now() < until && this.alive) await delay(100);
    this.#end = this.#look();
  }

  failures(): string[] {
    if (this.#ended) return ['the daemon ended'];
    const { memory, descriptors: counts } = this;
    const failures: string[] = [];
    if (memory.end - memory.warm > GROWTH_KIB_MAX) failures.push(`grew by ${memory.end - memory.warm} KiB`);
    if (counts.end - counts.warm > DESCRIPTORS_GROWTH_MAX) {
      failures.push(`${counts.end} descriptors are open, ${counts.warm} were at the first look`);
    }
    return failures;
  }

  #look(): { readonly kib: number; readonly descriptors: number } {
    if (this.#ended) return { kib: 0, descriptors: 0 };
    return { kib: memoryKiB(this.#pid), descriptors: descriptors(this.#pid) };
  }
}

function levelsOf(lines: readonly string[]): Record<string, number> {
  const levels: Record<string, number> = {};
  for (const line of lines) {
    const level = /"level":(\d+)/.exec(line)?.[1] ?? 'other';
    levels[level] = (levels[level] ?? 0) + 1;
  }
  return levels;
}
