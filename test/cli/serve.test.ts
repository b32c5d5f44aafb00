import t, { type Test } from 'tap';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DaemonReport } from '../../src/cli/daemon.js';
import type { RunningStore } from '../../src/cli/embedded-store.js';
import { NfsClient } from '../support/nfs-client.js';
import { S3nfsdProcess, type Finished } from '../support/s3nfsd-process.js';

type StoreReport = RunningStore['report'];

/** An embedded store with bucket `data`, and the environment that a daemon needs to use it. */
async function store(t: Test) {
  const directory = t.testdir();
  const child = new S3nfsdProcess([
    'store',
    '--dir',
    join(directory, 'buckets'),
    '--port',
    '0',
    '--bucket',
    'data',
  ]);
  t.teardown(() => child.end('SIGKILL'));
  const report = await child.ready<StoreReport>();
  const env = {
    AWS_ACCESS_KEY_ID: report.accessKeyId,
    AWS_SECRET_ACCESS_KEY: report.secretAccessKey,
    AWS_ENDPOINT_URL_S3: report.endpoint,
    AWS_REGION: 'us-east-1',
    S3NFSD_PORTMAP: 'off',
    S3NFSD_STATE_DIR: join(directory, 'state'),
  };
  return { child, directory, report, env };
}

/** A client at the first export's root. */
async function mounted({ nfsPort: port, exports }: DaemonReport): Promise<{ nfs: NfsClient; root: Buffer }> {
  const nfs = await NfsClient.connect({ host: '127.0.0.1', port });
  return { nfs, root: await nfs.mnt(exports[0]?.path ?? '') };
}

/** Exit 1, nothing on standard output, one line on standard error that matches. */
function failsWith(t: Test, { code, stdout, stderr }: Finished, line: RegExp): void {
  t.equal(code, 1);
  t.same(stdout, []);
  t.equal(stderr.length, 1, stderr.join('\n'));
  t.match(stderr[0], line);
}

await t.test('serve tells when it is ready, and drains on SIGTERM', async (t) => {
  const { env, report: s3, child } = await store(t);
  t.same(s3.buckets, ['data']);
  const daemon = new S3nfsdProcess(['serve', 's3://data', 's3://data/sub/', '--port', '0'], env);
  t.teardown(() => daemon.end('SIGKILL'));
  const report = await daemon.ready<DaemonReport>();
  t.match(report.addresses[0], `127.0.0.1:${report.nfsPort}`);
  t.equal(report.mountPort, report.nfsPort);
  t.same(report.exports, [
    { path: '/data', source: 's3://data' },
    { path: '/data/sub', source: 's3://data/sub/' },
  ]);
  t.equal(report.portmap.mode, 'off');
  t.equal(report.stateDir, env.S3NFSD_STATE_DIR);
  t.match(
    report.mount[0],
    `mount -t nfs -o vers=3,proto=tcp,port=${report.nfsPort},mountproto=tcp,mountport=${report.nfsPort},nolock 127.0.0.1:/data /mnt/s3`,
  );

  const second = new S3nfsdProcess(['serve', 's3://data', '--port', '0'], env);
  failsWith(t, await second.finished(), /^s3nfsd: cannot use state directory .*state.*/);

  const { code, stdout, stderr } = await daemon.end('SIGTERM');
  t.equal(code, 0, stderr.join('\n'));
  t.same(stderr, []);
  t.equal(stdout.filter((line) => line.startsWith('ready ')).length, 1);

  const again = new S3nfsdProcess(['serve', 's3://data', '--port', '0', '--mount-port', '0'], env);
  const { nfsPort, mountPort } = await again.ready<DaemonReport>();
  t.not(nfsPort, mountPort);
  t.equal((await again.end('SIGINT')).code, 0, 'the state directory was let go');
  t.equal((await child.end()).code, 0, 'the store ends as well');
});

await t.test(
  'what is written through the mount is a file of the store, also after a drain; handles outlive the daemon',
  async (t) => {
    const { env, directory } = await store(t);
    const args = ['serve', 's3://data/dir/', '--port', '0'];
    const daemon = new S3nfsdProcess(args, env);
    t.teardown(() => daemon.end('SIGKILL'));
    const first = await mounted(await daemon.ready<DaemonReport>());
    const { handle } = await first.nfs.create(first.root, 'hello.txt', {});
    await first.nfs.writeFile(handle, Buffer.from('hello'));
    t.equal(
      readFileSync(join(directory, 'buckets/data/dir/hello.txt'), 'utf8'),
      'hello',
      'published by COMMIT',
    );
    const { handle: late } = await first.nfs.create(first.root, 'late.txt', {});
    await first.nfs.write(late, 0, Buffer.from('acknowledged, never committed'), 'UNSTABLE');
    const ended = await daemon.end('SIGTERM');
    t.equal(ended.code, 0, ended.stderr.join('\n'));
    await first.nfs.close();
    t.equal(
      readFileSync(join(directory, 'buckets/data/dir/late.txt'), 'utf8'),
      'acknowledged, never committed',
      'published by the drain',
    );

    const again = new S3nfsdProcess(args, env);
    t.teardown(() => again.end('SIGKILL'));
    const second = await mounted(await again.ready<DaemonReport>());
    t.same(second.root, first.root);
    t.equal((await second.nfs.readFile(handle)).toString(), 'hello', 'by the handle of before');
    await second.nfs.close();
    t.equal((await again.end()).code, 0);
  },
);

