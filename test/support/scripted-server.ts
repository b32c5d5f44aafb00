/** An HTTP server that answers each request as the test's script says: for servers that misbehave. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export type Answer = (response: ServerResponse, request: SeenRequest) => void;

export class ScriptedServer {
  /** In order of arrival, whole. */
  readonly requests: SeenRequest[] = [];
  readonly #script: Answer[];
  readonly #server: Server;

  private constructor(script: readonly Answer[]) {
    this.#script = [...script];
    this.#server = createServer((request, response) => this.#receive(request, response));
  }

  /** Listens on a free port of 127.0.0.1. The nth request gets the nth answer; one too many gets status 418. */
  static async start(script: readonly Answer[]): Promise<ScriptedServer> {
    const scripted = new ScriptedServer(script);
    await new Promise<void>((resolve) => scripted.#server.listen(0, '127.0.0.1', resolve));
    return scripted;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const seen: SeenRequest = {
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks),
      };
      this.requests.push(seen);
      const answer = this.#script.shift() ?? status(418);
      answer(response, seen);
    });
  }
}

/** An S3 error; HEAD gets its status alone. */
export function s3Error(httpStatus: number, code: string): Answer {
  return (response, request) => {
    response.writeHead(httpStatus, { 'content-type': 'application/xml' });
    response.end(request.method === 'HEAD' ? undefined : errorBody(code));
  };
}

export function errorBody(code: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>by script</Message></Error>`;
}

export function status(
  httpStatus: number,
  headers: Readonly<Record<string, string>> = {},
  body?: string,
): Answer {
  return (response) => {
    response.writeHead(httpStatus, headers);
    response.end(body);
  };
}

/** Takes the request and closes the connection without an answer. */
export const reset: Answer = (response) => void response.socket?.destroy();

/** Never answers. */
export const hang: Answer = () => undefined;
