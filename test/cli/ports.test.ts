import t from 'tap';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { freePort, isFree, listenFailure, presentAddresses } from '../../src/cli/ports.js';

await t.test('a port in use is not free', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.notOk(await isFree(['127.0.0.1'], port));
  server.close();
  await once(server, 'close');
  t.ok(await isFree(['127.0.0.1'], port));
  t.ok(await isFree(['127.0.0.1'], await freePort(['127.0.0.1'])));
});

await t.test('a port in use by UDP alone is not free either', async (t) => {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.notOk(await isFree(['127.0.0.1'], socket.address().port));
  socket.close();
  await once(socket, 'close');
});

await t.test('optional addresses that the machine lacks are left out, others never', async (t) => {
  // TEST-NET-1 (RFC 5737): nobody's address.
  const missing = '192.0.2.1';
  t.same(await presentAddresses([{ host: '127.0.0.1' }, { host: missing, optional: true }]), [
    { host: '127.0.0.1' },
  ]);
  t.same(await presentAddresses([{ host: missing }]), [{ host: missing }]);
});

await t.test('failures to listen say what to do', async (t) => {
  const failed = (code: string) => Object.assign(new Error(code), { code, syscall: 'listen' });
  t.match(listenFailure('NFS', '--port', '127.0.0.1', 2049, failed('EADDRINUSE')), {
    message:
      'cannot listen for NFS on 127.0.0.1:2049: the port is in use; choose another with --port (0: any free one)',
  });
  t.match(listenFailure('NFS', '--port', '::1', 1, failed('EACCES')), {
    message: /^cannot .* \[::1\]:1: not permitted/,
  });
  const defect = new TypeError('x');
  t.equal(listenFailure('NFS', '--port', '::1', 1, defect), defect);
});
