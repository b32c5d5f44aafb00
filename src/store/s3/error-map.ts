/** The one place where errors of the SDK and of sockets become StoreErrors. */
import { StoreError, type StoreErrorKind } from '../errors.js';
import type { RetryClass } from './retry.js';
import { SESSION_ENDED } from './sessions.js';

export interface About {
  readonly operation: string;
  readonly bucket: string;
  readonly key?: string | undefined;
}

/** S3's error codes (API reference, "Error responses") and those of common compatible servers. */
const KIND_BY_CODE: ReadonlyMap<string, StoreErrorKind> = new Map<string, StoreErrorKind>([
  ['NoSuchKey', 'not-found'],
  ['NoSuchUpload', 'not-found'],
  ['NoSuchVersion', 'not-found'],
  ['NoSuchBucket', 'no-such-bucket'],
  ['PreconditionFailed', 'precondition-failed'],
  ['ConditionalRequestConflict', 'precondition-failed'],
  ['InvalidWriteOffset', 'precondition-failed'],
  ['AccessDenied', 'access-denied'],
  ['AllAccessDisabled', 'access-denied'],
  ['AccountProblem', 'access-denied'],
  ['ExpiredToken', 'credentials'],
  ['ExpiredTokenException', 'credentials'],
  ['InvalidToken', 'credentials'],
  ['TokenRefreshRequired', 'credentials'],
  ['InvalidAccessKeyId', 'credentials'],
  ['SignatureDoesNotMatch', 'credentials'],
  ['AuthorizationHeaderMalformed', 'credentials'],
  ['RequestTimeTooSkewed', 'credentials'],
  ['RequestExpired', 'credentials'],
  ['InvalidSecurity', 'credentials'],
  ['NotSignedUp', 'credentials'],
  ['UnrecognizedClientException', 'credentials'],
  ['CredentialsProviderError', 'credentials'],
  ['TokenProviderError', 'credentials'],
  ['InvalidRange', 'range'],
  ['EntityTooLarge', 'too-large'],
  ['TooManyParts', 'too-large'],
  ['BadDigest', 'checksum'],
  ['InvalidDigest', 'checksum'],
  ['XAmzContentSHA256Mismatch', 'checksum'],
  ['XAmzContentChecksumMismatch', 'checksum'],
  ['InvalidObjectState', 'archived'],
  ['NotImplemented', 'unsupported'],
  ['SlowDown', 'throttled'],
  ['ServiceUnavailable', 'throttled'],
  ['Throttling', 'throttled'],
  ['ThrottlingException', 'throttled'],
  ['TooManyRequests', 'throttled'],
  ['TooManyRequestsException', 'throttled'],
  ['RequestLimitExceeded', 'throttled'],
  ['BandwidthLimitExceeded', 'throttled'],
  ['InternalError', 'unavailable'],
  // 409 while another operation on the key runs, and two 400s that blame the connection.
  ['OperationAborted', 'unavailable'],
  ['RequestTimeout', 'unavailable'],
  ['IncompleteBody', 'unavailable'],
]);

/** For answers without a body (HEAD) and codes not in the table. */
function kindByStatus(status: number): StoreErrorKind {
  switch (status) {
    case 401:
      return 'credentials';
    case 403:
      return 'access-denied';
    case 404:
      return 'not-found';
    case 408:
      return 'unavailable';
    case 409:
    case 412:
      return 'precondition-failed';
    case 413:
      return 'too-large';
    case 416:
      return 'range';
    case 429:
    case 503:
      return 'throttled';
    case 501:
      return 'unsupported';
    default:
      return status >= 500 ? 'unavailable' : 'invalid';
  }
}

/** A certificate that doesn't verify won't verify a second later. */
const CERTIFICATE = /CERT|ERR_TLS_|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/;
const NETWORK = /^(E[A-Z0-9_]+|HPE_\w+|ERR_STREAM_PREMATURE_CLOSE|ERR_SSL_\w+)$/;

interface Seen {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly status: number | undefined;
}

