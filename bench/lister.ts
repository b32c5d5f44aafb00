/** LISTs one after another (lister-process.ts) as a process: the floors of listings. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Floor, Sample } from './measure.js';
import type { Store } from './stores/store.js';
import { cpuSeconds } from './usage.js';

export type ListedBy = 'sdk' | 'direct';

export class Lister {
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  static async start(endpoint: string, by: ListedBy): Promise<Lister> {
    const child = fork(join(import.meta.dirname, 'lister-process.js'), [endpoint, by], {
      env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    });
    await once(child, 'message');
    return new Lister(child);
  }

  /** Lists all below the prefix, to the first slash behind it. Fails when a LIST fails. */
  async list(prefix: string): Promise<{ readonly lists: number; readonly entries: number }> {
    this.#process.send(prefix);
    const [told] = (await once(this.#process, 'message')) as [
      { lists: number; entries: number; error?: string },
    ];
    if (told.error !== undefined) throw new Error(`LIST failed: ${told.error}`);
    return told;
  }

  cpuSeconds(): number {
    return cpuSeconds(this.#process.pid ?? 0);
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.disconnect();
    await exited;
  }
}

/** A floor of the LISTs alone; the lister's CPU stands as the client's. */
export function listerFloor(
  lister: Lister,
  store: Store,
  about: string,
  prefixOf: (round: number) => string,
): Floor {
  return {
    about: `${about}, one LIST after another`,
    run: async (round): Promise<Sample> => {
      const before = await store.use();
      const cpuBefore = lister.cpuSeconds();
      const beganMs = performance.now();
      const { entries } = await lister.list(prefixOf(round));
      const seconds = (performance.now() - beganMs) / 1000;
      const clientCpu = lister.cpuSeconds() - cpuBefore;
      const after = await store.use();
      return { units: entries, seconds, storeCpu: after.cpuSeconds - before.cpuSeconds, clientCpu };
    },
  };
}
