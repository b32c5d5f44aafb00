/** The one error that leaves the store seam. Made from SDK and socket errors in store/s3/, from rules in store/embedded/. */

/**
 * What went wrong, by what the caller can do about it:
 * - `not-found`: no such key, upload or bucket; `no-such-bucket` says which.
 * - `precondition-failed`: If-Match, If-None-Match or a write offset did not hold (412), or a concurrent conditional write won (409).
 * - `access-denied`, `credentials`: 403; `credentials` where they are missing, expired or the clock is off.
 * - `throttled`, `unavailable`: worth a retry later: 503 SlowDown, 500, timeouts, resets, DNS. Retries were already made.
 * - `range`: 416. - `too-large`: EntityTooLarge, over 10,000 parts. - `checksum`: bytes that don't match their checksum.
 * - `archived`: InvalidObjectState. - `unsupported`: NotImplemented. - `invalid`: any other 4xx. - `aborted`: the caller's signal.
 */
export type StoreErrorKind =
  | 'not-found'
  | 'no-such-bucket'
  | 'precondition-failed'
  | 'access-denied'
  | 'credentials'
  | 'throttled'
  | 'unavailable'
  | 'range'
  | 'too-large'
  | 'checksum'
  | 'archived'
  | 'unsupported'
  | 'invalid'
  | 'aborted';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly kind: StoreErrorKind;
  /** The operation's S3 name, the bucket and the key, for messages. */
  readonly operation: string;
  readonly bucket: string;
  readonly key: string | undefined;
  /** S3's error code and HTTP status, where there was an answer. */
  readonly code: string | undefined;
  readonly httpStatus: number | undefined;
  /** An earlier attempt of the same call was not answered: it may have taken effect, whatever this error says of the last one. */
  readonly isAfterUnanswered: boolean;

  constructor(
    kind: StoreErrorKind,
    message: string,
    about: {
      readonly operation: string;
      readonly bucket: string;
      readonly key?: string | undefined;
      readonly code?: string | undefined;
      readonly httpStatus?: number | undefined;
      readonly isAfterUnanswered?: boolean;
    },
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.kind = kind;
    this.operation = about.operation;
    this.bucket = about.bucket;
    this.key = about.key;
    this.code = about.code;
    this.httpStatus = about.httpStatus;
    this.isAfterUnanswered = about.isAfterUnanswered ?? false;
  }
}
