/**
 * Connections to the endpoints of one store, kept for the next request. How many there are is bounded by the requests in flight
 * (requests.ts): a request waits for its slot there and never here.
 */
import { isIP } from 'node:net';
import type { ResolvedOptions } from '../options.js';
import { Addresses } from './addresses.js';
import type { AnswerHead } from './answer-parser.js';
import { Connection, type ExchangeHandler, type ExchangeRequest, reset } from './connection.js';
import { ReadTurns } from './read-turns.js';

/** S3 closes connections after some 20 s without a request, many servers after 5 s or more. */
const REST_MS = 15_000;
/**
 * A connection that was open for so long isn't used for another request: S3's addresses change all the time, and connections that are never idle would stay
 * with those of the start. Up to a quarter less, so that they don't all end at once.
 */
const LIFE_MS = 300_000;
/** Room for what a socket holds: fewer, larger reads. One for all connections. */
const SCRATCH_BYTES = 256 * 1024;
/** Addresses tried for one connection. */
const ADDRESSES_TRIED = 2;

export interface PoolOptions {
  readonly connectMs: number;
  /** PEM certificates to trust in place of the built-in ones. */
  readonly certificateAuthorities?: ResolvedOptions['certificateAuthorities'];
  readonly addresses?: Addresses;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

export class ConnectionPool {
  readonly #options: PoolOptions;
  readonly #addresses: Addresses;
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** By origin, the one used last at the end. */
  readonly #resting = new Map<string, Connection[]>();
  /** Until when each may be used for another request. */
  readonly #all = new Map<Connection, number>();
  readonly #now: () => number;
  /** By origin: the TLS session to resume. */
  readonly #sessions = new Map<string, Buffer>();
  readonly #turns = new ReadTurns();
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#addresses = options.addresses ?? new Addresses();
    this.#now = options.now ?? (() => performance.now());
  }

  /**
   * One request and its answer over a kept or a new connection; errors as Connection's. `repeatable` requests are sent once more,
   * over a new connection, when a kept one turns out to have been closed by the other side.
   */
  async exchange(
    origin: URL,
    request: ExchangeRequest,
    handler: ExchangeHandler,
    repeatable: boolean,
  ): Promise<void> {
    this.#check(request.signal);
    const kept = this.#takeResting(origin.origin);
    if (kept !== undefined) {
      try {
        await this.#over(kept, origin, request, handler);
        return;
      } catch (error) {
        if (!repeatable || !kept.unheard || request.signal.aborted || isTimeout(error)) throw error;
      }
    }
    await this.#over(await this.#open(origin, request.signal), origin, request, handler);
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#all.keys()) connection.destroy();
  }

  /** Fails where nothing is to begin any more. */
  #check(signal: AbortSignal): void {
    if (signal.aborted) throw new Error('cut off');
    if (this.#closed) throw reset('the connections are closed');
  }

  async #over(
    connection: Connection,
    origin: URL,
    request: ExchangeRequest,
    handler: ExchangeHandler,
  ): Promise<void> {
    const head = await connection.exchange(request, handler);
    if (!connection.reusable) return;
    const restMs = Math.min(REST_MS, restAllowed(head));
    const isOld = this.#now() >= (this.#all.get(connection) ?? 0);
    if (this.#closed || restMs <= 0 || isOld) connection.destroy();
    else this.#rest(connection, origin.origin, restMs);
  }

  #takeResting(origin: string): Connection | undefined {
    const resting = this.#resting.get(origin);
    for (let connection = resting?.pop(); connection !== undefined; connection = resting?.pop())
      if (connection.reusable) return connection;
    return undefined;
  }

  #rest(connection: Connection, origin: string, ms: number): void {
    const resting = this.#resting.get(origin);
    if (resting === undefined) this.#resting.set(origin, [connection]);
    else resting.push(connection);
    connection.rest(ms);
  }

  async #open(origin: URL, signal: AbortSignal): Promise<Connection> {
    const host = origin.hostname.replace(/^\[|\]$/g, '');
    const secure = origin.protocol === 'https:';
    const port = Number(origin.port === '' ? (secure ? 443 : 80) : origin.port);
    for (let tried = 1; ; tried++) {
      const address = await this.#addresses.next(host);
      this.#check(signal);
      const tls = {
        serverName: isIP(host) === 0 ? host : undefined,
        ca: this.#options.certificateAuthorities,
        session: this.#sessions.get(origin.origin),
      };
      try {
        const connection = await Connection.open(
          { address, port, ...(secure ? { tls } : {}) },
          {
            scratch: this.#scratch,
            timeoutMs: this.#options.connectMs,
            signal,
            onSession: (session) => this.#sessions.set(origin.origin, session),
            turns: this.#turns,
          },
        );
        return this.#register(connection, origin.origin);
      } catch (error) {
        if (signal.aborted || this.#closed) throw error;
        this.#sessions.delete(origin.origin);
        this.#addresses.leaveAside(address);
        if (tried >= ADDRESSES_TRIED || isIP(host) !== 0) throw error;
      }
    }
  }

  #register(connection: Connection, origin: string): Connection {
    this.#all.set(connection, this.#now() + LIFE_MS * (1 - Math.random() / 4));
    connection.onClose(() => {
      this.#all.delete(connection);
      const resting = this.#resting.get(origin);
      const at = resting?.indexOf(connection) ?? -1;
      if (at !== -1) resting?.splice(at, 1);
    });
    if (this.#closed) connection.destroy();
    return connection;
  }
}

/** `Keep-Alive: timeout=5` (RFC 2068 19.7.1): a second less, so that the two sides don't meet. */
function restAllowed(head: AnswerHead): number {
  const keepAlive = head.headers.get('keep-alive');
  if (keepAlive === undefined) return Infinity;
  const seconds = /(?:^|[\s,])timeout=(\d{1,6})/i.exec(keepAlive)?.[1];
  return seconds === undefined ? Infinity : (Number(seconds) - 1) * 1000;
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ETIMEDOUT';
}
