/**
 * One connection to the store, one request at a time (no pipelining). Bytes are read straight into a buffer that all connections
 * share: it is filled and handed on within one call, so it never holds bytes of two.
 *
 *   connecting --> idle <--exchange--> busy --> closed
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Body } from '../../object-store.js';
import { AnswerParser, type AnswerHead } from './answer-parser.js';
import type { ReadTurns } from './read-turns.js';

/** Where a connection goes. */
export interface Peer {
  /** Numeric. */
  readonly address: string;
  readonly port: number;
  readonly tls?: {
    /** The name that the certificate must carry; undefined where the endpoint is an address. */
    readonly serverName: string | undefined;
    /** PEM. Default: the ones built in. */
    readonly ca: string | undefined;
    /** Of an earlier connection, to be resumed. */
    readonly session: Buffer | undefined;
  };
}

export interface ExchangeHandler {
  head(head: AnswerHead): void;
  /** The buffer is used again after the call. A failure of the callee ends the exchange and is its result. */
  body(chunk: Buffer): void;
  /** Where the body's next bytes are wanted: what is read there is handed to `body` from there. Not used once the exchange has ended. */
  room?(): Buffer | undefined;
  /** Bytes that have come aren't read before those of other connections; false: from now on they are. */
  inLine?(waits: boolean): void;
}

export interface ExchangeRequest {
  readonly method: string;
  /** Request line and headers with the empty line. */
  readonly head: string;
  readonly body: Body;
  readonly signal: AbortSignal;
  /** Longest silence, in either direction, in milliseconds. */
  readonly silenceMs: number;
}

interface Exchange {
  readonly handler: ExchangeHandler;
  readonly resolve: (head: AnswerHead) => void;
  readonly fail: (error: Error) => void;
  readonly signal: AbortSignal;
  /** All of the request has left. */
  sent: boolean;
  /** All of the answer has come. */
  answered: boolean;
  head: AnswerHead | undefined;
}

/**
 * Bytes read at a time while an answer's head is awaited: it and a small body come at once. Of a large body no more than this is copied.
 */
const HEAD_BYTES = 8 * 1024;

