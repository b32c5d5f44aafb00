/** Conditional writes that others get in the way of: 409, 412 and 404 as the user guide's "Conditional write scenarios" have them. */
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  PutObjectCommand,
  UploadPartCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import t from 'tap';
import { clientOf, failure, fixture, sign, startServer, type Fixture } from './support.js';

const Bucket = 'photos';
const CONFLICT = { code: 'ConditionalRequestConflict', status: 409 };

type Complete = (input: object) => Promise<unknown>;

/** An upload of `Key` with one part, and what completes it. */
async function uploaded(client: S3Client, Key: string): Promise<Complete> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const { ETag } = await client.send(
    new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: 'part' }),
  );
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  return (input) =>
    client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload, ...input }));
}

async function withObject(t: Parameters<typeof fixture>[0]): Promise<Fixture & { readonly etag: string }> {
  const made = await fixture(t);
  await made.client.send(new CreateBucketCommand({ Bucket }));
  const { ETag = '' } = await made.client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'old' }));
  return { ...made, etag: ETag };
}

await t.test('a DELETE during an upload: 409 for If-None-Match, 404 for If-Match', async (t) => {
  const { client, etag } = await withObject(t);
  const complete = await uploaded(client, 'k');
  const bystander = await uploaded(client, 'other');
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
  t.same(await failure(complete({ IfNoneMatch: '*' })), CONFLICT);
  t.same(await failure(complete({ IfMatch: etag })), { code: 'NoSuchKey', status: 404 });
  await t.resolves(bystander({ IfNoneMatch: '*' }), 'of another key');
  const later = await uploaded(client, 'k');
  await t.resolves(later({ IfNoneMatch: '*' }), 'an upload that began after the DELETE');
});

await t.test('a DELETE of nothing is one too, and so is DeleteObjects', async (t) => {
  const { client } = await withObject(t);
  const first = await uploaded(client, 'none');
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'none' }));
  t.same(await failure(first({ IfNoneMatch: '*' })), CONFLICT);
  const second = await uploaded(client, 'none');
  await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'none' }] } }));
  t.same(await failure(second({ IfNoneMatch: '*' })), CONFLICT);
  await t.resolves(second({}), 'without a condition it completes');
});

await t.test('a refused DELETE is none', async (t) => {
  const { client } = await withObject(t);
  const complete = await uploaded(client, 'none');
  t.equal(
    (await failure(client.send(new DeleteObjectCommand({ Bucket, Key: 'none', IfMatch: '"x"' })))).status,
    404,
  );
  await t.resolves(complete({ IfNoneMatch: '*' }));
});

await t.test('a conditional write during an upload: 412 for both conditions', async (t) => {
  const { client, etag } = await withObject(t);
  const created = await uploaded(client, 'new');
  const replaced = await uploaded(client, 'k');
  await client.send(new PutObjectCommand({ Bucket, Key: 'new', Body: 'theirs', IfNoneMatch: '*' }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'theirs', IfMatch: etag }));
  t.same(await failure(created({ IfNoneMatch: '*' })), { code: 'PreconditionFailed', status: 412 });
  t.same(await failure(replaced({ IfMatch: etag })), { code: 'PreconditionFailed', status: 412 });
});

await t.test('that an upload was overtaken outlives a restart', async (t) => {
  const { client, store, directory } = await withObject(t);
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
  const { ETag } = await client.send(
    new UploadPartCommand({ Bucket, Key: 'k', UploadId, PartNumber: 1, Body: 'part' }),
  );
  await store.close();
  for (let round = 0; round < 2; round++) {
    const again = await startServer(directory);
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    const complete = clientOf(t, again.endpoint).send(
      new CompleteMultipartUploadCommand({ Bucket, Key: 'k', UploadId, MultipartUpload, IfNoneMatch: '*' }),
    );
    t.same(await failure(complete), CONFLICT);
    await again.close();
  }
});

await t.test('a DELETE while a conditional PUT sends its body: 409, and nothing is written', async (t) => {
  const { client, store } = await withObject(t);
  const raw = { method: 'PUT', path: `/${Bucket}/new`, headers: { 'if-none-match': '*' } };
  const { headers } = sign(store, raw, { payload: 'UNSIGNED-PAYLOAD' });
  const request = httpRequest({
    host: '127.0.0.1',
    port: store.port,
    ...raw,
    headers: { ...headers, expect: '100-continue', 'content-length': 4 },
  });
  request.flushHeaders();
  // The write has begun once its body is asked for.
  await once(request, 'continue');
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'new' }));
  request.end('body');
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.resume();
  t.equal(response.statusCode, 409);
  await t.resolves(
    client.send(new PutObjectCommand({ Bucket, Key: 'new', Body: 'x', IfNoneMatch: '*' })),
    'the next try creates it',
  );
});

await t.test('conditions on the destination of a copy', async (t) => {
  const { client, etag } = await withObject(t);
  const copy = (Key: string, input: object): Promise<unknown> =>
    client.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/k`, ...input }));
  t.same(await failure(copy('none', { IfMatch: etag })), { code: 'NoSuchKey', status: 404 });
  await t.resolves(copy('copy', { IfNoneMatch: '*' }));
  t.same(await failure(copy('copy', { IfNoneMatch: '*' })), { code: 'PreconditionFailed', status: 412 });
  await t.resolves(copy('copy', { IfMatch: etag }), 'the same bytes have the same ETag');
  t.same(await failure(copy('copy', { IfMatch: '"other"' })), { code: 'PreconditionFailed', status: 412 });
});

await t.test('the asterisk in If-Match is for deletes', async (t) => {
  const { client } = await withObject(t);
  const put = client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: '', IfMatch: '*' }));
  t.same(await failure(put), { code: 'NotImplemented', status: 501 });
  const remove = (): Promise<unknown> =>
    client.send(new DeleteObjectCommand({ Bucket, Key: 'k', IfMatch: '*' }));
  await t.resolves(remove());
  t.same(await failure(remove()), { code: 'PreconditionFailed', status: 412 });
});
