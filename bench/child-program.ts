/** A module of the benchmarks that runs as a process of its own: it sends one message when it is ready, and then one for each that it gets. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { cpuSeconds } from './usage.js';

export class ChildProgram {
  readonly #process: ChildProcess;
  /** The message that it sent when it was ready. */
  readonly ready: unknown;

  private constructor(child: ChildProcess, ready: unknown) {
    this.#process = child;
    this.ready = ready;
  }

  /** Resolves when it is ready. `module`: a compiled file of this directory. */
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

  /** Sends a message and resolves to the answer. */
  async ask(message: string | object): Promise<unknown> {
    this.#process.send(message);
    const [answer] = (await once(this.#process, 'message')) as [unknown];
    return answer;
  }

  /** User and system time since its start. */
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

/** Environment of a program with the SDK, which otherwise prints a warning about old versions of Node. */
export const SDK_ENVIRONMENT = { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' };
