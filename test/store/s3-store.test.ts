/** The contract of the S3 store at a real endpoint, where S3_TEST_ENDPOINT and S3_TEST_BUCKET name one. */
import t from 'tap';
import { CHECKSUM_ALGORITHMS } from '../../src/store/s3/checksum.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { createLogger } from '../../src/telemetry/log.js';
import { objectStoreContract } from './contract.js';

const { S3_TEST_ENDPOINT: endpointUrl, S3_TEST_BUCKET: bucket } = process.env;

/**
 * Credentials and region come from the usual variables (AWS_ACCESS_KEY_ID, ...); the bucket must exist. For servers that
 * ignore conditions on CopyObject: S3_TEST_CONDITIONAL_COPY=0, on DeleteObject: S3_TEST_CONDITIONAL_DELETE=0, or on the keys of DeleteObjects:
 * S3_TEST_CONDITIONAL_DELETE_MANY=0; that can't list control characters: S3_TEST_CONTROL_CHARACTERS=0 (versitygw needs the first and the last two,
 * MinIO the first three).
 * S3_TEST_UPLOAD_CHECKSUMS names other checksums than the default.
 */
await t.test(
  'contract at S3_TEST_ENDPOINT',
  { skip: endpointUrl === undefined ? 'S3_TEST_ENDPOINT is not set' : false },
  async (t) => {
    if (endpointUrl === undefined || bucket === undefined) throw new Error('S3_TEST_BUCKET is not set');
    const log = createLogger('silent');
    const named = process.env['S3_TEST_UPLOAD_CHECKSUMS'];
    const uploadChecksums = ([...CHECKSUM_ALGORITHMS, 'off'] as const).find((each) => each === named);
    const options = { bucket, endpointUrl, log, ...(uploadChecksums !== undefined && { uploadChecksums }) };
    await objectStoreContract(t, async () => createS3Store(options), {
      conditionalCopy: process.env['S3_TEST_CONDITIONAL_COPY'] !== '0',
      conditionalDelete: process.env['S3_TEST_CONDITIONAL_DELETE'] !== '0',
      conditionalDeleteMany: process.env['S3_TEST_CONDITIONAL_DELETE_MANY'] !== '0',
      controlCharacters: process.env['S3_TEST_CONTROL_CHARACTERS'] !== '0',
    });
  },
);