export class Connection {
  readonly #socket: Socket;
  readonly #scratch: Buffer;
  readonly #headScratch: Buffer;
  readonly #turns: ReadTurns;
  /** Not over TLS: node:tls decrypts on into the buffer that it has when the socket is destroyed meanwhile. */
  readonly #lends: boolean;
  readonly #parser: AnswerParser;
  /** Where the next bytes are read to. */
  #reading: Buffer;
  #exchange: Exchange | undefined;
  /** Bytes of an answer have come since the exchange began. */
  #heard = false;
  /** Bytes read since it last stood in line. */
  #burst = 0;
  #inLine = false;
  #error: Error | undefined;
  /** The other connections have read. */
  readonly #onTurn = (): void => {
    this.#inLine = false;
    this.#exchange?.handler.inLine?.(false);
    this.#socket.resume();
  };
  readonly #onAbort = (): void => this.#fail(new Error('cut off'));

  private constructor(
    peer: Peer,
    { scratch, turns }: { readonly scratch: Buffer; readonly turns: ReadTurns },
  ) {
    this.#turns = turns;
    this.#lends = peer.tls === undefined;
    this.#scratch = scratch;
    this.#headScratch = scratch.subarray(0, HEAD_BYTES);
    this.#reading = this.#headScratch;
    this.#parser = new AnswerParser({
      head: (head) => {
        const exchange = this.#exchange;
        if (exchange === undefined) return;
        exchange.head = head;
        exchange.handler.head(head);
      },
      body: (chunk) => this.#exchange?.handler.body(chunk),
      end: () => this.#answered(),
    });
    // Node asks for the next read's buffer when a read has been handed on: it is kept until bytes come, and used for nothing else.
    this.#socket = connected(peer, {
      buffer: () => (this.#reading = this.#target()),
      callback: (count) => this.#received(count),
    });
    this.#socket.on('error', (error) => (this.#error ??= error));
    this.#socket.on('end', () => this.#ended());
    this.#socket.on('close', () => this.#settle(this.#error ?? reset('the connection was closed')));
    this.#socket.on('timeout', () => this.#timedOut());
  }

  /** Resolves once the connection (and TLS on it) stands. Fails with the socket's error, or ETIMEDOUT after `timeoutMs`. */
  static async open(
    peer: Peer,
    options: {
      /** Shared with every other connection. */
      readonly scratch: Buffer;
      readonly timeoutMs: number;
      readonly signal: AbortSignal;
      readonly onSession: (session: Buffer) => void;
      /** Of all connections together. */
      readonly turns: ReadTurns;
    },
  ): Promise<Connection> {
    const connection = new Connection(peer, options);
    const socket = connection.#socket;
    if (peer.tls !== undefined) socket.on('session', options.onSession);
    await established(socket, peer.tls === undefined ? 'connect' : 'secureConnect', options);
    // node:tls passes neither on to its socket before Node 22: the end of each upload would wait for an acknowledgement.
    socket.setNoDelay(true);
    socket.setKeepAlive(true);
    return connection;
  }

  /** Nothing of an answer had come when the last exchange ended: on a kept connection, the other side had closed it meanwhile. */
  get unheard(): boolean {
    return !this.#heard;
  }

  get reusable(): boolean {
    return this.#exchange === undefined && !this.#socket.destroyed && !this.#socket.readableEnded;
  }

  /**
   * Sends a request and hands its answer on; its head, when the answer is whole. Fails with the socket's error, HttpAnswerError,
   * ETIMEDOUT, the handler's failure, or the signal's reason: the connection is closed then.
   */
  exchange(request: ExchangeRequest, handler: ExchangeHandler): Promise<AnswerHead> {
    return new Promise<AnswerHead>((resolve, reject) => {
      if (!this.reusable) {
        reject(reset('the connection was closed'));
        return;
      }
      const { signal } = request;
      const exchange: Exchange = {
        handler,
        resolve,
        fail: reject,
        signal,
        sent: false,
        answered: false,
        head: undefined,
      };
      this.#exchange = exchange;
      this.#heard = false;
      if (signal.aborted) return this.#onAbort();
      signal.addEventListener('abort', this.#onAbort, { once: true });
      this.#parser.begin(request.method);
      this.#socket.ref();
      this.#socket.setTimeout(request.silenceMs);
      // It may have read its share with the last answer.
      if (this.#inLine) handler.inLine?.(true);
      this.#send(request, (error) => {
        if (error !== undefined && error !== null) return;
        exchange.sent = true;
        if (exchange.answered && this.#exchange === exchange) this.#answered();
      });
    });
  }

  /** Kept for another request, for `ms` at most; `onClose` is called when it closes by itself meanwhile. No process lives for it. */
  rest(ms: number): void {
    this.#socket.setTimeout(ms);
    this.#socket.unref();
  }

  onClose(listener: () => void): void {
    this.#socket.once('close', listener);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /**
   * Bytes of a body go to where they are wanted, and no further: the next answer's head is behind it. Heads go to the scratch, a little at a
   * time, as what comes with them must be copied.
   */
  #target(): Buffer {
    const bytes = this.#parser.bodyBytes;
    if (bytes === 0) return this.#headScratch;
    if (!this.#lends) return this.#scratch;
    try {
      const room = this.#exchange?.handler.room?.();
      if (room !== undefined && room.length > 0)
        return room.subarray(0, Math.min(bytes, this.#turns.shareBytes));
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
    return this.#scratch;
  }

  /** Bytes have come; false pauses reading. */
  #received(count: number): boolean {
    this.#heard = true;
    const bytes = count === this.#reading.length ? this.#reading : this.#reading.subarray(0, count);
    try {
      this.#parser.push(bytes);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      return false;
    }
    this.#burst += bytes.length;
    if (!this.#turns.isOver(bytes.length, this.#burst)) return true;
    this.#burst = 0;
    this.#inLine = true;
    this.#exchange?.handler.inLine?.(true);
    this.#turns.enter(this.#onTurn);
    return false;
  }

  /** One writev: headers and slices leave as they lie. */
  #send(request: ExchangeRequest, sent: (error?: Error | null) => void): void {
    const slices = request.body.filter(({ byteLength }) => byteLength > 0);
    if (slices.length === 0) {
      this.#socket.write(request.head, 'latin1', sent);
      return;
    }
    this.#socket.cork();
    this.#socket.write(request.head, 'latin1');
    slices.forEach((slice, at) => {
      this.#socket.write(slice, at === slices.length - 1 ? sent : undefined);
    });
    this.#socket.uncork();
  }

  #answered(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    exchange.answered = true;
    const { head, sent } = exchange;
    if (head === undefined) return;
    // Success of what isn't there yet is none. As a rule it is: node:tls tells that bytes have left a turn later than they did.
    if (!sent && head.status < 300) return;
    this.#exchange = undefined;
    // An answer that came before the whole request had left is an error's: what is still to be sent would be taken for the next.
    if (!head.keepAlive || !sent) this.#socket.destroy();
    exchange.signal.removeEventListener('abort', this.#onAbort);
    exchange.resolve(head);
  }

  #ended(): void {
    if (!this.#parser.close()) this.#fail(reset('the connection ended within an answer'));
    this.#socket.destroy();
  }

  #timedOut(): void {
    this.#fail(Object.assign(new Error('no bytes within the time limit'), { code: 'ETIMEDOUT' }));
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
    this.#settle(error);
  }

  #settle(error: Error): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.signal.removeEventListener('abort', this.#onAbort);
    exchange?.fail(error);
  }
}

function connected(
  peer: Peer,
  onread: { readonly buffer: () => Buffer; readonly callback: (count: number) => boolean },
): Socket {
  const where = { host: peer.address, port: peer.port, noDelay: true, keepAlive: true, onread };
  if (peer.tls === undefined) return connectTcp(where);
  const { serverName, ca, session } = peer.tls;
  return connectTls({
    ...where,
    ALPNProtocols: ['http/1.1'],
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(ca === undefined ? {} : { ca }),
    ...(session === undefined ? {} : { session }),
  });
}

async function established(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      options.signal.removeEventListener('abort', onAbort);
      socket.off(event, onReady);
      socket.off('close', onClose);
      if (error === undefined) {
        socket.off('error', onError);
        resolve();
        return;
      }
      // 'error' may still come: it keeps its listener.
      socket.destroy();
      reject(error);
    };
    const onReady = (): void => finish();
    const onError = (error: Error): void => finish(error);
    const onClose = (): void => finish(reset('the connection was closed'));
    const onAbort = (): void => finish(new Error('cut off'));
    const timer = setTimeout(
      () => finish(Object.assign(new Error('no connection within the time limit'), { code: 'ETIMEDOUT' })),
      options.timeoutMs,
    );
    socket.once(event, onReady);
    socket.on('error', onError);
    socket.once('close', onClose);
    if (options.signal.aborted) return onAbort();
    options.signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** In the manner of the kernel's: worth another attempt. */
export function reset(message: string): Error {
  return Object.assign(new Error(message), { code: 'ECONNRESET' });
}
