import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CompletedPart,
  type CompleteMultipartUploadCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { clientOf, failure, fixture, startServer } from './support.js';

const Bucket = 'photos';
const Key = 'dir/big';
const MIB = 1024 * 1024;

async function create(client: S3Client, input: object = {}): Promise<string> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...input }));
  return UploadId ?? '';
}

async function upload(
  client: S3Client,
  UploadId: string,
  PartNumber: number,
  Body: Buffer,
): Promise<CompletedPart> {
  const { ETag } = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
  return { PartNumber, ETag };
}

function complete(
  client: S3Client,
  UploadId: string,
  Parts: CompletedPart[],
  input: object = {},
): Promise<CompleteMultipartUploadCommandOutput> {
  return client.send(
    new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...input }),
  );
}

const FIRST = Buffer.alloc(5 * MIB, 'abc');
const LAST = Buffer.from('the end');
const COMPOSED = `"${createHash('md5')
  .update(createHash('md5').update(FIRST).digest())
  .update(createHash('md5').update(LAST).digest())
  .digest('hex')}-2"`;

await t.test('an upload in parts becomes one object', async (t) => {
  const { client, directory } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const id = await create(client, { ContentType: 'text/x', Metadata: { a: 'b' } });
  t.equal((await failure(client.send(new HeadObjectCommand({ Bucket, Key })))).status, 404);
  const last = await upload(client, id, 7, LAST);
  await upload(client, id, 2, Buffer.from('replaced below'));
  const first = await upload(client, id, 2, FIRST);
  await upload(client, id, 9, Buffer.from('not completed'));
  const done = await complete(client, id, [first, last]);
  t.match(done, { ETag: COMPOSED, Key, Bucket });
  const got = await client.send(new GetObjectCommand({ Bucket, Key }));
  t.match(got, { ETag: COMPOSED, ContentType: 'text/x', Metadata: { a: 'b' } });
  t.ok(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(Buffer.concat([FIRST, LAST])));
  const part = await client.send(new GetObjectCommand({ Bucket, Key, PartNumber: 2 }));
  t.match(part, {
    PartsCount: 2,
    ContentLength: 7,
    ContentRange: `bytes ${5 * MIB}-${5 * MIB + 6}/${5 * MIB + 7}`,
  });
  t.equal(await part.Body?.transformToString(), 'the end');
  t.same(await failure(client.send(new GetObjectCommand({ Bucket, Key, PartNumber: 3 }))), {
    code: 'InvalidPartNumber',
    status: 416,
  });
  t.equal(
    (await complete(client, id, [first, last])).ETag,
    COMPOSED,
    'a repeated completion answers the same',
  );
  t.equal((await failure(upload(client, id, 1, LAST))).code, 'NoSuchUpload');
  t.same(readdirSync(join(directory, Bucket, '.s3nfsd-store', 'blobs')), [], 'no part is left behind');
});

await t.test('what completion refuses', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const id = await create(client);
  const small = await upload(client, id, 1, LAST);
  const second = await upload(client, id, 2, LAST);
  const refused = async (parts: CompletedPart[], code: string, input: object = {}): Promise<void> => {
    t.equal((await failure(complete(client, id, parts, input))).code, code);
  };
  await refused([small, second], 'EntityTooSmall');
  await refused([second, small], 'InvalidPartOrder');
  await refused([small, small], 'InvalidPartOrder');
  await refused([{ ...small, ETag: '"00000000000000000000000000000000"' }], 'InvalidPart');
  await refused([{ ...small, PartNumber: 3 }], 'InvalidPart');
  await refused([], 'MalformedXML');
  await refused([small], 'NoSuchKey', { IfMatch: '"x"' });
  await client.send(new PutObjectCommand({ Bucket, Key, Body: 'there' }));
  await refused([small], 'PreconditionFailed', { IfNoneMatch: '*' });
  await refused([small], 'PreconditionFailed', { IfMatch: '"x"' });
  await refused([small], 'InvalidRequest', { MpuObjectSize: 3 });
  t.equal((await failure(complete(client, 'nonsense', [small]))).code, 'NoSuchUpload');
  const { ETag } = await client.send(new HeadObjectCommand({ Bucket, Key }));
  await t.resolves(complete(client, id, [small], { IfMatch: ETag }), 'refusals left the upload whole');
  for (const number of [0, 10_001]) {
    t.equal((await failure(upload(client, await create(client), number, LAST))).code, 'InvalidArgument');
  }
});

