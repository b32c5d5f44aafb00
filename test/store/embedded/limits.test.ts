/** The outer limits of requests, and what every answer carries. */
import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  CreateMultipartUploadCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { codeOf, failure, fixture, sendRaw, sha256, sign, type Fixture, type RawAnswer } from './support.js';

const Bucket = 'photos';
const EMPTY = sha256('');

async function withBucket(t: Parameters<typeof fixture>[0]): Promise<Fixture> {
  const made = await fixture(t);
  await made.client.send(new CreateBucketCommand({ Bucket }));
  return made;
}

/** Sends a signed request without a body. */
async function send(
  { store }: Fixture,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<RawAnswer> {
  const raw = { method, path, headers };
  return sendRaw(store, { ...raw, headers: sign(store, raw, { payload: EMPTY }).headers });
}

await t.test('every answer has a request id and a host id, errors name both', async (t) => {
  const made = await withBucket(t);
  for (const [method, path, status] of [
    ['PUT', `/${Bucket}/k`, 200],
    ['GET', `/${Bucket}/k`, 200],
    ['HEAD', `/${Bucket}/none`, 404],
    ['GET', `/${Bucket}/none`, 404],
    ['DELETE', `/${Bucket}/k`, 204],
    ['PATCH', `/${Bucket}/k`, 405],
  ] as const) {
    const answer = await send(made, method, path);
    t.equal(answer.status, status, `${method} ${path}`);
    const id = answer.headers['x-amz-request-id'];
    t.match(id, /^[0-9A-F]{16}$/);
    t.ok(answer.headers['x-amz-id-2']);
    if (status >= 400 && method !== 'HEAD') {
      t.match(answer.body, `<RequestId>${String(id)}</RequestId>`);
      t.match(answer.body, `<HostId>${String(answer.headers['x-amz-id-2'])}</HostId>`);
      t.match(answer.body, `<Resource>${path}</Resource>`);
    }
  }
});

await t.test('what is no HTTP gets an error document too', async (t) => {
  const { store } = await withBucket(t);
  const socket = connect(store.port, '127.0.0.1');
  await once(socket, 'connect');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.write('GET / HTTP/1.1\r\nbad header\r\n\r\n');
  await once(socket, 'close');
  const text = Buffer.concat(chunks).toString();
  t.match(text, /^HTTP\/1\.1 400 /);
  t.match(text, /\r\nx-amz-request-id: [0-9A-F]{16}\r\n/);
  t.match(text, '<Code>BadRequest</Code>');
});

await t.test('the headers of a request are at most 8 KB', async (t) => {
  const made = await withBucket(t);
  const get = (bytes: number): Promise<RawAnswer> =>
    send(made, 'GET', `/${Bucket}`, { 'x-padding': 'x'.repeat(bytes) });
  t.equal((await get(6000)).status, 200);
  for (const bytes of [8192, 20_000, 100_000]) {
    const answer = await get(bytes);
    t.same([answer.status, codeOf(answer)], [400, 'RequestHeaderSectionTooLarge'], String(bytes));
  }
});

await t.test('the key of an object is at most 1,024 bytes', async (t) => {
  const { client } = await withBucket(t);
  const put = (Key: string): Promise<unknown> => client.send(new PutObjectCommand({ Bucket, Key, Body: '' }));
  await t.resolves(put('ü'.repeat(512)));
  t.same(await failure(put(`${'ü'.repeat(512)}x`)), { code: 'KeyTooLongError', status: 400 });
});

await t.test('response-* parameters replace headers of GET and HEAD', async (t) => {
  const made = await withBucket(t);
  const { client } = made;
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ContentType: 'text/own' }));
  const overrides = {
    ResponseContentType: 'text/other',
    ResponseContentDisposition: 'attachment; filename="ü"',
    ResponseCacheControl: 'no-store',
    ResponseContentLanguage: 'de',
    ResponseContentEncoding: 'identity',
    ResponseExpires: new Date('2030-01-01T00:00:00Z'),
  };
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'k', ...overrides }));
  await got.Body?.transformToString();
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'k', ...overrides }));
  for (const each of [got, head]) {
    t.match(each, {
      ContentType: 'text/other',
      CacheControl: 'no-store',
      ContentLanguage: 'de',
      ContentEncoding: 'identity',
      ExpiresString: 'Tue, 01 Jan 2030 00:00:00 GMT',
    });
  }
  const split = await send(made, 'GET', `/${Bucket}/k?response-content-type=a%0D%0Ab%3A%20c`);
  t.same([split.status, codeOf(split)], [400, 'InvalidArgument'], 'no header is split in two');
});

