/** GetObject, HeadObject, PutObject, DeleteObject. */
import type { Bucket } from './bucket.js';
import type { OpenObject } from './bucket-files.js';
import type { Blob } from './blobs.js';
import { bucketOf, quoted, type Answer, type Call } from './call.js';
import { checksumHeader, type Checksum, type ChecksumAlgorithm } from './checksums.js';
import { checkMatch, checkRead, writeCheck } from './conditions.js';
import { deleteCheck } from './delete-conditions.js';
import { invalidArgument, S3Error } from './errors.js';
import {
  answerHeaders,
  encryptionHeaders,
  headersToStore,
  isArchived,
  storageClassOf,
} from './object-headers.js';
import { PUT_BYTES_MAX, receive, type PayloadSource, type Received } from './payload.js';
import { parseRange, type Range } from './range.js';
import type { ObjectRecord } from './records.js';

/** Headers of the answer that a signed GET may set by parameters. */
const OVERRIDES = [
  'content-type',
  'content-language',
  'expires',
  'cache-control',
  'content-disposition',
  'content-encoding',
];

/** Receives a body into a blob; nothing is left of it when that fails. */
export async function receiveBlob(
  bucket: Bucket,
  payload: PayloadSource,
  also?: ChecksumAlgorithm,
): Promise<{ readonly blob: Blob; readonly received: Received }> {
  const writer = await bucket.newBlob();
  let received: Received;
  try {
    received = await receive(payload, { lengthMax: PUT_BYTES_MAX, also }, (chunk) => writer.write(chunk));
  } catch (error) {
    await writer.discard();
    throw error;
  }
  return { blob: await writer.finish(), received };
}

export function checksumHeaders(checksum: Checksum | undefined): Record<string, string> {
  if (checksum === undefined) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type };
}

/** The versions of buckets without versioning are all `null`. */
export function refuseVersion(versionId: string | undefined): void {
  if (versionId !== undefined && versionId !== 'null') {
    throw invalidArgument('versionId', versionId, 'Invalid version id specified');
  }
}

/** Now, in the whole seconds that S3 tells. */
export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000) * 1000;
}

export async function putObject(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const { headers, key } = call;
  const check = writeCheck(headers);
  const stored = headersToStore(headers);
  // What fails now needn't be sent: a client that expects 100-continue is told at once.
  check(bucket.lookup(key));
  const { blob, received } = await receiveBlob(bucket, call.payload);
  const { claimed, md5 } = received;
  const value = claimed === undefined ? undefined : received.checksums.get(claimed);
  const checksum: Checksum | undefined =
    claimed === undefined || value === undefined
      ? undefined
      : { algorithm: claimed, type: 'FULL_OBJECT', value };
  const { etag } = await bucket.publish(
    key,
    blob,
    {
      etag: md5,
      lastModifiedMs: nowSeconds(),
      headers: stored,
      checksum,
      partSizes: undefined,
      uploadId: undefined,
    },
    check,
  );
  return {
    status: 200,
    headers: { etag: quoted(etag), ...checksumHeaders(checksum), ...encryptionHeaders(stored) },
  };
}

/** The part a `partNumber` parameter names, as a range. Objects that weren't uploaded in parts have one. */
function partRange(call: Call, record: ObjectRecord): Range | undefined {
  const text = call.query.get('partNumber');
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!/^\d{1,5}$/.test(text) || number < 1 || number > 10_000) {
    throw invalidArgument(
      'partNumber',
      text,
      'Part number must be an integer between 1 and 10000, inclusive',
    );
  }
  if (call.headers.has('range')) {
    throw new S3Error('InvalidRequest', 'Cannot specify both Range header and partNumber query parameter');
  }
  const sizes = record.partSizes ?? [record.size];
  const length = sizes[number - 1];
  if (length === undefined)
    throw new S3Error('InvalidPartNumber', undefined, { ActualPartCount: String(sizes.length) });
  return { start: sizes.slice(0, number - 1).reduce((sum, size) => sum + size, 0), length };
}

function readHeaders(call: Call, record: ObjectRecord, whole: boolean): Record<string, string> {
  const headers: Record<string, string> = {
    ...answerHeaders(record.headers),
    etag: quoted(record.etag),
    'last-modified': new Date(record.lastModifiedMs).toUTCString(),
    'accept-ranges': 'bytes',
  };
  // A checksum of the whole would be wrong about a part of it.
  if (whole && call.headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED') {
    Object.assign(headers, checksumHeaders(record.checksum));
  }
  if (call.query.has('partNumber') && record.partSizes !== undefined) {
    headers['x-amz-mp-parts-count'] = String(record.partSizes.length);
  }
  for (const name of OVERRIDES) {
    const value = call.query.get(`response-${name}`);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}

/** The status and headers of a read, and the range of bytes that would follow. */
function planRead(call: Call, record: ObjectRecord): { readonly answer: Answer; readonly range: Range } {
  const { size } = record;
  if (checkRead(call.headers, record) === 'not-modified') {
    const { etag, 'last-modified': lastModified } = readHeaders(call, record, true);
    const headers = { etag: etag ?? '', 'last-modified': lastModified ?? '' };
    return { answer: { status: 304, headers }, range: { start: 0, length: 0 } };
  }
  const range = partRange(call, record) ?? parseRange(call.headers.get('range'), size);
  const headers = readHeaders(call, record, range === undefined);
  headers['content-length'] = String(range?.length ?? size);
  if (range === undefined || size === 0) {
    return { answer: { status: 200, headers }, range: { start: 0, length: size } };
  }
  headers['content-range'] = `bytes ${range.start}-${range.start + range.length - 1}/${size}`;
  return { answer: { status: 206, headers }, range };
}

async function openObject(call: Call): Promise<OpenObject> {
  const opened = await (await bucketOf(call)).open(call.key);
  if (opened === undefined) throw new S3Error('NoSuchKey', undefined, { Key: call.key });
  return opened;
}

export async function getObject(call: Call): Promise<Answer> {
  refuseVersion(call.query.get('versionId'));
  const { record, file } = await openObject(call);
  try {
    if (isArchived(record.headers)) {
      throw new S3Error('InvalidObjectState', undefined, { StorageClass: storageClassOf(record.headers) });
    }
    const { answer, range } = planRead(call, record);
    if (answer.status === 304) {
      await file.close();
      return answer;
    }
    return { ...answer, body: { file, ...range } };
  } catch (error) {
    await file.close();
    throw error;
  }
}

export async function headObject(call: Call): Promise<Answer> {
  refuseVersion(call.query.get('versionId'));
  const record = (await bucketOf(call)).lookup(call.key);
  if (record === undefined) throw new S3Error('NoSuchKey', undefined, { Key: call.key });
  return planRead(call, record).answer;
}

export async function deleteObject(call: Call): Promise<Answer> {
  refuseVersion(call.query.get('versionId'));
  const match = call.headers.get('if-match');
  const bucket = await bucketOf(call);
  const sameAs = deleteCheck(bucket, {
    lastModified: call.headers.get('x-amz-if-match-last-modified-time'),
    size: call.headers.get('x-amz-if-match-size'),
  });
  await bucket.delete(call.key, (current) => {
    checkMatch(match, current);
    sameAs(current);
  });
  return { status: 204 };
}
