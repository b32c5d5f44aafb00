/** CopyObject. */
import { bucketOf, quoted, xmlAnswer, xmlTime, type Answer, type Call } from './call.js';
import { checksumElement, parseChecksumAlgorithm, type Checksum } from './checksums.js';
import { writeCheck } from './conditions.js';
import { copyToBlob, openCopySource, parseCopySource, pour } from './copy-source.js';
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
import { xmlDocument } from './xml.js';

/** COPY or REPLACE. */
function replacesMetadata(call: Call): boolean {
  const directive = call.headers.get('x-amz-metadata-directive') ?? 'COPY';
  if (directive !== 'COPY' && directive !== 'REPLACE') {
    throw invalidArgument('x-amz-metadata-directive', directive, 'Unknown metadata directive.');
  }
  return directive === 'REPLACE';
}

export async function copyObject(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const { headers, key } = call;
  refuseUnsupported(headers);
  const source = parseCopySource(call);
  const replace = replacesMetadata(call);
  const placement = placementHeaders(headers);
  const changes = replace || headers.has('x-amz-storage-class') || Object.keys(placement).length > 0;
  if (source.bucketName === bucket.name && source.key === key && !changes) {
    throw new S3Error(
      'InvalidRequest',
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    );
  }
  const check = writeCheck(headers);
  check(bucket.lookup(key));
  const { record, file } = await openCopySource(call, source);
  try {
    if (record.size > PUT_BYTES_MAX) {
      throw new S3Error(
        'InvalidRequest',
        `The specified copy source is larger than the maximum allowable size for a copy source: ${PUT_BYTES_MAX}`,
      );
    }
    const stored = replace ? headersToStore(headers) : { ...contentHeaders(record.headers), ...placement };
    const algorithm =
      parseChecksumAlgorithm(headers.get('x-amz-checksum-algorithm') ?? '') ?? record.checksum?.algorithm;
    const range = { start: 0, length: record.size };
    const made = await copyToBlob(bucket, algorithm, (take) => pour(file, range, take));
    const checksum: Checksum | undefined =
      algorithm === undefined || made.checksum === undefined
        ? undefined
        : { algorithm, type: 'FULL_OBJECT', value: made.checksum };
    const copied = await bucket.publish(
      key,
      made.blob,
      {
        etag: made.md5,
        lastModifiedMs: nowSeconds(),
        headers: stored,
        checksum,
        partSizes: undefined,
        uploadId: undefined,
      },
      check,
    );
    return xmlAnswer(
      xmlDocument('CopyObjectResult', [
        ['ETag', quoted(copied.etag)],
        ['LastModified', xmlTime(copied.lastModifiedMs)],
        ['ChecksumType', checksum?.type],
        [checksumElement(algorithm ?? 'CRC32'), checksum?.value],
      ]),
      encryptionHeaders(stored),
    );
  } finally {
    await file.close();
  }
}