await t.test('an end that could not publish what was acknowledged says so and exits with 1', async (t) => {
  const { env, child } = await store(t);
  const daemon = new S3nfsdProcess(['serve', 's3://data', '--port', '0', '--drain-timeout', '2s'], env);
  t.teardown(() => daemon.end('SIGKILL'));
  const { nfs, root } = await mounted(await daemon.ready<DaemonReport>());
  const { handle } = await nfs.create(root, 'lost.txt', {});
  await nfs.write(handle, 0, Buffer.from('acknowledged, never committed'), 'UNSTABLE');
  await nfs.close();
  await child.end('SIGKILL');
  const { code, stderr } = await daemon.end('SIGTERM');
  t.equal(code, 1);
  t.match(stderr.at(-1), /^s3nfsd: .*publish/);
});

await t.test('what is wrong is told in one line', async (t) => {
  const { env, report: s3, directory } = await store(t);
  const serve = (args: readonly string[], more: Record<string, string> = {}) =>
    new S3nfsdProcess(['serve', '--port', '0', ...args], { ...env, ...more }).finished();

  await t.test('a bucket that is not there', async (t) => {
    failsWith(
      t,
      await serve(['s3://nosuch']),
      /^s3nfsd: cannot serve s3:\/\/nosuch: there is no bucket nosuch at http/,
    );
  });
  await t.test('wrong credentials', async (t) => {
    const line = /^s3nfsd: cannot serve s3:\/\/data: .*(credentials|access denied)/;
    failsWith(t, await serve(['s3://data'], { AWS_SECRET_ACCESS_KEY: 'wrong' }), line);
  });
  await t.test('no credentials', async (t) => {
    const none = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', HOME: directory };
    failsWith(t, await serve(['s3://data'], none), /^s3nfsd: cannot serve s3:\/\/data: .*credentials/);
  });
  await t.test('an endpoint that nobody listens on', async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const url = `http://127.0.0.1:${port}`;
    failsWith(t, await serve(['s3://data', '--endpoint-url', url]), new RegExp(`${url} does not answer`));
  });
  await t.test('a port that is taken', async (t) => {
    const { port } = new URL(s3.endpoint);
    const line = new RegExp(`^s3nfsd: cannot listen for NFS on 127.0.0.1:${port}: the port is in use`);
    const args = ['serve', 's3://data', '--port', port];
    failsWith(t, await new S3nfsdProcess(args, env).finished(), line);
  });
  await t.test('a configuration file that is not there', async (t) => {
    failsWith(t, await serve(['--config', '/nowhere.yaml']), /^s3nfsd: cannot read configuration file/);
  });
  await t.test('a state directory that cannot be', async (t) => {
    const file = join(directory, 'file');
    writeFileSync(file, '');
    failsWith(
      t,
      await serve(['s3://data', '--state-dir', join(file, 'x')]),
      /^s3nfsd: cannot use state directory/,
    );
  });
  await t.test('a handle secret that could be guessed', async (t) => {
    const file = join(directory, 'secret');
    writeFileSync(file, 'short');
    const line = /^s3nfsd: handle secret file .*expected at least 16 bytes, found 5/;
    failsWith(t, await serve(['s3://data', '--handle-secret-file', file]), line);
  });
});

await t.test('demo: as it is, with ports taken or not, again with its state', async (t) => {
  const directory = join(t.testdir(), 'demo');
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.teardown(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const args = ['demo', '--dir', directory, '--port', String(port), '--portmap', 'off'];
  for (const start of ['first', 'second']) {
    const demo = new S3nfsdProcess(args);
    t.teardown(() => demo.end('SIGKILL'));
    const report = await demo.ready<DaemonReport & { store: StoreReport }>();
    t.not(report.nfsPort, port, 'another port was taken');
    t.same(report.exports, [{ path: '/demo', source: 's3://demo' }]);
    t.same(report.store.buckets, ['demo']);
    const { code, stdout, stderr } = await demo.end('SIGINT');
    t.equal(code, 0, start);
    t.same(stderr, []);
    const text = stdout.join('\n');
    t.match(text, `port ${port} was not to be had`);
    for (const line of report.mount) t.match(text, line);
    t.match(text, `aws --endpoint-url ${report.store.endpoint} s3 ls s3://demo/`);
    t.match(text, directory);
  }
  const seeded = readFileSync(join(directory, 'buckets', 'demo', 'README.md'), 'utf8');
  t.equal(seeded, readFileSync('README.md', 'utf8'));
});
