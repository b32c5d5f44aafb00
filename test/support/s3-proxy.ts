/**
 * A proxy before an S3 server: it tells a RequestLog of every request, and interferes as a test says. It passes the client's
 * headers on unchanged, Host among them, so that signatures hold.
 */
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { route } from '../../src/store/embedded/router.js';
import { parseTarget } from '../../src/store/embedded/target.js';
import type { RequestLog } from './request-log.js';

/** What a request is, as far as an interference may ask. */
export interface ProxiedRequest {
  readonly operation: string;
  readonly bucket: string | undefined;
  readonly key: string | undefined;
  readonly headers: ReadonlyMap<string, string>;
  readonly query: ReadonlyMap<string, string>;
}

/**
 * - `reset`: the connection is cut, and the server never sees the request.
 * - `lose-answer`: the server carries the request out; the connection is cut in place of the answer.
 * - `truncate`: the head of the answer and half of its body, then the connection is cut.
 * - `500`, `503`: InternalError or SlowDown, and the server never sees the request.
 */
export type Interference = 'reset' | 'lose-answer' | 'truncate' | '500' | '503';

export interface S3ProxyOptions {
  readonly log?: RequestLog;
  /** Asked once for each request. */
  readonly interfere?: (request: ProxiedRequest) => Interference | undefined;
}

function describe(request: IncomingMessage): ProxiedRequest {
  const headers = new Map(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  const target = parseTarget(request.url ?? '', headers.get('host') ?? '');
  const query = new Map(target.query.map(([name, value]) => [name, value]));
  const { bucket, key } = target;
  const { operation } = route({ method: request.method ?? '', bucket, key, query, headers });
  return { operation, bucket, key, headers, query };
}

async function collect(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export class S3Proxy {
  readonly endpoint: string;
  readonly #server: Server;
  readonly #target: string;
  readonly #options: S3ProxyOptions;

  private constructor(server: Server, target: string, options: S3ProxyOptions) {
    this.#server = server;
    this.#target = target;
    this.#options = options;
    this.endpoint = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  }

  /** On a free port of the loopback, before the server at `target` (`http://host:port`). */
  static async start(target: string, options: S3ProxyOptions = {}): Promise<S3Proxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new S3Proxy(server, target, options);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void proxy.#serve(request, response);
    });
    return proxy;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Bodies are collected on both ways: small, and told exactly. */
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { log, interfere } = this.#options;
    log?.arrived();
    const about = describe(request);
    const told = { ...about, status: 0, bytesIn: 0, bytesOut: 0 };
    try {
      const interference = interfere?.(about);
      if (interference === 'reset') return;
      const body = await collect(request);
      told.bytesIn = body.length;
      if (interference === '500' || interference === '503') {
        told.status = Number(interference);
        const code = interference === '500' ? 'InternalError' : 'SlowDown';
        response.writeHead(told.status, { 'content-type': 'application/xml' });
        response.end(
          request.method === 'HEAD'
            ? undefined
            : `<Error><Code>${code}</Code><Message>by the proxy</Message></Error>`,
        );
        return;
      }
      const answer = await this.#forward(request, body);
      if (interference === 'lose-answer') return;
      told.status = answer.status;
      const cut = interference === 'truncate' && answer.body.length > 0;
      const sent = cut ? answer.body.subarray(0, Math.floor(answer.body.length / 2)) : answer.body;
      told.bytesOut = sent.length;
      response.writeHead(answer.status, answer.headers);
      if (!cut) {
        response.end(sent);
        return;
      }
      // Not before the bytes have left: a reset may overtake them.
      await new Promise<void>((resolve) => response.write(sent, () => resolve()));
    } catch {
      // The client went away, or the server did: the log tells it by the status of 0.
      told.status = 0;
    } finally {
      if (!response.writableEnded) response.destroy();
      log?.ended(told);
    }
  }

  async #forward(
    request: IncomingMessage,
    body: Buffer,
  ): Promise<{ readonly status: number; readonly headers: string[]; readonly body: Buffer }> {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = httpRequest(
        this.#target,
        { method: request.method, path: request.url, headers: request.rawHeaders, agent: false },
        resolve,
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
    return { status: answer.statusCode ?? 0, headers: answer.rawHeaders, body: await collect(answer) };
  }
}
