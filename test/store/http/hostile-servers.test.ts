/** Answers that no honest server gives, over the direct transport: nothing false is delivered, nothing goes on for ever, nothing stays broken. */
import t, { type Test } from 'tap';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { ObjectStore } from '../../../src/store/object-store.js';
import type { S3StoreOptions } from '../../../src/store/s3/options.js';
import { createS3Store } from '../../../src/store/s3/s3-store.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { serve } from '../../support/bare-server.js';
import { ScriptedServer, status } from '../../support/scripted-server.js';
import { storeErrorKind } from '../../support/store-error-kind.js';

t.setTimeout(300_000);

function storeAt(t: Test, endpointUrl: string, options: Partial<S3StoreOptions> = {}): ObjectStore {
  const store = createS3Store({
    bucket: 'bucket',
    region: 'us-east-1',
    endpointUrl,
    credentials: { accessKeyId: 'test', secretAccessKey: 'very-secret' },
    log: createLogger('silent'),
    retry: { attemptsMax: 2, backoffMs: 1, throttledAttemptsMax: 2, throttledBackoffMs: 1, backoffMsMax: 2 },
    ...options,
  });
  t.teardown(() => store.close());
  return store;
}

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

/** Writes on and on, until the other side closes. */
function endlessly(socket: Socket, piece: string): void {
  const more = (): void => {
    if (!socket.destroyed) socket.write(piece, () => setImmediate(more));
  };
  more();
}

async function closed(socket: Socket | undefined): Promise<void> {
  if (socket !== undefined && !socket.closed) await once(socket, 'close');
}

const RANGED = 'HTTP/1.1 206 Partial Content\r\netag: "a"\r\ncontent-range: bytes 0-15/100\r\n';

await t.test('more bytes than the range has: none of them is delivered, and it is no success', async (t) => {
  for (const transport of ['direct', 'sdk'] as const)
    for (const surplus of [chunk('surplus'), chunk('s') + chunk('urplus that is longer than the range')]) {
      const server = await serve(t, (socket) => {
        socket.write(`${RANGED}transfer-encoding: chunked\r\n\r\n${chunk('0123456789abcdef')}`);
        // In pieces of their own: each is handed on by itself.
        setImmediate(() => socket.write(surplus + chunk('more of it') + '0\r\n\r\n'));
      });
      const store = storeAt(t, server.origin.origin, { transport });
      let delivered = '';
      const get = store.get('key', { offset: 0, length: 16 }, {}, (bytes) => {
        delivered += bytes.toString('latin1');
      });
      t.equal(await storeErrorKind(get), 'invalid', transport);
      t.ok('0123456789abcdef'.startsWith(delivered), delivered);
    }
});

await t.test('a body without end is cut off: of a GET and of an error', async (t) => {
  const body = await serve(t, (socket) => {
    socket.write(`${RANGED}transfer-encoding: chunked\r\n\r\n${chunk('0123456789abcdef')}`);
    endlessly(socket, chunk('x'.repeat(1000)));
  });
  const get = storeAt(t, body.origin.origin).get('key', { offset: 0, length: 16 }, {}, () => undefined);
  t.equal(await storeErrorKind(get), 'invalid');
  await closed(body.connections[0]);

  const error = await serve(t, (socket) => {
    socket.write(
      'HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n' +
        chunk('<Error><Code>AccessDenied</Code>'),
    );
    endlessly(socket, chunk('x'.repeat(1000)));
  });
  const refused = storeAt(t, error.origin.origin).get('key', { offset: 0, length: 16 }, {}, () => undefined);
  t.equal(await storeErrorKind(refused), 'access-denied');
  await closed(error.connections[0]);
});

await t.test('an ETag that is said twice is the first, as for the SDK', async (t) => {
  for (const transport of ['direct', 'sdk'] as const) {
    const server = await serve(t, (socket) =>
      socket.write(
        'HTTP/1.1 200 OK\r\nETag: "a"\r\neTag: "a"\r\ncontent-type: a/b\r\nContent-Type: c/d\r\ncontent-length: 3\r\n\r\n',
      ),
    );
    const head = await storeAt(t, server.origin.origin, { transport }).head('key');
    t.match(head, { etag: '"a"', contentType: 'a/b', size: 3 }, transport);
  }
});

