/**
 * The fault layer in front of any other S3 server: a reverse proxy that passes on requests as they are, Host and signature included,
 * so that the server behind takes them for its clients'. Bodies stream through. Each client connection has one of its own to the
 * server, so that what the server does to a connection happens to the client's, and nothing else does.
 */
import {
  Agent as HttpAgent,
  createServer,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { Logger } from '../../telemetry/log.js';
import type { Credentials } from '../embedded/sigv4.js';
import { TIME_LIMITS, Turns } from '../embedded/turns.js';
import { answerFaultCall, isFaultCall } from './admin.js';
import { errorDocument, INJECTED_ERRORS } from './injected-error.js';
import { FaultLayer, type Exchange } from './layer.js';
import type { FaultPlan } from './plan.js';

export interface FaultProxyOptions {
  /** `http://host:port` or `https://host` of the server. */
  readonly to: string;
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly plan?: FaultPlan | undefined;
  /** Who may use the admin call; without, it goes to the server like everything else. */
  readonly admin?: Credentials | undefined;
  /** PEM certificates to trust in place of the built-in ones. */
  readonly certificateAuthorities?: string | undefined;
  readonly log?: Logger | undefined;
}

export interface FaultProxy {
  /** `http://host:port`. */
  readonly endpoint: string;
  readonly port: number;
  /** Sets and tells what goes wrong, while the proxy runs. */
  readonly faults: Pick<FaultLayer, 'setPlan' | 'report'>;
  /** Finishes the requests under way, then ends. */
  close(): Promise<void>;
}

/** As the embedded server's: the slowest of two is the server behind. */
const IDLE_MS_MAX = 10 * 60 * 1000;

/** The server behind decides how long connections live. */
const KEEP_ALIVE_MS = IDLE_MS_MAX;

/** S3's tolerance of clocks. */
const SKEW_MS_MAX = 15 * 60 * 1000;

/** Headers that are about one connection (RFC 9110 7.6.1); Transfer-Encoding of requests stays, Node encodes by it. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'upgrade']);

/** The connection to the server that belongs to one of a client. */
interface Line {
  readonly agent: HttpAgent;
  underWay: number;
}

class Forwarder {
  readonly #to: URL;
  readonly #options: FaultProxyOptions;
  readonly #lines = new WeakMap<Socket, Line>();
  readonly #known = new WeakSet<Socket>();

  constructor(options: FaultProxyOptions) {
    this.#to = new URL(options.to);
    this.#options = options;
  }

  /** Passes a request on and its answer back. Whatever goes wrong with the server's connection goes wrong with the client's. */
  async carryOut({ request, body, answer, expectsContinue, skewMs }: Exchange): Promise<void> {
    if (skewMs !== 0 && isTooSkewed(request, Date.now() + skewMs)) {
      const [code, message] = [
        'RequestTimeTooSkewed',
        INJECTED_ERRORS.get('RequestTimeTooSkewed')?.message ?? '',
      ];
      const document = errorDocument(code, message, request.url ?? '', 'FAULT');
      answer.writeHead(403, { 'content-type': 'application/xml', 'content-length': document.length });
      answer.end(request.method === 'HEAD' ? undefined : document);
      return;
    }
    const line = this.#lineOf(request.socket);
    line.underWay++;
    try {
      const upstream = this.#send(request, line);
      answer.once('close', () => {
        if (!answer.writableFinished) upstream.destroy();
      });
      if (expectsContinue) {
        upstream.once('continue', () => answer.writeContinue());
        upstream.flushHeaders();
      }
      // A server may answer before it has the whole body, and then not take the rest: that is no failure of the body's.
      body.once('error', (error) => upstream.destroy(error));
      body.pipe(upstream);
      answer.once('finish', () => {
        body.unpipe(upstream);
        body.resume();
      });
      const got = await new Promise<IncomingMessage>((resolve, reject) => {
        upstream.once('response', resolve);
        upstream.on('error', reject);
      });
      answer.writeHead(got.statusCode ?? 502, endToEnd(got.rawHeaders, got.headers.connection));
      await pipeline(got, answer);
    } catch (error) {
      this.#options.log?.debug({ err: error, url: request.url }, 'connection to the server failed');
      request.socket.resetAndDestroy();
      answer.destroy();
    } finally {
      line.underWay--;
    }
  }

  #send(request: IncomingMessage, line: Line): ClientRequest {
    const send = this.#to.protocol === 'https:' ? httpsRequest : httpRequest;
    const headers = endToEnd(request.rawHeaders);
    // Without a length, Node would send a body in chunks.
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    if (length === undefined && encoding === undefined && !isBodyless(request)) {
      headers.push('content-length', '0');
    }
    const upstream = send({
      agent: line.agent,
      host: this.#to.hostname.replace(/^\[|\]$/g, ''),
      port: this.#to.port,
      method: request.method,
      path: request.url,
      headers,
    });
    upstream.on('socket', (socket) => this.#tie(socket, request.socket, line));
    return upstream;
  }

  #lineOf(client: Socket): Line {
    const known = this.#lines.get(client);
    if (known !== undefined) return known;
    const ca = this.#options.certificateAuthorities;
    const sockets = { keepAlive: true, maxSockets: 1 };
    const agent =
      this.#to.protocol === 'https:'
        ? new HttpsAgent({ ...sockets, ...(ca === undefined ? {} : { ca }) })
        : new HttpAgent(sockets);
    const line: Line = { agent, underWay: 0 };
    this.#lines.set(client, line);
    client.once('close', () => agent.destroy());
    return line;
  }

  /** A connection that the server closes while nothing is under way is closed towards the client, too. */
  #tie(server: Socket, client: Socket, line: Line): void {
    if (this.#known.has(server)) return;
    this.#known.add(server);
    server.once('close', () => {
      if (line.underWay === 0) client.destroySoon();
    });
  }
}

