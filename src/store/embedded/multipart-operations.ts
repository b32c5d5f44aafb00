/** CreateMultipartUpload, UploadPart, UploadPartCopy, AbortMultipartUpload. */
import { randomBytes } from 'node:crypto';
import type { Bucket } from './bucket.js';
import { bucketOf, quoted, xmlAnswer, xmlTime, type Answer, type Call } from './call.js';
import {
  allowsChecksumType,
  checksumElement,
  checksumHeader,
  DEFAULT_CHECKSUM,
  defaultChecksumType,
  parseChecksumAlgorithm,
  type ChecksumAlgorithm,
  type ChecksumType,
  type UploadChecksum,
} from './checksums.js';
import { copyToBlob, openCopySource, parseCopyRange, parseCopySource, pour } from './copy-source.js';
import { invalidArgument, S3Error } from './errors.js';
import { encryptionHeaders, headersToStore } from './object-headers.js';
import { nowSeconds, receiveBlob } from './object-operations.js';
import { PUT_BYTES_MAX } from './payload.js';
import type { PartRecord, UploadRecord } from './records.js';
import { tagsOfHeader } from './tags.js';
import { xmlDocument } from './xml.js';

export const PARTS_MAX = 10_000;

/** Begins with the time, so that the ids of one key sort by their beginning. */
function newUploadId(nowMs: number): string {
  return nowMs.toString(36).padStart(9, '0') + randomBytes(24).toString('hex');
}

/** The upload a call is about. Fails with NoSuchUpload. */
export function uploadOf(bucket: Bucket, call: Call): UploadRecord {
  const uploadId = call.query.get('uploadId') ?? '';
  const upload = bucket.upload(call.key, uploadId);
  if (upload === undefined) throw new S3Error('NoSuchUpload', undefined, { UploadId: uploadId });
  return upload;
}

function partNumberOf(call: Call): number {
  const text = call.query.get('partNumber') ?? '';
  const number = Number(text);
  if (!/^\d{1,5}$/.test(text) || number < 1 || number > PARTS_MAX) {
    throw invalidArgument(
      'partNumber',
      text,
      `Part number must be an integer between 1 and ${PARTS_MAX}, inclusive`,
    );
  }
  return number;
}

/** How an upload's parts and its object are summed. */
export function checksumOf(upload: UploadRecord): UploadChecksum {
  return upload.checksum ?? DEFAULT_CHECKSUM;
}

function isChecksumType(text: string): text is ChecksumType {
  return text === 'COMPOSITE' || text === 'FULL_OBJECT';
}

