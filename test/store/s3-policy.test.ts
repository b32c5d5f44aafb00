/** The pure parts of the S3 store: retry budgets, metadata encoding, error mapping, part ranges. */
import t from 'tap';
import fc from '../support/fast-check.js';
import { multipartEtag } from '../../src/store/s3/checksum.js';
import { copySource, partRanges } from '../../src/store/s3/copy.js';
import { toStoreError } from '../../src/store/s3/error-map.js';
import { decodeMetadata, encodeMetadata } from '../../src/store/s3/headers.js';
import { decodeListed } from '../../src/store/s3/listed-key.js';
import { resolveOptions } from '../../src/store/s3/options.js';
import { backoffMs, RetryBudget } from '../../src/store/s3/retry.js';
import { createLogger } from '../../src/telemetry/log.js';

const log = createLogger('silent');
const policy = {
  attemptsMax: 3,
  throttledAttemptsMax: 5,
  backoffMs: 100,
  throttledBackoffMs: 400,
  backoffMsMax: 1_000,
  deadlineMs: 10_000,
};

await t.test('backoff doubles up to its ceiling, with full jitter', async (t) => {
  t.same(
    [1, 2, 3, 4, 5, 90].map((failures) => backoffMs(failures, 100, 1_000, 1)),
    [100, 200, 400, 800, 1_000, 1_000],
  );
  t.equal(backoffMs(3, 100, 1_000, 0), 0);
  t.equal(backoffMs(3, 100, 1_000, 0.5), 200);
});

await t.test('throttling and other failures have budgets of their own', async (t) => {
  const budget = new RetryBudget(policy, 0);
  t.equal(budget.afterFailure('transient', 0, 1), 100);
  t.equal(budget.afterFailure('throttled', 0, 1), 400);
  t.equal(budget.afterFailure('transient', 0, 1), 200);
  t.equal(budget.afterFailure('throttled', 0, 1), 800);
  t.equal(budget.afterFailure('transient', 0, 1), undefined);
  t.equal(budget.afterFailure('never', 0, 1), undefined);
});

await t.test('no attempt begins after the deadline; progress starts it anew', async (t) => {
  const budget = new RetryBudget(policy, 0);
  t.equal(budget.afterFailure('transient', 9_900, 1), 100);
  t.equal(budget.afterFailure('transient', 9_900, 1), undefined);
  budget.progress(9_900);
  t.equal(budget.afterFailure('transient', 12_000, 1), 100);
});

await t.test('a wrong clock is worth one more attempt', async (t) => {
  const budget = new RetryBudget(policy, 0);
  t.equal(budget.afterFailure('once', 0, 1), 0);
  t.equal(budget.afterFailure('once', 0, 1), undefined);
});

await t.test('metadata of any characters survives the header, which is printable ASCII', async (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'grapheme' })), (value) => {
      const encoded = encodeMetadata(value);
      return (
        /^[\x20-\x7e]*$/.test(encoded) && encoded === encoded.trim() && decodeMetadata(encoded) === value
      );
    }),
  );
  t.equal(encodeMetadata('plain value'), 'plain value');
});

await t.test('encoded words of others are read', async (t) => {
  t.equal(decodeMetadata('=?UTF-8?Q?na=C3=AFve_x?='), 'naïve x');
  t.equal(decodeMetadata('=?utf-8?b?w6k=?= =?UTF-8?B?w6g=?='), 'éè');
  t.equal(decodeMetadata('=?ISO-8859-1?Q?=E9?='), 'é');
  t.equal(decodeMetadata('=?KOI8-R?B?w6k=?='), '=?KOI8-R?B?w6k=?=');
  t.equal(decodeMetadata('a =? b'), 'a =? b');
});

