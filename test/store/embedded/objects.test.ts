import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type CopyObjectCommandOutput,
  type PutObjectCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import t from 'tap';
import { failure, fixture } from './support.js';

const Bucket = 'photos';

async function textOf(client: S3Client, Key: string): Promise<string> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
  return (await Body?.transformToString()) ?? '';
}

await t.test('PutObject, HeadObject and GetObject round trip', async (t) => {
  const { client, finished } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const Body = 'hello, world';
  const put = await client.send(
    new PutObjectCommand({
      Bucket,
      Key: 'a/b c+d.txt',
      Body,
      ContentType: 'text/plain',
      ContentEncoding: 'identity',
      ContentLanguage: 'de',
      ContentDisposition: 'inline',
      CacheControl: 'no-cache',
      StorageClass: 'STANDARD_IA',
      Metadata: { mode: '33188', 'with-dash': 'x y' },
    }),
  );
  const etag = `"${createHash('md5').update(Body).digest('hex')}"`;
  t.equal(put.ETag, etag);
  const head = await client.send(
    new HeadObjectCommand({ Bucket, Key: 'a/b c+d.txt', ChecksumMode: 'ENABLED' }),
  );
  t.match(head, {
    ETag: etag,
    ContentLength: 12,
    ContentType: 'text/plain',
    ContentEncoding: 'identity',
    ContentLanguage: 'de',
    ContentDisposition: 'inline',
    CacheControl: 'no-cache',
    StorageClass: 'STANDARD_IA',
    AcceptRanges: 'bytes',
    Metadata: { mode: '33188', 'with-dash': 'x y' },
    ChecksumType: 'FULL_OBJECT',
  });
  t.ok(head.ChecksumCRC32);
  t.ok(Math.abs(Date.now() - (head.LastModified?.getTime() ?? 0)) < 5000);
  t.equal(await textOf(client, 'a/b c+d.txt'), Body);
  t.match(
    finished.map(({ operation, status }) => [operation, status]),
    [
      ['CreateBucket', 200],
      ['PutObject', 200],
      ['HeadObject', 200],
      ['GetObject', 200],
    ],
  );
  t.match(finished[3], { bucket: Bucket, key: 'a/b c+d.txt', bytesIn: 0, bytesOut: 12 });
});

await t.test('a stream is sent in chunks with a trailing checksum', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const body = Buffer.alloc(300_000, 'abcdefg');
  for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const) {
    const put = await client.send(
      new PutObjectCommand({
        Bucket,
        Key: ChecksumAlgorithm,
        Body: Readable.from([body.subarray(0, 100_000), body.subarray(100_000)]),
        ContentLength: body.length,
        ChecksumAlgorithm,
      }),
    );
    t.ok(put[`Checksum${ChecksumAlgorithm}`], ChecksumAlgorithm);
    // The client verifies the checksum that comes with the bytes.
    const got = await client.send(
      new GetObjectCommand({ Bucket, Key: ChecksumAlgorithm, ChecksumMode: 'ENABLED' }),
    );
    t.equal(got[`Checksum${ChecksumAlgorithm}`], put[`Checksum${ChecksumAlgorithm}`]);
    t.ok(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body));
  }
});

await t.test('keys that cannot be paths are kept like others', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const keys = [
    'a//b',
    'a/./b',
    'a/../b',
    '../../etc/passwd',
    '..',
    '.',
    'a/',
    '/lead',
    '//',
    'file',
    'file/below',
    'file/below/more',
    'x'.repeat(256),
    'y'.repeat(1024),
    'ü'.repeat(512),
    '.s3nfsd-store/journal',
    '\u{1f600} emoji \uffee',
    'bell\u0007tab\t',
    'per%cent%2Fcent',
    '\ufffd',
    'dir',
  ];
  await client.send(new PutObjectCommand({ Bucket, Key: 'dir/inside', Body: 'dir/inside' }));
  for (const Key of keys) await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
  for (const Key of [...keys, 'dir/inside']) t.equal(await textOf(client, Key), Key, JSON.stringify(Key));
  t.same(await failure(client.send(new PutObjectCommand({ Bucket, Key: 'z'.repeat(1025), Body: '' }))), {
    code: 'KeyTooLongError',
    status: 400,
  });
  for (const Key of keys) {
    await client.send(new DeleteObjectCommand({ Bucket, Key }));
    t.equal((await failure(textOf(client, Key))).code, 'NoSuchKey');
  }
  t.equal(await textOf(client, 'dir/inside'), 'dir/inside');
});

