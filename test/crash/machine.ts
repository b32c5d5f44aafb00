/** Where the daemon runs: here, as a process that is killed, or on a machine whose power is cut (integration/power-machine.ts). */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DaemonReport } from '../../src/cli/daemon.js';
import { S3nfsdProcess } from '../support/s3nfsd-process.js';

export interface Machine {
  /** Where clients find the daemon, once it has started. */
  readonly host: string;
  readonly port: number;
  /** URL of the store, for the daemon. */
  readonly endpoint: string;
  /** `args` of `s3nfsd serve`. Resolves when the daemon serves; rejects when it ends before, as when the machine dies. */
  start(args: readonly string[], env: Readonly<Record<string, string>>): Promise<void>;
  /** Dies at this very moment. */
  cut(): void;
  /** Resolves when it is dead, to the lines that the daemon told. */
  off(): Promise<readonly string[]>;
  /** Ends the daemon as an administrator does; its exit code. `off` still follows. */
  drain(): Promise<number | null>;
  /** Names of the files in the daemon's spool. */
  spooled(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** The daemon as a child of this process. */
export class LocalMachine implements Machine {
  readonly host = '127.0.0.1';
  readonly endpoint: string;
  readonly #state: string;
  #child: S3nfsdProcess | undefined;
  #port = 0;

  constructor(endpoint: string, directory: string) {
    this.endpoint = endpoint;
    this.#state = join(directory, 'state');
  }

  get port(): number {
    return this.#port;
  }

  async start(args: readonly string[], env: Readonly<Record<string, string>>): Promise<void> {
    this.#child = new S3nfsdProcess(['serve', ...args], {
      ...env,
      S3NFSD_PORTMAP: 'off',
      S3NFSD_PORT: '0',
      S3NFSD_STATE_DIR: this.#state,
    });
    this.#port = (await this.#child.ready<DaemonReport>()).nfsPort;
  }

  cut(): void {
    if (this.#child !== undefined) process.kill(this.#child.pid, 'SIGKILL');
  }

  async off(): Promise<readonly string[]> {
    const child = this.#child;
    this.#child = undefined;
    return (await child?.finished())?.stderr ?? [];
  }

  async drain(): Promise<number | null> {
    return (await this.#child?.end('SIGTERM'))?.code ?? null;
  }

  async spooled(): Promise<readonly string[]> {
    try {
      return readdirSync(join(this.#state, 'spool'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#child?.end('SIGKILL');
  }
}
