/** Streams of unknown length: one PUT or a multipart upload, all bytes in order. */
import t from 'tap';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { S3StoreOptions } from '../../src/store/s3/options.js';
import { uploadStream } from '../../src/store/s3/upload-stream.js';
import { createLogger } from '../../src/telemetry/log.js';
import { type Answer, s3Error, ScriptedServer, status } from '../support/scripted-server.js';
import { storeErrorKind } from '../support/store-error-kind.js';

const MIB = 1024 ** 2;

const accept: Answer = (response, request) => {
  const query = new URL(request.url, 'http://x').searchParams;
  const number = query.get('partNumber');
  if (query.has('uploads')) return status(200, {}, '<R><UploadId>up</UploadId></R>')(response, request);
  if (number !== null) return status(200, { etag: `"part-${number}"` })(response, request);
  if (request.method === 'POST') return status(200, {}, '<R><ETag>"whole-3"</ETag></R>')(response, request);
  return status(200, { etag: '"single"' })(response, request);
};

const optionsFor = (server: ScriptedServer): S3StoreOptions => ({
  bucket: 'bucket',
  region: 'us-east-1',
  endpointUrl: server.endpoint,
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  log: createLogger('silent'),
});

/** The bytes of the requests that carried a body, in the order of the object. */
function uploaded(server: ScriptedServer): Buffer {
  const number = (url: string): number =>
    Number(new URL(url, 'http://x').searchParams.get('partNumber') ?? 0);
  return Buffer.concat(
    server.requests
      .filter((request) => request.method === 'PUT')
      .sort((a, b) => number(a.url) - number(b.url))
      .map((request) => request.body),
  );
}

await t.test('a short stream is one PUT with its headers', async (t) => {
  const server = await ScriptedServer.start([accept]);
  t.teardown(() => server.close());
  const headers = { metadata: { name: 'ß' }, contentType: 'text/plain' };
  const written = await uploadStream(
    optionsFor(server),
    'key',
    Readable.from([Buffer.from('short')]),
    headers,
  );
  t.same(written, { etag: '"single"' });
  t.equal(uploaded(server).toString(), 'short');
  t.equal(server.requests[0]?.headers['content-type'], 'text/plain');
  t.equal(server.requests[0]?.headers['x-amz-meta-name'], '=?UTF-8?B?w58=?=');
});

await t.test(
  'a long stream is a multipart upload; a part that fails for a while is sent again',
  async (t) => {
    const content = randomBytes(11 * MIB);
    const server = await ScriptedServer.start([
      accept,
      s3Error(503, 'SlowDown'),
      ...Array<Answer>(9).fill(accept),
    ]);
    t.teardown(() => server.close());
    const chunks = Array.from({ length: 11 }, (_, n) => content.subarray(n * MIB, (n + 1) * MIB));
    const written = await uploadStream(optionsFor(server), 'key', Readable.from(chunks), { metadata: {} });
    t.same(written, { etag: '"whole-3"' });
    const parts = server.requests.filter((request) => request.method === 'PUT');
    t.equal(parts.length, 4, 'three parts, one of them twice');
    t.same(
      parts.map((request) => request.headers['x-amz-checksum-crc32']).filter((crc32) => crc32 === undefined),
      [],
    );
    const bodies = new Map(parts.map((request) => [request.url, request.body]));
    const inOrder = [...bodies].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, body]) => body);
    t.ok(Buffer.concat(inOrder).equals(content));
  },
);

await t.test('what S3 refuses is a StoreError', async (t) => {
  const server = await ScriptedServer.start([s3Error(403, 'AccessDenied')]);
  t.teardown(() => server.close());
  const upload = uploadStream(optionsFor(server), 'key', Readable.from([Buffer.from('x')]), { metadata: {} });
  t.equal(await storeErrorKind(upload), 'access-denied');
});
