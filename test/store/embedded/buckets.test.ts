import {
  CreateBucketCommand,
  DeleteBucketCommand,
  GetBucketLocationCommand,
  GetBucketVersioningCommand,
  GetObjectAclCommand,
  GetObjectRetentionCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { codeOf, failure, fixture, sendRaw, sha256, sign } from './support.js';

await t.test('buckets are made, listed, located and removed', async (t) => {
  const { client, directory } = await fixture(t);
  for (const Bucket of ['zebra', 'alpha.beta', '123']) await client.send(new CreateBucketCommand({ Bucket }));
  await t.resolves(
    client.send(new CreateBucketCommand({ Bucket: 'zebra' })),
    'again is no error in us-east-1',
  );
  mkdirSync(join(directory, 'Not_A_Bucket'));
  mkdirSync(join(directory, 'by-hand'));
  const { Buckets } = await client.send(new ListBucketsCommand({}));
  t.same(
    Buckets?.map(({ Name }) => Name),
    ['123', 'alpha.beta', 'by-hand', 'zebra'],
  );
  t.equal((await client.send(new HeadBucketCommand({ Bucket: 'by-hand' }))).BucketRegion, 'us-east-1');
  t.equal((await failure(client.send(new HeadBucketCommand({ Bucket: 'missing' })))).status, 404);
  const { LocationConstraint } = await client.send(new GetBucketLocationCommand({ Bucket: 'zebra' }));
  t.notOk(LocationConstraint);
  t.equal((await client.send(new GetBucketVersioningCommand({ Bucket: 'zebra' }))).Status, undefined);

  await client.send(new PutObjectCommand({ Bucket: 'zebra', Key: 'k', Body: '' }));
  t.same(await failure(client.send(new DeleteBucketCommand({ Bucket: 'zebra' }))), {
    code: 'BucketNotEmpty',
    status: 409,
  });
  await client.send(new DeleteBucketCommand({ Bucket: 'alpha.beta' }));
  t.notOk(existsSync(join(directory, 'alpha.beta')));
  t.same(await failure(client.send(new DeleteBucketCommand({ Bucket: 'alpha.beta' }))), {
    code: 'NoSuchBucket',
    status: 404,
  });
});

await t.test('a bucket of the wrong name or region is refused', async (t) => {
  const { client, store } = await fixture(t);
  for (const Bucket of ['ab', 'UPPER', 'a..b', '192.168.1.1', '-abc', 'x'.repeat(64)]) {
    const raw = { method: 'PUT', path: `/${Bucket}` };
    const answer = await sendRaw(store, {
      ...raw,
      headers: sign(store, raw, { payload: sha256('') }).headers,
    });
    t.same([answer.status, codeOf(answer)], [400, 'InvalidBucketName'], Bucket);
  }
  const elsewhere = {
    Bucket: 'abc',
    CreateBucketConfiguration: { LocationConstraint: 'eu-west-1' as const },
  };
  t.equal(
    (await failure(client.send(new CreateBucketCommand(elsewhere)))).code,
    'IllegalLocationConstraintException',
  );
});

await t.test('what S3 has and this server has not is said so', async (t) => {
  const { client, store } = await fixture(t);
  const Bucket = 'photos';
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: '' }));
  for (const command of [
    new GetObjectAclCommand({ Bucket, Key: 'k' }),
    new GetObjectRetentionCommand({ Bucket, Key: 'k' }),
  ]) {
    t.same(await failure(client.send(command)), {
      code: 'NotImplemented',
      status: 501,
    });
  }
  for (const [method, path] of [
    ['POST', '/'],
    ['POST', '/photos'],
    ['POST', '/photos/k'],
    ['PATCH', '/photos/k'],
  ] as const) {
    const answer = await sendRaw(store, { method, path });
    t.same([answer.status, codeOf(answer)], [405, 'MethodNotAllowed'], `${method} ${path}`);
  }
});

