/** Copies inside the bucket: CopyObject, UploadPartCopy, and a multipart copy for objects too large for one call. */
import { setMaxListeners } from 'node:events';
import { UploadPartCopyCommand } from '@aws-sdk/client-s3';
import type {
  ByteRange,
  ObjectHeaders,
  ObjectStore,
  PartChecksum,
  UploadedPart,
  WrittenObject,
} from '../object-store.js';
import { checksumsOfSdk, unquoted } from './checksum.js';
import type { S3Context } from './context.js';
import { storeError } from './error-map.js';
import { headAnswer, headObject } from './head.js';
import { findOurs } from './lost-answer.js';
import { abortUpload, checkPartNumber, completeUpload, createUpload, PARTS_MAX } from './multipart.js';
import { writeOnce } from './write-once.js';

export type CopyOptions = Parameters<ObjectStore['copy']>[2];

interface Source {
  readonly key: string;
  readonly etag: string | undefined;
  /** Bytes. */
  readonly size: number;
  readonly headers: ObjectHeaders;
}

/** The `x-amz-copy-source` header: each segment of the key percent-encoded. */
export function copySource(bucket: string, key: string): string {
  const path = key.split('/').map(encodeURIComponent).join('/');
  // Access points: `arn:aws:s3:<region>:<account>:accesspoint/<name>/object/<key>`.
  return bucket.startsWith('arn:') ? `${bucket}/object/${path}` : `${bucket}/${path}`;
}

export async function copyObject(
  context: S3Context,
  sourceKey: string,
  targetKey: string,
  options: CopyOptions,
): Promise<WrittenObject> {
  const source = await describeSource(context, sourceKey, options);
  if (source.size > context.options.copyBytesMax) return copyInParts(context, source, targetKey, options);
  return copyWhole(context, source, targetKey, options);
}

/**
 * A HEAD unless the caller knows size and headers: CopyObject takes the user metadata along by itself, but not the storage
 * class, encryption and redirection, and a multipart copy takes nothing along.
 */
async function describeSource(context: S3Context, key: string, options: CopyOptions): Promise<Source> {
  if (options.size !== undefined && options.headers !== undefined)
    return { key, etag: options.sourceEtag, size: options.size, headers: options.headers };
  const head = await headObject(context, key, options.signal);
  const about = { operation: 'CopyObject', bucket: context.bucket, key };
  if (head === undefined) throw storeError('not-found', 'the source is not there', about, 'NoSuchKey', 404);
  if (options.sourceEtag !== undefined && unquoted(options.sourceEtag) !== unquoted(head.etag))
    throw storeError(
      'precondition-failed',
      `the source is version ${head.etag}, not ${options.sourceEtag}`,
      about,
    );
  return { key, etag: head.etag, size: head.size, headers: options.headers ?? head };
}

async function copyWhole(
  context: S3Context,
  source: Source,
  targetKey: string,
  options: CopyOptions,
): Promise<WrittenObject> {
  const { condition, headers, signal } = options;
  const request = {
    source: copySource(context.bucket, source.key),
    sourceEtag: source.etag,
    headers: source.headers,
    replaces: headers !== undefined,
  };
  return writeOnce<WrittenObject>(context, {
    operation: 'CopyObject',
    key: targetKey,
    signal,
    options: { slow: true },
    send: async (attempt) => {
      const calls = await context.calls();
      return context.conditions.fallBack('CopyObject', condition, (applied) =>
        calls.copy(targetKey, { ...request, condition: applied }, attempt),
      );
    },
    refusals: ['precondition-failed'],
    find: (beganMs) => findCopy(context, source, targetKey, beganMs, signal),
  });
}

/** A copy of an object put in one piece keeps its ETag; that of another is known by a checksum of all its bytes, where both have one. */
async function findCopy(
  context: S3Context,
  source: Source,
  targetKey: string,
  beganMs: number,
  signal: AbortSignal | undefined,
): Promise<WrittenObject | undefined> {
  const evidence = {
    etag: source.etag === undefined ? undefined : unquoted(source.etag),
    checksums: source.key === targetKey ? [] : await checksumsOf(context, source, signal),
    size: source.size,
    metadata: source.headers.metadata,
    beganMs,
  };
  return findOurs(context, targetKey, evidence, signal);
}

