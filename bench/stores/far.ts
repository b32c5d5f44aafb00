/** Another store, far away: behind a proxy that waits and lets each connection have only so much (far-proxy.ts). */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Store, StoreUse } from './store.js';

export interface Distance {
  /** To an answer's first byte, such as 30ms. */
  readonly wait: string;
  /** Of each connection, such as 8MB/s; without, as fast as the proxy is. */
  readonly speed?: string;
}

export class FarStore implements Store {
  readonly url: string;
  readonly #near: Store;
  readonly #process: ChildProcess;

  private constructor(near: Store, child: ChildProcess, url: string) {
    this.#near = near;
    this.#process = child;
    this.url = url;
  }

  static async start(near: Store, { wait, speed }: Distance): Promise<FarStore> {
    const child = fork(join(import.meta.dirname, '../far-proxy.js'), [near.url, wait, speed ?? '']);
    const [{ endpoint }] = (await once(child, 'message')) as [{ endpoint: string }];
    return new FarStore(near, child, endpoint);
  }

  /** Of the store behind: what the proxy costs is no part of it. */
  use(): Promise<StoreUse> {
    return this.#near.use();
  }

  /** The proxy alone: the store behind is ended by who started it. */
  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.disconnect();
    await exited;
  }
}
