/** Faults by flags, with the built program: what can only be seen from outside of it, and how wrong flags are told. */
import t from 'tap';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { createLogger } from '../../src/telemetry/log.js';
import { clearFaults, faultReportOf } from '../support/fault-client.js';
import { rawExchange } from '../support/raw-http.js';
import { S3nfsdProcess } from '../support/s3nfsd-process.js';

const KEYS = { accessKeyId: 'key', secretAccessKey: 'secret-key' };

interface Ready {
  readonly endpoint: string;
}

function start(command: 'store' | 'proxy', ...flags: readonly string[]): S3nfsdProcess {
  const keys = ['--access-key-id=key', '--secret-access-key=secret-key'];
  return new S3nfsdProcess([command, '--port=0', ...keys, ...flags]);
}

function storeAt(endpointUrl: string) {
  return createS3Store({
    bucket: 'bucket',
    region: 'us-east-1',
    endpointUrl,
    credentials: KEYS,
    log: createLogger('silent'),
    retry: { backoffMs: 1, attemptsMax: 1 },
  });
}

const portOf = ({ endpoint }: Ready): number => Number(new URL(endpoint).port);

await t.test(
  'kill ends the process as SIGKILL does, before or after the request is carried out',
  async (t) => {
    const directory = t.testdir({ bucket: {} });
    for (const moment of ['before', 'after']) {
      const killed = start(
        'store',
        `--dir=${directory}`,
        `--fault=kill moment=${moment} operation=PutObject`,
      );
      const store = storeAt((await killed.ready<Ready>()).endpoint);
      await t.rejects(store.put(moment, [Buffer.from('content')], { metadata: {} }));
      await store.close();
      t.equal((await killed.finished()).code, null, 'no exit code: a signal');

      const again = start('store', `--dir=${directory}`);
      const survivor = storeAt((await again.ready<Ready>()).endpoint);
      t.equal((await survivor.head(moment)) !== undefined, moment === 'after', moment);
      await survivor.close();
      await again.end();
    }
  },
);

await t.test('a proxy takes rules from file and flags, and a seed', async (t) => {
  const directory = t.testdir({ buckets: { bucket: {} } });
  const plan = join(directory, 'plan.yaml');
  writeFileSync(plan, 'seed: 3\nrules:\n  - { fault: error, code: SlowDown, nth: 1 }\n');
  const store = start('store', `--dir=${join(directory, 'buckets')}`);
  t.teardown(() => store.end());
  const { endpoint } = await store.ready<Ready>();
  const proxy = start(
    'proxy',
    `--to=${endpoint}`,
    `--fault-plan=${plan}`,
    '--fault=error status=418 code=Teapot nth=2; reset nth=3',
    '--latency=0..2ms',
    '--bandwidth=100MiB/s',
    '--total-bandwidth=1GiB/s',
    '--fault-seed=9',
  );
  t.teardown(() => proxy.end());
  const port = portOf(await proxy.ready<Ready>());
  const statuses = [];
  for (let each = 0; each < 4; each++) {
    statuses.push((await rawExchange(port, { method: 'GET', path: '/bucket/key' })).status);
  }
  t.same(statuses, [503, 418, undefined, 403]);
  const report = await faultReportOf(port, KEYS);
  t.equal(report.seed, 9);
  t.same(
    report.rules.map(({ rule }) => rule['fault']),
    ['error', 'error', 'reset', 'latency', 'bandwidth', 'bandwidth'],
  );
  t.same(report.fired, { error: 2, reset: 1, latency: 3, bandwidth: 6 });
  await clearFaults(port, KEYS);
  t.same((await faultReportOf(port, KEYS)).rules, []);
});

await t.test('a plan that can’t be followed stops the start with one line', async (t) => {
  const directory = t.testdir({ 'plan.yaml': '- error rate=7' });
  const plan = join(directory, 'plan.yaml');
  for (const [flags, line] of [
    [['--fault=error nth=0'], 's3nfsd: option fault, rule 1: nth: expected a whole number at least 1, got 0'],
    [
      [`--fault-plan=${plan}`],
      `s3nfsd: fault plan ${plan}: rule 1: rate: expected a rate such as 0.05 or 5%, got 7`,
    ],
    [[`--fault-plan=${plan}.no`], `s3nfsd: cannot read fault plan ${plan}.no: ENOENT`],
    [
      ['--latency=quick'],
      's3nfsd: option latency: invalid value "quick" from flag --latency: expected a time such as 30ms, 10ms..50ms or lognormal(30ms,0.5)',
    ],
    [
      ['--bandwidth=8MiB'],
      's3nfsd: option bandwidth: invalid value "8MiB" from flag --bandwidth: expected a speed such as 8MiB/s',
    ],
  ] as const) {
    const { code, stderr } = await start('proxy', '--to=http://127.0.0.1:9', ...flags).finished();
    t.equal(code, 1);
    t.same(stderr, [line]);
  }
  const { stderr } = await start('proxy').finished();
  t.same(stderr, ['s3nfsd: name the server to stand before: --to URL']);
});