await t.test('checksums of uploads, composite and of the whole', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const head = (): Promise<unknown> =>
    client.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
  const sha = (data: Buffer): Buffer => createHash('sha256').update(data).digest();

  const composite = await create(client, { ChecksumAlgorithm: 'SHA256' });
  const send = async (PartNumber: number, Body: Buffer): Promise<CompletedPart> => {
    const { ETag, ChecksumSHA256 } = await client.send(
      new UploadPartCommand({
        Bucket,
        Key,
        UploadId: composite,
        PartNumber,
        Body,
        ChecksumAlgorithm: 'SHA256',
      }),
    );
    return { PartNumber, ETag, ChecksumSHA256 };
  };
  const parts = [await send(1, FIRST), await send(2, LAST)];
  t.equal(
    (await failure(upload(client, composite, 3, LAST))).code,
    'InvalidRequest',
    'a part of another algorithm',
  );
  const bare = parts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag }));
  t.equal(
    (await failure(complete(client, composite, bare))).code,
    'InvalidRequest',
    'parts without checksums',
  );
  await complete(client, composite, parts);
  t.match(await head(), {
    ChecksumSHA256: `${sha(Buffer.concat([sha(FIRST), sha(LAST)])).toString('base64')}-2`,
    ChecksumType: 'COMPOSITE',
  });

  const whole = await create(client, { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
  const pieces = [await upload(client, whole, 1, FIRST), await upload(client, whole, 2, LAST)];
  t.equal((await failure(complete(client, whole, pieces, { ChecksumCRC32: 'AAAAAA==' }))).code, 'BadDigest');
  await complete(client, whole, pieces);
  const { ChecksumCRC32 } = await client.send(
    new PutObjectCommand({ Bucket, Key: 'other', Body: Buffer.concat([FIRST, LAST]) }),
  );
  t.match(await head(), { ChecksumCRC32, ChecksumType: 'FULL_OBJECT' });
  t.equal(
    (await failure(create(client, { ChecksumAlgorithm: 'SHA256', ChecksumType: 'FULL_OBJECT' }))).code,
    'InvalidRequest',
  );
});

await t.test('UploadPartCopy', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const { ETag } = await client.send(new PutObjectCommand({ Bucket, Key: 'source', Body: '0123456789' }));
  const id = await create(client);
  const copy = async (input: object): Promise<CompletedPart> => {
    const { CopyPartResult } = await client.send(
      new UploadPartCopyCommand({
        Bucket,
        Key,
        UploadId: id,
        PartNumber: 1,
        CopySource: `${Bucket}/source`,
        ...input,
      }),
    );
    return { PartNumber: 1, ETag: CopyPartResult?.ETag };
  };
  const part = await copy({ CopySourceRange: 'bytes=2-5', CopySourceIfMatch: ETag });
  t.equal((await failure(copy({ CopySourceIfMatch: '"x"' }))).code, 'PreconditionFailed');
  for (const CopySourceRange of ['bytes=5-10', 'bytes=5-', 'bytes=-5', 'bytes=5-2']) {
    t.equal((await failure(copy({ CopySourceRange }))).code, 'InvalidArgument', CopySourceRange);
  }
  await complete(client, id, [part]);
  const got = await client.send(new GetObjectCommand({ Bucket, Key }));
  t.equal(await got.Body?.transformToString(), '2345');
});

await t.test('parts and uploads are listed in pages, aborted, and outlive a restart', async (t) => {
  const { client, store, directory } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const id = await create(client);
  for (const number of [3, 1, 2]) await upload(client, id, number, Buffer.from(`part ${number}`));
  const keys = ['a', 'dir/a', 'dir/a', 'dir/b', 'e/f'];
  for (const key of keys) await create(client, { Key: key });
  await store.close();
  const again = await startServer(directory);
  t.teardown(() => again.close());
  const after = clientOf(t, again.endpoint);

  const page = await after.send(new ListPartsCommand({ Bucket, Key, UploadId: id, MaxParts: 2 }));
  t.match(page, {
    IsTruncated: true,
    NextPartNumberMarker: '2',
    Parts: [{ PartNumber: 1, Size: 6 }, { PartNumber: 2 }],
  });
  const rest = await after.send(new ListPartsCommand({ Bucket, Key, UploadId: id, PartNumberMarker: '2' }));
  t.match(rest, { IsTruncated: false, Parts: [{ PartNumber: 3 }] });

  const seen: string[] = [];
  let marker: { KeyMarker?: string; UploadIdMarker?: string } = {};
  for (;;) {
    const uploads = await after.send(
      new ListMultipartUploadsCommand({ Bucket, Prefix: 'dir/', MaxUploads: 1, ...marker }),
    );
    seen.push(...(uploads.Uploads ?? []).map((each) => each.Key ?? ''));
    if (uploads.IsTruncated !== true) break;
    marker = {
      ...(uploads.NextKeyMarker === undefined ? {} : { KeyMarker: uploads.NextKeyMarker }),
      ...(uploads.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: uploads.NextUploadIdMarker }),
    };
  }
  t.same(seen, ['dir/a', 'dir/a', 'dir/b', 'dir/big']);
  const grouped = await after.send(new ListMultipartUploadsCommand({ Bucket, Delimiter: '/' }));
  t.same(grouped.CommonPrefixes, [{ Prefix: 'dir/' }, { Prefix: 'e/' }]);

  await after.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id }));
  t.same(await failure(after.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id }))), {
    code: 'NoSuchUpload',
    status: 404,
  });
  t.same(readdirSync(join(directory, Bucket, '.s3nfsd-store', 'blobs')), []);
});
