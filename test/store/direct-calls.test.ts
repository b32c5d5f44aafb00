/**
 * The frequent calls by our own transport and by the SDK: the same answers read the same, value for value and byte for byte, and
 * the same requests reach the server. Then what the transport learns from answers: region, clock, credentials.
 */
import t, { type Test } from 'tap';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createTlsServer, type Server } from 'node:https';
import { type AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import fc from '../support/fast-check.js';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import type { ObjectStore } from '../../src/store/object-store.js';
import { parseListAnswer } from '../../src/store/s3/http/list-answer.js';
import type { S3StoreOptions } from '../../src/store/s3/options.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { createLogger } from '../../src/telemetry/log.js';
import { s3Error, ScriptedServer, status, type Answer } from '../support/scripted-server.js';

const TRANSPORTS = ['direct', 'sdk'] as const;
const HOUR_MS = 3_600_000;
const LASTING_CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'very-secret' };

async function setUp(
  t: Test,
  script: readonly Answer[],
  options: Partial<S3StoreOptions> = {},
): Promise<{ readonly store: ObjectStore; readonly server: ScriptedServer }> {
  const server = await ScriptedServer.start(script);
  const store = storeAt(server.endpoint, options);
  t.teardown(async () => {
    await store.close();
    await server.close();
  });
  return { store, server };
}

function storeAt(endpointUrl: string, options: Partial<S3StoreOptions> = {}): ObjectStore {
  return createS3Store({
    bucket: 'bucket',
    region: 'us-east-1',
    endpointUrl,
    credentials: { ...LASTING_CREDENTIALS, sessionToken: 'token' },
    log: createLogger('silent'),
    retry: { backoffMs: 1, throttledBackoffMs: 1, backoffMsMax: 2 },
    ...options,
  });
}

/** What a call makes of an answer: its result, or its error's kind and message. */
async function outcome(call: () => Promise<unknown>): Promise<unknown> {
  return call().catch((error: { kind?: string; message: string }) => ({
    kind: error.kind,
    message: error.message,
  }));
}

/** The same script and calls over each transport. */
async function both(
  t: Test,
  script: () => readonly Answer[],
  calls: (store: ObjectStore) => Promise<unknown>,
  options: Partial<S3StoreOptions> = {},
): Promise<void> {
  const seen = [];
  for (const transport of TRANSPORTS) {
    const { store, server } = await setUp(t, script(), { ...options, transport });
    const result = await outcome(() => calls(store));
    seen.push({ result, requests: server.requests });
  }
  const [direct, sdk] = seen;
  t.strictSame(direct?.result, sdk?.result);
  t.strictSame(direct?.requests.map(comparable), sdk?.requests.map(comparable));
}

/** A request without what differs from one to the next, and without what says which client it was. */
function comparable({ method, url, headers, body }: ScriptedServer['requests'][number]): unknown {
  const target = new URL(url, 'http://x');
  target.searchParams.sort();
  // The SDK names the operation in every request; it means nothing to S3.
  target.searchParams.delete('x-id');
  const own = new Set([
    'amz-sdk-invocation-id',
    'amz-sdk-request',
    'authorization',
    'connection',
    'user-agent',
    'x-amz-date',
    'x-amz-user-agent',
    'host',
    'accept',
  ]);
  const kept = Object.entries(headers).filter(([name]) => !own.has(name));
  return {
    method,
    path: target.pathname,
    query: [...target.searchParams],
    headers: Object.fromEntries(kept.sort()),
    signed: /Credential=test\/\d{8}\/us-east-1\/s3\/aws4_request/.test(headers.authorization ?? ''),
    body: body.toString('latin1'),
  };
}

const full = {
  etag: '"abc"',
  'last-modified': 'Sat, 21 Nov 2026 10:00:00 GMT',
  'content-type': 'text/plain; charset=utf-8',
  'content-encoding': 'gzip',
  'content-language': 'de',
  'content-disposition': 'attachment; filename="a.txt"',
  'cache-control': 'no-store',
  'x-amz-storage-class': 'STANDARD_IA',
  'x-amz-meta-file-mtime': '1700000000123456789ns',
  'x-amz-meta-name': '=?UTF-8?B?w7xiZXI=?=',
  'x-amz-meta-empty': '',
};

