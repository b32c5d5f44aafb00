/** Additional checksums, as the user guide's "Checking object integrity" has them. */
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CompletedPart,
  type CreateMultipartUploadCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import t from 'tap';
import { startChecksum, type ChecksumAlgorithm } from '../../../src/store/embedded/checksums.js';
import { codeOf, failure, fixture, sendRaw, sign, type Fixture, type RawAnswer } from './support.js';

const Bucket = 'photos';
const Key = 'k';
const FIRST = Buffer.alloc(5 * 1024 * 1024, 'first');
const LAST = Buffer.from('the end');
const WHOLE = Buffer.concat([FIRST, LAST]);

function sum(algorithm: ChecksumAlgorithm, ...data: readonly Buffer[]): string {
  const stream = startChecksum(algorithm);
  for (const each of data) stream.update(each);
  return stream.digest();
}

/** A server whose client claims no checksums of its own accord. */
async function bare(t: Parameters<typeof fixture>[0]): Promise<Fixture> {
  const made = await fixture(t, {
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  await made.client.send(new CreateBucketCommand({ Bucket }));
  return made;
}

function head(client: S3Client, input: object = {}): Promise<unknown> {
  return client.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED', ...input }));
}

async function create(client: S3Client, input: object = {}): Promise<CreateMultipartUploadCommandOutput> {
  return client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...input }));
}

async function part(
  client: S3Client,
  UploadId: string | undefined,
  PartNumber: number,
  Body: Buffer,
  input: object = {},
): Promise<CompletedPart> {
  const {
    $metadata: _,
    ServerSideEncryption: _e,
    ...told
  } = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...input }));
  return { PartNumber, ...told };
}

function complete(
  client: S3Client,
  UploadId: string | undefined,
  Parts: CompletedPart[],
  input: object = {},
): Promise<unknown> {
  return client.send(
    new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...input }),
  );
}

await t.test('an object without a checksum gets a CRC64NVME', async (t) => {
  const { client } = await bare(t);
  const ChecksumCRC64NVME = sum('CRC64NVME', LAST);
  const put = await client.send(new PutObjectCommand({ Bucket, Key, Body: LAST }));
  t.match(put, { ChecksumCRC64NVME, ChecksumType: 'FULL_OBJECT' });
  t.match(await head(client), { ChecksumCRC64NVME, ChecksumType: 'FULL_OBJECT' });
  const silent = await client.send(new HeadObjectCommand({ Bucket, Key }));
  t.equal(silent.ChecksumCRC64NVME, undefined, 'checksums are told when asked for');
  t.equal(silent.ChecksumType, undefined);
});

await t.test('checksums given in a header: each algorithm, right and wrong', async (t) => {
  const { client, store } = await bare(t);
  const put = async (algorithm: string, value: string): Promise<RawAnswer> => {
    const headers = { [`x-amz-checksum-${algorithm}`]: value };
    const raw = { method: 'PUT', path: `/${Bucket}/${Key}`, headers };
    const signed = sign(store, raw, { payload: 'UNSIGNED-PAYLOAD' });
    return sendRaw(store, { ...raw, headers: signed.headers, body: LAST });
  };
  for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256', 'SHA512', 'MD5'] as const) {
    const name = algorithm.toLowerCase();
    const value = sum(algorithm, LAST);
    const answer = await put(name, value);
    t.equal(answer.status, 200);
    t.match(answer.headers, { [`x-amz-checksum-${name}`]: value, 'x-amz-checksum-type': 'FULL_OBJECT' });
    t.match(await head(client), { [`Checksum${algorithm}`]: value });
    const wrong = await put(name, sum(algorithm, FIRST));
    t.same([wrong.status, codeOf(wrong)], [400, 'BadDigest']);
  }
  t.equal(codeOf(await put('xxhash64', 'AAAAAAAAAAA=')), 'NotImplemented', 'better than passed over');
});

