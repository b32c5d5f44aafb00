/** Listings of directory buckets: in no order, by prefixes that end in a slash, whole over pages. */
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type ListObjectsV2CommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import fc from '../../support/fast-check.js';
import t from 'tap';
import { hashedOrder } from '../../../src/store/embedded/hashed-order.js';
import { DIRECTORY_BUCKET as Bucket, directoryFixture } from './directory-support.js';
import { failure } from './support.js';

interface Listed {
  readonly keys: string[];
  readonly prefixes: string[];
  readonly pages: number;
}

async function listAll(
  client: S3Client,
  asked: { Prefix?: string; Delimiter?: string; MaxKeys?: number } = {},
): Promise<Listed> {
  const listed: Listed & { pages: number } = { keys: [], prefixes: [], pages: 0 };
  let ContinuationToken: string | undefined;
  do {
    const page: ListObjectsV2CommandOutput = await client.send(
      new ListObjectsV2Command({ Bucket, ...asked, ContinuationToken }),
    );
    listed.keys.push(...(page.Contents ?? []).map(({ Key = '' }) => Key));
    listed.prefixes.push(...(page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix));
    listed.pages += 1;
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  return listed;
}

const sorted = (names: Iterable<string>): string[] => [...names].sort();

await t.test(
  'a listing is in no order of names, the same each time, and whole at any page size',
  async (t) => {
    const { client } = await directoryFixture(t);
    const keys = Array.from({ length: 40 }, (_, n) => `flat/k${String(n).padStart(2, '0')}`);
    const deep = ['flat/sub/a', 'flat/sub/b', 'flat/other/', 'top'];
    for (const Key of [...keys, ...deep]) await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
    const whole = await listAll(client);
    t.same(sorted(whole.keys), sorted([...keys, ...deep]));
    t.notSame(whole.keys, sorted(whole.keys), 'not in byte order');
    for (const MaxKeys of [1, 7, 1000]) {
      const paged = await listAll(client, { MaxKeys });
      t.same(paged.keys, whole.keys, `the same over pages of ${String(MaxKeys)}`);
      const level = await listAll(client, { Prefix: 'flat/', Delimiter: '/', MaxKeys });
      t.same(sorted(level.keys), keys);
      t.same(sorted(level.prefixes), ['flat/other/', 'flat/sub/']);
    }
  },
);

await t.test('what a directory bucket refuses of a listing', async (t) => {
  const { client } = await directoryFixture(t);
  for (const [asked, code] of [
    [{ Prefix: 'no-slash' }, 'InvalidRequest'],
    [{ Delimiter: ',' }, 'InvalidArgument'],
    [{ StartAfter: 'a' }, 'NotImplemented'],
    [{ ContinuationToken: 'made up' }, 'InvalidArgument'],
  ] as const) {
    const refused = await failure(client.send(new ListObjectsV2Command({ Bucket, ...asked })));
    t.equal(refused.code, code, JSON.stringify(asked));
  }
  t.equal((await failure(client.send(new ListObjectsCommand({ Bucket })))).code, 'NotImplemented');
});

await t.test('common prefixes of uploads under way, and the uploads themselves', async (t) => {
  const { client } = await directoryFixture(t);
  await client.send(new PutObjectCommand({ Bucket, Key: 'there/a', Body: 'x' }));
  const ids = new Map<string, string>();
  for (const Key of ['there/up', 'only/up1', 'only/up2', 'deep/er/up', 'flat-up']) {
    const { UploadId = '' } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    ids.set(Key, UploadId);
  }
  for (const MaxKeys of [1, 2, 1000]) {
    const level = await listAll(client, { Delimiter: '/', MaxKeys });
    t.same(sorted(level.prefixes), ['deep/', 'only/', 'there/'], `pages of ${String(MaxKeys)}`);
    t.same(level.keys, []);
  }
  t.same((await listAll(client)).keys, ['there/a'], 'without a delimiter there are objects alone');

  const seen: string[] = [];
  let KeyMarker: string | undefined;
  do {
    const page = await client.send(new ListMultipartUploadsCommand({ Bucket, KeyMarker, MaxUploads: 2 }));
    for (const { Key = '', UploadId } of page.Uploads ?? []) {
      t.equal(UploadId, ids.get(Key));
      seen.push(Key);
    }
    KeyMarker = page.IsTruncated === true ? page.NextKeyMarker : undefined;
    t.equal(page.NextUploadIdMarker, undefined);
  } while (KeyMarker !== undefined);
  t.same(sorted(seen), sorted(ids.keys()));
  const below = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'only/' }));
  t.same(sorted((below.Uploads ?? []).map(({ Key = '' }) => Key)), ['only/up1', 'only/up2']);
  for (const [asked, code] of [
    [{ Prefix: 'only' }, 'InvalidRequest'],
    [{ KeyMarker: 'x' }, 'InvalidArgument'],
    [{ KeyMarker: below.NextKeyMarker ?? 'e30', UploadIdMarker: 'x' }, 'NotImplemented'],
  ] as const) {
    const refused = await failure(client.send(new ListMultipartUploadsCommand({ Bucket, ...asked })));
    t.equal(refused.code, code, JSON.stringify(asked));
  }

  for (const [Key, UploadId] of ids)
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  t.same((await listAll(client, { Delimiter: '/' })).prefixes, ['there/']);
});

await t.test('a directory that nothing lies in any more is gone', async (t) => {
  const { client } = await directoryFixture(t);
  await client.send(new PutObjectCommand({ Bucket, Key: 'a/b/c', Body: 'x' }));
  t.same((await listAll(client, { Prefix: 'a/', Delimiter: '/' })).prefixes, ['a/b/']);
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'a/b/c' }));
  t.same(await listAll(client, { Delimiter: '/' }), { keys: [], prefixes: [], pages: 1 });
});

await t.test('the order keeps what lies below a prefix together, a marker first', async () => {
  const segment = fc.constantFrom('', 'a', 'b', 'ab', 'é', '😀', 'long-name');
  const key = fc
    .array(segment, { minLength: 1, maxLength: 4 })
    .map((segments) => segments.join('/'))
    .filter((text) => text !== '');
  fc.assert(
    fc.property(fc.array(key, { maxLength: 40 }), (keys) => {
      const order = hashedOrder('bucket');
      const listed = [...new Set(keys)].sort(order);
      const prefixes = new Set(
        listed.flatMap((name) => [...name.matchAll(/\//g)].map(({ index }) => name.slice(0, index + 1))),
      );
      for (const prefix of prefixes) {
        const places = listed.flatMap((name, at) => (name.startsWith(prefix) ? [at] : []));
        if ((places.at(-1) ?? 0) - (places[0] ?? 0) !== places.length - 1) return false;
        if (listed.includes(prefix) && listed[places[0] ?? 0] !== prefix) return false;
      }
      return true;
    }),
  );
});
