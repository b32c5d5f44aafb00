/** The built program as a child process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface Finished {
  readonly code: number | null;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
}

/** A run of `node dist/src/main.js`, with nothing of the caller's environment that could steer it. */
export class S3nfsdProcess {
  readonly #child: ChildProcess;
  readonly #stdout: string[] = [];
  readonly #stderr: string[] = [];
  readonly #ready: Promise<string>;
  readonly #finished: Promise<Finished>;

  /** `prefix` goes before the command line and becomes it by exec: `ip netns exec NAME`. */
  constructor(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    prefix: readonly string[] = [],
  ) {
    const [command = '', ...rest] = [...prefix, process.execPath, 'dist/src/main.js', ...args];
    const child = spawn(command, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      // No instance role is asked for: a test must not wait for a metadata service.
      env: { PATH: process.env['PATH'] ?? '', AWS_EC2_METADATA_DISABLED: 'true', ...env },
    });
    this.#child = child;
    const stdout = createInterface({ input: child.stdout });
    const stderr = createInterface({ input: child.stderr });
    stderr.on('line', (line) => this.#stderr.push(line));
    this.#ready = new Promise((resolve, reject) => {
      stdout.on('line', (line) => {
        this.#stdout.push(line);
        if (line.startsWith('ready ')) resolve(line.slice('ready '.length));
      });
      child.on('close', () => reject(new Error(`ended before it was ready: ${this.#stderr.join(' / ')}`)));
    });
    // Who doesn't ask for readiness learns of the end by `finished`.
    this.#ready.catch(() => undefined);
    this.#finished = once(child, 'close').then(([code]) => ({
      code: code as number | null,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
  }

  /** The object of the `ready` line. Rejects when the process ends without one. */
  async ready<T>(): Promise<T> {
    return JSON.parse(await this.#ready) as T;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it has written to standard error so far. */
  get stderr(): readonly string[] {
    return this.#stderr;
  }

  async finished(): Promise<Finished> {
    return await this.#finished;
  }

  async end(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL' = 'SIGTERM'): Promise<Finished> {
    this.#child.kill(signal);
    return await this.#finished;
  }
}
