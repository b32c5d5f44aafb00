/** PutObject with a write offset (directory buckets). */
import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { AppendOptions, Body, WrittenObject } from '../object-store.js';
import { bodyLength, sdkChecksum } from './checksum.js';
import { conditionHeaders, type S3Context } from './context.js';
import { storeError } from './error-map.js';
import { getRange } from './get.js';
import { toSdkHeaders } from './headers.js';
import { headObject } from './head.js';
import { requestBody } from './request-body.js';
import { writeOnce } from './write-once.js';

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
  return writeOnce<WrittenObject>(context, {
    operation: 'PutObject',
    key,
    signal,
    send: async (attempt) => {
      const output = await context.clients.client.send(
        new PutObjectCommand({
          Bucket: context.bucket,
          Key: key,
          Body: requestBody(body),
          ContentLength: size,
          WriteOffsetBytes: offset,
          ...(headers === undefined ? {} : toSdkHeaders(headers)),
          ...conditionHeaders(context.conditions.applied('PutObject', condition)),
          ...sdkChecksum(checksum),
        }),
        { abortSignal: attempt.signal },
      );
      return { etag: output.ETag ?? '' };
    },
    // A request that took effect makes its repetition fail: the object ends further on, and is another version.
    refusals: ['precondition-failed'],
    find: () => appendedAlready(context, key, body, offset, signal),
  });
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
