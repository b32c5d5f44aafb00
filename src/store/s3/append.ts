/** PutObject with a write offset (directory buckets). */
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { StoreError } from '../errors.js';
import type { AppendOptions, Body, WrittenObject } from '../object-store.js';
import { bodyLength, sdkChecksum } from './checksum.js';
import { answerMayBeLost, type S3Context } from './context.js';
import { storeError } from './error-map.js';
import { getRange } from './get.js';
import { toSdkHeaders } from './headers.js';
import { headObject } from './head.js';
import { requestBody } from './request-body.js';

export async function appendObject(
  context: S3Context,
  key: string,
  body: Body,
  offset: number,
  { condition, headers, signal }: AppendOptions,
): Promise<WrittenObject> {
  const size = bodyLength(body);
  const about = { operation: 'PutObject', bucket: context.bucket, key };
  if (size === 0) throw storeError('invalid', 'nothing to append', about);
  const checksum = context.checksum?.of(body);
  let lost = false;
  try {
    const output = await context.requests.run('PutObject', key, signal, async (attempt) => {
      lost ||= answerMayBeLost(attempt);
      return context.clients.client.send(
        new PutObjectCommand({
          Bucket: context.bucket,
          Key: key,
          Body: requestBody(body),
          ContentLength: size,
          WriteOffsetBytes: offset,
          ...(headers === undefined ? {} : toSdkHeaders(headers)),
          ...context.conditions.headers(condition),
          ...sdkChecksum(checksum),
        }),
        { abortSignal: attempt.signal },
      );
    });
    return { etag: output.ETag ?? '' };
  } catch (error) {
    // A request that took effect makes its repetition fail: the object ends further on, and is another version.
    if (!lost || !(error instanceof StoreError) || error.kind !== 'precondition-failed') throw error;
    const ours = await appendedAlready(context, key, body, offset, signal);
    if (ours === undefined) throw error;
    return ours;
  }
}

/** The object, where it ends behind the offset by exactly the body's bytes: whoever wrote them, they are to be added no more. */
async function appendedAlready(
  context: S3Context,
  key: string,
  body: Body,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<WrittenObject | undefined> {
  const length = bodyLength(body);
  const head = await headObject(context, key, signal);
  if (head?.size !== offset + length) return undefined;
  const found: Buffer[] = [];
  const options = { ifMatch: head.etag, ...(signal === undefined ? {} : { signal }) };
  await getRange(context, key, { offset, length }, options, (chunk) => found.push(Buffer.from(chunk)));
  if (!Buffer.concat(found).equals(Buffer.concat(body))) return undefined;
  return { etag: head.etag, lastModifiedMs: head.lastModifiedMs };
}