/** Anything thrown below the seam, as a StoreError. A StoreError passes unchanged. */
export function toStoreError(error: unknown, about: About): StoreError {
  if (error instanceof StoreError) return error;
  const seen = look(error);
  if (seen.status !== undefined) {
    const code = answeredCode(seen);
    const kind = (code === undefined ? undefined : KIND_BY_CODE.get(code)) ?? kindByStatus(seen.status);
    const why = `${code ?? 'no error code'} (HTTP ${String(seen.status)})${hint(kind, code, seen.message)}`;
    // No cause: the SDK's error carries request headers, and all that it tells is in this one.
    return storeError(kind, why, about, code, seen.status);
  }
  const byName = KIND_BY_CODE.get(seen.name);
  if (byName !== undefined) return storeError(byName, `${seen.name}: ${seen.message}`, about, seen.name);
  const code = seen.code ?? (seen.name === 'TimeoutError' ? 'ETIMEDOUT' : undefined);
  if (code !== undefined && CERTIFICATE.test(code))
    return storeError(
      'invalid',
      `certificate refused, ${code}: ${seen.message}`,
      about,
      code,
      undefined,
      error,
    );
  if (code !== undefined && NETWORK.test(code))
    return storeError('unavailable', `${code}: ${seen.message}`, about, code, undefined, error);
  return storeError('invalid', `${seen.name}: ${seen.message}`, about, code, undefined, error);
}

/** A StoreError whose message says operation, bucket, key and what happened, on one line. */
export function storeError(
  kind: StoreErrorKind,
  what: string,
  about: About,
  code?: string,
  httpStatus?: number,
  cause?: unknown,
): StoreError {
  const where = about.key === undefined ? about.bucket : `${about.bucket}/${about.key}`;
  return new StoreError(
    kind,
    `${about.operation} s3://${where}: ${what.replace(/\s+/g, ' ').trim()}`,
    { ...about, code, httpStatus },
    cause === undefined ? undefined : { cause },
  );
}

/** The same error, of a call of which an attempt before was not answered. */
export function afterUnanswered(error: StoreError): StoreError {
  const { kind, message, operation, bucket, key, code, httpStatus, cause } = error;
  const about = { operation, bucket, key, code, httpStatus, isAfterUnanswered: true };
  return new StoreError(kind, message, about, cause === undefined ? undefined : { cause });
}

/** What a second request with another signature may not get: the clock's error, and a session's end. */
const CURABLE: ReadonlySet<string> = new Set(['RequestTimeTooSkewed', ...SESSION_ENDED]);

export function retryClassOf(error: StoreError): RetryClass {
  switch (error.kind) {
    case 'throttled':
      return 'throttled';
    case 'unavailable':
    case 'checksum':
      return 'transient';
    case 'credentials':
      // The SDK has learnt the server's clock from this answer: the next signature will fit.
      // A session that ended was forgotten at this answer: the next request makes another.
      return error.code !== undefined && CURABLE.has(error.code) ? 'once' : 'never';
    case 'precondition-failed':
      // Another write of the key went on meanwhile (PutObject, "409 ConditionalRequestConflict"): asked again, the condition is decided.
      // A completion is different: S3 wants the parts again.
      return error.code === 'ConditionalRequestConflict' && error.operation !== 'CompleteMultipartUpload'
        ? 'transient'
        : 'never';
    case 'not-found':
    case 'no-such-bucket':
    case 'access-denied':
    case 'range':
    case 'too-large':
    case 'archived':
    case 'unsupported':
    case 'invalid':
    case 'aborted':
      return 'never';
  }
}

function look(error: unknown): Seen {
  if (!(error instanceof Error))
    return { name: 'Error', message: String(error), code: undefined, status: undefined };
  const { code, $metadata, $response } = error as Error & {
    readonly code?: unknown;
    readonly $metadata?: { readonly httpStatusCode?: number };
    readonly $response?: { readonly statusCode?: number };
  };
  return {
    name: error.name,
    message: error.message,
    code: typeof code === 'string' ? code : undefined,
    status: $metadata?.httpStatusCode ?? $response?.statusCode,
  };
}

/** The SDK puts S3's code into `name`, and inventions of its own where the answer had no body. */
function answeredCode(seen: Seen): string | undefined {
  const invented = [
    'Error',
    'SyntaxError',
    'TypeError',
    'UnknownError',
    'Unknown',
    'NotFound',
    'S3ServiceException',
  ];
  return invented.includes(seen.name) || /^\d+$/.test(seen.name) ? undefined : seen.name;
}

function hint(kind: StoreErrorKind, code: string | undefined, message: string): string {
  if (code === 'PermanentRedirect') return ': the bucket is in another region, or wants another endpoint';
  if (message === '' || /^(UnknownError|Unknown|NotFound)$/.test(message))
    return kind === 'access-denied' ? ': Forbidden' : '';
  return `: ${message}`;
}
