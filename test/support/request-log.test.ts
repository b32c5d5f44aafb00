/** The request log must see what is missing, too much or different; and no request must escape it. */
import t, { type Test } from 'tap';
import { startEmbeddedStore } from '../../src/store/embedded/server.js';
import type { ObjectStore } from '../../src/store/object-store.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { createLogger } from '../../src/telemetry/log.js';
import { requestDifference } from './request-comparison.js';
import { bytesOf, countsOf, RequestLog, requestLine } from './request-log.js';
import { until } from './rpc-fixture.js';
import { S3Proxy, type Interference } from './s3-proxy.js';

const PLAIN = { metadata: {} };
const credentials = { accessKeyId: 'test', secretAccessKey: 'test-secret' };

function storeAt(t: Test, endpointUrl: string): ObjectStore {
  const store = createS3Store({
    bucket: 'bucket',
    region: 'us-east-1',
    endpointUrl,
    credentials,
    log: createLogger('silent'),
    retry: { backoffMs: 1, throttledBackoffMs: 1, backoffMsMax: 2 },
  });
  t.teardown(() => store.close());
  return store;
}

async function startServer(t: Test, log?: RequestLog): Promise<string> {
  const directory = t.testdir({ bucket: {} });
  const server = await startEmbeddedStore({
    directory,
    host: '127.0.0.1',
    port: 0,
    ...credentials,
    ...log?.hooks,
  });
  t.teardown(() => server.close());
  return server.endpoint;
}

await t.test('lines that agree, in order or within a group in any, are no difference', async (t) => {
  t.equal(requestDifference([], []), undefined);
  t.equal(requestDifference(['a', 'b', 'c'], ['a', 'b', 'c']), undefined);
  t.equal(requestDifference(['a', 'c', 'b', 'd'], ['a', ['b', 'c'], 'd']), undefined);
  t.equal(requestDifference(['b', 'a', 'b'], [['a', 'b', 'b']]), undefined);
});

await t.test('a difference names what is missing, too much, and different', async (t) => {
  t.equal(requestDifference(['a', 'c'], ['a', 'b', 'c']), '  a\n- b\n  c', 'missing');
  t.equal(requestDifference(['a', 'b', 'b'], ['a', 'b']), '  a\n  b\n+ b', 'too much');
  t.equal(requestDifference(['a', 'x'], ['a', 'b']), '  a\n- b\n+ x', 'different');
  t.equal(requestDifference(['b', 'a'], ['a', 'b']), '- a\n  b\n+ a', 'out of order');
  t.equal(requestDifference([], ['a']), '- a', 'none at all');
  t.equal(requestDifference(['a', 'b'], []), '+ a\n+ b', 'none expected');
  t.equal(requestDifference(['a', 'b', 'x'], ['a', ['c', 'b']]), '  a\n- c\n  b\n+ x', 'within a group');
  t.equal(
    requestDifference(['a', 'b', 'b', 'c'], [['a', 'b'], 'c']),
    '  a\n  b\n+ b\n  c',
    'a group and one too much',
  );
});

/** Everything whose line has details of its own. */
async function useEverything(store: ObjectStore): Promise<void> {
  const etag = (await store.put('dir/a b', [Buffer.from('hello')], PLAIN, { ifNoneMatch: '*' })).etag;
  await store.head('dir/none');
  await store.get('dir/a b', { offset: 1, length: 3 }, { ifMatch: etag }, () => undefined);
  const page = await store.list({ prefix: 'dir/', delimiter: '/', maxKeys: 1 });
  t.equal(page.objects.length, 1);
  await store.copy('dir/a b', 'dir/ü', { sourceEtag: etag, size: 5 });
  const upload = await store.createUpload('big', PLAIN);
  const part = await store.copyPart('big', upload, 7, {
    key: 'dir/a b',
    etag,
    range: { offset: 0, length: 5 },
  });
  await store.completeUpload('big', upload, [part]);
  await store.deleteMany(['dir/a b', 'dir/ü']);
}

