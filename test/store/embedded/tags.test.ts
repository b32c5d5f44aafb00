import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectTaggingCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
  type S3Client,
  type Tag,
} from '@aws-sdk/client-s3';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { clientOf, failure, fixture, startServer } from './support.js';

const Bucket = 'photos';
const Key = 'k';

async function tagsOf(client: S3Client, key = Key): Promise<Tag[] | undefined> {
  return (await client.send(new GetObjectTaggingCommand({ Bucket, Key: key }))).TagSet;
}

await t.test('tags come with a PUT, are read, replaced, removed and counted', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', Tagging: 'a=1&b%20c=%C3%BC&d' }));
  t.same(await tagsOf(client), [
    { Key: 'a', Value: '1' },
    { Key: 'b c', Value: 'ü' },
    { Key: 'd', Value: '' },
  ]);
  const got = await client.send(new GetObjectCommand({ Bucket, Key }));
  t.equal(got.TagCount, 3);
  await got.Body?.transformToString();
  const before = await client.send(new HeadObjectCommand({ Bucket, Key }));
  t.equal(before.TagCount, 3);

  const TagSet = [{ Key: 'new', Value: 'x + y' }];
  await client.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet } }));
  t.same(await tagsOf(client), TagSet);
  await client.send(new DeleteObjectTaggingCommand({ Bucket, Key }));
  t.same(await tagsOf(client), []);
  const after = await client.send(new HeadObjectCommand({ Bucket, Key }));
  t.equal(after.TagCount, undefined);
  t.same([after.ETag, after.LastModified], [before.ETag, before.LastModified], 'tags are no new version');
  const Tagging = { TagSet };
  t.equal((await failure(tagsOf(client, 'none'))).code, 'NoSuchKey');
  const put = client.send(new PutObjectTaggingCommand({ Bucket, Key: 'none', Tagging }));
  t.same(await failure(put), { code: 'NoSuchKey', status: 404 });
  const remove = client.send(new DeleteObjectTaggingCommand({ Bucket, Key: 'none' }));
  t.same(await failure(remove), { code: 'NoSuchKey', status: 404 });
});

await t.test('a copy takes its tags from the source, or with REPLACE from the request', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x', Tagging: 'from=source' }));
  const copy = async (input: object): Promise<Tag[] | undefined> => {
    await client.send(
      new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/${Key}`, ...input }),
    );
    return tagsOf(client, 'copy');
  };
  t.same(await copy({}), [{ Key: 'from', Value: 'source' }]);
  t.same(await copy({ Tagging: 'a=b' }), [{ Key: 'from', Value: 'source' }], 'COPY is the default');
  t.same(await copy({ Tagging: 'a=b', TaggingDirective: 'REPLACE' }), [{ Key: 'a', Value: 'b' }]);
  t.same(await copy({ TaggingDirective: 'REPLACE' }), []);
  t.equal((await failure(copy({ TaggingDirective: 'OTHER' as 'COPY' }))).code, 'InvalidArgument');
});

await t.test('an upload gives its tags to the object', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, Tagging: 'a=b' }));
  const { ETag } = await client.send(
    new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: 'x' }),
  );
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload }));
  t.same(await tagsOf(client), [{ Key: 'a', Value: 'b' }]);
});

await t.test('what no tag may be', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const numbers = Array.from({ length: 11 }, (_, at) => ({ Key: `k${at}`, Value: '' }));
  const long = 'x'.repeat(128);
  const cases: readonly (readonly [string, readonly Tag[]])[] = [
    ['BadRequest', numbers],
    [
      'InvalidTag',
      [
        { Key: 'a', Value: '1' },
        { Key: 'a', Value: '2' },
      ],
    ],
    ['InvalidTag', [{ Key: `${long}x`, Value: '' }]],
    ['InvalidTag', [{ Key: 'a', Value: `${long}${long}x` }]],
    ['InvalidTag', [{ Key: 'aws:a', Value: '' }]],
    ['InvalidTag', [{ Key: 'a', Value: '<>' }]],
    ['InvalidTag', [{ Key: '', Value: '' }]],
  ];
  for (const [code, tags] of cases) {
    const Tagging = tags
      .map((tag) => `${encodeURIComponent(tag.Key ?? '')}=${encodeURIComponent(tag.Value ?? '')}`)
      .join('&');
    const header = client.send(new PutObjectCommand({ Bucket, Key, Body: '', Tagging }));
    t.same(await failure(header), { code, status: 400 }, Tagging);
    await client.send(new PutObjectCommand({ Bucket, Key: 'there', Body: '' }));
    const document = client.send(
      new PutObjectTaggingCommand({ Bucket, Key: 'there', Tagging: { TagSet: [...tags] } }),
    );
    t.same(await failure(document), { code, status: 400 }, Tagging);
  }
  t.equal((await failure(client.send(new HeadObjectCommand({ Bucket, Key })))).status, 404);
  const TagSet = [...numbers.slice(0, 9), { Key: long, Value: long + long }];
  await t.resolves(client.send(new PutObjectTaggingCommand({ Bucket, Key: 'there', Tagging: { TagSet } })));
});

await t.test('tags outlive a restart, also those of files made by hand', async (t) => {
  const { client, store, directory } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  mkdirSync(join(directory, Bucket), { recursive: true });
  writeFileSync(join(directory, Bucket, 'by-hand'), 'bytes');
  const TagSet = [{ Key: 'a', Value: 'b' }];
  for (const key of ['plain', 'odd//key'])
    await client.send(new PutObjectCommand({ Bucket, Key: key, Body: key }));
  for (const key of ['plain', 'odd//key', 'by-hand']) {
    await client.send(new PutObjectTaggingCommand({ Bucket, Key: key, Tagging: { TagSet } }));
  }
  await store.close();
  const again = await startServer(directory);
  t.teardown(() => again.close());
  const after = clientOf(t, again.endpoint);
  for (const key of ['plain', 'odd//key', 'by-hand']) t.same(await tagsOf(after, key), TagSet, key);
  const got = await after.send(new GetObjectCommand({ Bucket, Key: 'odd//key' }));
  t.equal(await got.Body?.transformToString(), 'odd//key');
  await after.send(new PutObjectCommand({ Bucket, Key: 'plain', Body: 'again' }));
  t.same(await tagsOf(after, 'plain'), [], 'a new version has tags of its own');
});