await t.test('HEAD reads the same', async (t) => {
  const cases: readonly Answer[] = [
    status(200, { ...full, 'content-length': '12' }),
    status(200, { etag: '"a"', 'content-length': '0' }),
    s3Error(404, 'NoSuchKey'),
    s3Error(403, 'AccessDenied'),
    s3Error(412, 'PreconditionFailed'),
  ];
  const headOf = async (store: ObjectStore): Promise<unknown> => {
    const head = await store.head('some key/with ünicode');
    // The answers' own clocks may differ by a second.
    return head === undefined ? undefined : { ...head, dateMs: 0 };
  };
  for (const answer of cases) await both(t, () => [answer, answer], headOf);
  // With credentials that end our own transport asks once more, for they may have ended.
  await both(t, () => [s3Error(400, 'BadRequest')], headOf, { credentials: LASTING_CREDENTIALS });
});

await t.test('GET reads the same', async (t) => {
  const body = 'x'.repeat(100_000);
  const ranged = { etag: '"abc"', 'content-range': 'bytes 10-100009/200000' };
  const cases: readonly (readonly Answer[])[] = [
    [status(206, { ...ranged, 'content-length': '100000' }, body)],
    // Chunked: no length is announced.
    [status(206, ranged, body)],
    [status(206, { ...ranged, etag: '"other"', 'content-length': '100000' }, body)],
    [status(206, { ...ranged, 'content-range': 'bytes 0-99999/200000', 'content-length': '100000' }, body)],
    [s3Error(500, 'InternalError'), status(206, { ...ranged, 'content-length': '100000' }, body)],
    [s3Error(412, 'PreconditionFailed')],
    [s3Error(416, 'InvalidRange')],
    [s3Error(404, 'NoSuchKey')],
  ];
  for (const script of cases)
    await both(
      t,
      () => [...script, ...script, ...script],
      async (store) => {
        const chunks: Buffer[] = [];
        const result = await store.get(
          'a/b c',
          { offset: 10, length: 100_000 },
          { ifMatch: '"abc"' },
          (chunk) => {
            chunks.push(Buffer.from(chunk));
          },
        );
        // The scripted server dates its answers by the clock.
        const head = { ...result.head, dateMs: 0 };
        return { result: { ...result, head }, bytes: Buffer.concat(chunks).toString('latin1') };
      },
    );
});

await t.test('PUT and UploadPart send and read the same', async (t) => {
  const headers = {
    metadata: { 'File-Mode': '0100644', name: 'über', spaced: ' a ' },
    contentType: 'image/png',
    cacheControl: 'max-age=1',
    storageClass: 'STANDARD_IA',
  };
  const body = [Buffer.from('some '), Buffer.from('bytes')];
  const answers: readonly Answer[] = [
    status(200, { etag: '"new"' }),
    s3Error(412, 'PreconditionFailed'),
    s3Error(409, 'ConditionalRequestConflict'),
    s3Error(400, 'BadDigest'),
    s3Error(403, 'AccessDenied'),
  ];
  for (const answer of answers) {
    const script = (): readonly Answer[] => Array.from({ length: 12 }, () => answer);
    await both(t, script, (store) => store.put('a key', body, headers, { ifMatch: '"old"' }));
    await both(t, script, (store) => store.put('é', [], { metadata: {} }, { ifNoneMatch: '*' }));
    await both(t, script, (store) => store.uploadPart('a/b', 'id+/=', 7, body));
  }
});

await t.test('DELETE sends and reads the same', async (t) => {
  const answers: readonly Answer[] = [
    status(204),
    status(200),
    s3Error(404, 'NoSuchKey'),
    s3Error(412, 'PreconditionFailed'),
    s3Error(409, 'ConditionalRequestConflict'),
    s3Error(403, 'AccessDenied'),
    s3Error(501, 'NotImplemented'),
  ];
  for (const answer of answers) {
    const script = (): readonly Answer[] => Array.from({ length: 12 }, () => answer);
    await both(t, script, (store) => store.delete('a key/é', { ifMatch: '"old"' }));
    await both(t, script, (store) => store.delete('a'));
  }
});