const EVERYTHING = [
  'PutObject dir/a b if-none-match',
  'HeadObject dir/none 404',
  'GetObject dir/a b 1-3 if-match',
  'ListObjectsV2 dir/ delimited',
  // For the storage class, which CopyObject doesn't take along.
  'HeadObject dir/a b',
  'CopyObject dir/ü < dir/a b x-amz-copy-source-if-match',
  'CreateMultipartUpload big',
  'UploadPartCopy big #7 < dir/a b 0-4 x-amz-copy-source-if-match',
  'CompleteMultipartUpload big',
  'DeleteObjects',
];

for (const place of ['in the server', 'in a proxy'])
  await t.test(`requests are told whole: ${place}`, async (t) => {
    const log = new RequestLog();
    let endpoint = await startServer(t, place === 'in the server' ? log : undefined);
    if (place === 'in a proxy') {
      const proxy = await S3Proxy.start(endpoint, { log });
      t.teardown(() => proxy.close());
      endpoint = proxy.endpoint;
    }
    const store = storeAt(t, endpoint);
    const requests = await log.during(() => useEverything(store));
    t.equal(requestDifference(requests.map(requestLine), EVERYTHING), undefined);
    t.same(countsOf(requests)['PutObject'], 1);
    const [put, , get] = requests;
    t.equal(put?.bytesIn, 5);
    t.equal(get?.bytesOut, 3);
    t.ok(bytesOf(requests).in > 5 && bytesOf(requests).out > 3, 'XML counts as well');
    t.equal(log.underWay, 0);
  });

await t.test('during waits for requests that the action does not wait for', async (t) => {
  const log = new RequestLog();
  const endpoint = await startServer(t, log);
  const store = storeAt(t, endpoint);
  let puts: Promise<unknown> = Promise.resolve();
  const requests = await log.during(
    async () => {
      puts = Promise.all(['a', 'b', 'c'].map((key) => store.put(key, [Buffer.alloc(100_000)], PLAIN)));
      await until(() => log.underWay === 3);
      t.equal(countsOf(log.all)['PutObject'], undefined, 'none has ended yet');
    },
    { key: 'barrier', send: () => store.head('barrier') },
  );
  t.same(countsOf(requests), { PutObject: 3 });
  await puts;
});

await t.test('next is the first of its kind from now on', async (t) => {
  const log = new RequestLog();
  const store = storeAt(t, await startServer(t, log));
  await store.put('a', [Buffer.from('1')], PLAIN);
  await log.quiet();
  const next = log.next('PutObject', 'a');
  await store.head('a');
  await store.put('a', [Buffer.from('22')], PLAIN);
  t.equal((await next).bytesIn, 2);
});

await t.test('failures and retries show; the proxy interferes as it is told', async (t) => {
  const log = new RequestLog();
  const endpoint = await startServer(t);
  const script: Interference[] = ['503', '500', 'reset', 'lose-answer'];
  const proxy = await S3Proxy.start(endpoint, { log, interfere: () => script.shift() });
  t.teardown(() => proxy.close());
  const store = storeAt(t, proxy.endpoint);
  const put = await log.during(() => store.put('a', [Buffer.from('hello')], PLAIN, { ifNoneMatch: '*' }));
  t.equal(
    requestDifference(put.map(requestLine), [
      'PutObject a if-none-match 503',
      'PutObject a if-none-match retry 1 500',
      'PutObject a if-none-match retry 2 cut',
      'PutObject a if-none-match retry 3 cut',
      // The one before took effect, and this one's 412 is looked into.
      'PutObject a if-none-match retry 4 412',
      'HeadObject a',
    ]),
    undefined,
  );
  script.push('truncate');
  const chunks: Buffer[] = [];
  const get = await log.during(() =>
    store.get('a', { offset: 0, length: 5 }, {}, (chunk) => chunks.push(Buffer.from(chunk))),
  );
  t.equal(Buffer.concat(chunks).toString(), 'hello');
  t.equal(
    requestDifference(get.map(requestLine), ['GetObject a 0-4', 'GetObject a 2-4 if-match']),
    undefined,
  );
});
