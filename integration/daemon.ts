/** The built store and daemon as processes, in a network of a test's own or on the loopback of this machine. */
import { join } from 'node:path';
import type { DaemonReport } from '../src/cli/daemon.js';
import type { RunningStore } from '../src/cli/embedded-store.js';
import { S3nfsdProcess } from '../test/support/s3nfsd-process.js';
import type { Network } from './network.js';

export const BUCKET = 'bucket';

/** The same keys for every store, so that a daemon in a guest can be given them before it starts. */
export const KEYS = {
  accessKeyId: 'S3NFSDINTEGRATION000',
  secretAccessKey: 'integration-integration-integration-0000',
};

/** What makes a daemon find the store. */
export function storeEnvironment(endpoint: string): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}

/** The embedded S3 server with one empty bucket, reachable by every address of its network. */
export class StoreProcess {
  readonly port: number;
  readonly #child: S3nfsdProcess;

  private constructor(child: S3nfsdProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(directory: string, network?: Network): Promise<StoreProcess> {
    const host = network === undefined ? '127.0.0.1' : '0.0.0.0';
    const child = new S3nfsdProcess(
      ['store', '--dir', directory, '--listen', host, '--port', '0', '--bucket', BUCKET],
      { S3NFSD_STORE_ACCESS_KEY_ID: KEYS.accessKeyId, S3NFSD_STORE_SECRET_ACCESS_KEY: KEYS.secretAccessKey },
      network?.prefix,
    );
    const { endpoint } = await child.ready<RunningStore['report']>();
    return new StoreProcess(child, Number(new URL(endpoint).port));
  }

  async stop(): Promise<void> {
    await this.#child.end('SIGKILL');
  }
}

export interface DaemonSettings {
  /** URL of the store, as the daemon sees it. */
  readonly endpoint: string;
  readonly stateDirectory: string;
  /** Where it runs. Default: on this machine. */
  readonly network?: Pick<Network, 'prefix'> | undefined;
  /** Options of `serve` besides. */
  readonly options?: readonly string[];
}

/** A daemon that serves the bucket, and can be ended and started again on the same port with the same state. */
export class DaemonProcess {
  readonly #settings: DaemonSettings;
  #child: S3nfsdProcess | undefined;
  #report: DaemonReport | undefined;

  private constructor(settings: DaemonSettings) {
    this.#settings = settings;
  }

  static async start(settings: DaemonSettings): Promise<DaemonProcess> {
    const daemon = new DaemonProcess(settings);
    await daemon.start();
    return daemon;
  }

  get report(): DaemonReport {
    if (this.#report === undefined) throw new Error('the daemon has not been started');
    return this.#report;
  }

  get stderr(): readonly string[] {
    return this.#child?.stderr ?? [];
  }

  /** On the port of the last time, if there was one. */
  async start(): Promise<void> {
    const { endpoint, stateDirectory, network, options = [] } = this.#settings;
    const child = new S3nfsdProcess(
      [
        'serve',
        `s3://${BUCKET}`,
        '--port',
        String(this.#report?.nfsPort ?? 0),
        '--portmap',
        'off',
        ...options,
      ],
      { ...storeEnvironment(endpoint), S3NFSD_STATE_DIR: stateDirectory },
      network?.prefix,
    );
    this.#child = child;
    this.#report = await child.ready<DaemonReport>();
  }

  /** SIGTERM. Fails unless the daemon drains and exits with 0. */
  async stop(): Promise<void> {
    const finished = await this.#child?.end('SIGTERM');
    if (finished !== undefined && finished.code !== 0) {
      throw new Error(`the daemon ended with code ${finished.code}: ${finished.stderr.join('\n')}`);
    }
  }

  /** SIGKILL: what a crash leaves. */
  async kill(): Promise<void> {
    await this.#child?.end('SIGKILL');
  }
}

/** Where a test's store and daemon keep their files. */
export function directoriesIn(directory: string): { readonly buckets: string; readonly state: string } {
  return { buckets: join(directory, 'buckets'), state: join(directory, 'state') };
}
