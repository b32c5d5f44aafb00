/** Objects of directory buckets: appending, renaming, and what else differs from ordinary buckets. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  RenameObjectCommand,
  UploadPartCommand,
  type PutObjectCommandInput,
  type PutObjectCommandOutput,
  type RenameObjectCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { Journal } from '../../../src/store/embedded/journal.js';
import { applyLine, emptyState, putLine } from '../../../src/store/embedded/records.js';
import { DIRECTORY_BUCKET as Bucket, directoryFixture } from './directory-support.js';
import { clientOf, failure, startServer, temporaryDirectory } from './support.js';

async function put(
  client: S3Client,
  Key: string,
  Body: string | Buffer,
  more: Partial<PutObjectCommandInput> = {},
): Promise<string> {
  return (await client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }))).ETag ?? '';
}

async function text(client: S3Client, Key: string): Promise<string> {
  return (await (await client.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString()) ?? '';
}

const rename = async (
  client: S3Client,
  from: string,
  Key: string,
  more: Partial<RenameObjectCommandInput> = {},
) => client.send(new RenameObjectCommand({ Bucket, Key, RenameSource: encodeURIComponent(from), ...more }));

await t.test('an ETag is no digest, and of one version', async (t) => {
  const { client } = await directoryFixture(t);
  const first = await put(client, 'a', 'same');
  t.match(first, /^"[0-9a-z]{32}"$/);
  t.not(await put(client, 'b', 'same'), first);
  const again = await put(client, 'a', 'same');
  t.not(again, first);
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'a' }));
  t.match(head, { ETag: again, StorageClass: 'EXPRESS_ONEZONE' });
  const copied = await client.send(new CopyObjectCommand({ Bucket, Key: 'c', CopySource: `${Bucket}/a` }));
  t.not(copied.CopyObjectResult?.ETag, again);
});

await t.test('appending at the end adds, anywhere else is InvalidWriteOffset', async (t) => {
  const { client } = await directoryFixture(t);
  const append = async (WriteOffsetBytes: number, Body: string, more = {}): Promise<PutObjectCommandOutput> =>
    client.send(new PutObjectCommand({ Bucket, Key: 'log', Body, WriteOffsetBytes, ...more }));
  t.equal((await failure(append(3, 'x'))).code, 'InvalidWriteOffset', 'there is nothing to add to');
  const first = await append(0, 'one ', {
    Metadata: { kept: '1' },
    ContentType: 'text/plain',
    ChecksumAlgorithm: 'CRC32',
  });
  t.equal(first.Size, 4);
  const second = await append(4, 'two ', { ChecksumAlgorithm: 'CRC32' });
  t.equal(second.Size, 8);
  t.not(second.ETag, first.ETag);
  t.same(await failure(append(4, 'two ')), { code: 'InvalidWriteOffset', status: 400 });
  t.equal((await failure(append(9, 'x'))).code, 'InvalidWriteOffset');
  t.equal((await failure(append(8, ''))).code, 'InvalidRequest', 'nothing to add');
  t.equal((await failure(append(8, 'x', { Metadata: { new: '1' } }))).code, 'InvalidRequest', 'metadata');
  t.equal(
    (await failure(append(8, 'x', { ChecksumAlgorithm: 'SHA256' }))).code,
    'InvalidRequest',
    'another algorithm',
  );
  t.equal((await failure(append(8, 'x', { IfMatch: first.ETag }))).code, 'PreconditionFailed');
  await append(8, 'three', { IfMatch: second.ETag });
  t.equal(await text(client, 'log'), 'one two three');
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'log', ChecksumMode: 'ENABLED' }));
  t.match(head, { ContentLength: 13, Metadata: { kept: '1' }, ContentType: 'text/plain' });
  await put(client, 'whole', 'one two three', { ChecksumAlgorithm: 'CRC32' });
  const whole = await client.send(new HeadObjectCommand({ Bucket, Key: 'whole', ChecksumMode: 'ENABLED' }));
  t.equal(head.ChecksumCRC32, whole.ChecksumCRC32, 'the checksum is of the whole object');
  t.type(head.ChecksumCRC32, 'string');
  t.equal((await client.send(new HeadObjectCommand({ Bucket, Key: 'log', PartNumber: 2 }))).PartsCount, 3);
});

await t.test('of two who append at one offset one wins, and a reader has what it began with', async (t) => {
  const { client } = await directoryFixture(t);
  await put(client, 'log', 'start,');
  const reading = await client.send(new GetObjectCommand({ Bucket, Key: 'log' }));
  const tries = await Promise.allSettled(
    ['a', 'b', 'c'].map((Body) =>
      client.send(new PutObjectCommand({ Bucket, Key: 'log', Body, WriteOffsetBytes: 6 })),
    ),
  );
  t.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1);
  t.match(await text(client, 'log'), /^start,[abc]$/);
  t.equal(await reading.Body?.transformToString(), 'start,');
});

await t.test('an object has 10,000 parts at most; a copy starts anew', async (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, Bucket));
  const first = await startServer(directory);
  await put(clientOf(t, first.endpoint), 'log', 'x');
  await first.close();
  // 9,998 appends would take minutes: the record says they were made.
  const state = emptyState();
  const path = join(directory, Bucket, '.s3nfsd-store', 'journal');
  const { journal } = await Journal.open(path, (line) => applyLine(state, line));
  const record = state.objects.get('log');
  if (record === undefined) throw new Error('the journal has no record of the object');
  const partSizes = [1, ...Array.from({ length: 9_998 }, () => 0)];
  await journal.append(putLine('log', { ...record, partSizes }, ''));
  await journal.close();

  const store = await startServer(directory);
  t.teardown(() => store.close());
  const client = clientOf(t, store.endpoint);
  const append = async (WriteOffsetBytes: number): Promise<unknown> =>
    client.send(new PutObjectCommand({ Bucket, Key: 'log', Body: 'y', WriteOffsetBytes }));
  await append(1);
  t.same(await failure(append(2)), { code: 'TooManyParts', status: 400 });
  await client.send(
    new CopyObjectCommand({ Bucket, Key: 'log', CopySource: `${Bucket}/log`, MetadataDirective: 'REPLACE' }),
  );
  await append(2);
  t.equal(await text(client, 'log'), 'xyy');
});

await t.test('a rename moves the object with all it has, over a target too', async (t) => {
  const { client, directory } = await directoryFixture(t);
  const etag = await put(client, 'dir/a b', 'content', { Metadata: { kept: '1' } });
  const before = await client.send(new HeadObjectCommand({ Bucket, Key: 'dir/a b' }));
  await put(client, 'target', 'old');
  await rename(client, 'dir/a b', 'target');
  t.equal((await failure(client.send(new HeadObjectCommand({ Bucket, Key: 'dir/a b' })))).status, 404);
  t.equal(await text(client, 'target'), 'content');
  const after = await client.send(new HeadObjectCommand({ Bucket, Key: 'target' }));
  t.match(after, { ETag: etag, Metadata: { kept: '1' }, LastModified: before.LastModified });
  t.same(readdirSync(join(directory, Bucket)).sort(), ['.s3nfsd-store', 'target']);
  t.same(readdirSync(join(directory, Bucket, '.s3nfsd-store', 'blobs')), [], 'nothing is left beside it');
  let from = 'target';
  for (const to of ['odd//key', 'target', 'target/below', 'plain']) {
    await rename(client, from, to);
    t.equal(await text(client, to), 'content', to);
    t.notOk(await exists(client, from), from);
    from = to;
  }
  t.same(readdirSync(join(directory, Bucket)).sort(), ['.s3nfsd-store', 'plain']);
});

async function exists(client: S3Client, Key: string): Promise<boolean> {
  return client.send(new HeadObjectCommand({ Bucket, Key })).then(
    () => true,
    () => false,
  );
}

await t.test('a rename obeys its conditions, on the source and on the target', async (t) => {
  const { client } = await directoryFixture(t);
  const source = await put(client, 's', 'source');
  const target = await put(client, 't', 'target');
  const past = new Date(Date.now() - 3_600_000);
  const future = new Date(Date.now() + 3_600_000);
  for (const condition of [
    { DestinationIfNoneMatch: '*' },
    { DestinationIfMatch: source },
    { DestinationIfModifiedSince: future },
    { DestinationIfUnmodifiedSince: past },
    { SourceIfMatch: target },
    { SourceIfNoneMatch: source },
    { SourceIfNoneMatch: '*' },
    { SourceIfModifiedSince: future },
    { SourceIfUnmodifiedSince: past },
  ]) {
    t.same(
      await failure(rename(client, 's', 't', condition)),
      { code: 'PreconditionFailed', status: 412 },
      JSON.stringify(condition),
    );
  }
  t.equal(await text(client, 't'), 'target');
  await rename(client, 's', 't', {
    DestinationIfMatch: target,
    SourceIfMatch: source,
    SourceIfModifiedSince: past,
  });
  t.equal(await text(client, 't'), 'source');
  await rename(client, 't', 'free', { DestinationIfNoneMatch: '*' });
  t.equal(await text(client, 'free'), 'source');
  t.same(await failure(rename(client, 'gone', 'x')), { code: 'NoSuchKey', status: 404 });
  t.equal((await failure(rename(client, 'gone/', 'x'))).code, 'InvalidRequest', 'names that end in a slash');
  t.equal((await failure(rename(client, 'free', 'x/'))).code, 'InvalidRequest');
  t.equal((await failure(rename(client, 'free', 'free'))).code, 'InvalidRequest', 'onto itself');
});

await t.test('a rename under one token happens once, over restarts too', async (t) => {
  const { client, directory, store } = await directoryFixture(t);
  await put(client, 'a', 'first');
  const ClientToken = 'token-1';
  await rename(client, 'a', 'b', { ClientToken });
  await put(client, 'a', 'second');
  await rename(client, 'a', 'b', { ClientToken });
  t.equal(await text(client, 'b'), 'first', 'it had happened already');
  t.equal(await text(client, 'a'), 'second');
  const other = await failure(rename(client, 'a', 'c', { ClientToken }));
  t.same(other, { code: 'IdempotencyParameterMismatch', status: 400 });
  await store.close();
  for (let restart = 1; restart <= 2; restart++) {
    const again = await startServer(directory);
    const later = clientOf(t, again.endpoint);
    await rename(later, 'a', 'b', { ClientToken });
    t.equal(await text(later, 'a'), 'second', `restart ${String(restart)}`);
    await again.close();
  }
});

await t.test('a completed upload has parts 1, 2, 3 without a gap', async (t) => {
  const { client } = await directoryFixture(t);
  const Key = 'parts';
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const part = async (PartNumber: number): Promise<{ PartNumber: number; ETag: string | undefined }> => {
    const { ETag } = await client.send(
      new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body: 'last' }),
    );
    return { PartNumber, ETag };
  };
  const complete = async (Parts: { PartNumber: number; ETag: string | undefined }[]) =>
    client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
  t.equal((await failure(complete([await part(2)]))).code, 'InvalidPartOrder');
  const done = await complete([await part(1)]);
  t.match(done.ETag, /^"[0-9a-z]{32}"$/);
  const head = await client.send(new HeadObjectCommand({ Bucket, Key }));
  t.match(head, { ETag: done.ETag, StorageClass: 'EXPRESS_ONEZONE' });
});

await t.test('deletes by time and size', async (t) => {
  const { client } = await directoryFixture(t);
  await put(client, 'k', 'four');
  const { LastModified } = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  const past = new Date(0);
  const refused = [
    new DeleteObjectCommand({ Bucket, Key: 'k', IfMatchSize: 5 }),
    new DeleteObjectCommand({ Bucket, Key: 'k', IfMatchLastModifiedTime: past }),
  ];
  for (const command of refused) t.equal((await failure(client.send(command))).code, 'PreconditionFailed');
  const many = await client.send(
    new DeleteObjectsCommand({
      Bucket,
      Delete: {
        Objects: [
          { Key: 'k', Size: 5 },
          { Key: 'gone', Size: 5 },
        ],
      },
    }),
  );
  t.same(
    many.Errors?.map(({ Key, Code }) => [Key, Code]),
    [['k', 'PreconditionFailed']],
  );
  await client.send(
    new DeleteObjectCommand({ Bucket, Key: 'k', IfMatchSize: 4, IfMatchLastModifiedTime: LastModified }),
  );
  t.notOk(await exists(client, 'k'));
});

await t.test('what directory buckets do not have', async (t) => {
  const { client } = await directoryFixture(t);
  for (const [more, code] of [
    [{ StorageClass: 'STANDARD' }, 'InvalidStorageClass'],
    [{ Tagging: 'a=b' }, 'NotImplemented'],
    [{ ContentMD5: 'rL0Y20zC+Fzt72VPzMSk2A==' }, 'NotImplemented'],
  ] as const) {
    t.equal((await failure(put(client, 'k', 'foo', more))).code, code, JSON.stringify(more));
  }
  await t.resolves(put(client, 'k', 'foo', { StorageClass: 'EXPRESS_ONEZONE' }));
  t.equal((await failure(client.send(new GetBucketVersioningCommand({ Bucket })))).code, 'NotImplemented');
});
