/** PutObject, and how bodies are handed to the SDK. */
import { Readable } from 'node:stream';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { StoreError } from '../errors.js';
import type { Body, ObjectHeaders, WriteCondition, WrittenObject } from '../object-store.js';
import { bodyLength, crc32Base64, md5Etag } from './checksum.js';
import { answerMayBeLost, type S3Context } from './context.js';
import { toSdkHeaders } from './headers.js';
import { findOurs } from './lost-answer.js';

/** One Buffer as it is; several slices as a stream, made anew for each attempt. */
export function requestBody(body: Body): Buffer | Readable {
  const [only] = body;
  if (only === undefined) return Buffer.alloc(0);
  if (body.length > 1) return Readable.from(body.map(asBuffer), { objectMode: false });
  return asBuffer(only);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export async function putObject(
  context: S3Context,
  key: string,
  body: Body,
  headers: ObjectHeaders,
  condition: WriteCondition | undefined,
  signal: AbortSignal | undefined,
): Promise<WrittenObject> {
  const beganMs = performance.now();
  const size = bodyLength(body);
  const crc32 = context.options.uploadChecksums === 'crc32' ? crc32Base64(body) : undefined;
  let lost = false;
  try {
    const output = await context.requests.run('PutObject', key, signal, async (attempt) => {
      lost ||= answerMayBeLost(attempt);
      return context.conditions.fallBack(condition, () =>
        context.clients.client.send(
          new PutObjectCommand({
            Bucket: context.bucket,
            Key: key,
            Body: requestBody(body),
            ContentLength: size,
            ...toSdkHeaders(headers),
            ...context.conditions.headers(condition),
            ...(crc32 === undefined ? {} : { ChecksumCRC32: crc32 }),
          }),
          { abortSignal: attempt.signal },
        ),
      );
    });
    return { etag: output.ETag ?? '' };
  } catch (error) {
    if (!lost || !(error instanceof StoreError) || error.kind !== 'precondition-failed') throw error;
    const evidence = { etag: md5Etag(body), crc32: [crc32], size, metadata: headers.metadata, beganMs };
    const ours = await findOurs(context, key, evidence, signal);
    if (ours === undefined) throw error;
    return ours;
  }
}
