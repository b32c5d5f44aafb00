/** The fault proxy in front of another S3 server: what it passes on, and what it does not. */
import t, { type Test } from 'tap';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { startFaultProxy, type FaultProxy, type FaultProxyOptions } from '../../../src/store/faults/proxy.js';
import { parseFaultPlan } from '../../../src/store/faults/parse-plan.js';
import { createS3Store } from '../../../src/store/s3/s3-store.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { rawExchange } from '../../support/raw-http.js';
import { ScriptedServer, status } from '../../support/scripted-server.js';
import { objectStoreContract } from '../contract.js';
import { ACCESS_KEY, clientOf, SECRET_KEY, startServer, temporaryDirectory } from '../embedded/support.js';

const planOf = (...rules: readonly string[]) => parseFaultPlan(JSON.stringify({ rules }));

async function proxyTo(t: Test, to: string, options: Partial<FaultProxyOptions> = {}): Promise<FaultProxy> {
  const proxy = await startFaultProxy({ to, host: '127.0.0.1', port: 0, ...options });
  t.teardown(() => proxy.close());
  return proxy;
}

await t.test('the contract of object stores holds through it, also where it shapes', async (t) => {
  const directory = temporaryDirectory(t);
  const server = await startServer(directory);
  t.teardown(() => server.close());
  const plan = planOf('latency time=0..1ms', 'bandwidth speed=500MB/s', 'bandwidth speed=1GB/s scope=total');
  for (const [bucket, proxy] of [
    ['plain', await proxyTo(t, server.endpoint)],
    ['shaped', await proxyTo(t, server.endpoint, { plan })],
  ] as const) {
    const options = {
      bucket,
      region: 'us-east-1',
      endpointUrl: proxy.endpoint,
      credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
      log: createLogger('silent'),
    };
    await clientOf(t, proxy.endpoint).send(new CreateBucketCommand({ Bucket: bucket }));
    await t.test(bucket, async (t) => objectStoreContract(t, async () => createS3Store(options)));
    t.equal((proxy.faults.report().fired.latency ?? 0) > 100, bucket === 'shaped');
  }
});

await t.test('a request arrives as it was sent, and its answer as it was given', async (t) => {
  const server = await ScriptedServer.start([
    status(207, { 'X-Amz-Meta-A': 'b', etag: '"e"', connection: 'keep-alive' }, 'body'),
    status(204),
  ]);
  t.teardown(() => server.close());
  const proxy = await proxyTo(t, server.endpoint);
  const answer = await rawExchange(proxy.port, {
    method: 'PUT',
    path: '/bucket/a%2fb//c?x-id=PutObject&empty',
    headers: {
      host: 'bucket.s3.example.com',
      Authorization: 'AWS4-HMAC-SHA256 whatever',
      'X-Amz-Meta-X': 'y',
    },
    body: Buffer.from('to be kept'),
  });
  t.equal(answer.status, 207);
  t.equal(answer.headers.get('x-amz-meta-a'), 'b');
  t.equal(answer.headers.get('etag'), '"e"');
  t.match(answer.body.toString(), 'body');
  await rawExchange(proxy.port, { method: 'POST', path: '/bucket/key?uploads' });
  const [put, post] = server.requests;
  t.equal(put?.method, 'PUT');
  t.equal(put?.url, '/bucket/a%2fb//c?x-id=PutObject&empty');
  t.match(put?.headers, {
    host: 'bucket.s3.example.com',
    authorization: 'AWS4-HMAC-SHA256 whatever',
    'x-amz-meta-x': 'y',
    'content-length': '10',
  });
  t.equal(put?.body.toString(), 'to be kept');
  t.equal(post?.headers['transfer-encoding'], undefined, 'a body that is none is not chunked');
});

await t.test('Expect: 100-continue is the server’s to answer', async (t) => {
  const server = createServer();
  server.on('checkContinue', (request: IncomingMessage, response) => {
    response.writeContinue();
    request.resume().once('end', () => response.end('done'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const proxy = await proxyTo(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const socket = connect(proxy.port, '127.0.0.1').setEncoding('latin1');
  t.teardown(() => void socket.destroy());
  socket.write('PUT /b/k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n');
  const [first] = (await once(socket, 'data')) as [string];
  t.match(first, /^HTTP\/1\.1 100 Continue\r\n/);
  socket.write('abc');
  const [second] = (await once(socket, 'data')) as [string];
  t.match(second, /^HTTP\/1\.1 200 OK\r\n/);
});

await t.test('a server that is not there, or goes away, is a connection reset', async (t) => {
  const server = await ScriptedServer.start([
    (response) => void response.socket?.destroy(),
    (response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half', () => response.socket?.end());
    },
  ]);
  const proxy = await proxyTo(t, server.endpoint);
  t.equal((await rawExchange(proxy.port, { method: 'GET', path: '/b/k' })).status, undefined);
  const half = await rawExchange(proxy.port, { method: 'GET', path: '/b/k' });
  t.equal(half.body.toString(), 'half');
  t.not(half.end, 'whole');
  await server.close();
  t.equal((await rawExchange(proxy.port, { method: 'GET', path: '/b/k' })).end, 'ECONNRESET');
});

await t.test('a connection that the server closes while it is idle is closed to the client', async (t) => {
  const server = createServer((_request, response) => response.end('ok'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const proxy = await proxyTo(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const client = connect(proxy.port, '127.0.0.1');
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await once(client, 'data');
  client.resume();
  const closed = once(client, 'close');
  server.closeAllConnections();
  await closed;
  t.pass('closed');
});

await t.test('a server may answer before it has the body', async (t) => {
  const server = createServer((_request, response) => {
    response.writeHead(503, { 'content-length': '4', connection: 'close' });
    response.end('busy');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const proxy = await proxyTo(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const answer = await rawExchange(proxy.port, {
    method: 'PUT',
    path: '/b/k',
    body: Buffer.alloc(200_000),
  });
  t.equal(answer.status, 503);
  t.equal(answer.body.toString(), 'busy');
});

await t.test('faults come from the proxy: the server does not see what it is spared', async (t) => {
  const body = 'x'.repeat(100);
  const server = await ScriptedServer.start([status(200, { 'content-length': '100' }, body)]);
  t.teardown(() => server.close());
  const proxy = await proxyTo(t, server.endpoint, {
    plan: planOf('error code=SlowDown nth=1', 'reset in=request nth=2', 'reset at=40 nth=3', 'skew time=-1h'),
  });
  const headers = { 'x-amz-date': '20200101T000000Z' };
  const get = () => rawExchange(proxy.port, { method: 'GET', path: '/bucket/key' });
  const slow = await get();
  t.equal(slow.status, 503);
  t.match(slow.body.toString(), '<Code>SlowDown</Code>');
  t.equal((await get()).status, undefined);
  t.equal((await get()).body.toString(), body.slice(0, 40));
  const skewed = await rawExchange(proxy.port, { method: 'GET', path: '/bucket/key', headers });
  t.match(skewed.body.toString(), '<Code>RequestTimeTooSkewed</Code>');
  t.equal(server.requests.length, 1);
});