await t.test('a read tells the checksum of what it delivers, or none', async (t) => {
  const { client } = await bare(t);
  const { UploadId } = await create(client, { ChecksumAlgorithm: 'SHA256' });
  const parts = [
    await part(client, UploadId, 1, FIRST, { ChecksumSHA256: sum('SHA256', FIRST) }),
    await part(client, UploadId, 2, LAST, { ChecksumSHA256: sum('SHA256', LAST) }),
  ];
  await complete(client, UploadId, parts);
  const digests = [FIRST, LAST].map((data) => createHash('sha256').update(data).digest());
  const ChecksumSHA256 = `${createHash('sha256').update(Buffer.concat(digests)).digest('base64')}-2`;
  t.match(await head(client), { ChecksumSHA256, ChecksumType: 'COMPOSITE' });
  t.match(await head(client, { PartNumber: 2 }), {
    ChecksumSHA256: sum('SHA256', LAST),
    PartsCount: 2,
    ContentLength: LAST.length,
    $metadata: { httpStatusCode: 206 },
  });
  t.match(await head(client, { Range: `bytes=${FIRST.length}-` }), { ChecksumSHA256: sum('SHA256', LAST) });
  const within = (await head(client, { Range: 'bytes=0-9' })) as { ChecksumSHA256?: string };
  t.equal(within.ChecksumSHA256, undefined, 'a range that is no part has none');
  const got = await client.send(
    new GetObjectCommand({ Bucket, Key, Range: 'bytes=1-2', ChecksumMode: 'ENABLED' }),
  );
  t.same([got.ChecksumSHA256, got.ChecksumType], [undefined, undefined]);
  await got.Body?.transformToString();
});

await t.test('the type of an upload: what each algorithm allows', async (t) => {
  const { client } = await bare(t);
  const types = ['COMPOSITE', 'FULL_OBJECT'] as const;
  const allowed = {
    CRC32: types,
    CRC32C: types,
    CRC64NVME: ['FULL_OBJECT'],
    SHA1: ['COMPOSITE'],
    SHA256: ['COMPOSITE'],
  } as const;
  for (const [ChecksumAlgorithm, fine] of Object.entries(allowed)) {
    const byDefault = await create(client, { ChecksumAlgorithm });
    t.match(byDefault, { ChecksumAlgorithm, ChecksumType: fine[0] });
    for (const ChecksumType of types) {
      const made = create(client, { ChecksumAlgorithm, ChecksumType });
      if ((fine as readonly string[]).includes(ChecksumType)) t.match(await made, { ChecksumType });
      else t.same(await failure(made), { code: 'InvalidRequest', status: 400 });
    }
  }
  t.equal((await failure(create(client, { ChecksumType: 'FULL_OBJECT' }))).code, 'InvalidRequest');
  const odd = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'HALF' };
  t.equal((await failure(create(client, odd))).code, 'InvalidRequest');
  t.equal((await failure(create(client, { ChecksumAlgorithm: 'CRC7' }))).code, 'InvalidRequest');
});

await t.test('an upload without an algorithm gets a CRC64NVME of the whole', async (t) => {
  const { client } = await bare(t);
  const { UploadId, ChecksumAlgorithm } = await create(client);
  t.equal(ChecksumAlgorithm, undefined);
  const parts = [
    await part(client, UploadId, 2, FIRST, { ChecksumCRC32: sum('CRC32', FIRST) }),
    await part(client, UploadId, 7, LAST),
  ];
  t.match(parts, [{ ChecksumCRC32: sum('CRC32', FIRST) }, { ChecksumCRC64NVME: sum('CRC64NVME', LAST) }]);
  const wrong = part(client, UploadId, 3, LAST, { ChecksumCRC32: sum('CRC32', FIRST) });
  t.same(await failure(wrong), { code: 'BadDigest', status: 400 });
  t.match(await client.send(new ListPartsCommand({ Bucket, Key, UploadId })), {
    ChecksumAlgorithm: 'CRC64NVME',
    ChecksumType: 'FULL_OBJECT',
    Parts: [{ ChecksumCRC64NVME: sum('CRC64NVME', FIRST) }, {}],
  });
  t.same(
    await failure(complete(client, UploadId, parts)),
    { code: 'InvalidPart', status: 400 },
    'parts named with checksums that are not the upload’s',
  );
  const named = parts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag }));
  const ChecksumCRC64NVME = sum('CRC64NVME', WHOLE);
  t.match(await complete(client, UploadId, named), { ChecksumCRC64NVME, ChecksumType: 'FULL_OBJECT' });
  t.match(await head(client), { ChecksumCRC64NVME, ChecksumType: 'FULL_OBJECT' });
});

