/** A store and a daemon as processes of their own, in a directory that goes away with them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import type { DaemonReport } from '../src/cli/daemon.js';
import type { ObjectStore } from '../src/store/object-store.js';
import { createS3Store } from '../src/store/s3/s3-store.js';
import { NfsClient } from '../test/support/nfs-client.js';
import { LeanClient } from './lean-client.js';
import { cpuSeconds, withPeak } from './usage.js';

/** A server elsewhere: its address and bucket; keys from the environment. */
export interface Endpoint {
  readonly url: string;
  readonly bucket: string;
  /** It checks no signatures: keys are made up, and none are taken from the environment. */
  readonly takesAnyKeys?: boolean;
}

export interface RigOptions {
  /** In place of the embedded server. */
  readonly endpoint?: Endpoint;
  /** As of `--memory-limit`. */
  readonly memoryLimit?: string;
  /** Options for Node before the daemon's program, such as `--cpu-prof`. */
  readonly nodeArguments?: readonly string[];
  /** Where a proxy is to stand between daemon and store: given the store's address, resolves to the proxy's. */
  readonly through?: (endpoint: string) => Promise<string>;
}

/** What a stretch of work cost the daemon. */
export interface Cost {
  readonly seconds: number;
  readonly daemonCpuSeconds: number;
  readonly driverCpuSeconds: number;
  readonly peakMiB: number;
  /** By operation; undefined where the store doesn't tell. */
  readonly requests: Readonly<Record<string, number>> | undefined;
}

const KEYS = {
  accessKeyId: 'BENCHBENCHBENCHBENCH',
  secretAccessKey: 'bench-secret-bench-secret-bench-secret',
};
const HOST = '127.0.0.1';

export class Rig {
  readonly #directory: string;
  readonly #options: RigOptions;
  #store: ChildProcess | undefined;
  #storeUrl = '';
  #daemon: ChildProcess | undefined;
  #report: DaemonReport | undefined;
  readonly #clients: LeanClient[] = [];
  readonly #nfs: NfsClient[] = [];

  private constructor(directory: string, options: RigOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(await mkdtemp(join(tmpdir(), 's3nfsd-bench-')), options);
    try {
      rig.#storeUrl = options.endpoint?.url ?? (await rig.startStore());
      await rig.#startDaemon();
      return rig;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  get bucket(): string {
    return this.#options.endpoint?.bucket ?? 'bench';
  }

  /** The store itself, not through the daemon: what was written must be found here. */
  store(): ObjectStore {
    return createS3Store({
      bucket: this.bucket,
      region: 'us-east-1',
      endpointUrl: this.#storeUrl,
      forcePathStyle: true,
      log: pino({ level: 'silent' }),
      ...(this.#options.endpoint === undefined ? { credentials: KEYS } : {}),
    });
  }

  /** A client with all procedures, and the root of the export. */
  async mount(): Promise<{ nfs: NfsClient; root: Buffer }> {
    const nfs = await NfsClient.connect({ host: HOST, port: this.#port, jukeboxRetryMs: 200 });
    this.#nfs.push(nfs);
    return { nfs, root: await nfs.mnt(this.#report?.exports[0]?.path ?? '') };
  }

  /** A client for the calls that are counted. */
  async client(onAnswer?: () => void): Promise<LeanClient> {
    const client = await LeanClient.connect({
      port: this.#port,
      ...(onAnswer !== undefined && { onAnswer }),
    });
    this.#clients.push(client);
    return client;
  }

  /** Ends the embedded store as a crash would. */
  async killStore(): Promise<void> {
    await end(this.#store, 'SIGKILL');
  }

  /** Starts the embedded store, again at the address it had; its address. */
  async startStore(): Promise<string> {
    const port = this.#storeUrl === '' ? '0' : new URL(this.#storeUrl).port;
    const { accessKeyId, secretAccessKey } = KEYS;
    const child = spawn(
      process.execPath,
      ['dist/bench/counting-store.js', join(this.#directory, 'buckets'), accessKeyId, secretAccessKey, port],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    );
    this.#store = child;
    const [{ endpoint }] = (await once(child, 'message')) as [{ endpoint: string }];
    return endpoint;
  }

  /** Runs work and tells what it cost. */
  async cost(work: () => Promise<void>): Promise<Cost> {
    const pid = this.#daemon?.pid ?? 0;
    const requestsBefore = await this.#requests();
    const cpuBefore = cpuSeconds(pid);
    const driverBefore = process.cpuUsage();
    const beganMs = performance.now();
    const { peakMiB } = await withPeak(pid, work);
    const seconds = (performance.now() - beganMs) / 1000;
    const driver = process.cpuUsage(driverBefore);
    const daemonCpuSeconds = cpuSeconds(pid) - cpuBefore;
    const requestsAfter = await this.#requests();
    return {
      seconds,
      daemonCpuSeconds,
      driverCpuSeconds: (driver.user + driver.system) / 1e6,
      peakMiB,
      requests: requestsAfter && difference(requestsBefore ?? {}, requestsAfter),
    };
  }

  /** Ends the daemon and starts it anew on the same state. Clients must connect and mount again. */
  async restartDaemon(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    this.#disconnect();
    await end(this.#daemon, signal);
    await this.#startDaemon();
  }

  async close(): Promise<void> {
    this.#disconnect();
    await end(this.#daemon, 'SIGTERM');
    await end(this.#store, 'SIGKILL');
    await rm(this.#directory, { recursive: true, force: true });
  }

  get #port(): number {
    if (this.#report === undefined) throw new Error('the daemon is not ready');
    return this.#report.nfsPort;
  }

  #disconnect(): void {
    for (const client of this.#clients.splice(0)) client.close();
    for (const nfs of this.#nfs.splice(0)) void nfs.close();
  }

  async #startDaemon(): Promise<void> {
    const { endpoint, memoryLimit, nodeArguments = [], through } = this.#options;
    const url = (await through?.(this.#storeUrl)) ?? this.#storeUrl;
    const keys =
      endpoint === undefined || endpoint.takesAnyKeys === true
        ? { AWS_ACCESS_KEY_ID: KEYS.accessKeyId, AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey }
        : {};
    const child = spawn(
      process.execPath,
      [
        ...nodeArguments,
        'dist/src/main.js',
        'serve',
        `s3://${this.bucket}`,
        '--port=0',
        '--portmap=off',
        `--state-dir=${join(this.#directory, 'state')}`,
        '--log-level=warn',
        '--force-path-style',
        `--endpoint-url=${url}`,
        ...(memoryLimit === undefined ? [] : [`--memory-limit=${memoryLimit}`]),
      ],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { AWS_REGION: 'us-east-1', AWS_EC2_METADATA_DISABLED: 'true', ...process.env, ...keys },
      },
    );
    this.#daemon = child;
    this.#report = await new Promise<DaemonReport>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.startsWith('ready ')) resolve(JSON.parse(line.slice('ready '.length)) as DaemonReport);
      });
      child.once('exit', () => reject(new Error('the daemon ended before it was ready')));
    });
  }

  async #requests(): Promise<Record<string, number> | undefined> {
    if (this.#store === undefined || this.#store.exitCode !== null || this.#store.signalCode !== null)
      return undefined;
    this.#store.send('count');
    const [requests] = (await once(this.#store, 'message')) as [Record<string, number>];
    return requests;
  }
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

function difference(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after)
      .map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
      .filter(([, count]) => count > 0),
  );
}
