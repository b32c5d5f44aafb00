/**
 * Who may make a request of a directory bucket, and with which keys it is signed. Object-level ("Zonal") operations want a session's
 * keys and token, CopyObject and UploadPartCopy and CreateSession itself the account's; bucket-level ones take either, since SDKs send
 * sessions there. All are signed for the service `s3express` (user guide, "Authorizing Zonal endpoint API operations with CreateSession").
 */
import { S3Error } from './errors.js';
import { openSession } from './sessions.js';
import type { Credentials } from './sigv4.js';

/** "You must use the IAM credentials to authenticate and authorize your access" (API reference, CopyObject, UploadPartCopy). */
const ACCOUNT_ONLY = new Set(['CreateSession', 'CopyObject', 'UploadPartCopy', 'ListDirectoryBuckets']);

const BUCKET_LEVEL = new Set(['CreateBucket', 'DeleteBucket', 'HeadBucket']);

/** What a ReadOnly session may do (API reference, CreateSession, `x-amz-create-session-mode`). */
const READ_ONLY = new Set([
  'GetObject',
  'HeadObject',
  'ListObjectsV2',
  'GetObjectAttributes',
  'ListParts',
  'ListMultipartUploads',
  'HeadBucket',
]);

export interface AskedAccess {
  readonly operation: string;
  readonly bucket: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly query: ReadonlyMap<string, string>;
}

/** The keys the request must be signed with. Fails with AccessDenied, InvalidToken or ExpiredToken. */
export function directorySigner(asked: AskedAccess, account: Credentials, nowMs: number): Credentials {
  const { operation, bucket, headers, query } = asked;
  const token = headers.get('x-amz-s3session-token') ?? query.get('X-Amz-S3session-Token');
  const { region } = account;
  if (ACCOUNT_ONLY.has(operation) || (token === undefined && BUCKET_LEVEL.has(operation))) {
    if (token !== undefined) throw new S3Error('AccessDenied');
    return { ...account, service: 's3express' };
  }
  if (token === undefined) {
    throw new S3Error(
      'AccessDenied',
      'This operation needs the credentials of a session: see CreateSession.',
    );
  }
  const session = openSession(account.secretAccessKey, token, bucket, nowMs);
  if (session.mode === 'ReadOnly' && !READ_ONLY.has(operation)) throw new S3Error('AccessDenied');
  const { accessKeyId, secretAccessKey } = session;
  return { accessKeyId, secretAccessKey, region, service: 's3express' };
}

/** The service a request says it is signed for; undefined where it says none. */
export function signedService(
  headers: ReadonlyMap<string, string>,
  query: ReadonlyMap<string, string>,
): string | undefined {
  const credential = headers.get('authorization') ?? query.get('X-Amz-Credential') ?? '';
  return /\/([a-z0-9-]+)\/aws4_request/.exec(credential)?.[1];
}
