/** A server that does nothing but answer READs (reply-only.ts), as a process: the floor of what memory answers. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { MeasuredServer } from './server.js';
import { cpuSeconds } from './usage.js';

export class ReplyOnly implements MeasuredServer {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#process = child;
    this.port = port;
  }

  /** Serves one file of so many bytes, the pattern of `seed`. */
  static async start(seed: number, bytes: number): Promise<ReplyOnly> {
    const child = fork(join(import.meta.dirname, 'reply-only.js'), [String(seed), String(bytes)]);
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    return new ReplyOnly(child, port);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

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
