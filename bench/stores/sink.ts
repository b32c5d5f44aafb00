/** The minimal store for writes (native/sink.c) as a process. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { program } from '../native.js';
import type { Store, StoreUse } from './store.js';

interface SinkStats {
  readonly requests: Readonly<Record<string, number>>;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly bytesCopied: number;
  readonly bytesCompared: number;
  readonly cpuSeconds: number;
  readonly wrong: string;
}

export class Sink implements Store {
  readonly url: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>, port: number) {
    this.#process = child;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(): Promise<Sink> {
    const child = spawn(await program('sink'), { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    return new Sink(child, Number(line.replace('port ', '')));
  }

  async use(): Promise<StoreUse> {
    const { requests, bytesIn, bytesOut, cpuSeconds } = await this.#stats();
    return { requests, bytes: bytesIn + bytesOut, cpuSeconds };
  }

  /** Bytes it was sent, sent itself, and copied inside, since its start. */
  async moved(): Promise<{ readonly in: number; readonly out: number; readonly copied: number }> {
    const { bytesIn, bytesOut, bytesCopied } = await this.#stats();
    return { in: bytesIn, out: bytesOut, copied: bytesCopied };
  }

  /** Compares the bytes of objects `NAME-SEED` with the pattern while `work` runs; fails unless all of at least `bytes` were right. */
  async checked<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    const before = await this.#stats();
    await fetch(`${this.url}/-/check`, { method: 'PUT', body: '' });
    const result = await work();
    await fetch(`${this.url}/-/trust`, { method: 'PUT', body: '' });
    const { wrong, bytesCompared } = await this.#stats();
    if (wrong !== '') throw new Error(`what the store was sent is wrong: ${wrong}`);
    const compared = bytesCompared - before.bytesCompared;
    if (compared < bytes) throw new Error(`the store was sent ${compared} of ${bytes} bytes`);
    return result;
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.stdin.end();
    await exited;
  }

  async #stats(): Promise<SinkStats> {
    const answer = await fetch(`${this.url}/-/stats`);
    return (await answer.json()) as SinkStats;
  }
}
