import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { rpcb } from '../../protocol/portmap/rpcbind.js';
import { program } from '../../protocol/program.js';
import { PortRegistry } from '../../src/portmap/registry.js';
import { SystemRpcbindError, type SystemRpcbindOptions } from '../../src/portmap/rpcbind-client.js';
import { portmapServices, type PortmapServices } from '../../src/portmap/service.js';
import { registerWithRpcbind, unregisterFromRpcbind } from '../../src/portmap/system-rpcbind.js';
import { RpcServer } from '../../src/rpc/server.js';
import { service } from '../../src/rpc/service.js';
import { collectLog, type CollectedLog } from '../support/collected-log.js';

const NFS = 100003;
const MOUNT = 100005;
/** No file; short, for a path that no socket can have is another error. */
const NO_SOCKET = '/nonexistent/rpcbind.sock';
/** Nobody listens below: ports that are asked for by name only. */
const PORT = 2049;

function entry(r_prog: number, r_netid: string, port = PORT, host?: string): rpcb {
  const any = host ?? (r_netid.endsWith('6') ? '::1' : '127.0.0.1');
  return { r_prog, r_vers: 3, r_netid, r_addr: `${any}.${port >> 8}.${port & 255}`, r_owner: 'superuser' };
}

const WANTED = [
  entry(NFS, 'tcp'),
  entry(NFS, 'tcp6'),
  entry(MOUNT, 'tcp'),
  entry(MOUNT, 'udp'),
  entry(MOUNT, 'udp6'),
];

/** Like `entry`, of a registry: owners are what the registry makes of callers. */
function places(registry: PortRegistry): string[] {
  return registry
    .entries()
    .map(({ r_prog, r_vers, r_netid, r_addr }) => [r_prog, r_vers, r_netid, r_addr].join(' '))
    .sort();
}

const placesOf = (entries: readonly rpcb[]): string[] => places(new PortRegistry({ own: entries }));

interface Rpcbind {
  readonly registry: PortRegistry;
  readonly options: SystemRpcbindOptions;
  readonly logged: CollectedLog;
}

interface RpcbindShape {
  /** Default: all. */
  readonly versions?: readonly (keyof PortmapServices)[];
  readonly socket?: boolean;
  readonly udp?: boolean;
}

/** An rpcbind of our own making, by TCP, UDP and a Unix socket. */
async function startRpcbind(t: Test, shape: RpcbindShape = {}): Promise<Rpcbind> {
  const { versions = ['portmap2', 'rpcbind3', 'rpcbind4'], socket = true, udp = true } = shape;
  const registry = new PortRegistry();
  const all = portmapServices(registry);
  const logged = collectLog();
  const services = versions.map((version) => all[version]);
  const server = new RpcServer({ services, log: logged.log });
  t.teardown(() => server.close(0));
  const { port } = await server.listen({ host: '127.0.0.1', port: 0, udp });
  // Below the longest path of a socket, which a test's own directory may be above.
  const directory = await mkdtemp(join(tmpdir(), 's3nfsd-rpcbind-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const socketPath = join(directory, 'rpcbind.sock');
  if (socket) {
    const relay = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      near.pipe(far).pipe(near);
      near.on('error', () => far.destroy());
      far.on('error', () => near.destroy());
    });
    relay.listen(socketPath);
    await once(relay, 'listening');
    t.teardown(() => relay.close());
  }
  return { registry, options: { log: logged.log, socketPath, port, timeoutMs: 200, attempts: 3 }, logged };
}

async function failureOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (error instanceof SystemRpcbindError) return error.message;
  throw new Error('expected a SystemRpcbindError', { cause: error });
}

void t.test('by the socket: all families, and away again', async (t) => {
  for (const versions of [
    ['portmap2', 'rpcbind3', 'rpcbind4'],
    ['portmap2', 'rpcbind3'],
  ] as const) {
    const { registry, options, logged } = await startRpcbind(t, { versions, udp: false });
    await registerWithRpcbind(WANTED, options);
    t.same(places(registry), placesOf(WANTED));
    const version = versions.length === 3 ? 4 : 3;
    t.match(logged.lines.at(-1), { msg: 'registered', rpcbind: new RegExp(`sock \\(version ${version}\\)`) });
    await registerWithRpcbind(WANTED, options);
    t.same(places(registry), placesOf(WANTED), 'registering again changes nothing');
    await unregisterFromRpcbind(WANTED, options);
    t.same(places(registry), []);
    await unregisterFromRpcbind(WANTED, options);
  }
});

