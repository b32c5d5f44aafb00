/** Who may do what in a directory bucket: sessions, their modes, their end. */
import {
  CopyObjectCommand,
  CreateBucketCommand,
  CreateSessionCommand,
  DeleteBucketCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListDirectoryBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  RenameObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { createSession, openSession, SESSION_MS } from '../../../src/store/embedded/sessions.js';
import { DIRECTORY_BUCKET as Bucket, directoryFixture } from './directory-support.js';
import {
  clientOf,
  codeOf,
  failure,
  fixture,
  SECRET_KEY,
  sendRaw,
  sha256,
  sign,
  type Teardown,
} from './support.js';

type Keys = { readonly accessKeyId: string; readonly secretAccessKey: string };

/** A client that has this session and no other. */
function clientWithSession(
  t: Teardown,
  endpoint: string,
  session: Keys & { readonly token: string },
): S3Client {
  const { accessKeyId, secretAccessKey, token } = session;
  // The SDK learns it from its own CreateSession, which this client doesn't make.
  const service = { signingName: 's3express' };
  return clientOf(t, endpoint, {
    ...service,
    s3ExpressIdentityProvider: {
      getS3ExpressIdentity: async () => ({ accessKeyId, secretAccessKey, sessionToken: token }),
    },
  });
}

await t.test('the SDK makes a session by itself, and uses it for all that lies in the bucket', async (t) => {
  const { client, finished } = await directoryFixture(t);
  await client.send(new PutObjectCommand({ Bucket, Key: 'a b', Body: 'x' }));
  await client.send(new GetObjectCommand({ Bucket, Key: 'a b' }));
  await client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/a%20b` }));
  const operations = finished.map(({ operation, key }) => `${operation} ${key ?? ''}`.trim());
  t.same(operations, ['CreateSession', 'PutObject a b', 'GetObject a b', 'CopyObject copy']);
});

await t.test('without a session there is no object-level operation', async (t) => {
  const { client, store } = await directoryFixture(t, { disableS3ExpressSessionAuth: true });
  const refused = await failure(client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' })));
  t.same(refused, { code: 'AccessDenied', status: 403 });
  t.equal((await failure(client.send(new ListObjectsV2Command({ Bucket })))).code, 'AccessDenied');
  await t.resolves(client.send(new HeadBucketCommand({ Bucket })), 'bucket-level ones go with plain keys');
  const anonymous = await sendRaw(store, { method: 'GET', path: `/${Bucket}/k` });
  t.equal(codeOf(anonymous), 'AccessDenied');
});

await t.test('what is signed for the service s3 is refused', async (t) => {
  const { store } = await directoryFixture(t);
  const raw = { method: 'GET', path: `/${Bucket}/?session=` };
  const answer = await sendRaw(store, { ...raw, headers: sign(store, raw, { payload: sha256('') }).headers });
  t.equal(answer.status, 400);
  t.equal(codeOf(answer), 'AuthorizationHeaderMalformed');
});

await t.test('a ReadOnly session reads, and writes nothing', async (t) => {
  const { client, store } = await directoryFixture(t);
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
  const { Credentials } = await client.send(new CreateSessionCommand({ Bucket, SessionMode: 'ReadOnly' }));
  const reader = clientWithSession(t, store.endpoint, {
    accessKeyId: Credentials?.AccessKeyId ?? '',
    secretAccessKey: Credentials?.SecretAccessKey ?? '',
    token: Credentials?.SessionToken ?? '',
  });
  const lifeMs = (Credentials?.Expiration?.getTime() ?? 0) - Date.now();
  t.ok(lifeMs > SESSION_MS - 60_000 && lifeMs <= SESSION_MS, 'five minutes');
  await t.resolves(reader.send(new HeadObjectCommand({ Bucket, Key: 'k' })));
  await t.resolves(reader.send(new ListObjectsV2Command({ Bucket })));
  for (const command of [
    new PutObjectCommand({ Bucket, Key: 'k', Body: 'y' }),
    new RenameObjectCommand({ Bucket, Key: 'l', RenameSource: 'k' }),
  ]) {
    t.same(await failure(reader.send(command as PutObjectCommand)), { code: 'AccessDenied', status: 403 });
  }
  const mode = await failure(
    client.send(new CreateSessionCommand({ Bucket, SessionMode: 'Both' as 'ReadOnly' })),
  );
  t.equal(mode.code, 'InvalidArgument');
});

await t.test('a session ends after five minutes, and holds for its bucket alone', async (t) => {
  const { store } = await directoryFixture(t);
  const now = Date.now();
  const list = async (session: Parameters<typeof clientWithSession>[2]): Promise<string> => {
    const client = clientWithSession(t, store.endpoint, session);
    return (await failure(client.send(new ListObjectsV2Command({ Bucket })))).code;
  };
  const fresh = createSession(SECRET_KEY, Bucket, 'ReadWrite', now);
  await t.resolves(
    clientWithSession(t, store.endpoint, fresh).send(new ListObjectsV2Command({ Bucket })),
    'no restart ends a session: all is in its token',
  );
  t.equal(await list(createSession(SECRET_KEY, Bucket, 'ReadWrite', now - SESSION_MS)), 'ExpiredToken');
  t.equal(await list(createSession(SECRET_KEY, 'other--use1-az4--x-s3', 'ReadWrite', now)), 'AccessDenied');
  t.equal(await list({ ...fresh, token: `${fresh.token}x` }), 'InvalidToken');
  t.equal(
    await list({ ...fresh, token: createSession('another', Bucket, 'ReadWrite', now).token }),
    'InvalidToken',
  );
  t.equal(await list({ ...fresh, secretAccessKey: 'guessed' }), 'SignatureDoesNotMatch');
  t.equal(await list({ ...fresh, accessKeyId: 'ASIAOTHER' }), 'InvalidAccessKeyId');
  const opened = openSession(SECRET_KEY, fresh.token, Bucket, now + SESSION_MS - 1);
  t.same(opened, fresh);
});

await t.test('directory buckets are made by zone and type, and told apart from others', async (t) => {
  const { client } = await fixture(t, { disableS3ExpressSessionAuth: true });
  const Name = 'made--use1-az4--x-s3';
  const right = {
    Location: { Type: 'AvailabilityZone', Name: 'use1-az4' },
    Bucket: { Type: 'Directory', DataRedundancy: 'SingleAvailabilityZone' },
  } as const;
  for (const [name, configuration, code] of [
    [Name, undefined, 'InvalidRequest'],
    [Name, { ...right, Location: { ...right.Location, Name: 'use1-az5' } }, 'InvalidRequest'],
    [Name, { Location: right.Location }, 'InvalidRequest'],
    ['no-zone--x-s3', right, 'InvalidBucketName'],
    ['do.ts--use1-az4--x-s3', right, 'InvalidBucketName'],
  ] as const) {
    const refused = await failure(
      client.send(new CreateBucketCommand({ Bucket: name, CreateBucketConfiguration: configuration })),
    );
    t.equal(refused.code, code, `${name} ${JSON.stringify(configuration)}`);
  }
  await client.send(new CreateBucketCommand({ Bucket: Name, CreateBucketConfiguration: right }));
  await client.send(new CreateBucketCommand({ Bucket: 'ordinary' }));
  const twice = client.send(new CreateBucketCommand({ Bucket: Name, CreateBucketConfiguration: right }));
  t.same(await failure(twice), { code: 'BucketAlreadyOwnedByYou', status: 409 });
  const ordinary = await client.send(new ListBucketsCommand({}));
  t.same(
    ordinary.Buckets?.map((bucket) => bucket.Name),
    ['ordinary'],
  );
  const directories = await client.send(new ListDirectoryBucketsCommand({}));
  t.same(
    directories.Buckets?.map((bucket) => bucket.Name),
    [Name],
  );
  const head = await client.send(new HeadBucketCommand({ Bucket: Name }));
  t.match(head, {
    BucketLocationType: 'AvailabilityZone',
    BucketLocationName: 'use1-az4',
    BucketRegion: 'us-east-1',
  });
  await client.send(new DeleteBucketCommand({ Bucket: Name }));
  t.same((await client.send(new ListDirectoryBucketsCommand({}))).Buckets ?? [], []);
});
