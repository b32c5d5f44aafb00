/** The S3 store of a directory bucket: sessions, addresses, and answers that are lost. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startEmbeddedStore, type EmbeddedStore } from '../../src/store/embedded/server.js';
import { parseFaultPlan } from '../../src/store/faults/parse-plan.js';
import {
  canAppend,
  canRename,
  type AppendingStore,
  type RenamingStore,
} from '../../src/store/object-store.js';
import { regionOfZone } from '../../src/store/s3/directory-bucket.js';
import { fixedAddress } from '../../src/store/s3/directory-endpoint.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { createLogger } from '../../src/telemetry/log.js';
import { ACCESS_KEY, SECRET_KEY, temporaryDirectory } from './embedded/support.js';
import { storeErrorKind } from '../support/store-error-kind.js';

const BUCKET = 'data--use1-az4--x-s3';
const PLAIN = { metadata: {} };

interface Fixture {
  readonly server: EmbeddedStore;
  readonly store: AppendingStore & RenamingStore;
  /** `Operation key`, of requests that the server carried out or refused. */
  readonly requests: string[];
  readonly faults: (...rules: readonly string[]) => void;
  readonly text: (key: string) => Promise<string>;
}

async function setUp(t: Test, host = '127.0.0.1'): Promise<Fixture> {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, BUCKET));
  const requests: string[] = [];
  const credentials = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };
  const server = await startEmbeddedStore({
    directory,
    host: '127.0.0.1',
    port: 0,
    ...credentials,
    onRequest: ({ operation, key, status }) => requests.push(`${operation} ${key ?? ''} ${String(status)}`),
  });
  t.teardown(() => server.close());
  const store = createS3Store({
    bucket: BUCKET,
    region: 'us-east-1',
    endpointUrl: `http://${host}:${String(server.port)}`,
    credentials,
    log: createLogger('silent'),
    retry: { backoffMs: 1, throttledBackoffMs: 1, backoffMsMax: 2 },
  });
  t.teardown(() => store.close());
  if (!canAppend(store) || !canRename(store)) throw new Error('a directory bucket can append and rename');
  return {
    server,
    store,
    requests,
    faults: (...rules) => server.faults.setPlan(parseFaultPlan(JSON.stringify({ rules }))),
    text: async (key) => {
      const chunks: Buffer[] = [];
      await store.get(key, { offset: 0, length: 1000 }, {}, (chunk) => chunks.push(Buffer.from(chunk)));
      return Buffer.concat(chunks).toString();
    },
  };
}

const body = (text: string): Buffer[] => [Buffer.from(text)];
const sessionsIn = (requests: readonly string[]): number =>
  requests.filter((line) => line.startsWith('CreateSession')).length;

await t.test('capabilities are those of a directory bucket', async (t) => {
  const { store } = await setUp(t);
  t.match(store.capabilities, {
    conditionalWrites: true,
    orderedListing: false,
    append: true,
    rename: true,
    partNumberGaps: false,
  });
});

await t.test('localhost and IP addresses are spoken to in path style, each slash once', async (t) => {
  for (const host of ['127.0.0.1', 'localhost']) {
    const { store, requests, text } = await setUp(t, host);
    await store.put('a/b c', body('x'), PLAIN);
    t.equal(await text('a/b c'), 'x');
    t.same((await store.list({ prefix: 'a/' })).objects.length, 1);
    t.same(requests, [
      'CreateSession  200',
      'PutObject a/b c 200',
      'GetObject a/b c 206',
      'ListObjectsV2  200',
    ]);
  }
  const fixed = (hostname: string, path: string, url: string, style: boolean): string => {
    const address = fixedAddress({ hostname, path }, new URL(url), 'b--z--x-s3', style);
    return address.hostname + address.path;
  };
  t.equal(fixed('10.0.0.1', '/b--z--x-s3//k', 'http://10.0.0.1/b--z--x-s3/', true), '10.0.0.1/b--z--x-s3/k');
  t.equal(fixed('10.0.0.1', '/b--z--x-s3/k', 'http://10.0.0.1/b--z--x-s3', true), '10.0.0.1/b--z--x-s3/k');
  t.equal(
    fixed('10.0.0.1', '/b--z--x-s3///k', 'http://10.0.0.1/b--z--x-s3/', true),
    '10.0.0.1/b--z--x-s3//k',
  );
  t.equal(fixed('b--z--x-s3.host', '/k', 'http://b--z--x-s3.host/', true), 'host/b--z--x-s3/k');
  t.equal(fixed('b--z--x-s3.host', '/s3/k', 'http://b--z--x-s3.host/s3/', true), 'host/s3/b--z--x-s3/k');
  t.equal(fixed('b--z--x-s3.host', '/k', 'http://b--z--x-s3.host/', false), 'b--z--x-s3.host/k');
});

