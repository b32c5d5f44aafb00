import t, { type Test } from 'tap';
import { PORTMAP2, type mapping } from '../../protocol/portmap/program.js';
import { RPCBIND3, RPCBIND4, type rpcb } from '../../protocol/portmap/rpcbind.js';
import { parseUniversalAddress } from '../../protocol/portmap/universal-address.js';
import { encode } from '../../protocol/xdr.js';
import { PortRegistry } from '../../src/portmap/registry.js';
import { portmapServices } from '../../src/portmap/service.js';
import { RpcServer } from '../../src/rpc/server.js';
import type { Call } from '../../src/rpc/service.js';
import { directCall, userCredential } from '../support/calls.js';
import { collectLog } from '../support/collected-log.js';
import { encodeCall, RpcClient, RpcReplyError, systemCredential } from '../support/rpc-client.js';

const VERSIONS = [RPCBIND3, RPCBIND4] as const;
const FAMILIES = [
  { host: '127.0.0.1', any: '0.0.0.0', suffix: '' },
  { host: '::1', any: '::', suffix: '6' },
] as const;
const TRANSPORTS = ['tcp', 'udp'] as const;

const nfs: mapping = { prog: 100003, vers: 3, prot: 6, port: 2049 };
const query: rpcb = { r_prog: 100003, r_vers: 3, r_netid: '', r_addr: '', r_owner: '' };

/** NFS by TCP, MOUNT by both, over both families. */
function registrations(): rpcb[] {
  return FAMILIES.flatMap(({ any, suffix }) =>
    (
      [
        [100003, 'tcp'],
        [100005, 'tcp'],
        [100005, 'udp'],
      ] as const
    ).map(([r_prog, transport]) => ({
      ...query,
      r_prog,
      r_netid: `${transport}${suffix}`,
      r_addr: `${any}.8.1`,
      r_owner: 'superuser',
    })),
  );
}

async function start(t: Test, registry: PortRegistry, host = '127.0.0.1'): Promise<number> {
  const services = Object.values(portmapServices(registry));
  const server = new RpcServer({ services, log: collectLog().log });
  t.teardown(() => server.close(0));
  return (await server.listen({ host, port: 0, udp: true })).port;
}

async function connect(
  t: Test,
  port: number,
  transport: 'tcp' | 'udp',
  host = '127.0.0.1',
  uid = 1000,
): Promise<RpcClient> {
  const credential = systemCredential(uid, uid);
  const client = await RpcClient.connect({ host, port, transport, credential });
  t.teardown(() => client.close());
  return client;
}

async function statOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => 'SUCCESS',
    (error: unknown) => {
      if (error instanceof RpcReplyError) return error.stat;
      throw error;
    },
  );
}

void t.test('version 2: GETPORT, DUMP, SET and UNSET by TCP and UDP', async (t) => {
  const registry = new PortRegistry({ own: registrations() });
  const port = await start(t, registry);
  const mount = { ...nfs, prog: 100005 };
  const own = [nfs, mount, { ...mount, prot: 17 }];
  for (const transport of TRANSPORTS) {
    const client = await connect(t, port, transport);
    t.equal(await client.call(PORTMAP2, 'NULL', undefined), undefined);
    t.equal(await client.call(PORTMAP2, 'GETPORT', { ...nfs, port: 0 }), 2049);
    t.equal(await client.call(PORTMAP2, 'GETPORT', { ...nfs, vers: 4, port: 0 }), 2049);
    for (const absent of [{ prog: 1 }, { prot: 17 }, { prot: 1 }]) {
      t.equal(await client.call(PORTMAP2, 'GETPORT', { ...nfs, ...absent, port: 0 }), 0);
    }
    const other = { prog: 100024, vers: 1, prot: 6, port: 700 };
    t.equal(await client.call(PORTMAP2, 'SET', other), true);
    t.same(await client.call(PORTMAP2, 'DUMP', undefined), [...own, other], 'over IPv4 only');
    t.equal(await client.call(PORTMAP2, 'UNSET', other), true);
    t.equal(await client.call(PORTMAP2, 'UNSET', nfs), false);
    t.same(await client.call(PORTMAP2, 'DUMP', undefined), own);
  }
});

