/** The contract of the S3 store at the embedded server, of an ordinary and of a directory bucket, over either transport. */
import t from 'tap';
import { startEmbeddedStore } from '../../src/store/embedded/server.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { createLogger } from '../../src/telemetry/log.js';
import { objectStoreContract } from './contract.js';

for (const bucket of ['bucket', 'bucket--use1-az4--x-s3'])
  for (const transport of ['direct', 'sdk'] as const)
    await t.test(`contract at the embedded server: ${bucket}, ${transport}`, async (t) => {
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
            log: createLogger('silent'),
          }),
        );
      });
    });
