/** The contract of object stores at an S3 server that nobody here wrote, by the project's own client. */
import t from 'tap';
import { createS3Store } from '../src/store/s3/s3-store.js';
import { createLogger } from '../src/telemetry/log.js';
import { objectStoreContract } from '../test/store/contract.js';
import { BUCKET, KEYS } from './daemon.js';
import { Versitygw, whyNoVersitygw } from './versitygw.js';

await t.test('versitygw', { skip: whyNoVersitygw() ?? false }, async (t) => {
  const server = await Versitygw.start(t.testdir());
  t.teardown(() => server.stop());
  await t.test('keeps the contract', async (t) => {
    const options = {
      bucket: BUCKET,
      region: 'us-east-1',
      endpointUrl: server.endpoint,
      credentials: KEYS,
      log: createLogger('silent'),
    };
    // What it lacks of S3 is told in docs/embedded-store.md, "Where other servers differ".
    await objectStoreContract(t, async () => createS3Store(options), {
      conditionalCopy: false,
      controlCharacters: false,
    });
  });
});
