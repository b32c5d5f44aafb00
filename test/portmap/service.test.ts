import { createSocket } from 'node:dgram';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { PORTMAP2, type mapping } from '../../protocol/portmap/program.js';
import { PortRegistry } from '../../src/portmap/registry.js';
import { portmapService } from '../../src/portmap/service.js';
import {
  registerWithRpcbind,
  SystemRpcbindError,
  unregisterFromRpcbind,
} from '../../src/portmap/system-rpcbind.js';
import { RpcServer } from '../../src/rpc/server.js';
import { directCall } from '../support/calls.js';
import { collectLog } from '../support/collected-log.js';
import { RpcClient, RpcReplyError } from '../support/rpc-client.js';

const nfs: mapping = { prog: 100003, vers: 3, prot: 6, port: 2049 };
const mountTcp: mapping = { prog: 100005, vers: 3, prot: 6, port: 2049 };
const mountUdp: mapping = { ...mountTcp, prot: 17 };

async function start(t: Test, registry: PortRegistry): Promise<number> {
  const server = new RpcServer({ services: [portmapService(registry)], log: collectLog().log });
  t.teardown(() => server.close(0));
  return (await server.listen({ host: '127.0.0.1', port: 0, udp: true })).port;
}

async function connect(t: Test, port: number, transport: 'tcp' | 'udp'): Promise<RpcClient> {
  const client = await RpcClient.connect({ host: '127.0.0.1', port, transport });
  t.teardown(() => client.close());
  return client;
}

void t.test('GETPORT, DUMP, SET and UNSET by TCP and UDP', async (t) => {
  const registry = new PortRegistry({ own: [nfs, mountTcp] });
  const port = await start(t, registry);
  for (const transport of ['tcp', 'udp'] as const) {
    const client = await connect(t, port, transport);
    t.equal(await client.call(PORTMAP2, 'NULL', undefined), undefined);
    t.equal(await client.call(PORTMAP2, 'GETPORT', { ...nfs, port: 0 }), 2049);
    t.equal(await client.call(PORTMAP2, 'GETPORT', { ...nfs, vers: 4, port: 0 }), 2049);
    t.equal(await client.call(PORTMAP2, 'GETPORT', { ...nfs, prog: 1, port: 0 }), 0);
    const other = { prog: 100024, vers: 1, prot: 6, port: 700 };
    t.equal(await client.call(PORTMAP2, 'SET', other), true);
    t.same(await client.call(PORTMAP2, 'DUMP', undefined), [nfs, mountTcp, other]);
    t.equal(await client.call(PORTMAP2, 'UNSET', other), true);
    t.equal(await client.call(PORTMAP2, 'UNSET', nfs), false);
  }
});

void t.test('CALLIT is refused with PROC_UNAVAIL', async (t) => {
  const client = await connect(t, await start(t, new PortRegistry()), 'tcp');
  const error: unknown = await client
    .call(PORTMAP2, 'CALLIT', { prog: 100003, vers: 3, proc: 0, args: Buffer.alloc(0) })
    .catch((cause: unknown) => cause);
  t.ok(error instanceof RpcReplyError && error.stat === 'PROC_UNAVAIL');
});

void t.test('only callers on this machine change mappings', async (t) => {
  const registry = new PortRegistry();
  const { handlers } = portmapService(registry);
  const other = { prog: 100024, vers: 1, prot: 6, port: 700 };
  for (const remoteAddress of ['192.0.2.1', '::2', '12.7.0.1', '::ffff:192.0.2.1']) {
    t.equal(handlers.SET(other, { ...directCall(), remoteAddress }), false, remoteAddress);
  }
  t.same(registry.mappings(), []);
  for (const remoteAddress of ['127.0.0.1', '127.1.2.3', '::1']) {
    t.equal(handlers.SET(other, { ...directCall(), remoteAddress }), true, remoteAddress);
    t.equal(handlers.UNSET(other, { ...directCall(), remoteAddress: '192.0.2.1' }), false);
    t.equal(handlers.UNSET(other, { ...directCall(), remoteAddress }), true, remoteAddress);
  }
});

void t.test('mappings are registered with the system port mapper and taken away again', async (t) => {
  const registry = new PortRegistry();
  const port = await start(t, registry);
  await registerWithRpcbind([nfs, mountTcp, mountUdp], { port });
  t.same(registry.mappings(), [nfs, mountTcp, mountUdp]);
  await registerWithRpcbind([nfs, mountTcp, mountUdp], { port });
  t.same(registry.mappings(), [nfs, mountTcp, mountUdp], 'registering again changes nothing');
  await unregisterFromRpcbind([nfs, mountTcp, mountUdp], { port });
  t.same(registry.mappings(), []);
  await unregisterFromRpcbind([nfs], { port });
});

void t.test(
  'the registration of a server that is gone is replaced, that of one that lives is not',
  async (t) => {
    const listener = createServer();
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port: otherPort } = listener.address() as AddressInfo;
    const other = { ...mountTcp, port: otherPort };
    const registry = new PortRegistry();
    const port = await start(t, registry);
    registry.set(other);
    const error: unknown = await registerWithRpcbind([nfs, mountTcp], { port }).catch(
      (cause: unknown) => cause,
    );
    t.ok(error instanceof SystemRpcbindError);
    t.match(String(error), new RegExp(`program 100005 version 3: port ${otherPort} is registered for it`));
    t.same(registry.mappings(), [other], 'all or none');

    const closed = once(listener, 'close');
    listener.close();
    await closed;
    await registerWithRpcbind([nfs, mountTcp], { port });
    t.same(new Set(registry.mappings()), new Set([nfs, mountTcp]));
  },
);

void t.test('a call is sent again when it is not answered, then fails in one line', async (t) => {
  const silent = createSocket('udp4');
  t.teardown(() => silent.close());
  silent.bind(0, '127.0.0.1');
  await once(silent, 'listening');
  const received: string[] = [];
  silent.on('message', (message) => received.push(message.toString('hex')));
  const { port } = silent.address();
  const error: unknown = await registerWithRpcbind([nfs], { port, timeoutMs: 20, attempts: 3 }).catch(
    (cause: unknown) => cause,
  );
  t.ok(error instanceof SystemRpcbindError);
  t.match(String(error), /did not answer 3 calls of 20 ms/);
  t.equal(received.length, 3);
  t.equal(new Set(received).size, 1, 'the same call each time');
});

void t.test('a port where nobody listens fails at once', async (t) => {
  const probe = createSocket('udp4');
  probe.bind(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  const closed = once(probe, 'close');
  probe.close();
  await closed;
  await t.rejects(registerWithRpcbind([nfs], { port, timeoutMs: 60_000 }), SystemRpcbindError);
});
