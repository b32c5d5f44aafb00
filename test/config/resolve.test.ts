import t, { type Test } from 'tap';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArguments } from '../../config/arguments.js';
import { ConfigError } from '../../config/config-error.js';
import { resolveOptions } from '../../config/resolve.js';
import { SERVE_OPTIONS, STORE_OPTIONS } from '../../config/schema.js';
import { defaultStateDirectory, serveConfig } from '../../config/serve-config.js';

const FACTS = { env: { HOME: '/home/u' }, uid: 1000, gid: 100 };

function resolve(argv: readonly string[], env: Record<string, string> = {}) {
  return resolveOptions(SERVE_OPTIONS, {
    arguments: parseArguments(argv, SERVE_OPTIONS),
    positional: 'exports',
    env,
  });
}

function configured(argv: readonly string[], env: Record<string, string> = {}) {
  return serveConfig(resolve(argv, env), FACTS);
}

/** The message of the ConfigError that `run` must fail with; one line by definition. */
function failure(t: Test, run: () => unknown): string {
  try {
    run();
  } catch (error) {
    t.type(error, ConfigError);
    t.notMatch((error as Error).message, /\n/, 'one line');
    return (error as Error).message;
  }
  t.fail('expected a ConfigError');
  return '';
}

function fileWith(t: Test, text: string): string {
  const path = join(t.testdir(), 's3nfsd.yaml');
  writeFileSync(path, text);
  return path;
}

await t.test('flag before environment before file before default', async (t) => {
  const file = fileWith(t, 'port: 1\nmaxRequests: 1\npartSize: 10MiB\n');
  const env = { S3NFSD_CONFIG: file, S3NFSD_PORT: '2', S3NFSD_MAX_REQUESTS: '2' };
  const { values, origins } = resolve(['--port', '3', 's3://bucket'], env);
  t.equal(values.port, 3);
  t.equal(values.maxRequests, 2);
  t.equal(values.partSize, 10 * 2 ** 20);
  t.equal(values.drainTimeout, 25_000);
  t.equal(origins.get('port'), 'flag --port');
  t.equal(origins.get('maxRequests'), 'environment variable S3NFSD_MAX_REQUESTS');
  t.equal(origins.get('partSize'), `file ${file}`);
  t.equal(origins.get('drainTimeout'), undefined);
});

await t.test('AWS variables are honoured after this project’s own', async (t) => {
  const aws = {
    AWS_REGION: 'eu-west-1',
    AWS_PROFILE: 'p',
    AWS_ENDPOINT_URL: 'http://a',
    AWS_ENDPOINT_URL_S3: 'http://b/',
  };
  const { values } = resolve(['s3://bucket'], aws);
  t.match(values, { region: 'eu-west-1', profile: 'p', endpointUrl: 'http://b' });
  t.equal(resolve(['s3://bucket'], { ...aws, S3NFSD_REGION: 'eu-central-1' }).values.region, 'eu-central-1');
  t.equal(resolve(['s3://bucket'], { S3NFSD_REGION: '' }).values.region, null, 'an empty variable is none');
});

await t.test('each wrong value is told with option, origin, value and what is allowed', async (t) => {
  t.equal(
    failure(t, () => resolve(['--port', '70000'])),
    'option port: invalid value "70000" from flag --port: expected a port from 0 to 65535 (0: any free one)',
  );
  t.match(
    failure(t, () => resolve([], { S3NFSD_MEMORY_LIMIT: '12 parsecs' })),
    /^option memoryLimit: .*"12 parsecs" from environment variable S3NFSD_MEMORY_LIMIT: expected a size/,
  );
  const file = fileWith(t, 'drainTimeout: 30\n');
  t.match(
    failure(t, () => resolve(['--config', file, '--drain-timeout', '1s'])),
    new RegExp(`^option drainTimeout: invalid value "30" from file ${file}: expected a time`),
    'checked though a flag hides it',
  );
  t.match(
    failure(t, () => resolve(['--memory-limit', '1KB'])),
    /at least 32MiB/,
  );
  t.match(
    failure(t, () => resolve(['--squash', 'some'])),
    /expected one of root, all, none/,
  );
  t.match(
    failure(t, () => resolve(['--allow', '10.0.0.0/99'])),
    /expected networks such as/,
  );
  t.match(
    failure(t, () => resolve(['--endpoint-url', 'ftp://x'])),
    /expected a URL/,
  );
  t.match(
    failure(t, () => resolve(['--file-mode', '0999'])),
    /expected an octal mode/,
  );
});