await t.test(
  'the parts of a composite come with their checksums, numbered from 1 without a gap',
  async (t) => {
    const { client } = await bare(t);
    const { UploadId } = await create(client, { ChecksumAlgorithm: 'CRC32C' });
    t.same(await failure(part(client, UploadId, 1, LAST)), { code: 'InvalidRequest', status: 400 });
    const other = part(client, UploadId, 1, LAST, { ChecksumCRC32: sum('CRC32', LAST) });
    t.same(await failure(other), { code: 'InvalidRequest', status: 400 });
    const first = await part(client, UploadId, 1, FIRST, { ChecksumCRC32C: sum('CRC32C', FIRST) });
    const third = await part(client, UploadId, 3, LAST, { ChecksumCRC32C: sum('CRC32C', LAST) });
    t.same(await failure(complete(client, UploadId, [first, third])), { code: 'InternalError', status: 500 });
    t.equal((await failure(complete(client, UploadId, [third]))).code, 'InternalError');
    const second = { ...(await part(client, UploadId, 2, LAST, { ChecksumCRC32C: sum('CRC32C', LAST) })) };
    const untold = { PartNumber: 2, ETag: second.ETag };
    t.equal((await failure(complete(client, UploadId, [first, untold]))).code, 'InvalidRequest');
    const lying = { ...second, ChecksumCRC32C: first.ChecksumCRC32C };
    t.equal((await failure(complete(client, UploadId, [first, lying]))).code, 'InvalidPart');
    const raw = [FIRST, LAST].map((data) => Buffer.from(sum('CRC32C', data), 'base64'));
    const value = sum('CRC32C', ...raw);
    const bad = { ChecksumType: 'FULL_OBJECT' };
    t.equal((await failure(complete(client, UploadId, [first, second], bad))).code, 'BadDigest');
    const whole = { ChecksumCRC32C: sum('CRC32C', WHOLE) };
    t.equal((await failure(complete(client, UploadId, [first, second], whole))).code, 'BadDigest');
    await complete(client, UploadId, [first, second], { ChecksumCRC32C: value, ChecksumType: 'COMPOSITE' });
    t.match(await head(client), { ChecksumCRC32C: `${value}-2`, ChecksumType: 'COMPOSITE' });
  },
);