for (const program of VERSIONS) {
  for (const { host, any, suffix } of FAMILIES) {
    for (const transport of TRANSPORTS) {
      void t.test(`version ${program.version} by ${transport}${suffix}`, async (t) => {
        const own = registrations();
        const client = await connect(t, await start(t, new PortRegistry({ own }), host), transport, host);
        const getaddr = async (wanted: Partial<rpcb>): Promise<string> =>
          await client.call(program, 'GETADDR', { ...query, ...wanted });
        t.equal(await client.call(program, 'NULL', undefined), undefined);

        const mount = { r_prog: 100005 };
        t.equal(await getaddr(mount), `${host}.8.1`, 'the address that the caller came to');
        t.equal(await getaddr({ ...mount, r_vers: 7 }), `${host}.8.1`, 'another version');
        t.equal(await getaddr({ ...mount, r_netid: 'local' }), `${host}.8.1`, 'its own transport’s');
        t.equal(await getaddr({}), transport === 'tcp' ? `${host}.8.1` : '');
        t.equal(await getaddr({ r_prog: 1 }), '');

        const other = {
          ...query,
          r_prog: 100024,
          r_vers: 1,
          r_netid: `${transport}${suffix}`,
          r_addr: `${any}.2.188`,
          r_owner: 'superuser',
        };
        t.equal(await client.call(program, 'SET', other), true);
        t.equal(await client.call(program, 'SET', { ...other, r_addr: `${any}.2.189` }), false, 'taken');
        t.same(await client.call(program, 'DUMP', undefined), [...own, { ...other, r_owner: '1000' }]);
        t.equal(await getaddr(other), `${host}.2.188`);
        t.equal(await client.call(program, 'UNSET', { ...other, r_netid: '' }), true);
        t.equal(await getaddr(other), '');
        t.equal(await client.call(program, 'UNSET', { ...query, r_netid: 'tcp' }), false, 'ours');

        const before = Math.floor(Date.now() / 1000);
        const time = await client.call(program, 'GETTIME', undefined);
        t.ok(time >= before && time <= Date.now() / 1000);
        const { maxlen, buf } = await client.call(program, 'UADDR2TADDR', `${host}.8.1`);
        t.equal(maxlen, buf.length);
        t.equal(await client.call(program, 'TADDR2UADDR', { maxlen, buf }), `${host}.8.1`);
        t.equal((await client.call(program, 'UADDR2TADDR', 'nonsense')).buf.length, 0);
        t.equal(await client.call(program, 'TADDR2UADDR', { maxlen: 2, buf: Buffer.alloc(2) }), '');
      });
    }
  }
}

void t.test('version 4: GETVERSADDR knows no other version, GETADDRLIST one family', async (t) => {
  for (const { host, suffix } of FAMILIES) {
    const port = await start(t, new PortRegistry({ own: registrations() }), host);
    const client = await connect(t, port, 'tcp', host);
    const mount = { ...query, r_prog: 100005 };
    t.equal(await client.call(RPCBIND4, 'GETVERSADDR', mount), `${host}.8.1`);
    t.equal(await client.call(RPCBIND4, 'GETVERSADDR', { ...mount, r_vers: 1 }), '');
    const family = { r_maddr: `${host}.8.1`, r_nc_protofmly: `inet${suffix}` };
    const tcp = { ...family, r_nc_netid: `tcp${suffix}`, r_nc_semantics: 3, r_nc_proto: 'tcp' };
    const udp = { ...family, r_nc_netid: `udp${suffix}`, r_nc_semantics: 1, r_nc_proto: 'udp' };
    t.same(await client.call(RPCBIND4, 'GETADDRLIST', mount), [tcp, udp]);
    t.same(await client.call(RPCBIND4, 'GETADDRLIST', query), [tcp]);
    t.same(await client.call(RPCBIND4, 'GETADDRLIST', { ...mount, r_vers: 1 }), []);
  }
});

