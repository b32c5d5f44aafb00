/** CopyObject. */
import type { Blob } from './blobs.js';
import type { Bucket } from './bucket.js';
import type { OpenObject } from './bucket-files.js';
import { bucketOf, quoted, xmlAnswer, xmlTime, type Answer, type Call } from './call.js';
import {
  checksumElement,
  DEFAULT_CHECKSUM,
  parseChecksumAlgorithm,
  type Checksum,
  type ChecksumAlgorithm,
} from './checksums.js';
import { writeCheck } from './conditions.js';
import { copyToBlob, openCopySource, parseCopySource, pour, type CopySource } from './copy-source.js';
import { invalidArgument, S3Error } from './errors.js';
import {
  contentHeaders,
  encryptionHeaders,
  headersToStore,
  placementHeaders,
  refuseUnsupported,
} from './object-headers.js';
import { nowSeconds } from './object-operations.js';
import { PUT_BYTES_MAX } from './payload.js';
import type { ObjectDescription, ObjectRecord } from './records.js';
import { tagsOfHeader } from './tags.js';
import { xmlDocument } from './xml.js';

/** True for REPLACE, false for COPY, which holds unless told. */
function replaces(call: Call, header: string, what: string): boolean {
  const directive = call.headers.get(header) ?? 'COPY';
  if (directive !== 'COPY' && directive !== 'REPLACE') {
    throw invalidArgument(header, directive, `Unknown ${what} directive.`);
  }
  return directive === 'REPLACE';
}

/** The algorithm asked for. Fails with InvalidRequest for one S3 doesn't know. */
function wantedAlgorithm(call: Call): ChecksumAlgorithm | undefined {
  const name = call.headers.get('x-amz-checksum-algorithm');
  if (name === undefined) return undefined;
  const algorithm = parseChecksumAlgorithm(name);
  if (algorithm === undefined) {
    throw new S3Error('InvalidRequest', 'Value for x-amz-checksum-algorithm header is invalid.');
  }
  return algorithm;
}

/** Refuses a copy onto itself that changes nothing. */
function refuseIdleCopy(call: Call, source: CopySource, changes: boolean): void {
  if (changes || source.bucketName !== call.bucketName || source.key !== call.key) return;
  throw new S3Error(
    'InvalidRequest',
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  );
}

/** Copies what `source` holds into the bucket's side area, and describes the object it makes. */
async function prepare(
  call: Call,
  bucket: Bucket,
  opened: OpenObject,
): Promise<{ readonly blob: Blob; readonly description: ObjectDescription }> {
  const { record, file } = opened;
  if (record.size > PUT_BYTES_MAX) {
    throw new S3Error(
      'InvalidRequest',
      `The specified copy source is larger than the maximum allowable size for a copy source: ${PUT_BYTES_MAX}`,
    );
  }
  const stored = replaces(call, 'x-amz-metadata-directive', 'metadata')
    ? headersToStore(call.headers)
    : { ...contentHeaders(record.headers), ...placementHeaders(call.headers) };
  const tags = replaces(call, 'x-amz-tagging-directive', 'tagging')
    ? tagsOfHeader(call.headers)
    : record.tags;
  const algorithm = wantedAlgorithm(call) ?? record.checksum?.algorithm ?? DEFAULT_CHECKSUM.algorithm;
  const range = { start: 0, length: record.size };
  const made = await copyToBlob(bucket, algorithm, (take) => pour(file, range, take));
  const checksum: Checksum | undefined =
    made.checksum === undefined ? undefined : { algorithm, type: 'FULL_OBJECT', value: made.checksum };
  const description = {
    etag: made.md5,
    lastModifiedMs: nowSeconds(),
    headers: stored,
    checksum,
    partSizes: undefined,
    tags,
    uploadId: undefined,
  };
  return { blob: made.blob, description };
}

export async function copyObject(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const { headers, key } = call;
  refuseUnsupported(headers);
  const source = parseCopySource(call);
  const placement = placementHeaders(headers);
  const replacesMetadata = replaces(call, 'x-amz-metadata-directive', 'metadata');
  replaces(call, 'x-amz-tagging-directive', 'tagging');
  tagsOfHeader(headers);
  wantedAlgorithm(call);
  refuseIdleCopy(
    call,
    source,
    replacesMetadata || headers.has('x-amz-storage-class') || Object.keys(placement).length > 0,
  );
  const watch = bucket.watchDeletes(key);
  try {
    const check = writeCheck(headers, watch.deleted);
    check(bucket.lookup(key));
    const opened = await openCopySource(call, source);
    const { blob, description } = await prepare(call, bucket, opened).finally(() => opened.file.close());
    const copied = await bucket.publish(key, blob, description, check);
    return answer(copied);
  } finally {
    watch.end();
  }
}

function answer({ etag, lastModifiedMs, checksum, headers }: ObjectRecord): Answer {
  return xmlAnswer(
    xmlDocument('CopyObjectResult', [
      ['ETag', quoted(etag)],
      ['LastModified', xmlTime(lastModifiedMs)],
      ['ChecksumType', checksum?.type],
      [checksumElement(checksum?.algorithm ?? DEFAULT_CHECKSUM.algorithm), checksum?.value],
    ]),
    encryptionHeaders(headers),
  );
}
