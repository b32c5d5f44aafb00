/** An S3 server that nobody here wrote: the contract of object stores by the project's own client, and the wire cases below it. */
import t from 'tap';
import { createS3Store } from '../src/store/s3/s3-store.js';
import { createLogger } from '../src/telemetry/log.js';
import { objectStoreContract } from '../test/store/contract.js';
import { WIRE_CASES } from '../test/store/wire/cases.js';
import { VERSITYGW } from '../test/store/wire/differences.js';
import { runWireCases } from '../test/store/wire/run.js';
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
      conditionalDeleteMany: false,
      controlCharacters: false,
    });
  });
  await t.test('answers as AWS documents, but for what is known', async (t) => {
    await runWireCases(t, { url: server.endpoint, ...KEYS }, BUCKET, WIRE_CASES, VERSITYGW);
  });
});
