/** The contract of the S3 store at the embedded server, of an ordinary and of a directory bucket, over either transport. */
import t from 'tap';
import { startEmbeddedStore } from '../../src/store/embedded/server.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { createLogger } from '../../src/telemetry/log.js';
import { objectStoreContract } from './contract.js';

const CASES = [
  { bucket: 'bucket', transport: 'direct', uploadChecksums: 'crc32' },
  { bucket: 'bucket', transport: 'direct', uploadChecksums: 'crc32c' },
  { bucket: 'bucket', transport: 'direct', uploadChecksums: 'crc64nvme' },
  { bucket: 'bucket', transport: 'sdk', uploadChecksums: 'crc32' },
  { bucket: 'bucket--use1-az4--x-s3', transport: 'direct', uploadChecksums: 'crc32' },
  { bucket: 'bucket--use1-az4--x-s3', transport: 'sdk', uploadChecksums: 'crc32' },
] as const;

for (const { bucket, transport, uploadChecksums } of CASES)
  await t.test(`contract at the embedded server: ${bucket}, ${transport}, ${uploadChecksums}`, async (t) => {
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test-secret' };
    const directory = t.testdir({ [bucket]: {} });
    const server = await startEmbeddedStore({ directory, host: '127.0.0.1', port: 0, ...credentials });
    // After the contract's own teardown, which still needs the server.
    t.teardown(() => server.close());
    await t.test('every rule', async (t) => {
      await objectStoreContract(t, async () =>
        createS3Store({
          bucket,
          region: 'us-east-1',
          endpointUrl: server.endpoint,
          credentials,
          transport,
          uploadChecksums,
          log: createLogger('silent'),
        }),
      );
    });
  });
