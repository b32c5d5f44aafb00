import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import t, { type Test } from 'tap';
import { readDirectly } from '../../src/rpc/direct-read.js';

/** An accepted, paused socket and its client. */
async function accept(
  t: Test,
): Promise<{ accepted: Socket; client: Socket; listener: ReturnType<typeof createServer> }> {
  const listener = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const client = connect((listener.address() as AddressInfo).port, '127.0.0.1');
  t.teardown(() => {
    client.destroy();
    listener.close();
  });
  const [accepted] = (await once(listener, 'connection')) as [Socket];
  return { accepted, client, listener };
}

await t.test('bytes arrive in the buffer that was asked for', async (t) => {
  const { accepted, client, listener } = await accept(t);
  const target = Buffer.alloc(100);
  let socket: Socket | undefined;
  const read = new Promise<{ length: number; same: boolean }>((resolve) => {
    socket = readDirectly(accepted, {
      target: () => target,
      onBytes: (length, into) => resolve({ length, same: into.buffer === target.buffer }),
    });
  });
  client.write('hello');
  t.same(await read, { length: 5, same: true });
  t.equal(target.toString('utf8', 0, 5), 'hello');
  t.not(socket, accepted);
  t.equal(socket?.remotePort, client.localPort);
  const echoed = once(client, 'data') as Promise<[Buffer]>;
  socket?.write('back');
  t.equal((await echoed)[0].toString(), 'back');
  const closed = once(listener, 'close');
  listener.close();
  await closed;
  t.equal(socket?.destroyed, false, 'the listener does not count it any more');
  const gone = once(client, 'close');
  socket?.destroy();
  await gone;
});

await t.test('a socket without the handle of Node 20 is read by its events', async (t) => {
  const stranger = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  stranger.pause();
  const chunks: string[] = [];
  const socket = readDirectly(stranger as unknown as Socket, {
    target: () => Buffer.alloc(0),
    onBytes: (length, into) => void chunks.push(into.toString('utf8', 0, length)),
  });
  t.equal(socket, stranger);
  const data = once(stranger, 'data');
  stranger.push('hello');
  await data;
  t.same(chunks, ['hello']);
});
