/**
 * GetObject of a range, resumed after a reset: each attempt asks for the bytes that are still missing, under If-Match of the
 * ETag first seen, and is checked against what it should be before a byte of it reaches the sink.
 */
import type {
  ByteRange,
  ByteSink,
  GetOptions,
  GetResult,
  ObjectHead,
  Room,
  WholeGet,
} from '../object-store.js';
import type { Attempt } from './attempt.js';
import { unquoted } from './checksum.js';
import type { S3Context } from './context.js';
import { type About, storeError } from './error-map.js';
import { objectHead } from './head.js';
import type { AnsweredObject, GetHandler } from './object-calls.js';
import { Watch } from './watch.js';
import { CallerFailure } from './requests.js';

/** 16 KiB a second: a GET that is slower than this is given up in the end. */
const BYTES_PER_MS_MIN = 16;

/** What is known of the version being read, and how far it has been delivered. */
interface Progress {
  etag: string | undefined;
  /** Of the latest answer. */
  head: ObjectHead | undefined;
  delivered: number;
  /** Room of the caller's was given to an attempt. */
  lent: boolean;
}

/** Where the bytes go. */
interface Target {
  readonly sink: ByteSink;
  readonly room: Room | undefined;
  readonly whole: WholeGet | undefined;
}

export async function getRange(
  context: S3Context,
  key: string,
  range: ByteRange,
  options: GetOptions,
  sink: ByteSink,
): Promise<GetResult> {
  const about: About = { operation: 'GetObject', bucket: context.bucket, key };
  if (range.length < 1 || range.offset < 0)
    throw storeError('range', `range of ${String(range.length)} bytes at ${String(range.offset)}`, about);
  const progress: Progress = { etag: options.ifMatch, head: undefined, delivered: 0, lent: false };
  const target = { sink, room: options.room, whole: options.whole };
  let last: Promise<GetResult> | undefined;
  try {
    return await context.requests.run(
      'GetObject',
      key,
      options.signal,
      async (attempt) => await (last = attemptRange(context, about, key, range, progress, attempt, target)),
      {
        firstByteMs: context.options.timeouts.firstByteMs,
        wholeMs: context.options.timeouts.wholeMs + range.length / BYTES_PER_MS_MIN,
      },
    );
  } finally {
    // A cut-off ends the call before its attempt: what is lent is the store's until the connection is closed.
    if (progress.lent) await Promise.allSettled([last]);
  }
}

async function attemptRange(
  context: S3Context,
  about: About,
  key: string,
  range: ByteRange,
  progress: Progress,
  attempt: Attempt,
  target: Target,
): Promise<GetResult> {
  const first = range.offset + progress.delivered;
  const end = range.offset + range.length;
  // All of it came, and the connection broke between the last byte and the end of the answer.
  const { head: known } = progress;
  if (known !== undefined && first >= Math.min(known.size, end))
    return resultOf(known, progress.delivered, attempt);
  const calls = await context.calls();
  // What is left of a version after an attempt is asked for by its range.
  const whole = first === 0 ? target.whole : undefined;
  let span: Span | undefined;
  let received = 0;
  const watch = new Watch(attempt, context.patience);
  const handler: GetHandler = {
    head: (head) => {
      watch.answered();
      span =
        whole === undefined
          ? checkedSpan(head, first, end, about)
          : wholeSpan(head, end, progress.etag, about);
      if (progress.etag !== undefined && unquoted(progress.etag) !== unquoted(span.etag))
        throw storeError(
          'precondition-failed',
          `wanted version ${progress.etag}, the answer carries ${span.etag}`,
          about,
        );
      progress.etag ??= span.etag;
      progress.head = objectHead(key, head, span);
      if (whole !== undefined) {
        context.known?.set(key, span.etag, head.fullChecksum);
        whole.told(head.fullChecksum);
      }
      attempt.limit(context.options.timeouts.idleMs);
    },
    body: (chunk) => {
      watch.alive();
      received += chunk.length;
      // An answer that contradicts itself: which of its bytes are the wanted ones is anybody's guess.
      if (received > (span?.length ?? 0))
        throw storeError(
          'invalid',
          `more than the ${String(span?.length)} bytes announced`,
          about,
          'SurplusBytes',
        );
      attempt.progress();
      try {
        target.sink(chunk);
      } catch (error) {
        throw new CallerFailure('the sink failed', { cause: error });
      }
      progress.delivered += chunk.length;
    },
    room: () => {
      const room = target.room?.();
      if (room === undefined) return undefined;
      progress.lent = true;
      // What lies beyond the bytes that were announced isn't to be touched.
      return room.subarray(0, (span?.length ?? 0) - received);
    },
  };
  try {
    const asked = { first, last: end - 1, ifMatch: progress.etag, whole: whole !== undefined };
    await calls.get(key, asked, attempt, handler);
  } finally {
    watch.end();
  }
  if (progress.head === undefined || span === undefined || received !== span.length)
    throw storeError(
      'unavailable',
      `body of ${String(received)} bytes where ${String(span?.length)} were announced`,
      about,
      'IncompleteBody',
    );
  return resultOf(progress.head, progress.delivered, attempt);
}

function resultOf(head: ObjectHead, delivered: number, attempt: Attempt): GetResult {
  const result = { etag: head.etag, length: delivered, size: head.size, head };
  return attempt.number > 1 ? { ...result, retried: true } : result;
}

interface Span {
  /** Bytes that are to come. */
  readonly length: number;
  readonly size: number;
  readonly etag: string;
}

/** As `checkedSpan`, of all `size` bytes of a version, asked for without a range. A chunked body tells its length by its end. */
function wholeSpan(head: AnsweredObject, size: number, version: string | undefined, about: About): Span {
  const { contentLength = size, contentRange, etag = '' } = head;
  // Of another version it is refused for that.
  const expected = contentLength === size || unquoted(etag) !== unquoted(version ?? '');
  if (contentRange === undefined && expected) return { length: contentLength, size: contentLength, etag };
  throw storeError(
    'unavailable',
    `asked for all ${String(size)} bytes, got ${String(contentRange)} in ${String(contentLength)} bytes`,
    about,
    'WrongRange',
  );
}

/** What the answer's head promises, checked against what was asked. */
function checkedSpan(head: AnsweredObject, first: number, end: number, about: About): Span {
  const etag = head.etag ?? '';
  const announced = head.contentLength;
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(head.contentRange ?? '');
  if (match === null) {
    // Some servers answer 200 when the range is all of the object.
    if (head.contentRange === undefined && first === 0 && announced !== undefined && announced <= end)
      return { length: announced, size: announced, etag };
    throw storeError(
      'unsupported',
      `asked for bytes ${String(first)} to ${String(end - 1)}, got Content-Range ${String(head.contentRange)}`,
      about,
    );
  }
  const [from, last, size] = match.slice(1).map(Number) as [number, number, number];
  const length = last - from + 1;
  if (from !== first || last !== Math.min(end, size) - 1 || (announced !== undefined && announced !== length))
    throw storeError(
      'unavailable',
      `asked for bytes ${String(first)} to ${String(end - 1)}, got ${String(head.contentRange)} in ${String(announced)} bytes`,
      about,
      'WrongRange',
    );
  return { length, size, etag };
}
