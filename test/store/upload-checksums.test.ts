/** `--upload-checksums`: the embedded server is told the checksum of each upload, checks it, and keeps it with the object. */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { HeadObjectCommand, S3Client, type HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import t from 'tap';
import { startEmbeddedStore } from '../../src/store/embedded/server.js';
import { BodyChecksum, CHECKSUM_ALGORITHMS, checksumsOfSdk } from '../../src/store/s3/checksum.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { uploadStream } from '../../src/store/s3/upload-stream.js';
import { createLogger } from '../../src/telemetry/log.js';

const MIB = 1024 * 1024;
const HEADERS = { metadata: {} };

await t.test('what is uploaded has the checksum that was asked for', async (t) => {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test-secret' };
  const directory = t.testdir({ bucket: {} });
  const server = await startEmbeddedStore({ directory, host: '127.0.0.1', port: 0, ...credentials });
  const sdk = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials,
  });
  t.teardown(async () => {
    sdk.destroy();
    await server.close();
  });
  const headOf = async (Key: string): Promise<HeadObjectCommandOutput> =>
    await sdk.send(new HeadObjectCommand({ Bucket: 'bucket', Key, ChecksumMode: 'ENABLED' }));
  const body = [randomBytes(5 * MIB), randomBytes(300_001)];
  const [first = Buffer.alloc(0), last = Buffer.alloc(0)] = body;

  for (const uploadChecksums of [...CHECKSUM_ALGORITHMS, 'off'] as const) {
    for (const transport of ['direct', 'sdk'] as const) {
      await t.test(`${uploadChecksums}, ${transport}`, async (t) => {
        const options = {
          bucket: 'bucket',
          region: 'us-east-1',
          endpointUrl: server.endpoint,
          credentials,
          transport,
          uploadChecksums,
          log: createLogger('silent'),
        };
        const store = createS3Store(options);
        t.teardown(() => store.close());
        // Without one, S3 adds CRC64NVME to what is put.
        const algorithm = uploadChecksums === 'off' ? 'crc64nvme' : uploadChecksums;
        const checksum = new BodyChecksum(algorithm);
        const key = `${uploadChecksums}-${transport}`;
        const { etag } = await store.put(key, body, HEADERS);
        t.same(checksumsOfSdk(await headOf(key)), [checksum.of(body)]);

        await uploadStream(options, `${key}-stream`, Readable.from(body), HEADERS);
        t.equal((await headOf(`${key}-stream`)).ContentLength, first.length + last.length);

        const joined = `${key}-joined`;
        const uploadId = await store.createUpload(joined, HEADERS);
        const range = { offset: 0, length: first.length };
        const parts = [
          await store.copyPart(joined, uploadId, 2, { key, etag, range }),
          await store.uploadPart(joined, uploadId, 5, [first.subarray(0, 7), first.subarray(7)]),
          await store.uploadPart(joined, uploadId, 6, [last]),
        ];
        const sent = uploadChecksums === 'off' ? undefined : checksum.of([first]);
        t.same(
          parts.map((part) => part.checksum),
          [sent, sent, sent && checksum.of([last])],
        );
        await store.completeUpload(joined, uploadId, parts);
        const head = await headOf(joined);
        t.same(checksumsOfSdk(head), [checksum.of([first, first, last])]);
        t.equal(head.ChecksumType, 'FULL_OBJECT');
      });
    }
  }
});
