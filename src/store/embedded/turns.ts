/**
 * Requests of one connection, one after another. Node hands on pipelined ones at once and orders only their answers: a GET would overtake
 * the PUT before it, and an answer that waits for its turn isn't told when the connection goes away.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Time for the headers of a request, as Node has it where requests have a limit, too. Without one a client could hold a connection by a byte now and then. */
const HEADERS_MS_MAX = 60_000;

/** For `createServer`. A body may take longer than any fixed limit; idle sockets are cut instead. */
export const TIME_LIMITS = { requestTimeout: 0, headersTimeout: HEADERS_MS_MAX } as const;

export class Turns {
  /** By connection: when the answer to its last request is over. */
  readonly #last = new WeakMap<Socket, Promise<void>>();

  /** Carries out a request when those before it on its connection are answered; not at all when the connection is gone by then. */
  async take(request: IncomingMessage, response: ServerResponse, work: () => Promise<void>): Promise<void> {
    const { socket } = request;
    const before = this.#last.get(socket);
    let over = (): void => undefined;
    this.#last.set(
      socket,
      new Promise((resolve) => {
        over = resolve;
      }),
    );
    response.once('close', over);
    if (before !== undefined) {
      await before;
      if (socket.destroyed) {
        over();
        return;
      }
    }
    await work();
  }
}
