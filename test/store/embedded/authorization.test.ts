import { createHmac } from 'node:crypto';
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { authorize, signingKey } from '../../../src/store/embedded/sigv4.js';
import {
  ACCESS_KEY,
  clientOf,
  codeOf,
  failure,
  fixture,
  REGION,
  SECRET_KEY,
  sendRaw,
  sha256,
  sign,
  type Fixture,
  type RawAnswer,
  type RawRequest,
} from './support.js';

const Bucket = 'photos';
const EMPTY = sha256('');

async function withBucket(t: Parameters<typeof fixture>[0]): Promise<Fixture> {
  const made = await fixture(t);
  await made.client.send(new CreateBucketCommand({ Bucket }));
  return made;
}

await t.test('the example of the S3 documentation is accepted, at its time', async (t) => {
  // "Authenticating Requests: Using the Authorization Header", example GET Object.
  const payload = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
  const signature = 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41';
  const headers = new Map([
    ['host', 'examplebucket.s3.amazonaws.com'],
    ['range', 'bytes=0-9'],
    ['x-amz-content-sha256', payload],
    ['x-amz-date', '20130524T000000Z'],
    [
      'authorization',
      `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=${signature}`,
    ],
  ]);
  const target = { bucket: 'examplebucket', key: 'test.txt', path: '/test.txt', query: [] };
  const ours = {
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    region: 'us-east-1',
  };
  const at = Date.parse('2013-05-24T00:00:00Z');
  t.match(authorize({ method: 'GET', target, headers }, ours, at), { payload, signature });
  t.throws(() => authorize({ method: 'HEAD', target, headers }, ours, at), { code: 'SignatureDoesNotMatch' });
  t.throws(() => authorize({ method: 'GET', target, headers }, ours), { code: 'RequestTimeTooSkewed' });
});