await t.test('errors of the SDK and of sockets become kinds', async (t) => {
  const about = { operation: 'HeadObject', bucket: 'b', key: 'k' };
  const answered = (name: string, httpStatusCode: number): Error =>
    Object.assign(new Error('UnknownError'), { name, $metadata: { httpStatusCode } });
  const failed = (code: string): Error => Object.assign(new Error('failed'), { code });
  for (const [error, kind] of [
    [answered('NotFound', 404), 'not-found'],
    [answered('403', 403), 'access-denied'],
    [answered('NoSuchBucket', 404), 'no-such-bucket'],
    [answered('PreconditionFailed', 412), 'precondition-failed'],
    [answered('ConditionalRequestConflict', 409), 'precondition-failed'],
    [answered('OperationAborted', 409), 'unavailable'],
    [answered('ExpiredToken', 400), 'credentials'],
    [answered('RequestTimeTooSkewed', 403), 'credentials'],
    [answered('InvalidRange', 416), 'range'],
    [answered('EntityTooLarge', 400), 'too-large'],
    [answered('BadDigest', 400), 'checksum'],
    [answered('InvalidObjectState', 403), 'archived'],
    [answered('NotImplemented', 501), 'unsupported'],
    [answered('SlowDown', 503), 'throttled'],
    [answered('InternalError', 503), 'unavailable'],
    [answered('SyntaxError', 502), 'unavailable'],
    [answered('RequestTimeout', 400), 'unavailable'],
    [answered('MalformedXML', 400), 'invalid'],
    [Object.assign(new Error('none'), { name: 'CredentialsProviderError' }), 'credentials'],
    [Object.assign(new Error('slow'), { name: 'TimeoutError' }), 'unavailable'],
    [failed('ECONNRESET'), 'unavailable'],
    [failed('EAI_AGAIN'), 'unavailable'],
    [failed('HPE_INVALID_CONSTANT'), 'unavailable'],
    [failed('DEPTH_ZERO_SELF_SIGNED_CERT'), 'invalid'],
    [new TypeError('a defect'), 'invalid'],
  ] as const)
    t.equal(toStoreError(error, about).kind, kind, `${error.name} ${JSON.stringify(error)}`);
  t.equal(
    toStoreError(answered('403', 403), about).message,
    'HeadObject s3://b/k: no error code (HTTP 403): Forbidden',
  );
});

await t.test('parts of a copy cover the object, within the limits', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 * 1024 ** 4 }), (size) => {
      const ranges = partRanges(size, 256 * 1024 ** 2);
      let at = 0;
      for (const { offset, length } of ranges) {
        if (offset !== at || length < 1) return false;
        at += length;
      }
      return at === size && ranges.length <= 10_000;
    }),
    { numRuns: 20 },
  );
  t.same(partRanges(20, 8), [
    { offset: 0, length: 8 },
    { offset: 8, length: 8 },
    { offset: 16, length: 4 },
  ]);
});

await t.test('listed keys are form-encoded; copy sources are path-encoded', async (t) => {
  t.equal(decodeListed('a+b%2Bc%25', true, log), 'a b+c%');
  t.equal(decodeListed('a+b%2Bc', false, log), 'a+b%2Bc');
  t.equal(decodeListed('%ff', true, log), undefined);
  t.equal(copySource('b', 'a b/+%?é'), 'b/a%20b/%2B%25%3F%C3%A9');
  t.equal(
    copySource('arn:aws:s3:eu-west-1:123456789012:accesspoint/ap', 'k'),
    'arn:aws:s3:eu-west-1:123456789012:accesspoint/ap/object/k',
  );
});

await t.test('ETags as S3 computes them', async (t) => {
  const md5 = '"900150983cd24fb0d6963f7d28e17f72"';
  t.equal(multipartEtag([{ partNumber: 9, etag: md5 }]), 'af5da9f45af7a300e3aded972f8ff687-1');
  t.equal(multipartEtag([{ partNumber: 1, etag: '"not-an-md5"' }]), undefined);
});

await t.test('path style where the host can take no bucket in front', async (t) => {
  const style = (endpointUrl?: string): boolean =>
    resolveOptions({ bucket: 'b', log, ...(endpointUrl === undefined ? {} : { endpointUrl }) })
      .forcePathStyle;
  t.equal(style(), false);
  t.equal(style('http://127.0.0.1:9000'), true);
  t.equal(style('http://[::1]:9000'), true);
  t.equal(style('http://localhost:9000'), true);
  t.equal(style('https://s3.example.com'), false);
});