await t.test('ranges', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: '0123456789' }));
  const cases: readonly (readonly [string, string, string | undefined])[] = [
    ['bytes=0-3', '0123', 'bytes 0-3/10'],
    ['bytes=4-', '456789', 'bytes 4-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=-30', '0123456789', 'bytes 0-9/10'],
    ['bytes=8-100', '89', 'bytes 8-9/10'],
    ['bytes=5-2', '0123456789', undefined],
    ['bytes=0-1,3-4', '0123456789', undefined],
    ['lines=1-2', '0123456789', undefined],
  ];
  for (const [Range, text, contentRange] of cases) {
    const got = await client.send(new GetObjectCommand({ Bucket, Key: 'k', Range }));
    t.equal(await got.Body?.transformToString(), text, Range);
    t.equal(got.ContentRange, contentRange);
    t.equal(got.$metadata.httpStatusCode, contentRange === undefined ? 200 : 206);
  }
  for (const Range of ['bytes=10-', 'bytes=10-12', 'bytes=-0']) {
    t.same(await failure(client.send(new GetObjectCommand({ Bucket, Key: 'k', Range }))), {
      code: 'InvalidRange',
      status: 416,
    });
  }
});

await t.test('conditions of reads, in their precedence', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const { ETag } = await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
  const past = new Date(Date.now() - 3_600_000);
  const future = new Date(Date.now() + 3_600_000);
  const get = (input: object): Promise<unknown> =>
    client.send(new GetObjectCommand({ Bucket, Key: 'k', ...input }));
  await t.resolves(get({ IfMatch: ETag }));
  t.equal((await failure(get({ IfMatch: '"other"' }))).status, 412);
  t.equal((await failure(get({ IfNoneMatch: ETag }))).status, 304);
  await t.resolves(get({ IfNoneMatch: '"other"' }));
  t.equal((await failure(get({ IfModifiedSince: future }))).status, 304);
  await t.resolves(get({ IfModifiedSince: past }));
  t.equal((await failure(get({ IfUnmodifiedSince: past }))).status, 412);
  await t.resolves(get({ IfUnmodifiedSince: future }));
  await t.resolves(
    get({ IfMatch: ETag, IfUnmodifiedSince: past }),
    'If-Match goes before If-Unmodified-Since',
  );
  t.equal(
    (await failure(get({ IfNoneMatch: ETag, IfModifiedSince: past }))).status,
    304,
    'If-None-Match goes before If-Modified-Since',
  );
});

await t.test('conditions of writes', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const put = (input: object): Promise<PutObjectCommandOutput> =>
    client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ...input }));
  t.same(await failure(put({ IfMatch: '"none"' })), { code: 'NoSuchKey', status: 404 });
  const { ETag } = await put({ IfNoneMatch: '*' });
  t.same(await failure(put({ IfNoneMatch: '*' })), { code: 'PreconditionFailed', status: 412 });
  t.same(await failure(put({ IfMatch: '"none"' })), { code: 'PreconditionFailed', status: 412 });
  const next = await put({ IfMatch: ETag, Body: 'y' });
  t.same(await failure(put({ IfMatch: ETag })), { code: 'PreconditionFailed', status: 412 });
  t.same(await failure(put({ IfNoneMatch: ETag })), { code: 'NotImplemented', status: 501 });
  const remove = (input: object): Promise<unknown> =>
    client.send(new DeleteObjectCommand({ Bucket, Key: 'k', ...input }));
  t.same(await failure(remove({ IfMatch: ETag })), { code: 'PreconditionFailed', status: 412 });
  await remove({ IfMatch: next.ETag });
  t.same(await failure(remove({ IfMatch: next.ETag })), { code: 'NoSuchKey', status: 404 });
  await t.resolves(remove({}), 'deleting what is not there succeeds');
});

await t.test('of many conditional creations at once, one wins', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, at) =>
      client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: String(at), IfNoneMatch: '*' })),
    ),
  );
  t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
  t.equal(await textOf(client, 'k'), String(winner));
});