await t.test('unknown names are errors with a suggestion', async (t) => {
  t.equal(
    failure(t, () => resolve(['--memroy-limit', '1GB'])),
    'unknown option --memroy-limit; did you mean --memory-limit?',
  );
  t.equal(
    failure(t, () => resolve(['--xyzzy'])),
    'unknown option --xyzzy',
  );
  const file = fileWith(t, 'memory-limit: 1GB\n');
  t.equal(
    failure(t, () => resolve(['--config', file])),
    `unknown key memory-limit in configuration file ${file}; did you mean memoryLimit?`,
  );
  const nested = fileWith(t, 'exports: [{ source: s3://bucket, readonly: true }]\n');
  t.equal(
    failure(t, () => configured(['--config', nested])),
    `unknown key readonly in exports[0] from file ${nested}; did you mean readOnly?`,
  );
  t.same(resolve([], { S3NFSD_MEMROY_LIMIT: '1GB' }).warnings, [
    'environment variable S3NFSD_MEMROY_LIMIT is not known; did you mean S3NFSD_MEMORY_LIMIT?',
  ]);
});

await t.test('malformed command lines', async (t) => {
  t.equal(
    failure(t, () => resolve(['--port'])),
    'option --port needs a value',
  );
  t.equal(
    failure(t, () => resolve(['--port', '--read-only'])),
    'option --port needs a value',
  );
  t.equal(
    failure(t, () => resolve(['--port', '1', '--port=2'])),
    'option --port is given twice',
  );
  t.equal(
    failure(t, () => resolve(['--no-port'])),
    'unknown option --no-port',
  );
  t.match(
    failure(t, () => resolve(['--read-only=perhaps'])),
    /expected true or false/,
  );
});

await t.test('switches and lists', async (t) => {
  t.equal(resolve(['--read-only']).values.readOnly, true);
  t.equal(resolve(['--read-only=false']).values.readOnly, false);
  t.equal(resolve(['--no-read-only'], { S3NFSD_READ_ONLY: 'true' }).values.readOnly, false);
  t.equal(resolve(['--no-sign-request']).values.noSignRequest, true);
  const { values } = resolve(['--allow', '10.0.0.0/8', '--allow=::1,192.168.1.1', '--listen', '[::]:1']);
  t.same(values.allow, ['10.0.0.0/8', '::1/128', '192.168.1.1/32']);
  t.same(values.listen, [{ host: '::', port: 1 }]);
});

await t.test('a file that cannot be read or parsed is told in one line', async (t) => {
  t.equal(
    failure(t, () => resolve(['--config', '/nowhere/x.yaml'])),
    'cannot read configuration file /nowhere/x.yaml: there is no such file',
  );
  const broken = fileWith(t, 'port: 1\nexports: [\n');
  t.match(
    failure(t, () => resolve(['--config', broken])),
    new RegExp(`^configuration file ${broken}, line \\d+: `),
  );
  const list = fileWith(t, '- 1\n');
  t.match(
    failure(t, () => resolve(['--config', list])),
    /expected a mapping/,
  );
});

await t.test('exports: defaults from the top level, overrides for each', async (t) => {
  const file = fileWith(
    t,
    `
fileMode: 0600
region: eu-west-1
exports:
  - s3://one
  - source: s3://two/data/
    path: /d
    readOnly: true
    uid: 7
    dirMode: 0o700
    squash: all
    endpointUrl: http://127.0.0.1:9000
    metadataTtl: indefinite
    readPolicy: random
    commitPolicy: journal
    renameCopyLimit: 100GiB
`,
  );
  const { exports } = configured(['--config', file]);
  t.same(exports[0], {
    path: '/one',
    source: 's3://one',
    bucket: 'one',
    prefix: '',
    readOnly: false,
    allow: [],
    squash: 'none',
    uid: 1000,
    gid: 100,
    fileMode: 0o600,
    dirMode: 0o755,
    metadataTtlMs: 1000,
    negativeTtlMs: 1000,
    exclusiveCreate: 'daemon',
    metadata: 'objects',
    directoryMarkers: true,
    readPolicy: 'adaptive',
    commitPolicy: 'publish',
    noSignRequest: false,
    requestPayer: false,
    dualStack: false,
    uploadChecksums: 'crc32',
    verifyReads: 'auto',
    region: 'eu-west-1',
  });
  t.match(exports[1], {
    path: '/d',
    source: 's3://two/data/',
    bucket: 'two',
    prefix: 'data/',
    readOnly: true,
    uid: 7,
    gid: 100,
    fileMode: 0o600,
    dirMode: 0o700,
    squash: 'all',
    endpointUrl: 'http://127.0.0.1:9000',
    metadataTtlMs: Infinity,
    negativeTtlMs: Infinity,
    readPolicy: 'random',
    commitPolicy: 'journal',
    renameCopyLimit: 100 * 2 ** 30,
  });
});

