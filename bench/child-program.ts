/** A module of the benchmarks that runs as a process of its own: it tells once that it is ready, and then answers one message with one. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { cpuSeconds } from './usage.js';

export class ChildProgram {
  readonly #process: ChildProcess;
  /** What it told once it was ready. */
  readonly ready: unknown;

  private constructor(child: ChildProcess, ready: unknown) {
    this.#process = child;
    this.ready = ready;
  }

  /** `module`: a file of this directory, compiled. */
  static async start(
    module: string,
    programArguments: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<ChildProgram> {
    const child = fork(join(import.meta.dirname, module), programArguments, {
      env: { ...process.env, ...environment },
    });
    const [ready] = (await once(child, 'message')) as [unknown];
    return new ChildProgram(child, ready);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async ask(message: string | object): Promise<unknown> {
    this.#process.send(message);
    const [answer] = (await once(this.#process, 'message')) as [unknown];
    return answer;
  }

  /** User and kernel, since its start. */
  cpuSeconds(): number {
    return cpuSeconds(this.pid);
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.disconnect();
    await exited;
  }
}

/** Environment of a program with the SDK, which otherwise tells what it thinks of this Node. */
export const SDK_ENVIRONMENT = { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' };
