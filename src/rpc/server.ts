/**
 * The RPC server: listens by TCP and UDP, gives each connection to a Connection and each program to its handlers, keeps the
 * bounds over all of them, and ends them in order.
 */
import { lookup } from 'node:dns/promises';
import { setMaxListeners } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Logger } from '../telemetry/log.js';
import { plainAddress } from './address.js';
import { Connection } from './connection.js';
import { Dispatcher, type CallEvent } from './dispatcher.js';
import { DEFAULT_RPC_LIMITS, type RpcLimits } from './limits.js';
import { Load } from './load.js';
import { RecordBuffers } from './record-buffers.js';
import { ReplyCache } from './reply-cache.js';
import type { Service } from './service.js';
import { UdpEndpoint } from './udp.js';

export interface RpcServerOptions {
  readonly services: readonly Service[];
  readonly log: Logger;
  /** Overrides DEFAULT_RPC_LIMITS. */
  readonly limits?: Partial<RpcLimits>;
  /** Asked with the numeric address of each new connection and datagram; false closes or drops it. */
  readonly allow?: (remoteAddress: string) => boolean;
  /** Told of each executed call. Must not throw. */
  readonly onCall?: (event: CallEvent) => void;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Also by UDP, on the same port. */
  readonly udp: boolean;
  /** What is served here; all services of the server unless given. */
  readonly services?: readonly Service[];
}

/** What the server holds at this moment. */
export interface RpcServerStats {
  readonly connections: number;
  readonly calls: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly cachedReplies: number;
  /** Retransmissions answered without a second execution, since the start. */
  readonly duplicates: number;
}

/** Attempts to find a port that is free for TCP and UDP. */
const ANY_PORT_ATTEMPTS = 8;

/** How often time limits are looked at: often enough for the shortest of them, never more often than this. */
const SWEEP_MS_MIN = 10;
const SWEEP_MS_MAX = 1000;

/** As much as libuv itself would read at a time. */
const SCRATCH_BYTES = 64 * 1024;

/** Connections that wait for accept(2); what nfsd uses, too. */
const BACKLOG = 64;

