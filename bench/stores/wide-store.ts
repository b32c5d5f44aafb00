/** A store of large directories (wide-store-process.ts) as a process. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { cpuSeconds } from '../usage.js';
import type { Store, StoreUse } from './store.js';

export class WideStore implements Store {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#process = child;
    this.url = url;
  }

  /** A bucket with these directories (wide-names.ts); each LIST waits for so many milliseconds. */
  static async start(directories: readonly string[], listMs = 0): Promise<WideStore> {
    const child = fork(join(import.meta.dirname, '../wide-store-process.js'), [
      String(listMs),
      ...directories,
    ]);
    const [{ endpoint }] = (await once(child, 'message')) as [{ endpoint: string }];
    return new WideStore(child, endpoint);
  }

  async use(): Promise<StoreUse> {
    this.#process.send('count');
    const [requests] = (await once(this.#process, 'message')) as [Record<string, number>];
    return { requests, bytes: 0, cpuSeconds: cpuSeconds(this.#process.pid ?? 0) };
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.disconnect();
    await exited;
  }
}
