import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { clientOf, failure, startServer, temporaryDirectory, type Teardown } from './support.js';

const Bucket = 'photos';

/** A server in a process of its own, to be killed; it prints its port. */
const SERVER = `
  import { startServer } from ${JSON.stringify(new URL('./support.js', import.meta.url).href)};
  const store = await startServer(process.argv[1]);
  process.stdout.write(store.port + '\\n');
`;

async function startChild(directory: string): Promise<{ child: ChildProcess; endpoint: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', SERVER, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [port] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, endpoint: `http://127.0.0.1:${port.toString().trim()}` };
}

async function reopen(t: Teardown, directory: string): Promise<S3Client> {
  const store = await startServer(directory);
  t.teardown(() => store.close());
  return clientOf(t, store.endpoint);
}

await t.test('what was acknowledged before kill -9 is there after it, whole', async (t) => {
  const directory = temporaryDirectory(t);
  for (let round = 0; round < 4; round++) {
    const { child, endpoint } = await startChild(directory);
    const client = clientOf(t, endpoint);
    await client.send(new CreateBucketCommand({ Bucket }));
    const exited = once(child, 'exit');
    /** By key: the last version acknowledged, and the last one begun. */
    const acknowledged = new Map<string, number>();
    const begun = new Map<string, number>();
    const killAfter = 60 + 25 * round;
    let done = 0;
    const write = async (lane: number): Promise<void> => {
      for (let version = 1; ; version++) {
        // Plain paths, a key that can't be one, and a file in the way of another.
        const Key = ['plain/a', 'odd//b', 'plain', 'plain/a/c'][(version + lane) % 4] + `-${lane}`;
        begun.set(Key, version);
        const Body = `${Key} ${version} `.repeat(2000);
        try {
          if (version % 7 === 0) await client.send(new DeleteObjectCommand({ Bucket, Key }));
          else
            await client.send(
              new PutObjectCommand({ Bucket, Key, Body, Metadata: { version: String(version) } }),
            );
        } catch (error) {
          if (child.killed) return;
          throw error;
        }
        acknowledged.set(Key, version);
        if (++done === killAfter) child.kill('SIGKILL');
      }
    };
    await Promise.all([0, 1, 2, 3].map(write));
    await exited;

    const store = await startServer(directory);
    const after = clientOf(t, store.endpoint);
    const listed = (await after.send(new ListObjectsV2Command({ Bucket }))).Contents ?? [];
    for (const [key, version] of begun) {
      const known = acknowledged.get(key) ?? 0;
      const is = listed.find(({ Key }) => Key === key);
      if (is === undefined) {
        const mayBeGone = known === 0 || known % 7 === 0 || version % 7 === 0;
        if (!mayBeGone) t.fail(`${key} is lost: ${known} acknowledged, ${version} begun`);
        continue;
      }
      const got = await after.send(new GetObjectCommand({ Bucket, Key: key }));
      const found = Number(got.Metadata?.['version']);
      t.equal(
        await got.Body?.transformToString(),
        `${key} ${found} `.repeat(2000),
        'bytes belong to their metadata',
      );
      t.ok(
        found === version || (found === known && known % 7 !== 0) || known === 0,
        `${key} is ${found} of ${known}/${version}`,
      );
    }
    for (const { Key } of listed) await after.send(new DeleteObjectCommand({ Bucket, Key }));
    t.same(readdirSync(join(directory, Bucket, '.s3nfsd-store', 'blobs')), [], 'nothing half made is left');
    t.same(readdirSync(join(directory, Bucket)), ['.s3nfsd-store']);
    await store.close();
  }
});

/** A bucket of one object `k`, stopped; the path of its journal and its side area. */
async function stoppedBucket(
  t: Teardown,
): Promise<{ directory: string; journal: string; blobs: string; bucket: string }> {
  const directory = temporaryDirectory(t);
  const store = await startServer(directory);
  const client = clientOf(t, store.endpoint);
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'bytes', Metadata: { kept: 'yes' } }));
  await store.close();
  const bucket = join(directory, Bucket);
  return {
    directory,
    bucket,
    journal: join(bucket, '.s3nfsd-store', 'journal'),
    blobs: join(bucket, '.s3nfsd-store', 'blobs'),
  };
}

await t.test('a torn last line of the journal is cut off', async (t) => {
  const { directory, journal } = await stoppedBucket(t);
  const whole = readFileSync(journal, 'utf8');
  for (const torn of [whole.slice(0, 5), whole.slice(0, -3), `${whole.slice(0, -3)}\n`]) {
    appendFileSync(journal, torn);
    const store = await startServer(directory);
    const client = clientOf(t, store.endpoint);
    t.match(await client.send(new HeadObjectCommand({ Bucket, Key: 'k' })), { Metadata: { kept: 'yes' } });
    await store.close();
  }
});

