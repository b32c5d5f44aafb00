/**
 * GetObject of a range, resumed after a reset: each attempt asks for the bytes that are still missing, under If-Match of the
 * ETag first seen, and is checked against what it should be before a byte of it reaches the sink.
 */
import type { Readable } from 'node:stream';
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import type { ByteRange, ByteSink, GetResult } from '../object-store.js';
import type { Attempt } from './attempt.js';
import { unquoted } from './checksum.js';
import type { S3Context } from './context.js';
import { type About, storeError } from './error-map.js';
import { CallerFailure } from './requests.js';

/** What is known of the version being read, and how far it has been delivered. */
interface Progress {
  etag: string | undefined;
  size: number | undefined;
  delivered: number;
}

export async function getRange(
  context: S3Context,
  key: string,
  range: ByteRange,
  options: { readonly ifMatch?: string; readonly signal?: AbortSignal },
  sink: ByteSink,
): Promise<GetResult> {
  const about: About = { operation: 'GetObject', bucket: context.bucket, key };
  if (range.length < 1 || range.offset < 0)
    throw storeError('range', `range of ${String(range.length)} bytes at ${String(range.offset)}`, about);
  const progress: Progress = { etag: options.ifMatch, size: undefined, delivered: 0 };
  return context.requests.run(
    'GetObject',
    key,
    options.signal,
    async (attempt) => attemptRange(context, about, key, range, progress, attempt, sink),
    { firstByteMs: context.options.timeouts.firstByteMs },
  );
}

async function attemptRange(
  context: S3Context,
  about: About,
  key: string,
  range: ByteRange,
  progress: Progress,
  attempt: Attempt,
  sink: ByteSink,
): Promise<GetResult> {
  const first = range.offset + progress.delivered;
  // All of it came, and the connection broke between the last byte and the end of the answer.
  if (progress.size !== undefined && first >= Math.min(progress.size, range.offset + range.length))
    return { etag: progress.etag ?? '', length: progress.delivered, size: progress.size };
  const output = await context.clients.client.send(
    new GetObjectCommand({
      Bucket: context.bucket,
      Key: key,
      Range: `bytes=${String(first)}-${String(range.offset + range.length - 1)}`,
      ...(progress.etag === undefined ? {} : { IfMatch: progress.etag }),
    }),
    { abortSignal: attempt.signal },
  );
  const body = output.Body as Readable;
  try {
    const span = checkedSpan(output, first, range.offset + range.length, about);
    if (progress.etag !== undefined && unquoted(progress.etag) !== unquoted(span.etag))
      throw storeError(
        'precondition-failed',
        `wanted version ${progress.etag}, the answer carries ${span.etag}`,
        about,
      );
    progress.etag ??= span.etag;
    progress.size = span.size;
    attempt.limit(context.options.timeouts.idleMs);
    const received = await drain(body, attempt, span.length, (chunk) => {
      sink(chunk);
      progress.delivered += chunk.length;
    });
    if (received !== span.length)
      throw storeError(
        'unavailable',
        `body of ${String(received)} bytes where ${String(span.length)} were announced`,
        about,
        'IncompleteBody',
      );
    return { etag: span.etag, length: progress.delivered, size: span.size };
  } finally {
    // After the end this does nothing; before it, it closes a connection whose rest nobody wants.
    body.destroy();
  }
}

/** What the answer's head promises, checked against what was asked. */
function checkedSpan(
  output: GetObjectCommandOutput,
  first: number,
  end: number,
  about: About,
): { readonly length: number; readonly size: number; readonly etag: string } {
  const etag = output.ETag ?? '';
  const announced = output.ContentLength;
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(output.ContentRange ?? '');
  if (match === null) {
    // Some servers answer 200 when the range is all of the object.
    if (output.ContentRange === undefined && first === 0 && announced !== undefined && announced <= end)
      return { length: announced, size: announced, etag };
    throw storeError(
      'unsupported',
      `asked for bytes ${String(first)} to ${String(end - 1)}, got Content-Range ${String(output.ContentRange)}`,
      about,
    );
  }
  const [from, last, size] = match.slice(1).map(Number) as [number, number, number];
  const length = last - from + 1;
  if (from !== first || last !== Math.min(end, size) - 1 || (announced !== undefined && announced !== length))
    throw storeError(
      'unavailable',
      `asked for bytes ${String(first)} to ${String(end - 1)}, got ${String(output.ContentRange)} in ${String(announced)} bytes`,
      about,
      'WrongRange',
    );
  return { length, size, etag };
}

/**
 * A body gives way to the others after so many bytes. libuv reads up to 2 MiB from one socket before it looks at the next: with dozens of
 * GETs a turn of the event loop took 0.1 to 0.4 s, and connections with a small window got their 64 KiB once a turn. So it takes 15 to 40 ms.
 */
const BURST_BYTES_MAX = 128 * 1024;

/** Feeds the body to `deliver` as it comes, never more than `length` bytes; the bytes received. */
async function drain(
  body: Readable,
  attempt: Attempt,
  length: number,
  deliver: (chunk: Buffer) => void,
): Promise<number> {
  let received = 0;
  return new Promise<number>((resolve, reject) => {
    const onAbort = (): void => {
      body.destroy();
      reject(new Error('cut off'));
    };
    const settle = (finish: () => void): void => {
      attempt.signal.removeEventListener('abort', onAbort);
      finish();
    };
    if (attempt.signal.aborted) return onAbort();
    attempt.signal.addEventListener('abort', onAbort, { once: true });
    let burst = 0;
    body.on('data', (chunk: Buffer) => {
      if (attempt.signal.aborted) return;
      burst += chunk.length;
      if (burst >= BURST_BYTES_MAX) {
        burst = 0;
        body.pause();
        setImmediate(() => body.resume());
      }
      attempt.alive();
      attempt.progress();
      received += chunk.length;
      try {
        deliver(received > length ? chunk.subarray(0, chunk.length - (received - length)) : chunk);
      } catch (error) {
        body.destroy();
        settle(() => reject(new CallerFailure('the sink failed', { cause: error })));
      }
    });
    body.on('end', () => settle(() => resolve(received)));
    body.on('error', (error) => settle(() => reject(error)));
    body.on('close', () => settle(() => resolve(received)));
  });
}