await t.test('one request, one signature', async (t) => {
  const made = await withBucket(t);
  const twice = await send(made, 'GET', `/${Bucket}?X-Amz-Algorithm=AWS4-HMAC-SHA256`);
  t.same([twice.status, codeOf(twice)], [400, 'InvalidArgument']);
  const query = [
    'X-Amz-Algorithm=AWS4-HMAC-SHA256',
    'X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Fus-east-1%2Fs3%2Faws4_request',
    'X-Amz-Date=yesterday',
    'X-Amz-Expires=60',
    'X-Amz-SignedHeaders=host',
    'X-Amz-Signature=00',
  ].join('&');
  const dated = await sendRaw(made.store, { method: 'GET', path: `/${Bucket}?${query}` });
  t.same([dated.status, codeOf(dated)], [400, 'AuthorizationQueryParametersError']);
});

await t.test('ListObjectsV2: parameters at their bounds', async (t) => {
  const made = await withBucket(t);
  const { client } = made;
  for (const Key of ['a--1', 'a--2', 'b', 'c'])
    await client.send(new PutObjectCommand({ Bucket, Key, Body: '' }));
  const list = (input: object): Promise<unknown> =>
    client.send(new ListObjectsV2Command({ Bucket, ...input }));
  t.match(await list({ MaxKeys: 5000 }), { MaxKeys: 1000, KeyCount: 4 });
  t.match(await list({ MaxKeys: 0 }), { MaxKeys: 0, KeyCount: 0, IsTruncated: false });
  t.match(await list({ Delimiter: '--' }), { CommonPrefixes: [{ Prefix: 'a--' }], KeyCount: 3 });
  t.match(await list({ Prefix: '', Delimiter: '' }), { KeyCount: 4 });
  t.match(await list({ StartAfter: 'b' }), { KeyCount: 1, StartAfter: 'b', Contents: [{ Key: 'c' }] });
  const plain = (await list({})) as { Contents: { Owner?: object }[] };
  t.equal(plain.Contents[0]?.Owner, undefined, 'the owner comes when asked for');
  t.match(await list({ FetchOwner: true }), { Contents: [{ Owner: { DisplayName: 's3nfsd' } }] });
  for (const query of ['list-type=2&max-keys=x', 'list-type=2&continuation-token=', 'list-type=3']) {
    const path = `/${Bucket}?${query.split('&').sort().join('&')}`;
    const answer = await send(made, 'GET', path);
    t.same([answer.status, codeOf(answer)], [400, 'InvalidArgument'], query);
  }
});

await t.test('ListMultipartUploads: pages of uploads and common prefixes', async (t) => {
  const { client } = await withBucket(t);
  for (const Key of ['a/1', 'a/2', 'b', 'c/1', 'd'])
    await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const seen: (string | undefined)[] = [];
  let marker: object = {};
  for (;;) {
    const page = await client.send(
      new ListMultipartUploadsCommand({ Bucket, Delimiter: '/', MaxUploads: 1, ...marker }),
    );
    seen.push(...(page.Uploads ?? []).map(({ Key }) => Key));
    seen.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix));
    if (page.IsTruncated !== true) break;
    marker = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
  }
  t.same(seen, ['a/', 'b', 'c/', 'd']);
});

await t.test('DeleteObjects wants a checksum of its body, and no rules of directory buckets', async (t) => {
  const { client, store } = await withBucket(t);
  const body = Buffer.from('<Delete><Object><Key>k</Key></Object></Delete>');
  const raw = { method: 'POST', path: `/${Bucket}?delete=` };
  const { headers } = sign(store, raw, { payload: sha256(body) });
  t.equal(codeOf(await sendRaw(store, { ...raw, headers, body })), 'InvalidRequest');
  const sized = await client.send(
    new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'k', Size: 1 }] } }),
  );
  t.match(sized.Errors, [{ Key: 'k', Code: 'NotImplemented' }]);
});
