/** PutObject. */
import { StoreError } from '../errors.js';
import type { Body, ObjectHeaders, WriteCondition, WrittenObject } from '../object-store.js';
import { bodyLength, md5Etag } from './checksum.js';
import { answerMayBeLost, type S3Context } from './context.js';
import { findOurs } from './lost-answer.js';
import { taggingOf } from './tagging.js';

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
  const checksum = context.checksum?.of(body);
  const tagging = await taggingOf(context, key, headers, signal);
  let lost = false;
  try {
    const etag = await context.requests.run('PutObject', key, signal, async (attempt) => {
      lost ||= answerMayBeLost(attempt);
      const calls = await context.calls();
      return context.conditions.fallBack(condition, () =>
        calls.put(
          key,
          body,
          { headers, tagging, condition: context.conditions.applied(condition), checksum },
          attempt,
        ),
      );
    });
    return { etag: etag ?? '' };
  } catch (error) {
    if (!lost || !(error instanceof StoreError) || error.kind !== 'precondition-failed') throw error;
    const evidence = {
      etag: md5Etag(body),
      checksums: [checksum],
      size,
      metadata: headers.metadata,
      beganMs,
    };
    const ours = await findOurs(context, key, evidence, signal);
    if (ours === undefined) throw error;
    return ours;
  }
}