await t.test('ListObjectsV2 over the wire', async (t) => {
  const { client } = await fixture(t);
  const Bucket = 'photos';
  await client.send(new CreateBucketCommand({ Bucket }));
  const keys = ['a', 'b/1', 'b/2', 'b/c/3', 'd e&<f>', 'tab\t', '\u{1f600}', '\uffee'];
  for (const Key of keys) await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
  const all = await client.send(new ListObjectsV2Command({ Bucket, FetchOwner: true }));
  t.same(
    all.Contents?.map(({ Key }) => Key),
    [...keys.slice(0, 6), '\uffee', '\u{1f600}'],
  );
  t.match(all, { KeyCount: 8, MaxKeys: 1000, IsTruncated: false, Name: Bucket });
  t.match(all.Contents?.[0], { Size: 1, StorageClass: 'STANDARD', Owner: { DisplayName: 's3nfsd' } });

  const seen: string[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await client.send(
      new ListObjectsV2Command({
        Bucket,
        Delimiter: '/',
        MaxKeys: 2,
        ...(ContinuationToken === undefined ? {} : { ContinuationToken }),
      }),
    );
    seen.push(
      ...(page.Contents ?? []).map(({ Key = '' }) => Key),
      ...(page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix),
    );
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  t.same(seen, ['a', 'b/', 'd e&<f>', 'tab\t', '\uffee', '\u{1f600}']);

  const encoded = await client.send(new ListObjectsV2Command({ Bucket, EncodingType: 'url', Prefix: 'd ' }));
  t.match(encoded, { EncodingType: 'url', Prefix: 'd+', Contents: [{ Key: 'd+e%26%3Cf%3E' }] });
  const none = await client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 0 }));
  t.match(none, { KeyCount: 0, IsTruncated: false });
  for (const input of [
    { ContinuationToken: 'nonsense' },
    { MaxKeys: -1 },
    { EncodingType: 'rot13' as 'url' },
  ]) {
    t.same(await failure(client.send(new ListObjectsV2Command({ Bucket, ...input }))), {
      code: 'InvalidArgument',
      status: 400,
    });
  }
  const first = await client.send(new ListObjectsCommand({ Bucket, Delimiter: '/', MaxKeys: 2 }));
  t.match(first, { NextMarker: 'b/', IsTruncated: true });
  const second = await client.send(new ListObjectsCommand({ Bucket, Delimiter: '/', Marker: 'b/' }));
  t.same(
    second.Contents?.map(({ Key }) => Key),
    ['d e&<f>', 'tab\t', '\uffee', '\u{1f600}'],
  );
  t.equal(second.CommonPrefixes, undefined);
});

await t.test('files put there by hand are objects, as they come, change and go', async (t) => {
  const { client, directory } = await fixture(t);
  const Bucket = 'photos';
  mkdirSync(join(directory, Bucket, 'a'), { recursive: true });
  writeFileSync(join(directory, Bucket, 'a', 'b.txt'), 'one');
  const list = async (): Promise<string[]> =>
    ((await client.send(new ListObjectsV2Command({ Bucket }))).Contents ?? []).map(
      ({ Key = '', Size = 0 }) => `${Key}:${Size}`,
    );
  t.same(await list(), ['a/b.txt:3']);
  mkdirSync(join(directory, Bucket, 'c', 'd'), { recursive: true });
  writeFileSync(join(directory, Bucket, 'c', 'd', 'e'), 'four');
  writeFileSync(join(directory, Bucket, 'a', 'b.txt'), 'longer');
  t.same(await list(), ['a/b.txt:6', 'c/d/e:4']);
  await client.send(new PutObjectCommand({ Bucket, Key: 'a/by-s3', Body: 'x' }));
  t.ok(existsSync(join(directory, Bucket, 'a', 'by-s3')), 'an object is a file');
  t.same(await list(), ['a/b.txt:6', 'a/by-s3:1', 'c/d/e:4']);
});
