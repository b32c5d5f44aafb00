/** Multipart uploads: create, parts, complete, abort, and the list of unfinished ones. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
} from '@aws-sdk/client-s3';
import { StoreError } from '../errors.js';
import type {
  Body,
  ObjectHeaders,
  UnfinishedUpload,
  UploadedPart,
  WriteCondition,
  WrittenObject,
} from '../object-store.js';
import { bodyLength, compositeCrc32, crc32Base64, fullCrc32, multipartEtag } from './checksum.js';
import { answerMayBeLost, type S3Context } from './context.js';
import { storeError } from './error-map.js';
import { toSdkHeaders } from './headers.js';
import { decodeListed } from './listed-key.js';
import { findOurs } from './lost-answer.js';

/** S3's limit: parts of an upload, and the greatest part number. */
export const PARTS_MAX = 10_000;

/** A retry after a lost answer leaves a second, empty upload behind: the janitor's to find. */
/**
 * Part numbers have gaps here, and a composite of the parts' checksums, CRC32's default, can't be made of those: S3 fails its completion
 * with 500 (user guide, "Checking object integrity"). Stores that don't know the type pass it over and compose.
 */
const CRC32_OF_THE_WHOLE = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const;

export async function createUpload(
  context: S3Context,
  key: string,
  headers: ObjectHeaders,
  signal: AbortSignal | undefined,
): Promise<string> {
  const output = await context.requests.run(
    'CreateMultipartUpload',
    key,
    signal,
    async (attempt) =>
      context.clients.client.send(
        new CreateMultipartUploadCommand({
          Bucket: context.bucket,
          Key: key,
          ...toSdkHeaders(headers),
          ...(context.options.uploadChecksums === 'crc32' ? CRC32_OF_THE_WHOLE : {}),
        }),
        { abortSignal: attempt.signal },
      ),
    { firstByteMs: context.options.timeouts.firstByteMs },
  );
  if (output.UploadId === undefined)
    throw storeError('invalid', 'an answer without an upload id', {
      operation: 'CreateMultipartUpload',
      bucket: context.bucket,
      key,
    });
  return output.UploadId;
}

export async function uploadPart(
  context: S3Context,
  key: string,
  uploadId: string,
  partNumber: number,
  body: Body,
  signal: AbortSignal | undefined,
): Promise<UploadedPart> {
  checkPartNumber(context, 'UploadPart', key, partNumber);
  const crc32 = context.options.uploadChecksums === 'crc32' ? crc32Base64(body) : undefined;
  const etag = await context.requests.run('UploadPart', key, signal, async (attempt) => {
    const calls = await context.calls();
    return calls.uploadPart(key, { uploadId, partNumber, crc32 }, body, attempt);
  });
  const part = { partNumber, etag: etag ?? '', bytes: bodyLength(body) };
  return { ...part, ...(crc32 === undefined ? {} : { crc32 }) };
}

export function checkPartNumber(
  context: S3Context,
  operation: string,
  key: string,
  partNumber: number,
): void {
  if (partNumber < 1 || partNumber > PARTS_MAX)
    throw storeError('too-large', `part number ${String(partNumber)} is not in 1 to ${String(PARTS_MAX)}`, {
      operation,
      bucket: context.bucket,
      key,
    });
}

export async function completeUpload(
  context: S3Context,
  key: string,
  uploadId: string,
  parts: readonly UploadedPart[],
  condition: WriteCondition | undefined,
  signal: AbortSignal | undefined,
): Promise<WrittenObject> {
  const beganMs = performance.now();
  let lost = false;
  try {
    const output = await context.requests.run('CompleteMultipartUpload', key, signal, async (attempt) => {
      lost ||= answerMayBeLost(attempt);
      return context.conditions.fallBack(condition, () =>
        context.clients.slowClient.send(
          new CompleteMultipartUploadCommand({
            Bucket: context.bucket,
            Key: key,
            UploadId: uploadId,
            MultipartUpload: {
              Parts: parts.map(({ partNumber, etag, crc32 }) => ({
                PartNumber: partNumber,
                ETag: etag,
                ...(crc32 === undefined ? {} : { ChecksumCRC32: crc32 }),
              })),
            },
            ...context.conditions.headers(condition),
          }),
          { abortSignal: attempt.signal },
        ),
      );
    });
    return { etag: output.ETag ?? '' };
  } catch (error) {
    if (!lost || !(error instanceof StoreError)) throw error;
    if (error.kind !== 'not-found' && error.kind !== 'precondition-failed') throw error;
    const evidence = {
      etag: multipartEtag(parts),
      crc32: [fullCrc32(parts), compositeCrc32(parts)],
      size: undefined,
      metadata: undefined,
      beganMs,
    };
    const ours = await findOurs(context, key, evidence, signal);
    if (ours === undefined) throw error;
    return ours;
  }
}

export async function abortUpload(
  context: S3Context,
  key: string,
  uploadId: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await context.requests.run(
      'AbortMultipartUpload',
      key,
      signal,
      async (attempt) =>
        context.clients.client.send(
          new AbortMultipartUploadCommand({ Bucket: context.bucket, Key: key, UploadId: uploadId }),
          { abortSignal: attempt.signal },
        ),
      { firstByteMs: context.options.timeouts.firstByteMs },
    );
  } catch (error) {
    if (error instanceof StoreError && error.kind === 'not-found') return;
    throw error;
  }
}

export async function listUploads(
  context: S3Context,
  prefix: string,
  signal: AbortSignal | undefined,
): Promise<readonly UnfinishedUpload[]> {
  const uploads: UnfinishedUpload[] = [];
  let marker: { KeyMarker?: string; UploadIdMarker?: string } = {};
  for (;;) {
    const page = marker;
    const output = await context.requests.run(
      'ListMultipartUploads',
      undefined,
      signal,
      async (attempt) =>
        context.clients.client.send(
          new ListMultipartUploadsCommand({
            Bucket: context.bucket,
            Prefix: prefix,
            EncodingType: 'url',
            ...page,
          }),
          { abortSignal: attempt.signal },
        ),
      { firstByteMs: context.options.timeouts.firstByteMs },
    );
    const encoded = output.EncodingType === 'url';
    for (const { Key, UploadId, Initiated } of output.Uploads ?? []) {
      const key = decodeListed(Key, encoded, context.log);
      if (key === undefined || UploadId === undefined) continue;
      uploads.push({ key, uploadId: UploadId, initiatedMs: Initiated?.getTime() ?? 0 });
    }
    const nextKey = decodeListed(output.NextKeyMarker, encoded, context.log);
    if (output.IsTruncated !== true || nextKey === undefined || nextKey === '') return uploads;
    marker = {
      KeyMarker: nextKey,
      ...(output.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: output.NextUploadIdMarker }),
    };
  }
}