await t.test('CopyObject sends and reads the same', async (t) => {
  const headers = {
    metadata: { 'File-Mode': '0100644', name: 'über', spaced: ' a ' },
    contentType: 'image/png',
    cacheControl: 'max-age=1',
    expires: 'never',
    storageClass: 'STANDARD_IA',
    websiteRedirect: '/there',
    encryption: { algorithm: 'aws:kms', keyId: 'a-key', bucketKey: true },
  } as const;
  const copied =
    '<?xml version="1.0" encoding="UTF-8"?>\n\n<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
    '<LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>&quot;new&quot;</ETag></CopyObjectResult>';
  const failed = '<Error><Code>SlowDown</Code><Message>Please &lt;reduce&gt;</Message></Error>';
  const source = status(200, { ...full, 'content-length': '12' });
  const answers: readonly Answer[] = [
    status(200, {}, copied),
    // S3 has sent the head of its answer before it knows.
    status(200, {}, failed),
    status(200, {}, `<?xml version="1.0" encoding="UTF-8"?>\n\n${failed}`),
    status(200, {}, ''),
    s3Error(412, 'PreconditionFailed'),
    s3Error(404, 'NoSuchKey'),
    s3Error(403, 'AccessDenied'),
    s3Error(503, 'SlowDown'),
  ];
  for (const answer of answers) {
    // A copy that failed is looked for by HEADs: to those the same is answered.
    const known = (): readonly Answer[] => Array.from({ length: 20 }, () => answer);
    const condition = { ifMatch: '"old"' };
    await both(t, known, (store) =>
      store.copy('a/é b', 'to', { sourceEtag: '"abc"', size: 12, headers, condition }),
    );
    await both(t, known, (store) => store.copy('a', 'a', { size: 12, headers: { metadata: {} } }));
    const asked = (): readonly Answer[] => [source, ...known()];
    await both(t, asked, (store) => store.copy('a', 'to', { condition: { ifNoneMatch: '*' } }));
  }
});

await t.test('what is cut off of the answer to a CopyObject is asked for again', async (t) => {
  const whole = '<CopyObjectResult><ETag>"new"</ETag></CopyObjectResult>';
  const script = [status(200, {}, '<CopyObjectResult><ETag>"new"</ET'), status(200, {}, whole)];
  const { store, server } = await setUp(t, script);
  t.match(await store.copy('a', 'to', { size: 1, headers: { metadata: {} } }), { etag: '"new"' });
  t.equal(server.requests.length, 2);
});

await t.test('bodies are hashed into the signature where that is wanted', async (t) => {
  const { store, server } = await setUp(t, [status(200, { etag: '"a"' })], { signPayload: true });
  await store.put('key', [Buffer.from('some '), Buffer.from('bytes')], { metadata: {} });
  t.equal(
    server.requests[0]?.headers['x-amz-content-sha256'],
    createHash('sha256').update('some bytes').digest('hex'),
  );
});

