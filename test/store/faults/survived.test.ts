/** What the project's S3 client makes of each fault: it gets over those that pass, and never delivers or claims what isn't so. */
import t, { type Test } from 'tap';
import { createHash } from 'node:crypto';
import { startEmbeddedStore, type EmbeddedStore } from '../../../src/store/embedded/server.js';
import { parseFaultPlan } from '../../../src/store/faults/parse-plan.js';
import type { ObjectStore } from '../../../src/store/object-store.js';
import type { S3StoreOptions } from '../../../src/store/s3/options.js';
import { createS3Store } from '../../../src/store/s3/s3-store.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { storeErrorKind } from '../../support/store-error-kind.js';
import { ACCESS_KEY, SECRET_KEY } from '../embedded/support.js';

const content = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7) % 251));
const PART_BYTES = 5 * 1024 ** 2;

interface Fixture {
  readonly server: EmbeddedStore;
  readonly store: ObjectStore;
  readonly faults: (rules: readonly string[], seed?: number) => void;
}

async function setUp(t: Test, options: Partial<S3StoreOptions> = {}): Promise<Fixture> {
  const credentials = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };
  const directory = t.testdir({ bucket: {} });
  const server = await startEmbeddedStore({ directory, host: '127.0.0.1', port: 0, ...credentials });
  const store = createS3Store({
    bucket: 'bucket',
    region: 'us-east-1',
    endpointUrl: server.endpoint,
    credentials,
    log: createLogger('silent'),
    retry: { backoffMs: 1, throttledBackoffMs: 1, backoffMsMax: 2 },
    ...options,
  });
  t.teardown(async () => {
    await store.close();
    await server.close();
  });
  return {
    server,
    store,
    faults: (rules, seed = 1) => server.faults.setPlan(parseFaultPlan(JSON.stringify({ seed, rules }))),
  };
}

async function read(store: ObjectStore, key: string, length = content.length): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await store.get(key, { offset: 0, length }, {}, (chunk) => chunks.push(Buffer.from(chunk)));
  return Buffer.concat(chunks);
}

await t.test('a PUT gets over what passes', async (t) => {
  const { server, store, faults } = await setUp(t);
  for (const fault of [
    'error code=SlowDown limit=3',
    'error code=InternalError limit=3',
    'error code=InternalError moment=after limit=1',
    'error code=RequestTimeout limit=1',
    'reset in=request limit=2',
    'reset in=request at=100000 limit=2',
    'reset limit=1',
    'latency time=1ms..5ms',
  ]) {
    faults([`${fault} operation=PutObject`]);
    const key = fault.replaceAll(/\W+/g, '-');
    await store.put(key, [content], { metadata: {} });
    t.ok((server.faults.report().rules[0]?.fired ?? 0) > 0, fault);
    t.ok((await read(store, key)).equals(content));
  }
});

await t.test('a conditional PUT whose answer was lost is known to have happened', async (t) => {
  const { store, faults } = await setUp(t);
  for (const fault of ['error moment=after limit=1', 'reset limit=1']) {
    faults([`${fault} operation=PutObject`]);
    const { etag } = await store.put(`key-${fault}`, [content], { metadata: {} }, { ifNoneMatch: '*' });
    t.equal(etag, `"${createHash('md5').update(content).digest('hex')}"`, fault);
  }
});

await t.test('a PUT that was corrupted on its way is never taken for done', async (t) => {
  const { store, faults } = await setUp(t);
  faults(['corrupt in=request operation=PutObject']);
  const kind = await storeErrorKind(store.put('key', [content], { metadata: {} }));
  t.equal(kind, 'checksum');
  faults([]);
  t.equal(await store.head('key'), undefined);
});

await t.test('a GET gets over what passes, and delivers each byte once', async (t) => {
  const { server, store, faults } = await setUp(t);
  await store.put('key', [content], { metadata: {} });
  for (const fault of [
    'error code=SlowDown limit=3',
    'error code=InternalError limit=3',
    'reset limit=2',
    'reset at=100000 limit=2',
    'reset at=anywhere limit=4',
    'truncate at=1000 limit=2',
    'truncate at=0 limit=2',
    'truncate at=50000 framing=chunked-cut limit=2',
    'truncate at=50000 framing=chunked limit=2',
    'bandwidth speed=50MB/s',
  ]) {
    faults([`${fault} operation=GetObject`]);
    t.ok((await read(store, 'key')).equals(content), fault);
    t.ok((server.faults.report().rules[0]?.fired ?? 0) > 0, fault);
  }
});

await t.test('a GET that stalls goes on elsewhere', async (t) => {
  const { store, faults } = await setUp(t, { timeouts: { firstByteMs: 100, idleMs: 100 } });
  await store.put('key', [content], { metadata: {} });
  for (const fault of ['stall limit=1', 'stall at=1000 limit=1']) {
    faults([`${fault} operation=GetObject`]);
    t.ok((await read(store, 'key')).equals(content), fault);
  }
});

await t.test('what doesn’t pass is told for what it is', async (t) => {
  const { store, faults } = await setUp(t, {
    retry: { backoffMs: 1, throttledBackoffMs: 1, deadlineMs: 300 },
  });
  await store.put('key', [content], { metadata: {} });
  for (const [fault, kind] of [
    ['error code=SlowDown', 'throttled'],
    ['error code=InternalError', 'unavailable'],
    ['error code=ExpiredToken', 'credentials'],
    ['error code=InvalidAccessKeyId', 'credentials'],
    ['error code=AccessDenied', 'access-denied'],
    ['reset', 'unavailable'],
  ] as const) {
    faults([`${fault} operation=GetObject`]);
    t.equal(await storeErrorKind(read(store, 'key')), kind, fault);
  }
});

await t.test('a server whose clock is wrong is talked to by its clock', async (t) => {
  const { store, faults } = await setUp(t);
  faults(['skew time=-3h']);
  await store.put('key', [content], { metadata: {} });
  t.ok((await read(store, 'key')).equals(content));
});

await t.test('a multipart upload through all of it at once is whole', async (t) => {
  const { server, store, faults } = await setUp(t, {
    retry: {
      backoffMs: 1,
      throttledBackoffMs: 1,
      backoffMsMax: 2,
      attemptsMax: 50,
      throttledAttemptsMax: 50,
    },
  });
  const parts = [PART_BYTES, PART_BYTES, 1000].map((length, index) => Buffer.alloc(length, index + 1));
  for (const seed of [1, 2, 3]) {
    faults(
      [
        'error code=SlowDown rate=15%',
        'error code=InternalError rate=10%',
        'error code=InternalError moment=after rate=10% operation=UploadPart,GetObject',
        'reset in=request at=0..1MiB rate=15%',
        'reset rate=10% operation=UploadPart,GetObject',
        'reset at=anywhere rate=20%',
        'corrupt in=request rate=10% operation=UploadPart',
        'truncate rate=20% operation=GetObject',
        'latency time=lognormal(1ms,1)',
        'bandwidth speed=1GB/s scope=total',
      ],
      seed,
    );
    const upload = await store.createUpload('big', { metadata: {} });
    const done = await Promise.all(
      parts.map((part, index) => store.uploadPart('big', upload, index + 1, [part])),
    );
    await store.completeUpload('big', upload, done);
    const whole = Buffer.concat(parts);
    t.ok((await read(store, 'big', whole.length)).equals(whole), `seed ${seed}`);
    t.comment(JSON.stringify(server.faults.report().fired));
  }
});
