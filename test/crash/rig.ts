/** A daemon and its store, each a process of its own that can be killed and started again, with a relay between them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { BUCKET, CREDENTIALS } from '../end-to-end/fixture.js';
import { S3nfsdProcess } from '../support/s3nfsd-process.js';
import { BucketView } from './bucket-view.js';
import { LocalMachine, type Machine } from './machine.js';
import { Relay } from './relay.js';

/** Brings another machine for the daemon than this one. */
export interface Elsewhere {
  /** Where the relay listens. */
  readonly relayHost: string;
  readonly machine: (relayPort: number) => Promise<Machine>;
  /** How much longer than here a trial takes. */
  readonly slowness: number;
}

export class Rig {
  readonly directory: string;
  readonly relay: Relay;
  readonly #args: readonly string[];
  readonly #machine: Machine;
  #store: S3nfsdProcess | undefined;
  #storePort = 0;
  #isClosed = false;
  /** What daemon and store told that no crash explains. */
  readonly defects: string[] = [];

  private constructor(directory: string, relay: Relay, machine: Machine, args: readonly string[]) {
    this.directory = directory;
    this.relay = relay;
    this.#machine = machine;
    this.#args = args;
  }

  /** A store with an empty bucket; no daemon yet. `args`: of `s3nfsd serve`. */
  static async start(args: readonly string[], elsewhere?: Elsewhere): Promise<Rig> {
    const directory = mkdtempSync(join(tmpdir(), 's3nfsd-crash-'));
    const relay = await Relay.start(elsewhere?.relayHost);
    const machine =
      (await elsewhere?.machine(relay.port)) ?? new LocalMachine(`http://127.0.0.1:${relay.port}`, directory);
    const rig = new Rig(directory, relay, machine, args);
    try {
      await rig.startStore();
      return rig;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  /** Where clients find the daemon. */
  get address(): { readonly host: string; readonly port: number } {
    const { host, port } = this.#machine;
    return { host, port };
  }

  async startStore(): Promise<void> {
    const args = ['store', '--dir', join(this.directory, 'buckets'), '--bucket', BUCKET, '--port', '0'];
    this.#store = new S3nfsdProcess(args, {
      S3NFSD_STORE_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      S3NFSD_STORE_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    });
    const { endpoint } = await this.#store.ready<{ readonly endpoint: string }>();
    this.#storePort = Number(new URL(endpoint).port);
    this.relay.leadTo(this.#storePort);
  }

  /** The daemon, until it serves. Rejects when it ends before, as when it is killed. */
  async startDaemon(): Promise<void> {
    await this.#machine.start([`s3://${BUCKET}`, ...this.#args], {
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      AWS_ENDPOINT_URL_S3: this.#machine.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_EC2_METADATA_DISABLED: 'true',
    });
  }

  /** At this very moment; `daemonEnded` and `storeEnded` wait for the end. */
  kill(who: 'daemon' | 'store'): void {
    if (who === 'daemon') {
      this.#machine.cut();
      return;
    }
    this.relay.leadTo(undefined);
    if (this.#store !== undefined) process.kill(this.#store.pid, 'SIGKILL');
  }

  async ended(who: 'daemon' | 'store'): Promise<void> {
    if (who === 'daemon') {
      this.#defectsOf(who, await this.#machine.off());
      return;
    }
    const store = this.#store;
    this.#store = undefined;
    if (store !== undefined) this.#defectsOf(who, (await store.finished()).stderr);
  }

  /** Ends the daemon as an administrator does. */
  async drain(): Promise<void> {
    const code = await this.#machine.drain();
    this.#defectsOf('daemon', await this.#machine.off());
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
  async spooled(): Promise<readonly string[]> {
    return await this.#machine.spooled();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#machine.close();
    await this.#store?.end('SIGKILL');
    await this.relay.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Errors that are logged, and what is no log line at all. */
  #defectsOf(who: string, stderr: readonly string[]): void {
    for (const line of stderr)
      if (!line.startsWith('{') || /"level":(50|60)/.test(line)) this.defects.push(`${who}: ${line}`);
  }
}
