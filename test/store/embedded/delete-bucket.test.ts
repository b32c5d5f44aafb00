import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  HeadBucketCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { DIRECTORY_BUCKET, directoryFixture } from './directory-support.js';
import { failure, fixture } from './support.js';

await t.test('an object that was acknowledged does not go with its bucket', async (t) => {
  const { client } = await fixture(t);
  const outcomes = new Set<string>();
  for (let round = 0; round < 60; round++) {
    const Bucket = `race-${round}`;
    await client.send(new CreateBucketCommand({ Bucket }));
    // A key that can't be a path: its bytes lie among the store's own files.
    const put = client.send(new PutObjectCommand({ Bucket, Key: 'odd//key', Body: 'kept' })).then(
      () => 'kept',
      async (error: unknown) => (await failure(Promise.reject(error as Error))).code,
    );
    const remove = async (): Promise<string> => {
      for (let at = 0; at < round % 6; at++) await client.send(new HeadBucketCommand({ Bucket }));
      return client.send(new DeleteBucketCommand({ Bucket })).then(
        () => 'deleted',
        async (error: unknown) => (await failure(Promise.reject(error as Error))).code,
      );
    };
    outcomes.add((await Promise.all([put, remove()])).join(', '));
  }
  for (const outcome of outcomes)
    t.ok(['kept, BucketNotEmpty', 'NoSuchBucket, deleted'].includes(outcome), outcome);
});

await t.test('a bucket made anew under a name is another', async (t) => {
  const { client } = await fixture(t);
  const Bucket = 'again';
  for (let round = 0; round < 3; round++) {
    await client.send(new CreateBucketCommand({ Bucket }));
    t.same(await failure(client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'k', UploadId: 'u' }))), {
      code: 'NoSuchUpload',
      status: 404,
    });
    await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }));
    await client.send(new DeleteBucketCommand({ Bucket }));
  }
});

await t.test('a directory bucket stays while uploads are under way', async (t) => {
  const { client } = await directoryFixture(t);
  const upload = { Bucket: DIRECTORY_BUCKET, Key: 'k' };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(upload));
  const remove = (): Promise<unknown> => client.send(new DeleteBucketCommand({ Bucket: DIRECTORY_BUCKET }));
  t.same(await failure(remove()), { code: 'BucketNotEmpty', status: 409 });
  await client.send(new AbortMultipartUploadCommand({ ...upload, UploadId }));
  await t.resolves(remove());
});
