/** PutObject. */
import type { Body, ObjectHeaders, WriteCondition, WrittenObject } from '../object-store.js';
import { bodyLength, md5Etag } from './checksum.js';
import type { S3Context } from './context.js';
import { findOurs } from './lost-answer.js';
import { taggingOf } from './tagging.js';
import { writeOnce } from './write-once.js';

export async function putObject(
  context: S3Context,
  key: string,
  body: Body,
  headers: ObjectHeaders,
  condition: WriteCondition | undefined,
  signal: AbortSignal | undefined,
): Promise<WrittenObject> {
  const checksum = context.checksum?.of(body);
  const tagging = await taggingOf(context, key, headers, signal);
  return writeOnce<WrittenObject>(context, {
    operation: 'PutObject',
    key,
    signal,
    send: async (attempt) => {
      const calls = await context.calls();
      const etag = await context.conditions.fallBack('PutObject', condition, (applied) =>
        calls.put(key, body, { headers, tagging, condition: applied, checksum }, attempt),
      );
      return { etag: etag ?? '' };
    },
    refusals: ['precondition-failed'],
    find: (beganMs) => {
      const evidence = {
        etag: md5Etag(body),
        checksums: [checksum],
        size: bodyLength(body),
        metadata: headers.metadata,
        beganMs,
      };
      return findOurs(context, key, evidence, signal);
    },
  });
}
