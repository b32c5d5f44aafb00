/** ListObjectsV2, one page at a time, and the start-up probe made of it. */
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { ListPage, ListRequest, ObjectSummary } from '../object-store.js';
import type { S3Context } from './context.js';
import { storeError } from './error-map.js';
import { decodeListed } from './listed-key.js';
import type { ListedPage } from './object-calls.js';

/** Pages in a row without anything on them that are gone past. Directory buckets may have some, and servers that skip what was deleted. */
const EMPTY_PAGES_MAX = 100;

/** The next page that has anything on it, or the last one. `invalid` where the server never comes to one: the caller would ask for ever. */
export async function listPage(
  context: S3Context,
  request: ListRequest,
  signal: AbortSignal | undefined,
): Promise<ListPage> {
  let { continuationToken } = request;
  for (let empty = 1; ; empty++) {
    const from = continuationToken === undefined ? request : { ...request, continuationToken };
    const page = await askPage(context, from, signal);
    if (page.continuationToken === undefined) return page;
    if (page.continuationToken === continuationToken)
      throw endless(context, request, 'a page that goes on where it began: the same token again');
    if (page.objects.length > 0 || page.prefixes.length > 0) return page;
    if (empty === EMPTY_PAGES_MAX)
      throw endless(context, request, `${EMPTY_PAGES_MAX} pages in a row that are empty and not the last`);
    ({ continuationToken } = page);
  }
}

function endless(context: S3Context, { prefix }: ListRequest, what: string): Error {
  context.log.error({ bucket: context.bucket, prefix }, `a listing does not come to an end: ${what}`);
  return storeError('invalid', what, { operation: 'ListObjectsV2', bucket: context.bucket });
}

async function askPage(
  context: S3Context,
  request: ListRequest,
  signal: AbortSignal | undefined,
): Promise<ListPage> {
  const page = await context.requests.run(
    'ListObjectsV2',
    undefined,
    signal,
    async (attempt) => (await context.calls()).list(request, attempt),
    { firstByteMs: context.options.timeouts.firstByteMs, wholeMs: context.options.timeouts.wholeMs },
  );
  return toPage(context, page);
}

function toPage(context: S3Context, page: ListedPage): ListPage {
  const objects: ObjectSummary[] = [];
  for (const { key: listed, size, etag, lastModifiedMs } of page.contents) {
    const key = decodeListed(listed, page.encoded, context.log);
    if (key !== undefined) objects.push({ key, size, etag, lastModifiedMs });
  }
  const prefixes: string[] = [];
  for (const listed of page.prefixes) {
    const prefix = decodeListed(listed, page.encoded, context.log);
    if (prefix !== undefined) prefixes.push(prefix);
  }
  const { truncated, continuationToken } = page;
  if (!truncated) return { objects, prefixes };
  // Servers that know ListObjects alone answer so. Taken for the last page it would hide every key after it.
  if (continuationToken === undefined || continuationToken === '')
    throw storeError('unsupported', 'a page that is not the last, without a token for the next', {
      operation: 'ListObjectsV2',
      bucket: context.bucket,
    });
  return { objects, prefixes, continuationToken };
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