await t.test('who may not pass', async (t) => {
  const { store, client } = await withBucket(t);
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
  const raw: RawRequest = { method: 'GET', path: `/${Bucket}/k` };
  const send = async (options: Partial<Parameters<typeof sign>[2]>): Promise<RawAnswer> =>
    sendRaw(store, { ...raw, headers: sign(store, raw, { payload: EMPTY, ...options }).headers });
  const refused = async (answer: Promise<RawAnswer>, status: number, code: string): Promise<void> => {
    const got = await answer;
    t.same([got.status, codeOf(got)], [status, code]);
    t.match(got.body, /<RequestId>[0-9A-F]{16}<\/RequestId>/);
    t.match(got.headers['content-type'], 'application/xml');
    t.ok(got.headers['x-amz-request-id']);
    t.ok(got.headers.date);
  };
  t.equal((await send({})).body, 'x');
  await refused(sendRaw(store, raw), 403, 'AccessDenied');
  await refused(send({ secret: 'wrong' }), 403, 'SignatureDoesNotMatch');
  await refused(send({ accessKey: 'SOMEBODY' }), 403, 'InvalidAccessKeyId');
  await refused(send({ region: 'eu-west-1' }), 400, 'AuthorizationHeaderMalformed');
  await refused(send({ atMs: Date.now() - 16 * 60_000 }), 403, 'RequestTimeTooSkewed');
  await refused(send({ atMs: Date.now() + 16 * 60_000 }), 403, 'RequestTimeTooSkewed');
  t.equal((await send({ atMs: Date.now() - 14 * 60_000 })).status, 200);
  const v2 = { ...raw, headers: { authorization: `AWS ${ACCESS_KEY}:sig` } };
  await refused(sendRaw(store, v2), 400, 'InvalidRequest');

  const signed = sign(store, raw, { payload: EMPTY }).headers;
  const yearOnly = signed['authorization']?.replace(/\/(\d{4})\d{4}\//, '/$1/') ?? '';
  await refused(
    sendRaw(store, { ...raw, headers: { ...signed, authorization: yearOnly } }),
    400,
    'AuthorizationHeaderMalformed',
  );
  await refused(
    sendRaw(store, { ...raw, headers: { ...signed, 'x-amz-acl': 'private' } }),
    403,
    'AccessDenied',
  );
  await refused(
    sendRaw(store, { ...raw, path: `/${Bucket}/other`, headers: signed }),
    403,
    'SignatureDoesNotMatch',
  );
  await refused(
    sendRaw(store, { ...raw, path: `/${Bucket}/k?x=1`, headers: signed }),
    403,
    'SignatureDoesNotMatch',
  );
  await refused(sendRaw(store, { ...raw, path: '/%ff', headers: signed }), 400, 'InvalidURI');
});

await t.test('the body must be the one that was signed', async (t) => {
  const { store, client } = await withBucket(t);
  const put = async (
    payload: string,
    body: string,
    headers: Record<string, string> = {},
  ): Promise<RawAnswer> => {
    const raw: RawRequest = { method: 'PUT', path: `/${Bucket}/k`, headers };
    return sendRaw(store, {
      ...raw,
      headers: sign(store, raw, { payload }).headers,
      body: Buffer.from(body),
    });
  };
  t.equal((await put(sha256('body'), 'body')).status, 200);
  t.equal((await put('UNSIGNED-PAYLOAD', 'body')).status, 200);
  const wrong: readonly (readonly [RawAnswer, string])[] = [
    [await put(sha256('body'), 'ydob'), 'XAmzContentSHA256Mismatch'],
    [await put('nonsense', 'body'), 'InvalidArgument'],
    [await put('UNSIGNED-PAYLOAD', 'new', { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' }), 'BadDigest'],
    [await put('UNSIGNED-PAYLOAD', 'new', { 'content-md5': 'AAAA' }), 'InvalidDigest'],
    [await put('UNSIGNED-PAYLOAD', 'new', { 'x-amz-checksum-crc32': 'AAAAAA==' }), 'BadDigest'],
    [await put('UNSIGNED-PAYLOAD', 'new', { 'x-amz-checksum-crc32': 'AAAA' }), 'InvalidRequest'],
    [await put('UNSIGNED-PAYLOAD', 'new', { 'x-amz-sdk-checksum-algorithm': 'CRC32' }), 'InvalidRequest'],
    [await put('STREAMING-UNSIGNED-PAYLOAD-TRAILER', 'new'), 'MissingContentLength'],
  ];
  for (const [answer, code] of wrong) t.equal(codeOf(answer), code);
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  t.equal(await got.Body?.transformToString(), 'body', 'a refused body leaves the object as it was');
});

await t.test('STREAMING-AWS4-HMAC-SHA256-PAYLOAD', async (t) => {
  const { store, client } = await withBucket(t);
  const data = 'a'.repeat(70_000);
  const put = async (body: string): Promise<RawAnswer> => {
    const raw: RawRequest = {
      method: 'PUT',
      path: `/${Bucket}/k`,
      headers: {
        'content-encoding': 'aws-chunked,gzip',
        'x-amz-decoded-content-length': String(data.length),
      },
    };
    const payload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
    const { headers, signature, signingKey: key, scope, timestamp } = sign(store, raw, { payload });
    let previous = signature;
    let encoded = '';
    for (const chunk of [body, '']) {
      const text = ['AWS4-HMAC-SHA256-PAYLOAD', timestamp, scope, previous, EMPTY, sha256(chunk)].join('\n');
      previous = createHmac('sha256', key).update(text).digest('hex');
      const sent = chunk === '' ? '' : data;
      encoded += `${sent.length.toString(16)};chunk-signature=${previous}\r\n${sent}\r\n`;
    }
    return sendRaw(store, { ...raw, headers, body: Buffer.from(encoded) });
  };
  t.equal(codeOf(await put(`${data.slice(1)}b`)), 'SignatureDoesNotMatch', 'other bytes than were signed');
  t.equal((await failure(client.send(new GetObjectCommand({ Bucket, Key: 'k' })))).code, 'NoSuchKey');
  t.equal((await put(data)).status, 200);
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  t.equal(got.ContentEncoding, 'gzip', 'aws-chunked is not kept');
  t.equal(await got.Body?.transformToString(), data);
});

/** A presigned URL's target, signed apart from the code under test. */
function presign(
  port: number,
  method: string,
  path: string,
  options: { expires: string; atMs?: number },
): string {
  const timestamp = new Date(options.atMs ?? Date.now()).toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${timestamp.slice(0, 8)}/${REGION}/s3/aws4_request`;
  const query = [
    'X-Amz-Algorithm=AWS4-HMAC-SHA256',
    `X-Amz-Credential=${encodeURIComponent(`${ACCESS_KEY}/${scope}`)}`,
    `X-Amz-Date=${timestamp}`,
    `X-Amz-Expires=${options.expires}`,
    'X-Amz-SignedHeaders=host',
  ].join('&');
  const canonical = [method, path, query, `host:127.0.0.1:${port}`, '', 'host', 'UNSIGNED-PAYLOAD'].join(
    '\n',
  );
  const key = signingKey(SECRET_KEY, timestamp.slice(0, 8), REGION);
  const text = ['AWS4-HMAC-SHA256', timestamp, scope, sha256(canonical)].join('\n');
  return `${path}?${query}&X-Amz-Signature=${createHmac('sha256', key).update(text).digest('hex')}`;
}

await t.test('presigned URLs', async (t) => {
  const { store } = await withBucket(t);
  const path = `/${Bucket}/k`;
  const send = (method: string, expires: string, atMs = Date.now(), body?: Buffer): Promise<RawAnswer> =>
    sendRaw(store, {
      method,
      path: presign(store.port, method, path, { expires, atMs }),
      ...(body === undefined ? {} : { body }),
    });
  t.equal((await send('PUT', '60', Date.now(), Buffer.from('signed'))).status, 200);
  t.equal((await send('GET', '60')).body, 'signed');
  t.same(codeOf(await send('GET', '60', Date.now() - 61_000)), 'AccessDenied');
  t.same(codeOf(await send('GET', '60', Date.now() + 16 * 60_000)), 'AccessDenied');
  for (const expires of ['0', '604801', '-1', 'x']) {
    t.same(codeOf(await send('GET', expires)), 'AuthorizationQueryParametersError', expires);
  }
  const forGet = presign(store.port, 'GET', path, { expires: '60' });
  t.same(codeOf(await sendRaw(store, { method: 'DELETE', path: forGet })), 'SignatureDoesNotMatch');
});

await t.test('a presigned URL that anybody changed is refused', async (t) => {
  const { store, client } = await withBucket(t);
  for (const Key of ['k', 'other']) await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
  const url = presign(store.port, 'GET', `/${Bucket}/k`, { expires: '60' });
  t.equal((await sendRaw(store, { method: 'GET', path: url })).status, 200);
  const [path = '', query = ''] = url.split('?');
  const pairs = query.split('&');
  const without = (at: number): string => pairs.filter((_, each) => each !== at).join('&');
  const changed = [
    `/${Bucket}/other?${query}`,
    `${path}?${query}&versionId=null`,
    `${path}?${query}&X-Amz-Expires=604800`,
    `${path}?X-Amz-Expires=604800&${query}`,
    ...pairs.map((_, at) => `${path}?${without(at)}`),
    ...pairs.map((pair, at) => `${path}?${without(at)}&${pair}0`),
    ...pairs.map((pair, at) => `${path}?${without(at)}&${pair.replace('=', '=0')}`),
  ];
  for (const each of changed) {
    const { status } = await sendRaw(store, { method: 'GET', path: each });
    t.ok(status === 400 || status === 403, `${status} ${each}`);
  }
  const unsigned = { 'x-amz-content-sha256': sha256('other') };
  t.equal((await sendRaw(store, { method: 'GET', path: url, headers: unsigned })).status, 403);
});

await t.test('virtual-host style', async (t) => {
  const { store, client } = await withBucket(t);
  await client.send(new PutObjectCommand({ Bucket, Key: 'a/k', Body: 'x' }));
  const raw = { method: 'GET', path: '/a/k' };
  const host = `${Bucket}.localhost:${store.port}`;
  const { headers } = sign(store, raw, { payload: EMPTY });
  t.equal(codeOf(await sendRaw(store, { ...raw, headers: { ...headers, host } })), 'SignatureDoesNotMatch');
  const hosted = new S3Client({
    endpoint: `http://localhost:${store.port}`,
    region: REGION,
    credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
    requestHandler: {
      // The name of the bucket's host needn't resolve: the request goes to the server itself.
      handle: async (request: { method: string; path: string; headers: Record<string, string> }) => {
        t.equal(request.headers['host'], host);
        const answer = await sendRaw(store, {
          method: request.method,
          path: request.path,
          headers: request.headers,
        });
        t.same([answer.status, answer.headers['content-length']], [200, '1']);
        return { response: { statusCode: answer.status, headers: answer.headers, body: undefined } };
      },
    } as never,
  });
  t.teardown(() => hosted.destroy());
  t.equal((await hosted.send(new HeadObjectCommand({ Bucket, Key: 'a/k' }))).ContentLength, 1);
});

await t.test('a client with wrong credentials gets S3 errors it knows', async (t) => {
  const { store } = await withBucket(t);
  const wrong = clientOf(t, store.endpoint, {
    credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: 'no' },
  });
  t.same(await failure(wrong.send(new GetObjectCommand({ Bucket, Key: 'k' }))), {
    code: 'SignatureDoesNotMatch',
    status: 403,
  });
});
