/**
 * The portmapper, and registration with a real rpcbind, as rpcinfo and showmount see them: in a network namespace with a /run of
 * its own, so that the machine's rpcbind is neither seen nor touched.
 */
import t, { type Test } from 'tap';
import { execFile, spawn, spawnSync, type ChildProcess, type ExecFileException } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { DaemonReport } from '../src/cli/daemon.js';
import { S3nfsdProcess } from '../test/support/s3nfsd-process.js';
import { BUCKET, directoriesIn, storeEnvironment, StoreProcess } from './daemon.js';
import { DAEMON_ADDRESS, Network } from './network.js';

const NOBODY = 65534;
const TOOLS = ['/usr/sbin/rpcbind', '/usr/sbin/rpcinfo', '/usr/sbin/showmount', '/usr/bin/unshare'];

function skipReason(): string | false {
  if (process.getuid?.() !== 0) return 'a network namespace needs root';
  const missing = TOOLS.filter((tool) => !existsSync(tool));
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`;
  return existsSync('/dev/net/tun') ? false : 'there is no /dev/net/tun';
}

const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'];

/** Whether a user without privileges can't run the program from here. */
function unreadable(): string | false {
  const [setpriv = '', ...args] = [...AS_NOBODY, process.execPath, resolve('dist/src/main.js'), '--version'];
  return (
    spawnSync(setpriv, args).status !== 0 && 'users other than root cannot run the program where it lies'
  );
}

interface ToolResult {
  readonly status: number;
  /** Both streams. */
  readonly output: string;
}

/** A namespace with a store; daemons and an rpcbind come and go. */
class Machine {
  readonly runDirectory: string;
  readonly #prefix: readonly string[];
  readonly #environment: Record<string, string>;

  constructor(network: Network, runDirectory: string, endpoint: string, state: string) {
    this.runDirectory = runDirectory;
    const withOwnRun = `mount --bind '${runDirectory}' /run && exec "$@"`;
    this.#prefix = [...network.prefix, 'unshare', '-m', 'sh', '-c', withOwnRun, 'sh'];
    this.#environment = { ...storeEnvironment(endpoint), S3NFSD_STATE_DIR: state, S3NFSD_LOG_LEVEL: 'info' };
  }

  /** Runs a tool; a status other than 0 is a result as well. */
  async tool(...command: string[]): Promise<ToolResult> {
    const [file = '', ...args] = [...this.#prefix, ...command];
    return await new Promise((resolve) => {
      execFile(file, args, { timeout: 60_000 }, (error: ExecFileException | null, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ status, output: stdout + stderr });
      });
    });
  }

  /** Lines of `rpcinfo 127.0.0.1` about NFS and MOUNT: `100003 3 tcp 127.0.0.1.8.1 superuser`, sorted. */
  async registrations(): Promise<string[]> {
    const { output } = await this.tool('rpcinfo', '127.0.0.1');
    const lines = output.split('\n').map((line) => line.trim().split(/ +/));
    const ours = lines.filter(([program = '']) => program === '100003' || program === '100005');
    return ours
      .map(([program, version, netid, address, , owner]) =>
        [program, version, netid, address, owner].join(' '),
      )
      .sort();
  }

  async daemon(
    t: Test,
    options: readonly string[] = [],
    prefix: readonly string[] = [],
  ): Promise<{ child: S3nfsdProcess; report: DaemonReport }> {
    const args = ['serve', `s3://${BUCKET}`, ...options];
    const child = new S3nfsdProcess(args, this.#environment, [...this.#prefix, ...prefix]);
    t.teardown(async () => void (await child.end('SIGKILL')));
    return { child, report: await child.ready<DaemonReport>() };
  }

  /** Resolves when it answers. */
  async rpcbind(t: Test): Promise<void> {
    const [file = '', ...args] = [...this.#prefix, 'rpcbind', '-f'];
    const child = spawn(file, args, { stdio: 'ignore' });
    t.teardown(async () => await ended(child));
    while ((await this.tool('rpcinfo', '-p', '127.0.0.1')).status !== 0) {
      if (child.exitCode !== null) throw new Error(`rpcbind ended with ${child.exitCode}`);
    }
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

/** Of a daemon at these ports: what `registrations` shows. */
function expected(port: number, hosts: { tcp?: string; tcp6?: string }, owner = 'superuser'): string[] {
  const [high, low] = [port >> 8, port & 255];
  const of = (host: string | undefined, suffix: string): string[] =>
    host === undefined
      ? []
      : [
          `100003 3 tcp${suffix}`,
          ...[1, 3].flatMap((version) => [
            `100005 ${version} tcp${suffix}`,
            `100005 ${version} udp${suffix}`,
          ]),
        ].map((start) => `${start} ${host}.${high}.${low} ${owner}`);
  return [...of(hosts.tcp, ''), ...of(hosts.tcp6, '6')].sort();
}

const LOOPBACKS = { tcp: '127.0.0.1', tcp6: '::1' };

await t.test('port mapping', { skip: skipReason() }, async (t) => {
  const network = await Network.create('portmap');
  t.teardown(() => network.remove());
  const directories = directoriesIn(t.testdir());
  const store = await StoreProcess.start(directories.buckets, network);
  t.teardown(() => store.stop());
  const endpoint = `http://${DAEMON_ADDRESS}:${store.port}`;

  const machine = async (t: Test): Promise<Machine> => {
    const directory = await mkdtemp(join(tmpdir(), 's3nfsd-run-'));
    t.teardown(() => rm(directory, { recursive: true }));
    const [run, state] = [join(directory, 'run'), join(directory, 'state')];
    await mkdir(join(run, 'rpcbind'), { recursive: true });
    await mkdir(state);
    // Users other than root have a state directory, too.
    await chmod(directory, 0o755);
    await chmod(state, 0o777);
    return new Machine(network, run, endpoint, state);
  };

  /** All programs, by every network id, as a client finds and calls them. */
  const reachable = async (t: Test, on: Machine, hosts: readonly string[]): Promise<void> => {
    for (const host of hosts) {
      const suffix = host.includes(':') ? '6' : '';
      for (const [netid, program] of [
        ['tcp', '100000'],
        ['udp', '100000'],
        ['tcp', '100003'],
        ['tcp', '100005'],
        ['udp', '100005'],
      ]) {
        const { status, output } = await on.tool(
          'rpcinfo',
          '-T',
          `${netid}${suffix}`,
          host,
          program ?? '',
          '3',
        );
        t.equal(output, `program ${program} version 3 ready and waiting\n`, `${netid}${suffix} ${host}`);
        t.equal(status, 0);
      }
      const exports = await on.tool('showmount', '-e', host);
      t.match(exports.output, new RegExp(`^/${BUCKET} `, 'm'), `showmount -e ${host}`);
    }
  };

  await t.test('the daemon’s own portmapper: rpcinfo and showmount, over IPv4 and IPv6', async (t) => {
    const on = await machine(t);
    const { child, report } = await on.daemon(t, ['--portmap', 'embedded']);
    t.equal(report.portmap.mode, 'embedded');
    t.same(await on.registrations(), expected(2049, LOOPBACKS));
    await reachable(t, on, ['127.0.0.1', '::1']);
    for (const host of ['127.0.0.1', '::1']) {
      const { output } = await on.tool('rpcinfo', '-p', host);
      t.match(output, /100003 +3 +tcp +2049 +nfs/, 'version 2');
      t.match(output, /100000 +4 +udp +111 +portmapper/);
    }
    const list = await on.tool('rpcinfo', '-l', '::1', '100005', '3');
    t.match(list.output, /inet6\/tcp\/cots_ord +::1\.8\.1 /);
    t.match(list.output, /inet6\/udp\/clts +::1\.8\.1 /);
    t.notMatch(list.output, /inet\//);
    const other = await on.tool('rpcinfo', '-T', 'tcp', '127.0.0.1', '100003', '4');
    t.match(other.output, /program\/version mismatch; low version = 3, high version = 3/i);
    const absent = await on.tool('rpcinfo', '-T', 'tcp', '127.0.0.1', '100021', '4');
    t.match(absent.output, /Program not registered/);
    const remove = await on.tool('rpcinfo', '-d', '100003', '3');
    t.match(remove.output, /Could not delete registration/);
    t.same(await on.registrations(), expected(2049, LOOPBACKS));
    t.equal((await child.end('SIGTERM')).code, 0);
  });

  await t.test('on every address: a caller is sent to the one it came to', async (t) => {
    const on = await machine(t);
    await on.daemon(t, ['--portmap', 'embedded', '--listen', '::', '--allow', '0.0.0.0/0,::/0']);
    await reachable(t, on, ['127.0.0.1', '::1', DAEMON_ADDRESS]);
    const { output } = await on.tool('rpcinfo', '-l', DAEMON_ADDRESS, '100005', '3');
    t.match(output, new RegExp(`inet/udp/clts +${DAEMON_ADDRESS.replaceAll('.', '\\.')}\\.8\\.1 `));
  });

  await t.test('registered with rpcbind, and away at SIGTERM and SIGINT', async (t) => {
    const on = await machine(t);
    await on.rpcbind(t);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const { child, report } = await on.daemon(t);
      t.equal(report.portmap.mode, 'system');
      t.same(await on.registrations(), expected(2049, LOOPBACKS));
      await reachable(t, on, ['127.0.0.1', '::1']);
      t.equal((await child.end(signal)).code, 0);
      t.same(await on.registrations(), [], signal);
    }
  });

  await t.test('what kill -9 left in rpcbind is replaced', async (t) => {
    const on = await machine(t);
    await on.rpcbind(t);
    const first = await on.daemon(t);
    await first.child.end('SIGKILL');
    t.same(await on.registrations(), expected(2049, LOOPBACKS), 'left behind');
    const again = await on.daemon(t);
    await again.child.end('SIGKILL');
    const { child } = await on.daemon(t, ['--port', '2050', '--listen', '127.0.0.1']);
    t.same(await on.registrations(), expected(2050, { tcp: '127.0.0.1' }), 'no dead port is left');
    await reachable(t, on, ['127.0.0.1']);
    t.equal((await child.end('SIGTERM')).code, 0);
    t.same(await on.registrations(), []);
  });

  await t.test('another NFS server that lives keeps its registration, and is named', async (t) => {
    const on = await machine(t);
    await on.rpcbind(t);
    const first = await on.daemon(t);
    const { child, report } = await on.daemon(t, [
      '--port',
      '2050',
      '--state-dir',
      join(on.runDirectory, 'state'),
    ]);
    t.equal(report.portmap.mode, 'off');
    t.match(
      report.portmap.reason,
      /program 100003 version 3 by tcp at 127\.0\.0\.1\.8\.1 \(port 2049\) is registered already/,
    );
    t.match(report.portmap.reason, /stop it, or start with --portmap off$/);
    t.match(child.stderr.join('\n'), /clients must name every port/);
    await child.end('SIGTERM');
    t.same(await on.registrations(), expected(2049, LOOPBACKS));
    await first.child.end('SIGTERM');
  });

  await t.test(
    'rpcbind without a socket: version 2 from a reserved port, IPv4 only, and the log says so',
    async (t) => {
      const on = await machine(t);
      await on.rpcbind(t);
      await rm(join(on.runDirectory, 'rpcbind.sock'));
      const { child, report } = await on.daemon(t);
      t.equal(report.portmap.mode, 'system');
      t.same(await on.registrations(), expected(2049, { tcp: '0.0.0.0' }));
      t.match(child.stderr.join('\n'), /rpcbind.sock","reason":"ENOENT"/);
      t.match(child.stderr.join('\n'), /version 2 has IPv4 only/);
      await reachable(t, on, ['127.0.0.1']);
      t.equal((await child.end('SIGTERM')).code, 0);
      t.same(await on.registrations(), []);
    },
  );

  await t.test('without root: registered by the socket, as the user', { skip: unreadable() }, async (t) => {
    const on = await machine(t);
    await on.rpcbind(t);
    const { child, report } = await on.daemon(t, [], AS_NOBODY);
    t.equal(report.portmap.mode, 'system');
    t.same(await on.registrations(), expected(2049, LOOPBACKS, String(NOBODY)));
    t.equal((await child.end('SIGTERM')).code, 0);
    t.same(await on.registrations(), []);
  });
});
