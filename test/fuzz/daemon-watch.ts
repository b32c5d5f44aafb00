/** A process seen from outside: its memory, its descriptors, its connections; and a client that must always be answered. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { NfsClient } from '../support/nfs-client.js';
import { anonymousKiB } from '../support/process-memory.js';

export const memoryKiB = anonymousKiB;

export const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** States of /proc/net/tcp that are no connection (any more). */
const LISTEN = '0A';
const TIME_WAIT = '06';

/** Connections that the server's side of `ports` at `host` (IPv4) still has. */
export function openConnections(host: string, ports: readonly number[]): number {
  const hex = host.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  const address = hex.reverse().join('').toUpperCase();
  const locals = new Set(
    ports.map((port) => `${address}:${port.toString(16).padStart(4, '0').toUpperCase()}`),
  );
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state = '']) => locals.has(local) && state !== LISTEN && state !== TIME_WAIT)
    .length;
}

/** Calls a client makes all the time; each must be answered within `hangMs`. */
export class Canary {
  readonly #nfs: NfsClient;
  readonly #root: Buffer;
  readonly #hangMs: number;
  readonly #ends = new AbortController();
  #running: Promise<void> | undefined;
  calls = 0;
  slowestMs = 0;
  fault: string | undefined;

  constructor(nfs: NfsClient, root: Buffer, hangMs: number) {
    this.#nfs = nfs;
    this.#root = root;
    this.#hangMs = hangMs;
  }

  start(): void {
    this.#running = this.#sing();
  }

  async stop(): Promise<void> {
    this.#ends.abort();
    await this.#running;
  }

  async #sing(): Promise<void> {
    const { signal } = this.#ends;
    while (!signal.aborted && this.fault === undefined) {
      const startedMs = performance.now();
      const answered = new AbortController();
      const late = delay(this.#hangMs, 'late' as const, { signal: answered.signal }).catch(
        () => 'over' as const,
      );
      const outcome = await Promise.race([this.#twoCalls(), late]);
      answered.abort();
      if (outcome === 'late') this.fault = `NULL or GETATTR was not answered within ${this.#hangMs} ms`;
      if (outcome instanceof Error) this.fault = `NULL or GETATTR failed: ${outcome.message}`;
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startedMs);
      this.calls += 2;
      await delay(20, undefined, { signal }).catch(() => undefined);
    }
  }

  async #twoCalls(): Promise<'answered' | Error> {
    try {
      await this.#nfs.ping();
      const { type } = await this.#nfs.getattr(this.#root);
      return type === 'NF3DIR' ? 'answered' : new Error(`the root is ${type}`);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }
}
