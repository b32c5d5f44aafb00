/** S3's errors that fault plans name most, and how an injected one is sent. */
import { xmlDocument } from '../embedded/xml.js';

interface Known {
  readonly status: number;
  readonly message: string;
}

/** Status and usual message by code (Amazon S3 API Reference, Error responses). */
export const INJECTED_ERRORS: ReadonlyMap<string, Known> = new Map(
  Object.entries({
    AccessDenied: { status: 403, message: 'Access Denied' },
    ConditionalRequestConflict: {
      status: 409,
      message: 'A conflicting operation occurred during processing. Please retry.',
    },
    ExpiredToken: { status: 400, message: 'The provided token has expired.' },
    InternalError: { status: 500, message: 'We encountered an internal error. Please try again.' },
    InvalidAccessKeyId: {
      status: 403,
      message: 'The AWS Access Key Id you provided does not exist in our records.',
    },
    NoSuchBucket: { status: 404, message: 'The specified bucket does not exist' },
    NoSuchKey: { status: 404, message: 'The specified key does not exist.' },
    NoSuchUpload: { status: 404, message: 'The specified upload does not exist.' },
    OperationAborted: {
      status: 409,
      message: 'A conflicting conditional operation is currently in progress against this resource.',
    },
    PreconditionFailed: {
      status: 412,
      message: 'At least one of the pre-conditions you specified did not hold',
    },
    RequestTimeout: {
      status: 400,
      message:
        'Your socket connection to the server was not read from or written to within the timeout period.',
    },
    RequestTimeTooSkewed: {
      status: 403,
      message: 'The difference between the request time and the current time is too large.',
    },
    ServiceUnavailable: { status: 503, message: 'Service is unable to handle request.' },
    SlowDown: { status: 503, message: 'Please reduce your request rate.' },
    TooManyRequests: { status: 429, message: 'Please reduce your request rate.' },
  }),
);

/** The body of an error answer. */
export function errorDocument(code: string, message: string, resource: string, requestId: string): Buffer {
  return Buffer.from(
    xmlDocument(
      'Error',
      [
        ['Code', code],
        ['Message', message],
        ['Resource', resource],
        ['RequestId', requestId],
        ['HostId', 's3nfsd'],
      ],
      false,
    ),
  );
}
