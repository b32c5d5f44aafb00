/** The wire cases at the embedded server, and at S3_TEST_ENDPOINT where it names another. */
import t from 'tap';
import { startEmbeddedStore } from '../../../src/store/embedded/server.js';
import { WIRE_CASES } from './cases.js';
import { EMBEDDED, MINIO, VERSITYGW } from './differences.js';
import { runWireCases } from './run.js';

await t.test('the embedded server answers as AWS documents', async (t) => {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test-secret' };
  const directory = t.testdir({ bucket: {} });
  const server = await startEmbeddedStore({ directory, host: '127.0.0.1', port: 0, ...credentials });
  t.teardown(() => server.close());
  await runWireCases(t, { url: server.endpoint, ...credentials }, 'bucket', WIRE_CASES, EMBEDDED);
});

const {
  S3_TEST_ENDPOINT: url,
  S3_TEST_BUCKET: bucket = '',
  S3_TEST_SERVER: name = '',
  AWS_ACCESS_KEY_ID: accessKeyId = '',
  AWS_SECRET_ACCESS_KEY: secretAccessKey = '',
} = process.env;

/** S3_TEST_SERVER says whose differences are known: `versitygw` or `minio`; of any other server none is. */
await t.test(
  'S3_TEST_ENDPOINT answers as AWS documents, but for what is known',
  { skip: url === undefined ? 'S3_TEST_ENDPOINT is not set' : false },
  async (t) => {
    const differences = name === 'versitygw' ? VERSITYGW : name === 'minio' ? MINIO : [];
    await runWireCases(t, { url: url ?? '', accessKeyId, secretAccessKey }, bucket, WIRE_CASES, differences);
  },
);
