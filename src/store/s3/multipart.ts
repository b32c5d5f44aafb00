/** Multipart uploads: create, parts, complete, abort, and the list of unfinished ones. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ChecksumAlgorithm,
  type ChecksumType,
} from '@aws-sdk/client-s3';
import { StoreError } from '../errors.js';
import type {
  Body,
  ObjectHeaders,
  PartChecksum,
  StreamedBody,
  UnfinishedUpload,
  UploadedPart,
  WriteCondition,
  WrittenObject,
} from '../object-store.js';
import {
  bodyLength,
  compositeChecksum,
  fullChecksum,
  multipartEtag,
  SDK_ALGORITHM,
  sdkChecksum,
} from './checksum.js';
import { conditionHeaders, type S3Context } from './context.js';
import { storeError } from './error-map.js';
import { toSdkHeaders } from './headers.js';
import { decodeListed } from './listed-key.js';
import { findOurs } from './lost-answer.js';
import { uploadStreamedPart } from './streamed-part.js';
import { taggingOf } from './tagging.js';
import { writeOnce } from './write-once.js';

/** S3's limit: parts of an upload, and the greatest part number. */
export const PARTS_MAX = 10_000;

/**
 * Part numbers have gaps here, and a composite of the parts' checksums, the default of CRC32 and CRC32C, can't be made of those: S3 fails its
 * completion with 500 (user guide, "Checking object integrity"). Stores that don't know the type pass it over and compose.
 */
function checksumOfTheWhole({ checksum }: S3Context): {
  ChecksumAlgorithm?: ChecksumAlgorithm;
  ChecksumType?: ChecksumType;
} {
  if (checksum === undefined) return {};
  return { ChecksumAlgorithm: SDK_ALGORITHM[checksum.algorithm], ChecksumType: 'FULL_OBJECT' };
}

/**
 * A retry after a lost answer leaves a second, empty upload behind: the janitor's to find. Tags are those of the object at `tagsFrom`,
 * where `headers` tell of any.
 */
export async function createUpload(
  context: S3Context,
  key: string,
  headers: ObjectHeaders,
  signal: AbortSignal | undefined,
  tagsFrom = key,
): Promise<string> {
  const tagging = await taggingOf(context, tagsFrom, headers, signal);
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
          ...(tagging === undefined ? {} : { Tagging: tagging }),
          ...checksumOfTheWhole(context),
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
  body: Body | StreamedBody,
  signal: AbortSignal | undefined,
): Promise<UploadedPart> {
  checkPartNumber(context, 'UploadPart', key, partNumber);
  if ('open' in body) return uploadStreamedPart(context, key, { uploadId, partNumber }, body, signal);
  const checksum = context.checksum?.of(body);
  const etag = await context.requests.run('UploadPart', key, signal, async (attempt) => {
    const calls = await context.calls();
    return calls.uploadPart(key, { uploadId, partNumber, checksum }, body, attempt);
  });
  const part = { partNumber, etag: etag ?? '', bytes: bodyLength(body) };
  return { ...part, ...(checksum === undefined ? {} : { checksum }) };
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
  return writeOnce<WrittenObject>(context, {
    operation: 'CompleteMultipartUpload',
    key,
    signal,
    send: async (attempt) => {
      const output = await context.conditions.fallBack('CompleteMultipartUpload', condition, (applied) =>
        context.clients.slowClient.send(
          new CompleteMultipartUploadCommand({
            Bucket: context.bucket,
            Key: key,
            UploadId: uploadId,
            MultipartUpload: {
              Parts: parts.map(({ partNumber, etag, checksum }) => ({
                PartNumber: partNumber,
                ETag: etag,
                ...sdkChecksum(checksum),
              })),
            },
            ...conditionHeaders(applied),
          }),
          { abortSignal: attempt.signal },
        ),
      );
      return { etag: output.ETag ?? '' };
    },
    refusals: ['not-found', 'precondition-failed'],
    find: (beganMs) => {
      const evidence = {
        etag: multipartEtag(parts),
        checksums: checksumsOf(context, parts),
        size: undefined,
        metadata: undefined,
        beganMs,
      };
      return findOurs(context, key, evidence, signal);
    },
  });
}

/** Those that the object of these parts may have: FULL_OBJECT, or what a store composes that doesn't know the type. */
function checksumsOf(
  { checksum }: S3Context,
  parts: readonly UploadedPart[],
): readonly (PartChecksum | undefined)[] {
  if (checksum === undefined) return [];
  return [fullChecksum(checksum.algorithm, parts), compositeChecksum(checksum, parts)];
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
    for (const { Key, UploadId, Initiated, Initiator } of output.Uploads ?? []) {
      const key = decodeListed(Key, encoded, context.log);
      if (key === undefined || UploadId === undefined) continue;
      uploads.push({
        key,
        uploadId: UploadId,
        // Without a time it is as young as can be.
        initiatedMs: Initiated?.getTime() ?? Date.now(),
        ...(Initiator?.ID === undefined ? {} : { initiator: Initiator.ID }),
      });
    }
    const nextKey = decodeListed(output.NextKeyMarker, encoded, context.log);
    if (output.IsTruncated !== true || nextKey === undefined || nextKey === '') return uploads;
    if (nextKey === page.KeyMarker && output.NextUploadIdMarker === page.UploadIdMarker)
      throw storeError('invalid', 'a page of uploads that goes on where it began', {
        operation: 'ListMultipartUploads',
        bucket: context.bucket,
      });
    marker = {
      KeyMarker: nextKey,
      ...(output.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: output.NextUploadIdMarker }),
    };
  }
}
