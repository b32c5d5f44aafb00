/**
 * `node forward.js HOST:PORT...`, in a test's network: for each of these a port of its own, whose connections lead there. Prints the ports
 * as JSON. `-` on standard input cuts all connections, as the ends of a machine without power tell nobody, and refuses more until `+`.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

const sockets = new Set<Socket>();
let isCut = false;

function join(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    sockets.add(from);
    from.setNoDelay(true);
    from.pipe(to);
    // An error is followed by the close, which is all that there is to tell.
    from.on('error', () => to.destroy());
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
  }
}

async function forward(target: string): Promise<number> {
  const [host = '', port] = target.split(':');
  const server = createServer((socket) => {
    if (isCut) socket.resetAndDestroy();
    else join(socket, connect(Number(port), host));
  });
  await once(server.listen(0, '0.0.0.0'), 'listening');
  return (server.address() as AddressInfo).port;
}

const ports = await Promise.all(process.argv.slice(2).map(forward));
process.stdout.write(`${JSON.stringify(ports)}\n`);
process.stdin.on('data', (told: Buffer) => {
  isCut = told.toString().endsWith('-');
  for (const socket of sockets) socket.destroy();
});
process.stdin.on('end', () => process.exit());