void t.test('a listener on :: answers IPv4 callers with IPv4 addresses', async (t) => {
  const port = await start(t, new PortRegistry({ own: registrations() }), '::');
  for (const transport of TRANSPORTS) {
    for (const { host } of FAMILIES) {
      const client = await connect(t, port, transport, host);
      const wanted = { ...query, r_prog: 100005, r_addr: `${host}.0.111` };
      t.equal(await client.call(RPCBIND4, 'GETADDR', wanted), `${host}.8.1`, `${transport} ${host}`);
    }
  }
});

void t.test('GETSTAT counts calls, and what was asked for, by version', async (t) => {
  const client = await connect(t, await start(t, new PortRegistry({ own: registrations() })), 'tcp');
  const other = { prog: 100024, vers: 1, prot: 6, port: 700 };
  await client.call(PORTMAP2, 'SET', other);
  await client.call(PORTMAP2, 'SET', { ...other, port: 701 });
  await client.call(PORTMAP2, 'UNSET', other);
  await client.call(PORTMAP2, 'GETPORT', nfs);
  await client.call(PORTMAP2, 'GETPORT', { ...nfs, prot: 17 });
  await client.call(RPCBIND3, 'GETADDR', query);
  await client.call(RPCBIND3, 'GETADDR', query);
  await client.call(RPCBIND4, 'GETVERSADDR', { ...query, r_vers: 4 });
  const [two, three, four] = await client.call(RPCBIND4, 'GETSTAT', undefined);
  t.same(two?.info, [0, 2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  t.same([two?.setinfo, two?.unsetinfo], [1, 1]);
  t.same(two?.addrinfo, [
    { prog: 100003, vers: 3, success: 1, failure: 0, netid: 'tcp' },
    { prog: 100003, vers: 3, success: 0, failure: 1, netid: 'udp' },
  ]);
  t.same(three?.info, [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  t.same(three?.addrinfo, [{ prog: 100003, vers: 3, success: 2, failure: 0, netid: 'tcp' }]);
  t.same(four?.info, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1]);
  t.same(four?.addrinfo, [{ prog: 100003, vers: 4, success: 0, failure: 1, netid: 'tcp' }]);
  t.same(four?.rmtinfo, []);
});

void t.test('whatever is asked for, statistics stay small enough for a datagram', async (t) => {
  const client = await connect(t, await start(t, new PortRegistry()), 'udp');
  for (let prog = 0; prog < 300; prog++) {
    for (const program of VERSIONS) await client.call(program, 'GETADDR', { ...query, r_prog: prog });
    await client.call(PORTMAP2, 'GETPORT', { ...nfs, prog });
  }
  const stats = await client.call(RPCBIND4, 'GETSTAT', undefined);
  t.same(
    stats.map(({ info, addrinfo }) => [info[3], addrinfo.length]),
    [
      [300, 32],
      [300, 32],
      [300, 32],
    ],
  );
});

const indirect = { prog: 100003, vers: 3, proc: 0, args: Buffer.alloc(0) };

void t.test(
  'calls in the name of others are refused: by TCP, and INDIRECT always, with PROC_UNAVAIL',
  async (t) => {
    const port = await start(t, new PortRegistry({ own: registrations() }));
    const client = await connect(t, port, 'tcp');
    t.equal(await statOf(client.call(PORTMAP2, 'CALLIT', indirect)), 'PROC_UNAVAIL');
    t.equal(await statOf(client.call(RPCBIND3, 'CALLIT', indirect)), 'PROC_UNAVAIL');
    t.equal(await statOf(client.call(RPCBIND4, 'BCAST', indirect)), 'PROC_UNAVAIL');
    t.equal(await statOf(client.call(RPCBIND4, 'INDIRECT', indirect)), 'PROC_UNAVAIL');
    const udp = await connect(t, port, 'udp');
    t.equal(await statOf(udp.call(RPCBIND4, 'INDIRECT', indirect)), 'PROC_UNAVAIL');
  },
);

void t.test('by UDP, CALLIT and BCAST are not answered at all', async (t) => {
  const client = await connect(t, await start(t, new PortRegistry({ own: registrations() })), 'udp');
  const args = encode(PORTMAP2.procedures.CALLIT.args, indirect);
  for (const vers of [2, 3, 4]) client.sendRaw(encodeCall(vers, { prog: 100000, vers, proc: 5 }, args));
  // Datagrams of one socket are taken in order: an answer would have come before this one.
  for (let call = 0; call < 3; call++) await client.call(PORTMAP2, 'NULL', undefined);
  t.equal(client.replied.length, 3);
  const [two, three, four] = await client.call(RPCBIND4, 'GETSTAT', undefined);
  t.same([two?.info[5], three?.info[5], four?.info[5]], [1, 1, 1], 'they did arrive');
});

function from(remoteAddress: string, remotePort = 40_000, uid = 1000): Call {
  return { ...directCall(userCredential(uid)), remoteAddress, remotePort };
}

void t.test('only callers on this machine change registrations', async (t) => {
  const registry = new PortRegistry();
  const { portmap2, rpcbind3, rpcbind4 } = portmapServices(registry);
  const mapping = { prog: 100024, vers: 1, prot: 6, port: 700 };
  const entry = { ...query, r_prog: 100024, r_vers: 1, r_netid: 'tcp', r_addr: '0.0.0.0.2.188' };
  for (const address of ['192.0.2.1', '::2', '12.7.0.1', '::ffff:192.0.2.1']) {
    t.equal(portmap2.handlers.SET(mapping, from(address, 700, 0)), false, address);
    t.equal(rpcbind3.handlers.SET(entry, from(address, 700, 0)), false, address);
    t.equal(rpcbind4.handlers.SET(entry, from(address, 700, 0)), false, address);
  }
  t.same(registry.entries(), []);
  for (const address of ['127.0.0.1', '127.1.2.3', '::1']) {
    for (const { handlers } of [rpcbind3, rpcbind4]) {
      t.equal(handlers.SET(entry, from(address)), true, address);
      t.equal(handlers.UNSET(entry, from('192.0.2.1', 700, 0)), false);
      t.equal(handlers.UNSET(entry, from(address)), true, address);
    }
    t.equal(portmap2.handlers.SET(mapping, from(address)), true, address);
    t.equal(portmap2.handlers.UNSET(mapping, from('192.0.2.1', 700, 0)), false);
    t.equal(portmap2.handlers.UNSET(mapping, from(address)), true, address);
  }
});

void t.test('who may remove: the user that registered, and who calls from a reserved port', async (t) => {
  const registry = new PortRegistry();
  const { SET, UNSET } = portmapServices(registry).rpcbind4.handlers;
  const entry = { ...query, r_prog: 100024, r_vers: 1, r_netid: 'tcp', r_addr: '0.0.0.0.2.188' };
  t.equal(SET({ ...entry, r_owner: 'superuser' }, from('127.0.0.1', 40_000, 1000)), true);
  t.equal(registry.entries()[0]?.r_owner, '1000', 'what the caller says of the owner is ignored');
  t.equal(UNSET(entry, from('127.0.0.1', 40_000, 1001)), false);
  t.equal(UNSET(entry, from('127.0.0.1', 40_000, 0)), false, 'root calls from a reserved port');
  t.equal(UNSET(entry, from('127.0.0.1', 40_000, 1000)), true);
  t.equal(SET(entry, from('127.0.0.1', 40_000, 1000)), true);
  t.equal(UNSET(entry, from('::1', 1023, 0)), true);
  t.equal(SET(entry, from('127.0.0.1', 600, 1000)), true);
  t.equal(registry.entries()[0]?.r_owner, 'superuser');
  t.equal(UNSET(entry, from('127.0.0.1', 40_000, 1000)), false);
});

void t.test('texts in GETADDR that are no addresses do no harm', async (t) => {
  const client = await connect(t, await start(t, new PortRegistry({ own: registrations() })), 'udp');
  for (const r_addr of ['nonsense', '....', '::1.8.1', 'a'.repeat(256), '256.1.1.1.1.1']) {
    const address = await client.call(RPCBIND4, 'GETADDR', { ...query, r_prog: 100005, r_addr });
    t.equal(parseUniversalAddress(address)?.port, 2049);
  }
});