await t.test('the region is in the name of the zone', async (t) => {
  for (const [bucket, region] of [
    ['data--use1-az4--x-s3', 'us-east-1'],
    ['data--apne1-az1--x-s3', 'ap-northeast-1'],
    ['data--eun1-az2--x-s3', 'eu-north-1'],
    ['data--other--x-s3', undefined],
  ] as const)
    t.equal(regionOfZone(bucket), region);
});

await t.test('all requests share one session; one that is refused as ended is made anew', async (t) => {
  const { store, requests, faults, text } = await setUp(t);
  await Promise.all(['a', 'b', 'c'].map(async (key) => store.put(key, body(key), PLAIN)));
  // Copies go through a client of their own, under the account's keys.
  await store.copy('a', 'd', {});
  t.equal(sessionsIn(requests), 1);
  faults('error code=ExpiredToken operation=GetObject limit=1');
  t.equal(await text('a'), 'a');
  t.equal(sessionsIn(requests), 2);
  faults('error code=ExpiredToken operation=GetObject');
  t.equal(await storeErrorKind(text('a')), 'credentials', 'twice in a row is an error');
});

await t.test('a session that could not be made is asked for again', async (t) => {
  const { store, faults } = await setUp(t);
  faults('error code=InternalError operation=CreateSession limit=2', 'reset operation=CreateSession nth=3');
  await store.put('a', body('a'), PLAIN);
  const denied = await setUp(t);
  denied.faults('error code=AccessDenied operation=CreateSession limit=1');
  t.equal(await storeErrorKind(denied.store.put('a', body('a'), PLAIN)), 'access-denied');
  await t.resolves(denied.store.put('a', body('a'), PLAIN), 'no failure is kept');
});

await t.test('an append whose answer is lost is made once', async (t) => {
  const { store, faults, text, requests } = await setUp(t);
  const { etag } = await store.put('log', body('one,'), PLAIN);
  faults('error code=InternalError moment=after operation=PutObject limit=1');
  const second = await store.append('log', body('two,'), 4, { condition: { ifMatch: etag } });
  t.equal(await text('log'), 'one,two,');
  t.equal((await store.head('log'))?.etag, second.etag);
  faults('reset operation=PutObject limit=1');
  await store.append('log', body('three'), 8);
  t.equal(await text('log'), 'one,two,three');
  t.ok(requests.includes('PutObject log 400'), 'the second request was refused');
  faults();
  await store.put('other', body('12345678'), PLAIN);
  t.equal(
    await storeErrorKind(store.append('other', body('5678'), 4)),
    'precondition-failed',
    'no lost answer',
  );
});

await t.test('an append that somebody else overtook is not taken for ours', async (t) => {
  const { store, faults } = await setUp(t);
  await store.put('log', body('one,'), PLAIN);
  // The first request does not arrive; before the second, somebody else appends as many bytes.
  faults('error code=InternalError operation=PutObject nth=1', 'latency time=1ms');
  await store.append('log', body('them'), 4);
  faults('error code=InternalError operation=PutObject nth=1');
  t.equal(await storeErrorKind(store.append('log', body('us!!'), 4)), 'precondition-failed');
});

await t.test('a rename whose answer is lost is made once', async (t) => {
  const { store, faults, text } = await setUp(t);
  await store.put('a', body('first'), PLAIN);
  faults('error code=InternalError moment=after operation=RenameObject limit=1');
  await store.rename('a', 'b');
  t.equal(await text('b'), 'first');
  t.equal(await store.head('a'), undefined);
});

await t.test('a conditional write whose answer is lost is known by its checksum', async (t) => {
  const { store, faults, text } = await setUp(t);
  faults('error code=InternalError moment=after operation=PutObject limit=1');
  const written = await store.put('new', body('content'), PLAIN, { ifNoneMatch: '*' });
  t.equal((await store.head('new'))?.etag, written.etag);
  t.equal(await text('new'), 'content');
});