/** The checksums that S3 keeps of the source; none where it is another version by now. */
async function checksumsOf(
  context: S3Context,
  { key, etag }: Source,
  signal: AbortSignal | undefined,
): Promise<readonly PartChecksum[]> {
  const head = await headAnswer(context, key, signal, true);
  return head?.etag === undefined || unquoted(head.etag) !== unquoted(etag ?? '') ? [] : head.checksums;
}

/** Parts go in parallel, as many as the store allows; the first failure stops the others and aborts the upload. */
async function copyInParts(
  context: S3Context,
  source: Source,
  targetKey: string,
  options: CopyOptions,
): Promise<WrittenObject> {
  // Without a version to pin to, parts could come from two.
  const etag = source.etag ?? (await headObject(context, source.key, options.signal))?.etag;
  if (etag === undefined)
    throw storeError(
      'not-found',
      'the source is not there',
      { operation: 'UploadPartCopy', bucket: context.bucket, key: source.key },
      'NoSuchKey',
      404,
    );
  const uploadId = await createUpload(context, targetKey, source.headers, options.signal, source.key);
  const { journal } = context.copies;
  const stop = new AbortController();
  // As many parts listen as are copied.
  setMaxListeners(0, stop.signal);
  const onAbort = (): void => stop.abort();
  options.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await journal?.started(targetKey, uploadId);
    const ranges = partRanges(source.size, context.options.copyPartBytes);
    const copies = ranges.map(async (range, index) =>
      copyPart(context, targetKey, uploadId, index + 1, { key: source.key, etag, range }, stop.signal),
    );
    const parts = await Promise.all(copies).catch(async (error: unknown) => {
      stop.abort();
      await Promise.allSettled(copies);
      throw error;
    });
    const written = await completeUpload(
      context,
      targetKey,
      uploadId,
      parts,
      options.condition,
      options.signal,
    );
    journal?.ended(uploadId);
    return written;
  } catch (error) {
    try {
      await abortUpload(context, targetKey, uploadId, undefined);
      journal?.ended(uploadId);
    } catch (cause) {
      journal?.left(uploadId);
      context.log.warn({ key: targetKey, uploadId, error: String(cause) }, 'an unfinished copy stays behind');
    }
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
  }
}

/** Equal parts of at least `partBytes`, at most 10,000 of them; the last may be shorter. */
export function partRanges(size: number, partBytes: number): readonly ByteRange[] {
  const step = Math.max(partBytes, Math.ceil(size / PARTS_MAX));
  const ranges: ByteRange[] = [];
  for (let offset = 0; offset < size; offset += step)
    ranges.push({ offset, length: Math.min(step, size - offset) });
  return ranges;
}

export async function copyPart(
  context: S3Context,
  key: string,
  uploadId: string,
  partNumber: number,
  source: { readonly key: string; readonly etag: string; readonly range: ByteRange },
  signal: AbortSignal | undefined,
): Promise<UploadedPart> {
  checkPartNumber(context, 'UploadPartCopy', key, partNumber);
  const { offset, length } = source.range;
  const output = await context.requests.run(
    'UploadPartCopy',
    key,
    signal,
    async (attempt) =>
      context.clients.slowClient.send(
        new UploadPartCopyCommand({
          Bucket: context.bucket,
          Key: key,
          UploadId: uploadId,
          PartNumber: partNumber,
          CopySource: copySource(context.bucket, source.key),
          CopySourceIfMatch: source.etag,
          CopySourceRange: `bytes=${String(offset)}-${String(offset + length - 1)}`,
        }),
        { abortSignal: attempt.signal },
      ),
    { slow: true },
  );
  const copied = output.CopyPartResult ?? {};
  // The one that the upload was created for.
  const checksum = checksumsOfSdk(copied).find(({ algorithm }) => algorithm === context.checksum?.algorithm);
  const part = { partNumber, etag: copied.ETag ?? '', bytes: length };
  return { ...part, ...(checksum === undefined ? {} : { checksum }) };
}