await t.test('a daemon of root squashes to nobody unless the owner is named', async (t) => {
  const owner = (...args: string[]) => {
    const resolved = resolveOptions(SERVE_OPTIONS, {
      arguments: parseArguments(['s3://one', ...args], SERVE_OPTIONS),
      positional: 'exports',
      env: {},
    });
    const [entry] = serveConfig(resolved, { ...FACTS, uid: 0, gid: 0 }).exports;
    return [entry?.uid, entry?.gid];
  };
  t.same(owner('--squash', 'root'), [65534, 65534]);
  t.same(owner('--squash', 'all', '--gid', '5'), [65534, 5]);
  t.same(owner('--squash', 'all', '--uid', '0', '--gid', '0'), [0, 0]);
  t.same(owner(), [0, 0], 'loopback alone, nothing squashed');
  t.same(owner('--listen', '0.0.0.0', '--allow', '10.0.0.0/8'), [65534, 65534]);
});

await t.test('JSON is read as YAML', async (t) => {
  const file = fileWith(t, '{"exports": ["s3://one/p"], "port": 0, "readOnly": true}');
  const config = configured(['--config', file]);
  t.equal(config.port, 0);
  t.match(config.exports[0], { path: '/one/p', prefix: 'p/', readOnly: true });
});

await t.test('sources', async (t) => {
  const [entry] = configured(['s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/mine/a/b']).exports;
  t.match(entry, {
    bucket: 'arn:aws:s3:eu-west-1:123456789012:accesspoint/mine',
    path: '/mine/a/b',
    prefix: 'a/b/',
  });
  for (const source of [
    'bucket',
    's3://',
    's3://x',
    's3://b_!',
    's3://bucket//',
    's3://bucket/a/../b',
    'gs://bucket',
  ]) {
    t.match(
      failure(t, () => configured([source])),
      /expected s3:\/\/bucket/,
      source,
    );
  }
  t.match(
    failure(t, () => configured(['s3://one', 's3://one/'])),
    /same path \/one/,
  );
  t.match(
    failure(t, () => configured([])),
    /^nothing to serve/,
  );
});

await t.test('listening beyond loopback needs --allow for each export', async (t) => {
  t.match(
    failure(t, () => configured(['s3://one', '--listen', '0.0.0.0'])),
    /0\.0\.0\.0 is not loopback/,
  );
  t.match(
    failure(t, () => configured(['s3://one', '--listen', '127.0.0.1', '--listen', '::'])),
    /:: is not loopback/,
  );
  const config = configured(['s3://one', '--listen', '0.0.0.0', '--allow', '10.0.0.0/8']);
  t.same(config.exports[0]?.allow, ['10.0.0.0/8']);
  t.equal(config.exports[0]?.squash, 'root', 'and root is squashed unless told otherwise');
});

await t.test('nothing can rest on a state directory that is ephemeral', async (t) => {
  t.equal(configured(['s3://one', '--state-ephemeral']).isStateEphemeral, true);
  t.match(
    failure(t, () => configured(['s3://one', '--state-ephemeral', '--commit-policy', 'journal'])),
    /option stateEphemeral: \/one has the commit policy journal/,
  );
});

await t.test('parts must fit into the memory budget', async (t) => {
  const args = ['s3://one', '--memory-limit', '64MiB', '--part-size'];
  t.equal(configured([...args, '16MiB']).partSizeBytes, 16 * 2 ** 20);
  t.match(
    failure(t, () => configured([...args, '17MiB'])),
    /17MiB is more than a quarter of the memory limit, 64MiB/,
  );
});

await t.test('a Kubernetes service link is nobody’s port', async (t) => {
  t.equal(resolve([], { S3NFSD_PORT: 'tcp://10.0.0.1:2049' }).values.port, 2049);
});

await t.test('where state lies', async (t) => {
  t.equal(defaultStateDirectory(FACTS), '/home/u/.local/state/s3nfsd');
  t.equal(defaultStateDirectory({ ...FACTS, env: { XDG_STATE_HOME: '/x' } }), '/x/s3nfsd');
  t.equal(
    defaultStateDirectory({ ...FACTS, env: { HOME: '/h', XDG_STATE_HOME: 'relative' } }),
    '/h/.local/state/s3nfsd',
  );
  t.equal(defaultStateDirectory({ ...FACTS, uid: 0 }), '/var/lib/s3nfsd');
});

await t.test('a bucket that is named as a directory bucket must name its zone', async (t) => {
  const bucket = (name: string): readonly string[] =>
    resolveOptions(STORE_OPTIONS, { arguments: parseArguments(['--bucket', name], STORE_OPTIONS), env: {} })
      .values.bucket;
  t.same(bucket('data--use1-az4--x-s3'), ['data--use1-az4--x-s3']);
  for (const name of ['data--x-s3', 'da.ta--use1-az4--x-s3']) t.throws(() => bucket(name), ConfigError);
});