const PAGE = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix>a%2F</Prefix>
<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken><KeyCount>3</KeyCount>
<MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
<Contents><Key>a/%01+%26%3C</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>&quot;abc-2&quot;</ETag>
<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><Size>123456789012</Size><StorageClass>STANDARD</StorageClass></Contents>
<Contents><Key>a/%C3%BC</Key><LastModified>2026-11-21T10:00:01.500Z</LastModified><ETag>"x"</ETag><Size>0</Size>
<Owner><ID>1</ID><DisplayName>Contents of &lt;Contents&gt;</DisplayName></Owner></Contents>
<CommonPrefixes><Prefix>a/b/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>a/c%20d/</Prefix></CommonPrefixes>
</ListBucketResult>
`;

await t.test('LIST asks and reads the same', async (t) => {
  const request = { prefix: 'a/', delimiter: '/', startAfter: 'a/!', maxKeys: 3 } as const;
  await both(
    t,
    () => [status(200, { 'content-type': 'application/xml' }, PAGE)],
    (store) => store.list(request),
  );
  await both(
    t,
    () => [status(200, {}, PAGE.replace('<EncodingType>url</EncodingType>', ''))],
    (store) => store.list({ prefix: '', continuationToken: 'a+b/=' }),
  );
  await both(
    t,
    () => [s3Error(404, 'NoSuchBucket')],
    (store) => store.list({ prefix: '' }),
  );
});

/** A value that is written into XML with what S3 escapes. */
const texts = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
  .map((text) => text.replace(/[^\x20-\ud7ff]/g, '.'));
const escaped = (text: string): string =>
  text.replace(
    /[&<>"']/g,
    (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c] ?? c,
  );

await t.test('any page of LIST reads as the SDK reads it', async (t) => {
  let page = '';
  const server = createHttpServer((_request, response) => response.end(page));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const client = new S3Client({
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    forcePathStyle: true,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  });
  t.teardown(() => client.destroy());
  const pages = fc.record({
    entries: fc.array(
      fc.record({
        key: texts,
        size: fc.maxSafeNat(),
        ms: fc.nat({ max: 4e12 }),
        etag: texts,
        // S3's own order of elements, with what may stand between them, and others.
        form: fc.constantFrom('usual', 'more', 'other order', 'other time', 'spaced'),
      }),
      { maxLength: 6 },
    ),
    prefixes: fc.array(texts, { maxLength: 4 }),
    token: fc.option(
      texts.filter((text) => text.trim() !== ''),
      { nil: undefined },
    ),
  });
  await fc.assert(
    fc.asyncProperty(pages, async ({ entries, prefixes, token }) => {
      page =
        `<ListBucketResult><Name>b</Name><IsTruncated>${String(token !== undefined)}</IsTruncated>` +
        (token === undefined
          ? ''
          : `<NextContinuationToken>${escaped(token.trim())}</NextContinuationToken>`) +
        entries
          .map(({ key, size, ms, etag, form }) => {
            const seconds = new Date(ms - (ms % 1000)).toISOString().replace('.000', '');
            const time = form === 'other time' ? seconds : new Date(ms).toISOString();
            const elements = [
              `<Key>k${escaped(key)}k</Key>`,
              `<LastModified>${time}</LastModified>`,
              `<ETag>&quot;${escaped(etag)}&quot;</ETag>`,
              ...(form === 'more' ? ['<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>'] : []),
              `<Size>${size}</Size>`,
              ...(form === 'more' ? ['<Owner><ID>o</ID></Owner><StorageClass>STANDARD</StorageClass>'] : []),
            ];
            if (form === 'other order') elements.reverse();
            return `<Contents>${elements.join(form === 'spaced' ? '\n ' : '')}</Contents>`;
          })
          .join('') +
        prefixes
          .map((prefix) => `<CommonPrefixes><Prefix>p${escaped(prefix)}/</Prefix></CommonPrefixes>`)
          .join('') +
        '</ListBucketResult>';
      const sdk = await client.send(new ListObjectsV2Command({ Bucket: 'bucket' }));
      const own = parseListAnswer(page);
      t.strictSame(
        own.contents.map((entry) => ({ ...entry })),
        (sdk.Contents ?? []).map(({ Key, Size, ETag, LastModified }) => ({
          key: Key,
          size: Size,
          etag: ETag,
          lastModifiedMs: LastModified?.getTime(),
        })),
      );
      t.strictSame(
        own.prefixes,
        (sdk.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
      );
      t.equal(own.nextContinuationToken, sdk.NextContinuationToken);
      t.equal(own.isTruncated, sdk.IsTruncated);
    }),
    { numRuns: 150 },
  );
});

await t.test('a page that is cut short is no page', async (t) => {
  for (const cut of [20, 200, 700, PAGE.length - 12])
    t.throws(() => parseListAnswer(PAGE.slice(0, cut)), { name: 'ListAnswerError' }, `${cut} bytes`);
  t.throws(() => parseListAnswer('<html>hello</html>'), { name: 'ListAnswerError' });
});

await t.test('a bucket in another region: the request goes there, and so do all that follow', async (t) => {
  const { store, server } = await setUp(t, [
    status(400, { 'x-amz-bucket-region': 'eu-west-1' }),
    status(200, { etag: '"a"', 'content-length': '1' }),
    status(200, { etag: '"a"', 'content-length': '1' }),
  ]);
  await store.head('key');
  await store.head('key');
  t.strictSame(
    server.requests.map(({ headers }) => /\d{8}\/([^/]+)\//.exec(headers.authorization ?? '')?.[1]),
    ['us-east-1', 'eu-west-1', 'eu-west-1'],
  );
});

await t.test('a temporary redirect is followed for its request', async (t) => {
  const elsewhere = await ScriptedServer.start([status(200, { etag: '"a"', 'content-length': '3' })]);
  t.teardown(() => elsewhere.close());
  const { store, server } = await setUp(t, [
    status(307, { location: `${elsewhere.endpoint}/bucket/key` }),
    status(200, { etag: '"b"', 'content-length': '4' }),
  ]);
  t.equal((await store.head('key'))?.size, 3);
  t.equal((await store.head('key'))?.size, 4);
  t.equal(elsewhere.requests[0]?.headers.host, new URL(elsewhere.endpoint).host);
  t.equal(server.requests.length, 2);
});

await t.test('a clock that is wrong is corrected from the answer', async (t) => {
  const serverMs = Date.now() + HOUR_MS;
  const { store, server } = await setUp(t, [
    (response) => {
      response.sendDate = false;
      response.writeHead(403, { date: new Date(serverMs).toUTCString() });
      response.end();
    },
    status(200, { etag: '"a"', 'content-length': '1' }),
  ]);
  t.equal((await store.head('key'))?.size, 1);
  const times = server.requests.map(({ headers }) =>
    Date.parse(String(headers['x-amz-date']).replace(/(....)(..)(..)T(..)(..)(..)Z/, '$1-$2-$3T$4:$5:$6Z')),
  );
  const [first = 0, second = 0] = times;
  t.ok(second - first >= HOUR_MS - 60_000, `${String(second - first)} ms later`);
});

await t.test('a refusal that is no matter of the clock is final', async (t) => {
  const { store, server } = await setUp(t, [s3Error(403, 'AccessDenied')]);
  t.match(await outcome(() => store.head('key')), { kind: 'access-denied' });
  t.equal(server.requests.length, 1);
});

await t.test('credentials that have expired are asked for again', async (t) => {
  const { store, server } = await setUp(t, [
    s3Error(400, 'ExpiredToken'),
    status(200, { etag: '"a"' }),
    s3Error(400, 'ExpiredToken'),
    s3Error(400, 'ExpiredToken'),
  ]);
  await store.put('key', [Buffer.from('x')], { metadata: {} });
  t.equal(server.requests.length, 2);
  t.match(await outcome(() => store.put('key', [], { metadata: {} })), { kind: 'credentials' });
  t.equal(server.requests.length, 4);
});

await t.test(
  'credentials that have expired are asked for again by a HEAD, whose refusal has no code',
  async (t) => {
    const { store, server } = await setUp(t, [
      status(400),
      status(200, { etag: '"a"', 'content-length': '1' }),
      status(400),
      status(400),
    ]);
    t.equal((await store.head('key'))?.size, 1);
    t.equal(server.requests.length, 2);
    t.match(await outcome(() => store.head('key')), { kind: 'invalid' });
    t.equal(server.requests.length, 4);
  },
);

await t.test('a HEAD that is refused is final with credentials that do not end', async (t) => {
  const { store, server } = await setUp(t, [status(400)], {
    credentials: LASTING_CREDENTIALS,
  });
  t.match(await outcome(() => store.head('key')), { kind: 'invalid' });
  t.equal(server.requests.length, 1);
});

await t.test('headers that would end their line are refused', async (t) => {
  const { store, server } = await setUp(t, []);
  for (const contentType of ['a\r\nx-evil: 1', 'snow ☃'])
    t.match(await outcome(() => store.put('key', [], { metadata: {}, contentType })), { kind: 'invalid' });
  t.equal(server.requests.length, 0);
});

const openssl = spawnSync('openssl', ['version']).status !== 0 && 'no openssl to make a certificate with';

/** A certificate for localhost, PEM. */
function selfSigned(directory: string): { readonly key: string; readonly cert: string } {
  const made = (name: string): string => `${directory}/${name}`;
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
      ...['-keyout', made('key.pem'), '-out', made('cert.pem')],
    ],
    { stdio: 'ignore' },
  );
  return { key: readFileSync(made('key.pem'), 'utf8'), cert: readFileSync(made('cert.pem'), 'utf8') };
}

await t.test(
  'over TLS: the certificate is checked and connections are used again',
  { skip: openssl },
  async (t) => {
    const { key, cert } = selfSigned(t.testdir());
    const content = Buffer.alloc(3_000_000, 'tls');
    let connections = 0;
    const server: Server = createTlsServer({ key, cert }, (request, response) => {
      if (request.method === 'HEAD') {
        response.writeHead(200, { etag: '"a"', 'content-length': content.length }).end();
        return;
      }
      const last = content.length - 1;
      response.writeHead(206, {
        etag: '"a"',
        'content-length': content.length,
        'content-range': `bytes 0-${last}/${content.length}`,
      });
      response.end(content);
    });
    server.on('secureConnection', () => connections++);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    const endpoint = `https://localhost:${(server.address() as AddressInfo).port}`;
    const noDelay = t.capture(Socket.prototype, 'setNoDelay');
    for (const transport of TRANSPORTS) {
      const store = storeAt(endpoint, { transport, certificateAuthorities: cert });
      const before = connections;
      for (let round = 0; round < 3; round++) {
        const chunks: Buffer[] = [];
        await store.get('key', { offset: 0, length: content.length }, {}, (chunk) => {
          chunks.push(Buffer.from(chunk));
        });
        t.ok(Buffer.concat(chunks).equals(content), `every byte by ${transport}`);
      }
      t.equal((await store.head('key'))?.size, content.length);
      t.equal(connections, before + 1, `one connection by ${transport}`);
      await store.close();
      if (transport === 'direct')
        t.ok(
          noDelay().some(({ receiver, args }) => receiver instanceof TLSSocket && args[0] === true),
          'nothing waits to be sent',
        );
    }
    const untrusting = storeAt(endpoint);
    t.match(await outcome(() => untrusting.head('key')), { kind: 'invalid', message: /certificate refused/ });
    await untrusting.close();
  },
);
