/** The relay (sdk-relay.ts) as a process. */
import { ChildProgram, SDK_ENVIRONMENT } from './child-program.js';

export class SdkRelay {
  readonly port: number;
  readonly #program: ChildProgram;

  private constructor(program: ChildProgram, port: number) {
    this.#program = program;
    this.port = port;
  }

  static async start(endpoint: string): Promise<SdkRelay> {
    const program = await ChildProgram.start('sdk-relay.js', [endpoint], SDK_ENVIRONMENT);
    return new SdkRelay(program, (program.ready as { port: number }).port);
  }

  cpuSeconds(): number {
    return this.#program.cpuSeconds();
  }

  async close(): Promise<void> {
    await this.#program.close();
  }
}
