/** PutObject. */
import { StoreError } from '../errors.js';
import type { Body, ObjectHeaders, WriteCondition, WrittenObject } from '../object-store.js';
import { bodyLength, crc32Base64, md5Etag } from './checksum.js';
import { answerMayBeLost, type S3Context } from './context.js';
import { findOurs } from './lost-answer.js';

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
    const etag = await context.requests.run('PutObject', key, signal, async (attempt) => {
      lost ||= answerMayBeLost(attempt);
      const calls = await context.calls();
      return context.conditions.fallBack(condition, () =>
        calls.put(key, body, { headers, condition: context.conditions.applied(condition), crc32 }, attempt),
      );
    });
    return { etag: etag ?? '' };
  } catch (error) {
    if (!lost || !(error instanceof StoreError) || error.kind !== 'precondition-failed') throw error;
    const evidence = { etag: md5Etag(body), crc32: [crc32], size, metadata: headers.metadata, beganMs };
    const ours = await findOurs(context, key, evidence, signal);
    if (ours === undefined) throw error;
    return ours;
  }
}
