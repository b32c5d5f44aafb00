/** Headers an object keeps: taken from the request that makes it, given back by GET and HEAD. */
import { invalidArgument, S3Error } from './errors.js';
import type { StoredHeaders } from './records.js';

const SYSTEM_HEADERS = [
  'content-type',
  'content-encoding',
  'content-language',
  'content-disposition',
  'cache-control',
  'expires',
] as const;

/** Kept and given back as they were asked for: nothing is encrypted here. */
const ENCRYPTION_HEADERS = [
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-server-side-encryption-bucket-key-enabled',
] as const;

const STORAGE_CLASSES = new Set([
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'GLACIER_IR',
  'DEEP_ARCHIVE',
]);

/** Names and values of user metadata together, in bytes. */
const METADATA_BYTES_MAX = 2048;

const METADATA_PREFIX = 'x-amz-meta-';

/** S3's default Content-Type. */
const DEFAULT_TYPE = 'binary/octet-stream';

/** Headers that ask for what this server doesn't do: better refused than passed over. */
const UNSUPPORTED = [
  'x-amz-website-redirect-location',
  'x-amz-object-lock-mode',
  'x-amz-object-lock-retain-until-date',
  'x-amz-object-lock-legal-hold',
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-copy-source-server-side-encryption-customer-algorithm',
  'x-amz-write-offset-bytes',
];

/** Fails with NotImplemented for headers whose meaning would be lost. */
export function refuseUnsupported(headers: ReadonlyMap<string, string>): void {
  for (const name of UNSUPPORTED) {
    if (headers.has(name)) throw new S3Error('NotImplemented', undefined, { Header: name });
  }
  const acl = headers.get('x-amz-acl');
  const grants = [...headers.keys()].some((name) => name.startsWith('x-amz-grant-'));
  if (grants || (acl !== undefined && acl !== 'private' && acl !== 'bucket-owner-full-control')) {
    throw new S3Error('AccessControlListNotSupported');
  }
}

/** `aws-chunked` names the transfer, not the object. */
function withoutChunking(encoding: string): string {
  return encoding
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '' && each !== 'aws-chunked')
    .join(',');
}

/** What a PUT, copy with REPLACE, or CreateMultipartUpload gives its object. */
export function headersToStore(headers: ReadonlyMap<string, string>): StoredHeaders {
  refuseUnsupported(headers);
  const stored: Record<string, string> = {};
  for (const name of SYSTEM_HEADERS) {
    const given = headers.get(name);
    const value = name === 'content-encoding' && given !== undefined ? withoutChunking(given) : given;
    if (value !== undefined && value !== '') stored[name] = value;
  }
  let metadataBytes = 0;
  for (const [name, value] of headers) {
    if (!name.startsWith(METADATA_PREFIX)) continue;
    metadataBytes += name.length - METADATA_PREFIX.length + value.length;
    stored[name] = value;
  }
  if (metadataBytes > METADATA_BYTES_MAX) {
    throw new S3Error('MetadataTooLarge', undefined, {
      Size: String(metadataBytes),
      MaxSizeAllowed: String(METADATA_BYTES_MAX),
    });
  }
  return { ...stored, ...placementHeaders(headers) };
}

/** Storage class and encryption: what a copy takes from its request, whatever it does with metadata. */
export function placementHeaders(headers: ReadonlyMap<string, string>): StoredHeaders {
  const stored: Record<string, string> = {};
  const storageClass = headers.get('x-amz-storage-class');
  if (storageClass !== undefined && !STORAGE_CLASSES.has(storageClass))
    throw new S3Error('InvalidStorageClass');
  if (storageClass !== undefined && storageClass !== 'STANDARD') stored['x-amz-storage-class'] = storageClass;
  for (const name of ENCRYPTION_HEADERS) {
    const value = headers.get(name);
    if (value !== undefined) stored[name] = value;
  }
  const encryption = headers.get('x-amz-server-side-encryption');
  if (encryption !== undefined && !['AES256', 'aws:kms', 'aws:kms:dsse'].includes(encryption)) {
    throw invalidArgument(
      'x-amz-server-side-encryption',
      encryption,
      'The encryption method specified is not supported',
    );
  }
  return stored;
}

/** The headers of `stored` that belong to the object's content and user: a copy with COPY keeps these. */
export function contentHeaders(stored: StoredHeaders): StoredHeaders {
  return Object.fromEntries(
    Object.entries(stored).filter(
      ([name]) => name.startsWith(METADATA_PREFIX) || SYSTEM_HEADERS.some((each) => each === name),
    ),
  );
}

/** The encryption headers of `stored`: every answer to a write repeats them. */
export function encryptionHeaders(stored: StoredHeaders): StoredHeaders {
  return Object.fromEntries(
    ENCRYPTION_HEADERS.flatMap((name) => {
      const value = stored[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

export function storageClassOf(stored: StoredHeaders): string {
  return stored['x-amz-storage-class'] ?? 'STANDARD';
}

/** Classes whose bytes can't be read without a restore, which this server doesn't have. */
export function isArchived(stored: StoredHeaders): boolean {
  return ['GLACIER', 'DEEP_ARCHIVE'].includes(storageClassOf(stored));
}

/** What GET and HEAD answer of `stored`. Metadata that isn't ASCII is sent as the bytes that came. */
export function answerHeaders(stored: StoredHeaders): Record<string, string> {
  return { 'content-type': DEFAULT_TYPE, ...stored };
}
