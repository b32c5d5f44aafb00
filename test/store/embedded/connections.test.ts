/** What clients do to their connections: requests sent ahead, bodies never asked for, connections that go away or never say anything. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import t from 'tap';
import { answerMalformed } from '../../../src/store/embedded/malformed-requests.js';
import { TIME_LIMITS } from '../../../src/store/embedded/turns.js';
import { startFaultProxy } from '../../../src/store/faults/proxy.js';
import { parseFaultPlan } from '../../../src/store/faults/parse-plan.js';
import { rawExchange } from '../../support/raw-http.js';
import { clientOf, fixture, sha256, sign, startServer, temporaryDirectory, type Fixture } from './support.js';

const Bucket = 'photos';

async function withBucket(t: Parameters<typeof fixture>[0]): Promise<Fixture> {
  const made = await fixture(t);
  await made.client.send(new CreateBucketCommand({ Bucket }));
  return made;
}

/** A signed request as it goes over the wire. */
function wire(store: { readonly port: number }, method: string, path: string, body = ''): string {
  const headers = body === '' ? {} : { 'content-length': String(body.length) };
  const signed = sign(store, { method, path, headers }, { payload: sha256(body) });
  const lines = Object.entries(signed.headers).map(([name, value]) => `${name}: ${value}`);
  return `${[`${method} ${path} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n${body}`;
}

/** Reads until `done` holds of all that came. */
async function readUntil(socket: Socket, done: (text: string) => boolean): Promise<string> {
  let text = '';
  while (!done(text)) text += ((await once(socket, 'data')) as [Buffer])[0].toString('latin1');
  return text;
}

await t.test('requests sent ahead are carried out in their order', async (t) => {
  const { store } = await withBucket(t);
  const socket = connect(store.port, '127.0.0.1');
  for (let round = 0; round < 20; round++) {
    const body = `the body of round ${round}`;
    socket.write(wire(store, 'PUT', `/${Bucket}/k`, body) + wire(store, 'GET', `/${Bucket}/k`));
    const answers = await readUntil(socket, (text) => text.includes('the body of') || text.includes('Error'));
    t.ok(answers.endsWith(body), `a GET right behind the PUT of round ${round} has what it wrote`);
  }
  socket.destroy();
});

await t.test('a connection that goes away with requests ahead leaves nothing behind', async (t) => {
  for (const behindPlan of [false, true]) {
    const directory = temporaryDirectory(t);
    const store = await startServer(directory);
    const client = clientOf(t, store.endpoint);
    await client.send(new CreateBucketCommand({ Bucket }));
    await client.send(new PutObjectCommand({ Bucket, Key: 'big', Body: Buffer.alloc(8 * 1024 * 1024) }));
    client.destroy();
    if (behindPlan) store.faults.setPlan(parseFaultPlan('rules: ["latency time=1ms"]'));
    const socket = connect(store.port, '127.0.0.1');
    socket.write(wire(store, 'GET', `/${Bucket}/big`).repeat(3));
    await once(socket, 'readable');
    socket.destroy();
    // It waits for all requests.
    await t.resolves(store.close());
  }
});

await t.test('through the proxy, too', async (t) => {
  const { store, client } = await withBucket(t);
  await client.send(new PutObjectCommand({ Bucket, Key: 'big', Body: Buffer.alloc(8 * 1024 * 1024) }));
  const proxy = await startFaultProxy({ to: store.endpoint, host: '127.0.0.1', port: 0 });
  const socket = connect(proxy.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(wire(store, 'GET', `/${Bucket}/big`).repeat(3));
  await once(socket, 'readable');
  socket.destroy();
  await t.resolves(proxy.close());
});

await t.test('a body that nobody asked for ends the connection after the answer', async (t) => {
  const { store } = await withBucket(t);
  const raw = {
    method: 'GET',
    path: `/${Bucket}`,
    headers: { expect: '100-continue', 'content-length': '4' },
  };
  const { headers } = sign(store, raw, { payload: sha256('') });
  const answer = await rawExchange(store.port, { ...raw, headers });
  t.equal(answer.status, 200);
  t.equal(answer.headers.get('connection'), 'close', 'the next request could be taken for that body');
});

await t.test('headers must come within a minute, in the proxy, too', async (t) => {
  const server = createServer(TIME_LIMITS);
  t.equal(server.headersTimeout, 60_000);
  t.equal(server.requestTimeout, 0, 'bodies may take longer');
  answerMalformed(server);
  const socket = new PassThrough();
  server.emit('clientError', Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
  t.match(String(await socket.toArray()), /^HTTP\/1\.1 400 [^]*<Code>RequestTimeout<\/Code>/);
});
