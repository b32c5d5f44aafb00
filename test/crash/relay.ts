/**
 * The road between daemon and store: it keeps its address while the store behind it dies and comes back, and tells of moments at which
 * somebody may be killed. Headers go on unchanged, Host among them, so that signatures hold.
 */
import { EventEmitter, once } from 'node:events';
import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * - `request`: a request's head has come, and the store hasn't seen it;
 * - `body`: some of its body has gone to the store (at once, where it has none);
 * - `answer`: the store has carried it out, and the daemon doesn't know.
 */
export type Moment = 'request' | 'body' | 'answer';

export class Relay {
  readonly port: number;
  readonly #server: Server;
  #agent = new Agent({ keepAlive: true });
  #store: number | undefined;
  readonly #ended = new EventEmitter().setMaxListeners(0);
  #underWay = 0;
  #requests = 0;
  /** Asked at each moment; true: nothing goes on from here. */
  onMoment: (moment: Moment) => boolean = () => false;
  /** Uploads that the daemon has sent something for: it knows of them. */
  readonly uploadIds = new Set<string>();

  private constructor(server: Server) {
    this.#server = server;
    ({ port: this.port } = server.address() as AddressInfo);
    server.on('request', (request: IncomingMessage, response: ServerResponse) =>
      this.#serve(request, response),
    );
  }

  static async start(host = '127.0.0.1'): Promise<Relay> {
    const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    return new Relay(server);
  }

  /** Requests so far. */
  get requests(): number {
    return this.#requests;
  }

  /** Where the store is; undefined while there is none: then connections are cut. */
  leadTo(port: number | undefined): void {
    this.#store = port;
    this.#agent.destroy();
    this.#agent = new Agent({ keepAlive: true });
  }

  /** Resolves when the store has nothing to do. */
  async quiet(): Promise<void> {
    while (this.#underWay > 0) await once(this.#ended, 'ended');
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.#requests++;
    const id = /[?&]uploadId=([^&]+)/.exec(request.url ?? '')?.[1];
    if (id !== undefined) this.uploadIds.add(decodeURIComponent(id));
    request.on('error', () => response.destroy());
    response.on('error', () => request.destroy());
    if (this.onMoment('request') || this.#store === undefined) {
      response.destroy();
      return;
    }
    this.#underWay++;
    const outgoing = httpRequest({
      host: '127.0.0.1',
      port: this.#store,
      method: request.method,
      path: request.url,
      headers: request.rawHeaders,
      agent: this.#agent,
    });
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      this.#underWay--;
      this.#ended.emit('ended');
    };
    outgoing.on('close', end);
    outgoing.on('error', () => {
      response.destroy();
      end();
    });
    outgoing.on('response', (answer) => this.#pass(answer, response));
    // A request that came whole is carried out, whatever becomes of who sent it.
    request.on('close', () => {
      if (!request.complete) outgoing.destroy();
    });
    let isBegun = false;
    const begun = (): void => {
      if (isBegun) return;
      isBegun = true;
      if (this.onMoment('body')) {
        response.destroy();
        outgoing.destroy();
      }
    };
    request.on('data', (chunk: Buffer) => {
      if (!outgoing.write(chunk)) {
        request.pause();
        outgoing.once('drain', () => request.resume());
      }
      begun();
    });
    request.on('end', () => {
      begun();
      outgoing.end();
    });
  }

  #pass(answer: IncomingMessage, response: ServerResponse): void {
    answer.on('error', () => response.destroy());
    if (this.onMoment('answer') || response.destroyed) {
      response.destroy();
      answer.resume();
      return;
    }
    response.writeHead(answer.statusCode ?? 0, answer.rawHeaders);
    answer.pipe(response);
    // Whoever asked may be gone: the exchange comes to its end all the same.
    response.on('close', () => answer.unpipe(response).resume());
    answer.on('close', () => {
      if (!answer.complete) response.destroy();
    });
  }
}