await t.test('user metadata is bounded at 2 KB', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const put = (bytes: number): Promise<unknown> =>
    client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: '', Metadata: { a: 'v'.repeat(bytes - 1) } }));
  await t.resolves(put(2048));
  t.same(await failure(put(2049)), { code: 'MetadataTooLarge', status: 400 });
});

await t.test('CopyObject', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const source = await client.send(
    new PutObjectCommand({
      Bucket,
      Key: 'ö/source +%.txt',
      Body: 'bytes',
      ContentType: 'text/x',
      Metadata: { kept: 'yes' },
    }),
  );
  const CopySource = `${Bucket}/${encodeURIComponent('ö/source +%.txt')}`;
  const copy = (input: object): Promise<CopyObjectCommandOutput> =>
    client.send(new CopyObjectCommand({ Bucket, Key: 'target', CopySource, ...input }));
  const head = (): Promise<unknown> => client.send(new HeadObjectCommand({ Bucket, Key: 'target' }));

  t.equal((await copy({})).CopyObjectResult?.ETag, source.ETag);
  t.match(await head(), { ContentType: 'text/x', Metadata: { kept: 'yes' } });
  await copy({ MetadataDirective: 'REPLACE', Metadata: { fresh: '1' }, ContentType: 'text/y' });
  const { Metadata } = (await head()) as { Metadata: Record<string, string> };
  t.same(Metadata, { fresh: '1' });

  t.equal((await failure(copy({ CopySourceIfMatch: '"no"' }))).code, 'PreconditionFailed');
  t.equal((await failure(copy({ CopySourceIfNoneMatch: source.ETag }))).code, 'PreconditionFailed');
  await t.resolves(copy({ CopySourceIfMatch: source.ETag }));
  t.equal((await failure(copy({ IfNoneMatch: '*' }))).code, 'PreconditionFailed');
  t.equal((await failure(copy({ IfMatch: '"no"' }))).code, 'PreconditionFailed');
  t.same(await failure(copy({ CopySource: `${Bucket}/missing` })), { code: 'NoSuchKey', status: 404 });
  t.equal((await failure(copy({ CopySource: 'nowhere/missing' }))).code, 'NoSuchBucket');
  const onItself = { Key: 'target', CopySource: `${Bucket}/target` };
  t.same(await failure(copy(onItself)), { code: 'InvalidRequest', status: 400 });
  await t.resolves(copy({ ...onItself, MetadataDirective: 'REPLACE', Metadata: { self: 'copy' } }));
  t.match(await head(), { Metadata: { self: 'copy' } });
  t.equal(await textOf(client, 'target'), 'bytes');
});

await t.test('DeleteObjects', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const keys = ['a', 'b/c', ' blank ', 'a&<>"\'', 'cr\rlf\n', 'ctl\u0001'];
  const etags = new Map<string, string | undefined>();
  for (const Key of keys)
    etags.set(Key, (await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }))).ETag);
  const conditional = await client.send(
    new DeleteObjectsCommand({
      Bucket,
      Delete: {
        Objects: [
          { Key: 'a', ETag: '"wrong"' },
          { Key: 'b/c', ETag: etags.get('b/c') },
        ],
      },
    }),
  );
  t.match(conditional.Errors, [{ Key: 'a', Code: 'PreconditionFailed' }]);
  t.same(conditional.Deleted, [{ Key: 'b/c' }]);
  const quiet = await client.send(
    new DeleteObjectsCommand({
      Bucket,
      Delete: { Quiet: true, Objects: keys.slice(0, 5).map((Key) => ({ Key })) },
    }),
  );
  t.equal(quiet.Deleted, undefined);
  t.equal(quiet.Errors, undefined);
  for (const Key of keys.slice(0, 5))
    t.equal((await failure(textOf(client, Key))).code, 'NoSuchKey', JSON.stringify(Key));
  const many = Array.from({ length: 1001 }, (_, at) => ({ Key: String(at) }));
  t.same(await failure(client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: many } }))), {
    code: 'MalformedXML',
    status: 400,
  });
});

await t.test('an archived object cannot be read', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'cold', StorageClass: 'GLACIER' }));
  t.same(await failure(textOf(client, 'k')), { code: 'InvalidObjectState', status: 403 });
  const { StorageClass } = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  t.equal(StorageClass, 'GLACIER');
});