export class RpcServer {
  readonly #options: RpcServerOptions;
  readonly #limits: RpcLimits;
  readonly #load: Load;
  readonly #buffers: RecordBuffers;
  readonly #replyCache: ReplyCache;
  readonly #shutdown = new AbortController();
  readonly #connections = new Set<Connection>();
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  readonly #listeners: Server[] = [];
  readonly #endpoints: UdpEndpoint[] = [];
  #sweep: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: RpcServerOptions) {
    this.#options = options;
    const limits = { ...DEFAULT_RPC_LIMITS, ...options.limits };
    this.#limits = limits;
    this.#load = new Load(limits.requestBytesMax);
    // One may wait for memory while another is read.
    const buffers = Math.max(2, Math.floor(limits.requestBytesMax / limits.recordBytesMax));
    this.#buffers = new RecordBuffers(limits.recordBytesMax, buffers);
    this.#replyCache = new ReplyCache({
      replies: {
        bytesMax: limits.replyCacheBytesMax,
        entriesMax: limits.replyCacheEntriesMax,
        ageMs: limits.replyCacheAgeMs,
      },
      bulkReplies: {
        bytesMax: limits.bulkReplyCacheBytesMax,
        entriesMax: limits.bulkReplyCacheEntriesMax,
        ageMs: limits.replyCacheAgeMs,
      },
    });
    setMaxListeners(0, this.#shutdown.signal);
  }

  get stats(): RpcServerStats {
    return {
      connections: this.#connections.size,
      calls: this.#load.calls,
      requestBytes: this.#load.requestBytes,
      replyBytes: this.#load.replyBytes,
      cachedReplies: this.#replyCache.size,
      duplicates: this.#replyCache.duplicates,
    };
  }

  /** Listens on one more address. Resolves to where; rejects with the system's error (EADDRINUSE, EACCES, ...). */
  async listen(options: ListenOptions): Promise<{ host: string; port: number }> {
    if (this.#closing !== undefined) throw new Error('the server is closed');
    const dispatcher = new Dispatcher({
      services: options.services ?? this.#options.services,
      replyCache: this.#replyCache,
      shutdown: this.#shutdown.signal,
      log: this.#options.log,
      onCall: this.#options.onCall,
    });
    const { address } = await lookup(options.host);
    const attempts = options.port === 0 && options.udp ? ANY_PORT_ATTEMPTS : 1;
    for (let attempt = 1; ; attempt++) {
      const listener = await this.#listenTcp(address, options.port, dispatcher);
      const { port } = listener.address() as AddressInfo;
      try {
        if (options.udp) this.#endpoints.push(await this.#bindUdp(address, port, dispatcher));
      } catch (error) {
        await closed(listener);
        if (attempt < attempts && isAddressInUse(error)) continue;
        throw error;
      }
      this.#listeners.push(listener);
      this.#startSweep();
      return { host: address, port };
    }
  }

  /**
   * Stops listening and reading, answers the calls that run, ends the connections; cuts what is left after `drainMs`
   * milliseconds. Always resolves.
   */
  async close(drainMs: number): Promise<void> {
    this.#closing ??= this.#close(drainMs);
    await this.#closing;
  }

  async #close(drainMs: number): Promise<void> {
    const connectionsClosed = [...this.#connections].map((connection) => connection.closed);
    const allClosed = [...this.#listeners.map((listener) => closed(listener)), ...connectionsClosed];
    for (const endpoint of this.#endpoints) endpoint.drain();
    for (const connection of this.#connections) connection.drain();
    const drained = Promise.all([...allClosed, this.#load.whenIdle()]);
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainMs);
    });
    await Promise.race([drained, deadline]);
    clearTimeout(timer);
    clearInterval(this.#sweep);
    this.#shutdown.abort();
    for (const connection of this.#connections) connection.destroy();
    await Promise.all([...allClosed, ...this.#endpoints.map((endpoint) => endpoint.close())]);
  }

  async #listenTcp(host: string, port: number, dispatcher: Dispatcher): Promise<Server> {
    const listener = createServer({ noDelay: true, keepAlive: true, pauseOnConnect: true }, (socket) =>
      this.#accept(socket, dispatcher),
    );
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen({ host, port, backlog: BACKLOG }, () => {
        listener.off('error', reject);
        resolve();
      });
    });
    listener.on('error', (error) => this.#options.log.warn({ error: error.message }, 'accept failed'));
    return listener;
  }

  async #bindUdp(host: string, port: number, dispatcher: Dispatcher): Promise<UdpEndpoint> {
    return await UdpEndpoint.bind({
      host,
      port,
      dispatcher,
      limits: this.#limits,
      load: this.#load,
      allow: (remoteAddress) => this.#allowed(remoteAddress),
      shutdown: this.#shutdown.signal,
      log: this.#options.log,
    });
  }

  #accept(socket: Socket, dispatcher: Dispatcher): void {
    const remoteAddress = plainAddress(socket.remoteAddress ?? '');
    const refusal = this.#refusal(remoteAddress);
    if (refusal !== undefined) {
      this.#options.log.info({ remoteAddress, reason: refusal }, 'connection refused');
      socket.destroy();
      return;
    }
    const connection = new Connection({
      socket,
      scratch: this.#scratch,
      buffers: this.#buffers,
      remoteAddress,
      localAddress: plainAddress(socket.localAddress ?? ''),
      dispatcher,
      limits: this.#limits,
      load: this.#load,
      log: this.#options.log,
    });
    this.#connections.add(connection);
    // `closed` doesn't reject.
    void connection.closed.then(() => this.#connections.delete(connection));
  }

  #refusal(remoteAddress: string): string | undefined {
    if (this.#closing !== undefined) return 'the server is closing';
    if (remoteAddress === '') return 'the client is gone';
    if (this.#connections.size >= this.#limits.connectionsMax) {
      return `expected at most ${this.#limits.connectionsMax} connections`;
    }
    return this.#allowed(remoteAddress) ? undefined : 'the address is not allowed';
  }

  #allowed(remoteAddress: string): boolean {
    return this.#options.allow?.(remoteAddress) ?? true;
  }

  #startSweep(): void {
    if (this.#sweep !== undefined) return;
    const { idleTimeoutMs, partialRecordTimeoutMs, contendedRecordTimeoutMs, drainTimeoutMs } = this.#limits;
    const shortest = Math.min(
      idleTimeoutMs,
      partialRecordTimeoutMs,
      contendedRecordTimeoutMs,
      drainTimeoutMs,
    );
    const periodMs = Math.min(SWEEP_MS_MAX, Math.max(SWEEP_MS_MIN, shortest / 4));
    this.#sweep = setInterval(() => {
      const nowMs = performance.now();
      for (const connection of this.#connections) connection.checkTimeouts(nowMs);
    }, periodMs);
    this.#sweep.unref();
  }
}

/** Resolves when the listener and all its connections are closed; stops accepting at once. */
async function closed(listener: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    listener.close(() => resolve());
  });
}

function isAddressInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}