function uploadChecksumOf(call: Call): UploadChecksum | undefined {
  const name = call.headers.get('x-amz-checksum-algorithm');
  const type = call.headers.get('x-amz-checksum-type')?.toUpperCase();
  if (name === undefined) {
    if (type === undefined) return undefined;
    throw new S3Error(
      'InvalidRequest',
      'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    );
  }
  const algorithm = parseChecksumAlgorithm(name);
  if (algorithm === undefined) {
    throw new S3Error(
      'InvalidRequest',
      'Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]',
    );
  }
  const chosen = type ?? defaultChecksumType(algorithm);
  if (!isChecksumType(chosen)) {
    throw new S3Error('InvalidRequest', 'Value for x-amz-checksum-type header is invalid.');
  }
  if (!allowsChecksumType(algorithm, chosen)) {
    throw new S3Error(
      'InvalidRequest',
      `The ${chosen} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
    );
  }
  return { algorithm, type: chosen };
}

export async function createMultipartUpload(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const headers = headersToStore(call.headers);
  const checksum = uploadChecksumOf(call);
  const tags = tagsOfHeader(call.headers);
  const initiatedMs = Date.now();
  const uploadId = newUploadId(initiatedMs);
  await bucket.createUpload({ uploadId, key: call.key, initiatedMs, headers, checksum, tags });
  return xmlAnswer(
    xmlDocument('InitiateMultipartUploadResult', [
      ['Bucket', bucket.name],
      ['Key', call.key],
      ['UploadId', uploadId],
    ]),
    {
      ...encryptionHeaders(headers),
      ...(checksum === undefined
        ? {}
        : { 'x-amz-checksum-algorithm': checksum.algorithm, 'x-amz-checksum-type': checksum.type }),
    },
  );
}

async function addPart(bucket: Bucket, upload: UploadRecord, part: PartRecord): Promise<void> {
  if (!(await bucket.addPart(upload, part))) {
    throw new S3Error('NoSuchUpload', undefined, { UploadId: upload.uploadId });
  }
}

/**
 * The checksum a part comes with must be of the algorithm that the upload was created with (UploadPart, x-amz-sdk-checksum-algorithm), and
 * must be there where the object's is made of them. An upload created without one takes parts with any.
 */
function checkClaim(upload: UploadRecord, claimed: ChecksumAlgorithm | undefined): void {
  if (upload.checksum === undefined) return;
  const { algorithm, type } = upload.checksum;
  if (claimed === algorithm || (claimed === undefined && type === 'FULL_OBJECT')) return;
  throw new S3Error(
    'InvalidRequest',
    `Checksum Type mismatch occurred, expected checksum Type: ${algorithm.toLowerCase()}, actual checksum Type: ${claimed?.toLowerCase() ?? 'null'}`,
  );
}

export async function uploadPart(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const upload = uploadOf(bucket, call);
  const partNumber = partNumberOf(call);
  const { algorithm } = checksumOf(upload);
  const { blob, received } = await receiveBlob(bucket, call.payload, { also: algorithm });
  try {
    checkClaim(upload, received.claimed);
  } catch (error) {
    bucket.discardBlob(blob);
    throw error;
  }
  const etag = bucket.partEtag(received.md5);
  await addPart(bucket, upload, {
    partNumber,
    blob: blob.id,
    size: blob.size,
    etag,
    lastModifiedMs: nowSeconds(),
    checksum: received.checksums.get(algorithm),
  });
  const told = received.claimed ?? algorithm;
  const value = received.checksums.get(told);
  return {
    status: 200,
    headers: {
      etag: quoted(etag),
      ...(value === undefined ? {} : { [checksumHeader(told)]: value }),
      ...encryptionHeaders(upload.headers),
    },
  };
}

export async function uploadPartCopy(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const upload = uploadOf(bucket, call);
  const partNumber = partNumberOf(call);
  const { algorithm } = checksumOf(upload);
  const { record, file } = await openCopySource(call, parseCopySource(call));
  try {
    const range = parseCopyRange(call.headers.get('x-amz-copy-source-range'), record.size);
    if (range.length > PUT_BYTES_MAX) {
      throw new S3Error(
        'InvalidRequest',
        `The specified copy source is larger than the maximum allowable size for a copy source: ${PUT_BYTES_MAX}`,
      );
    }
    const made = await copyToBlob(bucket, algorithm, (take) => pour(file, range, take));
    const lastModifiedMs = nowSeconds();
    const etag = bucket.partEtag(made.md5);
    await addPart(bucket, upload, {
      partNumber,
      blob: made.blob.id,
      size: made.blob.size,
      etag,
      lastModifiedMs,
      checksum: made.checksum,
    });
    return xmlAnswer(
      xmlDocument('CopyPartResult', [
        ['ETag', quoted(etag)],
        ['LastModified', xmlTime(lastModifiedMs)],
        [checksumElement(algorithm), made.checksum],
      ]),
      encryptionHeaders(upload.headers),
    );
  } finally {
    await file.close();
  }
}

export async function abortMultipartUpload(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const uploadId = call.query.get('uploadId') ?? '';
  if (!(await bucket.abortUpload(call.key, uploadId))) {
    throw new S3Error('NoSuchUpload', undefined, { UploadId: uploadId });
  }
  return { status: 204 };
}