function isBodyless({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'DELETE' || method === 'OPTIONS';
}

/** Headers, flat, without those of the connection; a server's wish to close it stays. */
function endToEnd(rawHeaders: readonly string[], connection?: string): string[] {
  const headers: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2);
    if (!HOP_BY_HOP.has(name.toLowerCase())) headers.push(name, value);
  }
  if (connection?.toLowerCase() === 'close') headers.push('connection', 'close');
  return headers;
}

/** Whether a server with that clock would refuse the request's time. */
function isTooSkewed(request: IncomingMessage, nowMs: number): boolean {
  const date = request.headers['x-amz-date'];
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(typeof date === 'string' ? date : '');
  if (parts === null) return false;
  const [, year, month, day, hour, minute, second] = parts;
  const signedMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Math.abs(nowMs - signedMs) > SKEW_MS_MAX;
}

/** Starts the proxy. Fails with the system's error when the port can't be had; the server behind is first asked by a request. */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const { admin, log } = options;
  const forwarder = new Forwarder(options);
  const faults = new FaultLayer({ plan: options.plan, log });
  const carryOut = (exchange: Exchange): Promise<void> => forwarder.carryOut(exchange);
  const running = new Set<Promise<void>>();
  const turns = new Turns();
  const serve = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void => {
    const served = turns.take(request, response, () =>
      admin !== undefined && isFaultCall(request)
        ? answerFaultCall(request, response, expectsContinue, { faults, credentials: admin, log })
        : faults.handle(request, response, expectsContinue, carryOut),
    );
    // Nobody waits for an exchange whose client has gone: with Node 24 not every one of them ends.
    const gone = new Promise<void>((resolve) => response.once('close', resolve));
    const serving = Promise.race([served, gone]).finally(() => running.delete(serving));
    running.add(serving);
  };
  const http = createServer({ ...TIME_LIMITS, keepAliveTimeout: KEEP_ALIVE_MS });
  http.on('request', (request: IncomingMessage, response: ServerResponse) => serve(request, response, false));
  http.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
    serve(request, response, true),
  );
  http.setTimeout(IDLE_MS_MAX);
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject);
    http.listen(options.port, options.host, () => {
      http.off('error', reject);
      resolve();
    });
  });
  const { port } = http.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return {
    endpoint: `http://${host}:${port}`,
    port,
    faults,
    async close() {
      const closed = new Promise<void>((resolve) => {
        http.close(() => resolve());
      });
      http.closeIdleConnections();
      faults.hurry();
      await Promise.all(running);
      http.closeAllConnections();
      await closed;
    },
  };
}