void t.test('without a socket: version 2 by UDP, else TCP, IPv4 alone, and the log says so', async (t) => {
  const ipv4 = WANTED.filter(({ r_netid }) => !r_netid.endsWith('6')).map(({ r_prog, r_netid }) =>
    entry(r_prog, r_netid, PORT, '0.0.0.0'),
  );
  for (const udp of [true, false]) {
    const { registry, options, logged } = await startRpcbind(t, { socket: false, udp });
    await registerWithRpcbind(WANTED, options);
    t.same(places(registry), placesOf(ipv4));
    const messages = logged.lines.map(({ msg, reason }) => [msg, reason]);
    t.same(messages[0], ['rpcbind is not to be had this way', 'ENOENT']);
    t.match(logged.lines.at(-2), { level: 40, registrations: 2, msg: /version 2 has IPv4 only/ });
    const way = udp ? /by UDP \(version 2\)/ : /by TCP \(version 2\)/;
    t.match(logged.lines.at(-1), { msg: 'registered', rpcbind: way, registrations: 3 });
    await registerWithRpcbind(WANTED, options);
    t.same(places(registry), placesOf(ipv4));
    await unregisterFromRpcbind(WANTED, options);
    t.same(places(registry), []);
  }
});

void t.test('no rpcbind at all: one line with every way that was tried', async (t) => {
  const probe = createSocket('udp4');
  probe.bind(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  const { log } = collectLog();
  const options = { log, socketPath: NO_SOCKET, port, timeoutMs: 60_000 };
  const message = await failureOf(registerWithRpcbind(WANTED, options));
  t.match(
    message,
    /\/nonexistent\/rpcbind\.sock: ENOENT; 127.0.0.1:\d+ by UDP: ECONNREFUSED; 127.0.0.1:\d+ by TCP: ECONNREFUSED$/,
  );
});

void t.test('a call by UDP is sent again when it is not answered', async (t) => {
  const silent = createSocket('udp4');
  t.teardown(() => silent.close());
  silent.bind(0, '127.0.0.1');
  await once(silent, 'listening');
  const received: string[] = [];
  silent.on('message', (message) => received.push(message.toString('hex')));
  const { port } = silent.address();
  const { log } = collectLog();
  const options = { log, socketPath: NO_SOCKET, port, timeoutMs: 20, attempts: 3 };
  const message = await failureOf(registerWithRpcbind(WANTED, options));
  t.match(message, /no answer to 3 calls of 20 ms/);
  t.equal(received.length, 3);
  t.equal(new Set(received).size, 1, 'the same call each time');
});

void t.test('a socket that hangs up in the middle is passed over', async (t) => {
  const { registry, options } = await startRpcbind(t, { socket: false });
  const rude = createServer((near) => near.once('data', () => near.destroy()));
  rude.listen(options.socketPath);
  await once(rude, 'listening');
  t.teardown(() => rude.close());
  await registerWithRpcbind([entry(NFS, 'tcp')], options);
  t.same(places(registry), placesOf([entry(NFS, 'tcp', PORT, '0.0.0.0')]));
});

void t.test('what a dead run left is replaced: by each transport, and where none is wanted', async (t) => {
  for (const socket of [true, false]) {
    const { registry, options, logged } = await startRpcbind(t, { socket });
    const gone = await freePort();
    const dead = [entry(NFS, 'tcp', gone), entry(MOUNT, 'udp', gone), entry(NFS, 'udp', gone)];
    for (const left of dead) registry.set({ ...left, r_owner: 'unknown' });
    const wanted = [entry(NFS, 'tcp', PORT, '0.0.0.0'), entry(MOUNT, 'udp', PORT, '0.0.0.0')];
    await registerWithRpcbind(wanted, options);
    t.same(places(registry), placesOf(wanted));
    const removed = logged.lines.filter(({ msg }) => msg === 'removed a registration that nobody serves');
    t.equal(removed.length, 3);
    t.match(
      removed[0]?.['registration'],
      new RegExp(`^program 100003 version 3 by tcp at .* \\(port ${gone}\\)$`),
    );
  }
});

void t.test('what this process itself listens at is no other server', async (t) => {
  const { registry, options } = await startRpcbind(t);
  const self = await startServer(t, NFS);
  registry.set({ ...entry(NFS, 'tcp', self, '0.0.0.0'), r_owner: 'unknown' });
  const wanted = [entry(NFS, 'tcp', self)];
  await registerWithRpcbind(wanted, options);
  t.same(places(registry), placesOf(wanted));
});

void t.test(
  'the registration of a program that lives is left alone, and nothing is registered',
  async (t) => {
    for (const netid of ['tcp', 'udp', 'udp6'] as const) {
      const { registry, options } = await startRpcbind(t);
      const other = entry(MOUNT, netid, await startServer(t, MOUNT, netid === 'udp6' ? '::1' : '127.0.0.1'));
      registry.set({ ...other, r_owner: 'unknown' });
      const message = await failureOf(registerWithRpcbind(WANTED.concat(entry(MOUNT, netid)), options));
      t.match(message, `program 100005 version 3 by ${netid} at ${other.r_addr}`);
      t.match(message, /is registered already and answers: .*stop it, or start with --portmap off/);
      t.same(places(registry), placesOf([other]), 'all or none');
    }
  },
);

void t.test('a port that went to a program of another kind is a dead registration', async (t) => {
  const { registry, options } = await startRpcbind(t);
  registry.set({ ...entry(NFS, 'tcp', await startServer(t, 100_099)), r_owner: 'unknown' });
  await registerWithRpcbind([entry(NFS, 'tcp')], options);
  t.same(places(registry), placesOf([entry(NFS, 'tcp')]));
});

void t.test('a listener that says nothing is left alone', async (t) => {
  const { registry, options } = await startRpcbind(t);
  const mute = createServer(() => undefined);
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.teardown(() => mute.close());
  const other = entry(NFS, 'tcp', (mute.address() as AddressInfo).port);
  registry.set({ ...other, r_owner: 'unknown' });
  t.match(await failureOf(registerWithRpcbind([entry(NFS, 'tcp')], options)), /is registered already/);
  t.same(places(registry), placesOf([other]));
});

void t.test('a dead registration of another owner: the line says how to remove it', async (t) => {
  const { registry, options } = await startRpcbind(t);
  registry.set({ ...entry(NFS, 'tcp', await freePort()), r_owner: '12345' });
  const message = await failureOf(registerWithRpcbind([entry(NFS, 'tcp')], options));
  t.match(message, /is registered by 12345, and nobody serves it any more; as root, `rpcinfo -d 100003 3`/);
});

void t.test('another version of the program is not in the way', async (t) => {
  const { registry, options } = await startRpcbind(t);
  const other = { ...entry(NFS, 'tcp', await startServer(t, NFS)), r_vers: 4 };
  registry.set({ ...other, r_owner: 'unknown' });
  await registerWithRpcbind([entry(NFS, 'tcp')], options);
  t.same(places(registry), placesOf([other, entry(NFS, 'tcp')]));
});

void t.test('unregistering leaves what others have put in the place', async (t) => {
  const { registry, options } = await startRpcbind(t);
  await registerWithRpcbind([entry(NFS, 'tcp'), entry(MOUNT, 'tcp')], options);
  registry.unset(entry(NFS, 'tcp'), 'superuser');
  const other = entry(NFS, 'tcp', 4000);
  registry.set({ ...other, r_owner: 'unknown' });
  await unregisterFromRpcbind([entry(NFS, 'tcp'), entry(MOUNT, 'tcp')], options);
  t.same(places(registry), placesOf([other]));
});

void t.test('a refused registration takes the earlier ones back', async (t) => {
  const { registry, options } = await startRpcbind(t);
  const impossible = { ...entry(MOUNT, 'tcp'), r_addr: 'nonsense' };
  const message = await failureOf(registerWithRpcbind([entry(NFS, 'tcp'), impossible], options));
  t.match(message, /refused to register program 100005 version 3 by tcp at nonsense/);
  t.same(places(registry), []);
});

/** A program that answers its procedure 0. Resolves to its port. */
async function startServer(t: Test, number: number, host = '127.0.0.1'): Promise<number> {
  const other = program({ name: 'OTHER', number, version: 3, procedures: {} });
  const server = new RpcServer({ services: [service(other, {})], log: collectLog().log });
  t.teardown(() => server.close(0));
  return (await server.listen({ host, port: 0, udp: true })).port;
}

/** A port that nobody listens at, by TCP or UDP. */
async function freePort(): Promise<number> {
  const other = program({ name: 'OTHER', number: 1, version: 3, procedures: {} });
  const server = new RpcServer({ services: [service(other, {})], log: collectLog().log });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0, udp: true });
  await server.close(0);
  return port;
}
