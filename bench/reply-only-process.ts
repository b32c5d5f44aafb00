/** A server that does nothing but answer READs (reply-only.ts), as a process: the floor of what memory answers. */
import { ChildProgram } from './child-program.js';
import type { MeasuredServer } from './server.js';

export class ReplyOnly implements MeasuredServer {
  readonly port: number;
  readonly #program: ChildProgram;

  private constructor(program: ChildProgram, port: number) {
    this.#program = program;
    this.port = port;
  }

  /** Serves one file of so many bytes, the pattern of `seed`. */
  static async start(seed: number, bytes: number): Promise<ReplyOnly> {
    const program = await ChildProgram.start('reply-only.js', [String(seed), String(bytes)]);
    return new ReplyOnly(program, (program.ready as { port: number }).port);
  }

  get pid(): number {
    return this.#program.pid;
  }

  cpuSeconds(): number {
    return this.#program.cpuSeconds();
  }

  async close(): Promise<void> {
    await this.#program.close();
  }
}
