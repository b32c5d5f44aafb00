/** Another store, far away: behind a proxy that waits and lets each connection have only so much (native/far.c). */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { parseDuration } from '../../config/quantities.js';
import { parseSpeed } from '../../config/shaping.js';
import { program } from '../native.js';
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
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;

  private constructor(near: Store, child: ChildProcessByStdio<Writable, Readable, null>, port: number) {
    this.#near = near;
    this.#process = child;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(near: Store, { wait, speed }: Distance): Promise<FarStore> {
    const [waitMs, bytesPerSecond] = [parseDuration(wait), speed === undefined ? 0 : parseSpeed(speed)];
    if (waitMs === undefined || bytesPerSecond === undefined)
      throw new Error(`no distance: ${wait} ${speed}`);
    const { port } = new URL(near.url);
    const child = spawn(await program('far'), [port, String(waitMs * 1000), String(bytesPerSecond)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    return new FarStore(near, child, Number(line.replace('port ', '')));
  }

  /** Of the store behind: what the proxy costs is no part of it. */
  use(): Promise<StoreUse> {
    return this.#near.use();
  }

  /** The proxy alone: the store behind is ended by who started it. */
  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.stdin.end();
    await exited;
  }
}
