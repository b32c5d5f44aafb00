/** ListObjectsV2, one page at a time, and the start-up probe made of it. */
import { ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import type { ListPage, ListRequest, ObjectSummary } from '../object-store.js';
import type { S3Context } from './context.js';
import { decodeListed } from './listed-key.js';

export async function listPage(
  context: S3Context,
  request: ListRequest,
  signal: AbortSignal | undefined,
): Promise<ListPage> {
  const output = await context.requests.run(
    'ListObjectsV2',
    undefined,
    signal,
    async (attempt) =>
      context.clients.client.send(
        new ListObjectsV2Command({
          Bucket: context.bucket,
          Prefix: request.prefix,
          // Keys hold characters that XML 1.0 can't.
          EncodingType: 'url',
          ...(request.delimiter === undefined ? {} : { Delimiter: request.delimiter }),
          ...(request.startAfter === undefined ? {} : { StartAfter: request.startAfter }),
          ...(request.continuationToken === undefined
            ? {}
            : { ContinuationToken: request.continuationToken }),
          ...(request.maxKeys === undefined ? {} : { MaxKeys: request.maxKeys }),
        }),
        { abortSignal: attempt.signal },
      ),
    { firstByteMs: context.options.timeouts.firstByteMs },
  );
  return toPage(context, output);
}

function toPage(context: S3Context, output: ListObjectsV2CommandOutput): ListPage {
  const encoded = output.EncodingType === 'url';
  const objects: ObjectSummary[] = [];
  for (const { Key, Size, ETag, LastModified } of output.Contents ?? []) {
    const key = decodeListed(Key, encoded, context.log);
    if (key === undefined) continue;
    objects.push({ key, size: Size ?? 0, etag: ETag ?? '', lastModifiedMs: LastModified?.getTime() ?? 0 });
  }
  const prefixes: string[] = [];
  for (const { Prefix } of output.CommonPrefixes ?? []) {
    const prefix = decodeListed(Prefix, encoded, context.log);
    if (prefix !== undefined) prefixes.push(prefix);
  }
  return {
    objects,
    prefixes,
    ...(output.IsTruncated === true && output.NextContinuationToken !== undefined
      ? { continuationToken: output.NextContinuationToken }
      : {}),
  };
}

/** Asks for one key, with few attempts and little patience: what is wrong with a bucket should be known at once. */
export async function probeBucket(
  context: S3Context,
  prefix: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { probeMs } = context.options.timeouts;
  await context.requests.run(
    'ListObjectsV2',
    undefined,
    signal,
    async (attempt) =>
      context.clients.client.send(
        new ListObjectsV2Command({ Bucket: context.bucket, Prefix: prefix, MaxKeys: 1 }),
        {
          abortSignal: attempt.signal,
        },
      ),
    {
      firstByteMs: probeMs / 2,
      retry: {
        ...context.options.retry,
        attemptsMax: 2,
        throttledAttemptsMax: 3,
        deadlineMs: probeMs / 2,
      },
    },
  );
}