await t.test('a checksum of the whole takes parts of any numbers, sent or copied', async (t) => {
  const { client } = await bare(t);
  await client.send(new PutObjectCommand({ Bucket, Key: 'source', Body: FIRST }));
  const { UploadId } = await create(client, { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
  const { CopyPartResult } = await client.send(
    new UploadPartCopyCommand({ Bucket, Key, UploadId, PartNumber: 3, CopySource: `${Bucket}/source` }),
  );
  t.match(CopyPartResult, { ChecksumCRC32: sum('CRC32', FIRST) });
  const parts = [{ PartNumber: 3, ETag: CopyPartResult?.ETag }, await part(client, UploadId, 5, LAST)];
  const ChecksumCRC32 = sum('CRC32', WHOLE);
  t.equal((await failure(complete(client, UploadId, parts, { MpuObjectSize: 7 }))).code, 'InvalidRequest');
  await complete(client, UploadId, parts, { ChecksumCRC32, MpuObjectSize: WHOLE.length });
  t.match(await head(client), { ChecksumCRC32, ChecksumType: 'FULL_OBJECT' });
});

await t.test(
  'a copy has a checksum of the whole, in the source’s algorithm or the one asked for',
  async (t) => {
    const { client } = await bare(t);
    const { UploadId } = await create(client, { ChecksumAlgorithm: 'SHA1' });
    const only = await part(client, UploadId, 1, LAST, { ChecksumSHA1: sum('SHA1', LAST) });
    await complete(client, UploadId, [only]);
    const copy = (input: object = {}): Promise<unknown> =>
      client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/${Key}`, ...input }));
    t.match(await copy(), {
      CopyObjectResult: { ChecksumSHA1: sum('SHA1', LAST), ChecksumType: 'FULL_OBJECT' },
    });
    t.match(await copy({ ChecksumAlgorithm: 'CRC32' }), {
      CopyObjectResult: { ChecksumCRC32: sum('CRC32', LAST) },
    });
    t.equal((await failure(copy({ ChecksumAlgorithm: 'CRC7' }))).code, 'InvalidRequest');
  },
);

await t.test('GetObjectAttributes', async (t) => {
  const { client, store } = await bare(t);
  const { UploadId } = await create(client, { ChecksumAlgorithm: 'SHA256', StorageClass: 'STANDARD_IA' });
  const parts = [
    await part(client, UploadId, 1, FIRST, { ChecksumSHA256: sum('SHA256', FIRST) }),
    await part(client, UploadId, 2, LAST, { ChecksumSHA256: sum('SHA256', LAST) }),
  ];
  await complete(client, UploadId, parts);
  const { ETag } = (await head(client)) as { ETag: string };
  const attributes = (input: object): Promise<unknown> =>
    client.send(
      new GetObjectAttributesCommand({ Bucket, Key, ObjectAttributes: ['ETag', 'ObjectSize'], ...input }),
    );
  const all = { ObjectAttributes: ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'] };
  const digests = [FIRST, LAST].map((data) => createHash('sha256').update(data).digest());
  t.match(await attributes(all), {
    ETag: ETag.replaceAll('"', ''),
    ObjectSize: WHOLE.length,
    StorageClass: 'STANDARD_IA',
    Checksum: {
      ChecksumSHA256: createHash('sha256').update(Buffer.concat(digests)).digest('base64'),
      ChecksumType: 'COMPOSITE',
    },
    ObjectParts: {
      TotalPartsCount: 2,
      IsTruncated: false,
      Parts: [
        { PartNumber: 1, Size: FIRST.length, ChecksumSHA256: sum('SHA256', FIRST) },
        { PartNumber: 2, Size: LAST.length, ChecksumSHA256: sum('SHA256', LAST) },
      ],
    },
  });
  t.match(await attributes({ ...all, MaxParts: 1 }), {
    ObjectParts: { IsTruncated: true, NextPartNumberMarker: '1', Parts: [{ PartNumber: 1 }] },
  });
  t.match(await attributes({ ...all, PartNumberMarker: '1' }), {
    ObjectParts: { IsTruncated: false, PartNumberMarker: '1', Parts: [{ PartNumber: 2 }] },
  });
  const some = (await attributes({})) as { Checksum?: object; ObjectParts?: object };
  t.same([some.Checksum, some.ObjectParts], [undefined, undefined]);
  t.same(await failure(attributes({ Key: 'none' })), { code: 'NoSuchKey', status: 404 });
  t.equal((await failure(attributes({ ObjectAttributes: ['Colour'] }))).code, 'InvalidArgument');
  const raw = { method: 'GET', path: `/${Bucket}/${Key}?attributes=` };
  const { headers } = sign(store, raw, { payload: 'UNSIGNED-PAYLOAD' });
  t.equal(codeOf(await sendRaw(store, { ...raw, headers })), 'InvalidRequest');
});
