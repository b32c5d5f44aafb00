/** LISTs one after another (lister.ts) as a process: the floors of listings. */
import { ChildProgram, SDK_ENVIRONMENT } from './child-program.js';
import type { Floor, Sample } from './measure.js';
import type { Store } from './stores/store.js';

export type ListedBy = 'sdk' | 'direct';

export class Lister {
  readonly #program: ChildProgram;

  private constructor(program: ChildProgram) {
    this.#program = program;
  }

  static async start(endpoint: string, by: ListedBy): Promise<Lister> {
    return new Lister(await ChildProgram.start('lister.js', [endpoint, by], SDK_ENVIRONMENT));
  }

  /** Lists the directory with this prefix. Rejects when a LIST fails. */
  async list(prefix: string): Promise<{ readonly lists: number; readonly entries: number }> {
    const told = (await this.#program.ask(prefix)) as { lists: number; entries: number; error?: string };
    if (told.error !== undefined) throw new Error(`LIST failed: ${told.error}`);
    return told;
  }

  cpuSeconds(): number {
    return this.#program.cpuSeconds();
  }

  async close(): Promise<void> {
    await this.#program.close();
  }
}

/** The floor of a listing: its LISTs and nothing else. The lister's CPU counts as the client's. */
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