await t.test('a region that is none is not believed, now or later', async (t) => {
  for (const region of ['', 'eu west', 'x/../y', 'evil.example#']) {
    const server = await ScriptedServer.start([
      status(403, { 'x-amz-bucket-region': region }),
      status(200, { etag: '"a"', 'content-length': '3' }),
    ]);
    t.teardown(() => server.close());
    const store = storeAt(t, server.endpoint);
    t.equal(await storeErrorKind(store.head('key')), 'access-denied', region);
    t.equal((await store.head('key'))?.size, 3);
  }
});

await t.test('a redirect to another scheme is not followed', async (t) => {
  for (const scheme of ['https', 'ftp']) {
    const elsewhere = await serve(t, (socket) => socket.destroy());
    const server = await ScriptedServer.start([
      status(307, { location: `${scheme}://127.0.0.1:${elsewhere.origin.port}/bucket/key` }),
    ]);
    t.teardown(() => server.close());
    t.equal(await storeErrorKind(storeAt(t, server.endpoint).head('key')), 'invalid', scheme);
    t.equal(elsewhere.connections.length, 0);
  }
});

await t.test('a redirect to a host of somebody else is not followed', async (t) => {
  const elsewhere = await ScriptedServer.start([status(200, { etag: '"a"', 'content-length': '3' })]);
  t.teardown(() => elsewhere.close());
  const server = await ScriptedServer.start([
    status(307, { location: `${elsewhere.endpoint.replace('127.0.0.1', 'localhost')}/bucket/key` }),
  ]);
  t.teardown(() => server.close());
  t.equal(await storeErrorKind(storeAt(t, server.endpoint).head('key')), 'invalid');
  t.equal(elsewhere.requests.length, 0);
});

await t.test(
  'a redirect keeps the path, whatever it looks like, and signs for the region it names',
  async (t) => {
    const elsewhere = await ScriptedServer.start([status(200, { etag: '"a"', 'content-length': '3' })]);
    const server = await ScriptedServer.start([
      status(307, { location: `${elsewhere.endpoint}/ignored`, 'x-amz-bucket-region': 'eu-west-1' }),
    ]);
    t.teardown(() => elsewhere.close());
    t.teardown(() => server.close());
    const store = storeAt(t, `${server.endpoint}//prefix`);
    t.equal((await store.head('key'))?.size, 3);
    t.equal(elsewhere.requests[0]?.url, server.requests[0]?.url);
    t.match(elsewhere.requests[0]?.headers.authorization, /\/eu-west-1\/s3\//);
  },
);

await t.test('names of metadata that would be other headers are refused', async (t) => {
  const server = await ScriptedServer.start([]);
  t.teardown(() => server.close());
  const store = storeAt(t, server.endpoint);
  for (const name of ['a\r\nx-evil', 'a: b', 'a b', 'ü'])
    t.equal(await storeErrorKind(store.put('key', [], { metadata: { [name]: 'x' } })), 'invalid', name);
  t.equal(server.requests.length, 0);
});

await t.test('success before the bytes have left is none', async (t) => {
  const server = await serve(t, (socket, _, piece) => {
    if (piece > 0) return;
    socket.pause();
    socket.write('HTTP/1.1 200 OK\r\netag: "a"\r\ncontent-length: 0\r\n\r\n');
  });
  const body = Array.from({ length: 64 }, () => Buffer.alloc(1024 * 1024));
  const store = storeAt(t, server.origin.origin, { timeouts: { idleMs: 100 } });
  t.equal(await storeErrorKind(store.put('key', body, { metadata: {} })), 'unavailable');
});

await t.test('a page that goes on without saying where is no page', async (t) => {
  const page =
    '<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>x</NextMarker></ListBucketResult>';
  for (const transport of ['direct', 'sdk'] as const) {
    const server = await ScriptedServer.start([status(200, {}, page)]);
    t.teardown(() => server.close());
    const store = storeAt(t, server.endpoint, { transport });
    t.equal(await storeErrorKind(store.list({ prefix: '' })), 'unsupported', transport);
  }
});
