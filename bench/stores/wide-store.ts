/** A store of large directories (wide-store-server.ts) as a process. */
import { ChildProgram } from '../child-program.js';
import type { Store, StoreUse } from './store.js';

export class WideStore implements Store {
  readonly url: string;
  readonly #program: ChildProgram;

  private constructor(program: ChildProgram, url: string) {
    this.#program = program;
    this.url = url;
  }

  /** A bucket with these directories (wide-names.ts); each LIST waits for so many milliseconds. */
  static async start(directories: readonly string[], listMs = 0): Promise<WideStore> {
    const program = await ChildProgram.start('wide-store-server.js', [String(listMs), ...directories]);
    return new WideStore(program, (program.ready as { endpoint: string }).endpoint);
  }

  async use(): Promise<StoreUse> {
    const requests = (await this.#program.ask('count')) as Record<string, number>;
    return { requests, bytes: 0, cpuSeconds: this.#program.cpuSeconds() };
  }

  async close(): Promise<void> {
    await this.#program.close();
  }
}