await t.test('a move that a crash cut off is finished, a blob without a name removed', async (t) => {
  const { directory, journal, blobs, bucket } = await stoppedBucket(t);
  const line = /"blob":"([^"]*)"/.exec(readFileSync(journal, 'utf8'));
  t.ok(line);
  const store = await startServer(directory);
  const first = clientOf(t, store.endpoint);
  await first.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'newer' }));
  const id = [...readFileSync(journal, 'utf8').matchAll(/"blob":"([^"]+)"/g)].at(-1)?.[1] ?? '';
  t.match(id, /^[0-9a-f-]{36}$/);
  // As a crash between the journal's line and the move leaves it; rename keeps the file's times.
  copyFileSync(join(bucket, 'k'), join(blobs, 'nameless'));
  renameSync(join(bucket, 'k'), join(blobs, id));
  await store.close();
  const client = await reopen(t, directory);
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  t.equal(await got.Body?.transformToString(), 'newer');
  t.ok(existsSync(join(bucket, 'k')));
  t.same(readdirSync(blobs), []);
});

await t.test('files changed by hand while the server was down are taken as they are', async (t) => {
  const { directory, bucket } = await stoppedBucket(t);
  writeFileSync(join(bucket, 'k'), 'changed');
  writeFileSync(join(bucket, 'new'), 'file');
  const client = await reopen(t, directory);
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  t.same(head.Metadata, {});
  t.equal(head.ContentLength, 7);
  t.match(head.ETag, /^"[0-9a-f]{32}-1"$/);
  unlinkSync(join(bucket, 'new'));
  t.same(await failure(client.send(new GetObjectCommand({ Bucket, Key: 'new' }))), {
    code: 'NoSuchKey',
    status: 404,
  });
  mkdirSync(join(bucket, 'deep/er'), { recursive: true });
  writeFileSync(join(bucket, 'deep/er/x'), 'x');
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'deep/er/x' }));
  t.equal(await got.Body?.transformToString(), 'x');
  rmSync(join(bucket, 'deep'), { recursive: true });
  const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }));
  t.same(
    Contents?.map(({ Key }) => Key),
    ['k'],
  );
});

await t.test('tags, copies and uploads acknowledged before kill -9 are there after it', async (t) => {
  const directory = temporaryDirectory(t);
  const { child, endpoint } = await startChild(directory);
  const client = clientOf(t, endpoint);
  await client.send(new CreateBucketCommand({ Bucket }));
  const exited = once(child, 'exit');
  const keys = ['plain', 'odd//key'];
  const TagSet = [{ Key: 'state', Value: 'kept' }];
  const completed = { Bucket, Key: 'completed' };
  const open = { Bucket, Key: 'open' };
  const part = async (upload: { readonly Key: string }, UploadId: string | undefined): Promise<string> => {
    const { ETag } = await client.send(
      new UploadPartCommand({ Bucket, Key: upload.Key, UploadId, PartNumber: 1, Body: upload.Key }),
    );
    return ETag ?? '';
  };
  for (const Key of keys) {
    await client.send(new PutObjectCommand({ Bucket, Key, Body: Key, Tagging: 'state=first' }));
    await client.send(new CopyObjectCommand({ Bucket, Key: `${Key}-copy`, CopySource: `${Bucket}/${Key}` }));
    await client.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet } }));
  }
  const done = await client.send(new CreateMultipartUploadCommand({ ...completed, Tagging: 'state=kept' }));
  const Parts = [{ PartNumber: 1, ETag: await part(completed, done.UploadId) }];
  const { UploadId } = done;
  await client.send(
    new CompleteMultipartUploadCommand({ ...completed, UploadId, MultipartUpload: { Parts } }),
  );
  const begun = await client.send(new CreateMultipartUploadCommand(open));
  const etag = await part(open, begun.UploadId);
  await client.send(new DeleteObjectCommand(open));
  const aborted = await client.send(new CreateMultipartUploadCommand(open));
  await client.send(new AbortMultipartUploadCommand({ ...open, UploadId: aborted.UploadId }));
  child.kill('SIGKILL');
  await exited;

  const after = await reopen(t, directory);
  const tagsOf = async (Key: string): Promise<unknown> =>
    (await after.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet;
  for (const Key of keys) {
    t.same(await tagsOf(Key), TagSet);
    const copy = await after.send(new GetObjectCommand({ Bucket, Key: `${Key}-copy` }));
    t.equal(await copy.Body?.transformToString(), Key);
    t.same(await tagsOf(`${Key}-copy`), [{ Key: 'state', Value: 'first' }]);
  }
  const got = await after.send(new GetObjectCommand({ ...completed, ChecksumMode: 'ENABLED' }));
  t.equal(await got.Body?.transformToString(), 'completed');
  t.match(got, { ChecksumType: 'FULL_OBJECT', TagCount: 1 });
  t.ok(got.ChecksumCRC64NVME);
  const { Uploads } = await after.send(new ListMultipartUploadsCommand({ Bucket }));
  t.match(Uploads, [{ Key: 'open', UploadId: begun.UploadId }]);
  t.equal(Uploads?.length, 1);
  const complete = {
    ...open,
    UploadId: begun.UploadId,
    MultipartUpload: { Parts: [{ PartNumber: 1, ETag: etag }] },
  };
  t.same(await failure(after.send(new CompleteMultipartUploadCommand({ ...complete, IfNoneMatch: '*' }))), {
    code: 'ConditionalRequestConflict',
    status: 409,
  });
  await after.send(new CompleteMultipartUploadCommand(complete));
  const whole = await after.send(new GetObjectCommand(open));
  t.equal(await whole.Body?.transformToString(), 'open');
});
