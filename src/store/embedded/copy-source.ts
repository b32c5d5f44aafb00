/** The source of CopyObject and UploadPartCopy, and pouring its bytes into a blob. */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { Blob, BlobWriter } from './blobs.js';
import type { Bucket } from './bucket.js';
import type { OpenObject } from './bucket-files.js';
import { findBucket, type Call } from './call.js';
import { startChecksum, type ChecksumAlgorithm } from './checksums.js';
import { checkCopySource } from './conditions.js';
import { invalidArgument, S3Error } from './errors.js';
import { isArchived } from './object-headers.js';
import { refuseVersion } from './object-operations.js';
import type { Range } from './range.js';

const COPY_CHUNK_BYTES = 1024 * 1024;

export interface CopySource {
  readonly bucketName: string;
  readonly key: string;
}

/** Reads `x-amz-copy-source`: `bucket/key`, URL-encoded, with or without a leading slash. */
export function parseCopySource(call: Call): CopySource {
  const header = call.headers.get('x-amz-copy-source') ?? '';
  const malformed = (cause?: unknown): S3Error =>
    new S3Error(
      'InvalidArgument',
      'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
      { ArgumentName: 'x-amz-copy-source', ArgumentValue: header },
      { cause },
    );
  const [path = '', versionId] = header.split('?versionId=');
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch (error) {
    throw malformed(error);
  }
  const [, bucketName, key] = /^\/?([^/]+)\/(.+)$/s.exec(decoded) ?? [];
  if (bucketName === undefined || key === undefined) throw malformed();
  refuseVersion(versionId);
  return { bucketName, key };
}

/** Opens a copy's source, its conditions checked. The caller closes the file. */
export async function openCopySource(call: Call, source: CopySource): Promise<OpenObject> {
  const opened = await (await findBucket(call.buckets, source.bucketName)).open(source.key);
  if (opened === undefined) throw new S3Error('NoSuchKey', undefined, { Key: source.key });
  try {
    if (isArchived(opened.record.headers)) throw new S3Error('InvalidObjectState');
    checkCopySource(call.headers, opened.record);
  } catch (error) {
    await opened.file.close();
    throw error;
  }
  return opened;
}

/** `x-amz-copy-source-range`: both ends must be given and lie within the source. */
export function parseCopyRange(header: string | undefined, size: number): Range {
  if (header === undefined) return { start: 0, length: size };
  const parts = /^bytes=(\d+)-(\d+)$/.exec(header);
  const start = Number(parts?.[1]);
  const end = Number(parts?.[2]);
  if (parts === null || end < start) {
    throw invalidArgument(
      'x-amz-copy-source-range',
      header,
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
    );
  }
  if (end >= size) {
    throw invalidArgument(
      'x-amz-copy-source-range',
      header,
      `Range specified is not valid for source object of size: ${size}`,
    );
  }
  return { start, length: end - start + 1 };
}

/** Gives a range of a file, chunk after chunk, to `take`, which may keep them. Fails when the file is shorter than it was. */
export async function pour(
  file: FileHandle,
  range: Range,
  take: (chunk: Buffer) => Promise<void>,
): Promise<void> {
  for (let at = range.start, left = range.length; left > 0;) {
    const buffer = Buffer.allocUnsafe(Math.min(left, COPY_CHUNK_BYTES));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) throw new Error(`file ends at ${at}, ${left} bytes early`);
    at += bytesRead;
    left -= bytesRead;
    await take(buffer.subarray(0, bytesRead));
  }
}

/** A new blob of what `fill` pours, with its digests. */
export async function copyToBlob(
  bucket: Bucket,
  algorithm: ChecksumAlgorithm | undefined,
  fill: (take: (chunk: Buffer) => Promise<void>) => Promise<void>,
): Promise<{ readonly blob: Blob; readonly md5: string; readonly checksum: string | undefined }> {
  const writer: BlobWriter = await bucket.newBlob();
  const md5 = createHash('md5');
  const stream = algorithm === undefined ? undefined : startChecksum(algorithm);
  try {
    await fill((chunk) => {
      md5.update(chunk);
      stream?.update(chunk);
      return writer.write(chunk);
    });
  } catch (error) {
    await writer.discard();
    throw error;
  }
  return { blob: await writer.finish(), md5: md5.digest('hex'), checksum: stream?.digest() };
}
