/** A daemon and its store, each a process of its own that can be killed and started again, with a relay between them. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import type { DaemonReport } from '../../src/cli/daemon.js';
import { BUCKET, CREDENTIALS } from '../end-to-end/fixture.js';
import { S3nfsdProcess } from '../support/s3nfsd-process.js';
import { BucketView } from './bucket-view.js';
import { Relay } from './relay.js';

export class Rig {
  readonly directory: string;
  readonly relay: Relay;
  readonly #args: readonly string[];
  #store: S3nfsdProcess | undefined;
  #storePort = 0;
  #daemon: S3nfsdProcess | undefined;
  #port = 0;
  #isClosed = false;
  /** What daemon and store told that no crash explains. */
  readonly defects: string[] = [];

  private constructor(directory: string, relay: Relay, args: readonly string[]) {
    this.directory = directory;
    this.relay = relay;
    this.#args = args;
  }

  /** A store with an empty bucket; no daemon yet. `args`: of `s3nfsd serve`. */
  static async start(args: readonly string[]): Promise<Rig> {
    const directory = mkdtempSync(join(tmpdir(), 's3nfsd-crash-'));
    const rig = new Rig(directory, await Relay.start(), args);
    try {
      await rig.startStore();
      return rig;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  get port(): number {
    return this.#port;
  }

  get daemonPid(): number {
    return this.#daemon?.pid ?? 0;
  }

  get #env(): Record<string, string> {
    return {
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      AWS_ENDPOINT_URL_S3: this.relay.endpoint,
      AWS_REGION: 'us-east-1',
      S3NFSD_PORTMAP: 'off',
      S3NFSD_PORT: '0',
      S3NFSD_STATE_DIR: join(this.directory, 'state'),
      S3NFSD_STORE_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      S3NFSD_STORE_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    };
  }

  async startStore(): Promise<void> {
    const args = ['store', '--dir', join(this.directory, 'buckets'), '--bucket', BUCKET, '--port', '0'];
    this.#store = new S3nfsdProcess(args, this.#env);
    const { endpoint } = await this.#store.ready<{ readonly endpoint: string }>();
    this.#storePort = Number(new URL(endpoint).port);
    this.relay.leadTo(this.#storePort);
  }

  /** The daemon, until it serves. Rejects when it ends before, as when it is killed. */
  async startDaemon(): Promise<void> {
    this.#daemon = new S3nfsdProcess(['serve', `s3://${BUCKET}`, ...this.#args], this.#env);
    const report = await this.#daemon.ready<DaemonReport>();
    this.#port = report.nfsPort;
  }

  /** At this very moment; `daemonEnded` and `storeEnded` wait for the end. */
  kill(who: 'daemon' | 'store'): void {
    const child = who === 'daemon' ? this.#daemon : this.#store;
    if (who === 'store') this.relay.leadTo(undefined);
    if (child !== undefined) process.kill(child.pid, 'SIGKILL');
  }

  async ended(who: 'daemon' | 'store'): Promise<void> {
    const child = who === 'daemon' ? this.#daemon : this.#store;
    if (child === undefined) return;
    const { stderr } = await child.finished();
    this.#defectsOf(who, stderr);
    if (who === 'daemon') this.#daemon = undefined;
    else this.#store = undefined;
  }

  /** Ends the daemon as an administrator does. */
  async drain(): Promise<void> {
    const child = this.#daemon;
    this.#daemon = undefined;
    if (child === undefined) return;
    const { code, stderr } = await child.end('SIGTERM');
    this.#defectsOf('daemon', stderr);
    if (code !== 0) this.defects.push(`the daemon ended with ${code} after SIGTERM`);
  }

  /** The bucket as another S3 user sees it, without the relay. The caller closes it. */
  bucket(): BucketView {
    const client = new S3Client({
      endpoint: `http://127.0.0.1:${this.#storePort}`,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: CREDENTIALS,
    });
    return new BucketView(client, BUCKET);
  }

  /** Names of the files in the daemon's spool. */
  spooled(): string[] {
    try {
      return readdirSync(join(this.directory, 'state', 'spool'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const child of [this.#daemon, this.#store]) await child?.end('SIGKILL');
    await this.relay.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Errors that are logged, and what is no log line at all. */
  #defectsOf(who: string, stderr: readonly string[]): void {
    for (const line of stderr)
      if (!line.startsWith('{') || /"level":(50|60)/.test(line)) this.defects.push(`${who}: ${line}`);
  }
}
