/** A start that can't succeed: one clear line on standard error, nothing on standard output, exit code 1, within seconds. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import t, { type Test } from 'tap';
import { run } from '../../src/cli/run.js';
import { serveCommand } from '../../src/cli/serve.js';
import { storeCommand } from '../../src/cli/store.js';
import { S3nfsdProcess } from '../support/s3nfsd-process.js';
import { BUCKET, Bucket, serveChild } from './fixture.js';

/** With what the retries of a store that doesn't answer take, on a machine that is busy. */
const SECONDS_MAX = 15;

async function failsWith(
  t: Test,
  line: RegExp,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const since = performance.now();
  const child = new S3nfsdProcess(args, env);
  t.teardown(() => child.end('SIGKILL'));
  const { code, stdout, stderr } = await child.finished();
  const seconds = (performance.now() - since) / 1000;
  t.equal(code, 1);
  t.same(stdout, []);
  t.equal(stderr.length, 1, stderr.join('\n'));
  t.match(stderr[0], line);
  t.ok(seconds < SECONDS_MAX, `${seconds.toFixed(1)} s`);
}

/** A port that is listened on; whoever connects hears nothing. */
async function silence(t: Test): Promise<number> {
  const server: Server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const held = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => held.add(socket));
  t.teardown(() => {
    for (const socket of held) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Name, what the line says, arguments, and environment. */
type Case = readonly [string, RegExp, readonly string[], Readonly<Record<string, string>>?];

const SOURCE = `s3://${BUCKET}`;

await t.test('what is wrong is told in one line, exit code 1, within seconds', async (t) => {
  const bucket = await Bucket.start(t);
  const { env } = bucket;
  const silent = await silence(t);
  const cases: readonly Case[] = [
    ['unknown bucket', /there is no bucket nosuch at http/, ['serve', 's3://nosuch']],
    ['one bucket of two', /there is no bucket nosuch at http/, ['serve', SOURCE, 's3://nosuch']],
    ['wrong secret', /credentials|access denied/, ['serve', SOURCE], { AWS_SECRET_ACCESS_KEY: 'wrong' }],
    ['unknown key id', /credentials|access denied/, ['serve', SOURCE], { AWS_ACCESS_KEY_ID: 'AKIAUNKNOWN' }],
    [
      'closed port',
      /127\.0\.0\.1:1 does not answer/,
      ['serve', SOURCE, '--endpoint-url', 'http://127.0.0.1:1'],
    ],
    [
      'a host that never answers',
      /does not answer/,
      ['serve', SOURCE, '--endpoint-url', `http://127.0.0.1:${silent}`],
    ],
    [
      'a host whose name doesn’t exist',
      /does not answer/,
      ['serve', SOURCE, '--endpoint-url', 'http://nowhere.invalid'],
    ],
    [
      'NFS port taken',
      /cannot listen for NFS on 127\.0\.0\.1.*in use/,
      ['serve', SOURCE, '--port', String(silent)],
    ],
    [
      'MOUNT port taken',
      /cannot listen for MOUNT on 127\.0\.0\.1.*in use/,
      ['serve', SOURCE, '--mount-port', String(silent)],
    ],
    [
      'an address that this machine doesn’t have',
      /cannot listen for NFS on 192\.0\.2\.1.*does not have that address/,
      ['serve', SOURCE, '--listen', '192.0.2.1', '--port', '20490', '--allow', '0.0.0.0/0'],
    ],
    [
      'store: a port taken',
      /cannot listen for S3/,
      ['store', '--dir', `${bucket.directory}/s`, '--port', String(silent)],
    ],
    [
      'store: one key without the other',
      /give both/,
      ['store', '--dir', `${bucket.directory}/s`, '--access-key-id', 'x'],
    ],
  ];
  for (const [name, line, args, more = {}] of cases) {
    await t.test(name, async (t) => {
      const own = { S3NFSD_STATE_DIR: `${bucket.directory}/state of ${name}` };
      await failsWith(t, line, args, { ...env, ...own, ...more });
    });
  }
});

await t.test('what is wrong with options is told before anything is begun', async (t) => {
  const bucket = await Bucket.start(t);
  const cases: readonly Case[] = [
    [
      'unreadable config',
      /cannot read configuration file.*nowhere\.yaml/,
      ['serve', '--config', '/nowhere.yaml'],
    ],
    [
      'config that isn’t YAML',
      /bad\.yaml/,
      ['serve', '--config', bucket.write('bad.yaml', 'exports: [s3://data\nport: }')],
    ],
    [
      'unknown key in the config',
      /unknown key prot .*did you mean port/,
      ['serve', '--config', bucket.write('unknown.yaml', 'exports: [s3://data]\nprot: 1\n')],
    ],
    [
      'bad value in the config',
      /option port.*many.*expected a port/,
      ['serve', '--config', bucket.write('value.yaml', 'exports: [s3://data]\nport: many\n')],
    ],
    [
      'bad value in the environment',
      /S3NFSD_MEMORY_LIMIT/,
      ['serve', SOURCE],
      { S3NFSD_MEMORY_LIMIT: 'lots' },
    ],
    ['unknown option', /unknown option --prot; did you mean --port\?/, ['serve', SOURCE, '--prot', '1']],
    ['unknown command', /unknown command sevre; did you mean serve\?/, ['sevre']],
    ['option without value', /--port/, ['serve', SOURCE, '--port']],
    ['a source that is none', /expected.*s3:\/\/bucket/, ['serve', 'data']],
    ['no source', /nothing to serve/, ['serve']],
    ['one path twice', /same path/, ['serve', SOURCE, SOURCE]],
    ['listen everywhere without --allow', /--allow/, ['serve', SOURCE, '--listen', '0.0.0.0']],
    ['listen everywhere by IPv6 without --allow', /--allow/, ['serve', SOURCE, '--listen', '::']],
    ['a network that is none', /option allow|--allow/, ['serve', SOURCE, '--allow', '10.0.0.0/33']],
    [
      'a state directory below a file',
      /cannot use state directory/,
      ['serve', SOURCE, '--state-dir', '/dev/null/x'],
    ],
    [
      'a handle secret that isn’t there',
      /cannot read handle secret file/,
      ['serve', SOURCE, '--handle-secret-file', '/nowhere'],
    ],
  ];
  for (const [name, line, argv, more = {}] of cases) {
    const [stdout, stderr]: [string[], string[]] = [[], []];
    const code = await run(argv, [serveCommand, storeCommand], {
      env: { S3NFSD_STATE_DIR: `${bucket.directory}/unused`, ...more },
      stdout: (text) => stdout.push(text),
      stderr: (text) => stderr.push(text),
      shutdown: new AbortController().signal,
    });
    t.equal(code, 1, name);
    t.equal(stdout.length, 0, name);
    t.equal(stderr.length, 1, stderr.join('\n'));
    t.match(stderr[0], line, name);
  }
});

await t.test('a state directory belongs to one daemon; a dead one lets it go', async (t) => {
  const bucket = await Bucket.start(t);
  const { child, report } = await serveChild(t, bucket);
  await failsWith(t, new RegExp(`cannot use state directory .*${report.pid}`), ['serve', SOURCE], bucket.env);
  await child.end('SIGKILL');
  const next = await serveChild(t, bucket);
  t.not(next.report.pid, report.pid);
});
