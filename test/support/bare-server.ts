/** A TCP server that answers bytes with bytes: for what no HTTP server would send. */
import type { Test } from 'tap';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

export interface Bare {
  readonly origin: URL;
  /** Connections accepted so far, in order. */
  readonly connections: Socket[];
  /** What came over each. */
  readonly received: string[];
}

/** Calls `answer` with each piece that comes, and the number of its connection and of the piece on it. */
export async function serve(
  t: Test,
  answer: (socket: Socket, connection: number, piece: number) => void,
): Promise<Bare> {
  const connections: Socket[] = [];
  const received: string[] = [];
  const server = createServer((socket) => {
    const number = connections.push(socket) - 1;
    received.push('');
    let pieces = 0;
    // Clients that close in the middle are what some of these tests are about.
    socket.on('error', () => socket.destroy());
    socket.on('data', (data) => {
      received[number] += data.toString('latin1');
      answer(socket, number, pieces++);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of connections) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { origin: new URL(`http://127.0.0.1:${port}`), connections, received };
}
