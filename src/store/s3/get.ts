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

/** One GetObject: what is known of the version being read, and how far it has been delivered. */
interface Reading {
  readonly context: S3Context;
  readonly about: About;
  readonly key: string;
  readonly range: ByteRange;
  /** Where the bytes go. */
  readonly sink: ByteSink;
  readonly room: Room | undefined;
  readonly whole: WholeGet | undefined;
  etag: string | undefined;
  /** Of the latest answer. */
  answer: { readonly object: AnsweredObject; readonly span: Span } | undefined;
  delivered: number;
  /** Room of the caller's was given to an attempt. */
  lent: boolean;
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
  const reading: Reading = {
    context,
    about,
    key,
    range,
    sink,
    room: options.room,
    whole: options.whole,
    etag: options.ifMatch,
    answer: undefined,
    delivered: 0,
    lent: false,
  };
  let last: Promise<GetResult> | undefined;
  try {
    return await context.requests.run(
      'GetObject',
      key,
      options.signal,
      (attempt) => (last = attemptRange(reading, attempt)),
      {
        firstByteMs: context.options.timeouts.firstByteMs,
        wholeMs: context.options.timeouts.wholeMs + range.length / BYTES_PER_MS_MIN,
      },
    );
  } finally {
    // A cut-off ends the call before its attempt: what is lent is the store's until the connection is closed.
    if (reading.lent) await Promise.allSettled([last]);
  }
}

async function attemptRange(reading: Reading, attempt: Attempt): Promise<GetResult> {
  const { context, about, range, answer: before } = reading;
  const first = range.offset + reading.delivered;
  const end = range.offset + range.length;
  // All of it came, and the connection broke between the last byte and the end of the answer.
  if (before !== undefined && first >= Math.min(before.span.size, end))
    return new RangeResult(reading, before, attempt);
  const calls = await context.calls();
  // What is left of a version after an attempt is asked for by its range.
  const whole = first === 0 ? reading.whole : undefined;
  const handler = new AnswerCheck(reading, attempt, first, end, whole);
  try {
    const asked = { first, last: end - 1, ifMatch: reading.etag, whole: whole !== undefined };
    await calls.get(reading.key, asked, attempt, handler);
  } finally {
    handler.end();
  }
  const { answer } = reading;
  if (answer === undefined || !handler.complete)
    throw storeError(
      'unavailable',
      `body of ${String(handler.received)} bytes where ${String(handler.announced)} were announced`,
      about,
      'IncompleteBody',
    );
  return new RangeResult(reading, answer, attempt);
}

/** Checks the answer to one attempt before a byte of it reaches the sink, and watches it arrive. */
class AnswerCheck implements GetHandler {
  readonly #reading: Reading;
  readonly #attempt: Attempt;
  readonly #watch: Watch;
  readonly #first: number;
  readonly #end: number;
  readonly #whole: WholeGet | undefined;
  #span: Span | undefined;
  #received = 0;

  /** Of bytes from `first` up to `end`; `whole` where no range is asked for. */
  constructor(reading: Reading, attempt: Attempt, first: number, end: number, whole: WholeGet | undefined) {
    this.#reading = reading;
    this.#attempt = attempt;
    this.#watch = new Watch(attempt, reading.context.patience);
    this.#first = first;
    this.#end = end;
    this.#whole = whole;
  }

  get received(): number {
    return this.#received;
  }

  get announced(): number | undefined {
    return this.#span?.length;
  }

  get complete(): boolean {
    return this.#received === this.#span?.length;
  }

  end(): void {
    this.#watch.end();
  }

  head(object: AnsweredObject): void {
    const reading = this.#reading;
    const { context, about, key } = reading;
    this.#watch.answered();
    const span =
      this.#whole === undefined
        ? checkedSpan(object, this.#first, this.#end, about)
        : wholeSpan(object, this.#end, reading.etag, about);
    this.#span = span;
    if (reading.etag !== undefined && unquoted(reading.etag) !== unquoted(span.etag))
      throw storeError(
        'precondition-failed',
        `wanted version ${reading.etag}, the answer carries ${span.etag}`,
        about,
      );
    reading.etag ??= span.etag;
    reading.answer = { object, span };
    if (this.#whole !== undefined) {
      const { fullChecksum } = object;
      context.known?.set(key, span.etag, fullChecksum);
      this.#whole.told(fullChecksum);
    }
    this.#attempt.limit(context.options.timeouts.idleMs);
  }

  body(chunk: Buffer): void {
    this.#watch.alive();
    this.#received += chunk.length;
    // An answer that contradicts itself: which of its bytes are the wanted ones is anybody's guess.
    if (this.#received > (this.#span?.length ?? 0))
      throw storeError(
        'invalid',
        `more than the ${String(this.#span?.length)} bytes announced`,
        this.#reading.about,
        'SurplusBytes',
      );
    this.#attempt.progress();
    try {
      this.#reading.sink(chunk);
    } catch (error) {
      throw new CallerFailure('the sink failed', { cause: error });
    }
    this.#reading.delivered += chunk.length;
  }

  room(): Buffer | undefined {
    const room = this.#reading.room?.();
    if (room === undefined) return undefined;
    this.#reading.lent = true;
    // What lies beyond the bytes that were announced isn't to be touched.
    return room.subarray(0, (this.#span?.length ?? 0) - this.#received);
  }
}

class RangeResult implements GetResult {
  readonly etag: string;
  readonly length: number;
  readonly size: number;
  readonly retried?: true;
  readonly #key: string;
  readonly #answer: Reading['answer'] & object;

  constructor({ key, delivered }: Reading, answer: Reading['answer'] & object, attempt: Attempt) {
    const { etag, size } = answer.span;
    this.etag = etag;
    this.length = delivered;
    this.size = size;
    if (attempt.number > 1) this.retried = true;
    this.#key = key;
    this.#answer = answer;
  }

  /** Read when it is asked for: most are GETs of blocks, of which nobody does. */
  get head(): ObjectHead {
    return objectHead(this.#key, this.#answer.object, this.#answer.span);
  }
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
  const { contentRange } = head;
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(contentRange ?? '');
  if (match === null) {
    // Some servers answer 200 when the range is all of the object.
    if (contentRange === undefined && first === 0 && announced !== undefined && announced <= end)
      return { length: announced, size: announced, etag };
    throw storeError(
      'unsupported',
      `asked for bytes ${String(first)} to ${String(end - 1)}, got Content-Range ${String(contentRange)}`,
      about,
    );
  }
  const [from, last, size] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const length = last - from + 1;
  if (from !== first || last !== Math.min(end, size) - 1 || (announced !== undefined && announced !== length))
    throw storeError(
      'unavailable',
      `asked for bytes ${String(first)} to ${String(end - 1)}, got ${String(contentRange)} in ${String(announced)} bytes`,
      about,
      'WrongRange',
    );
  return { length, size, etag };
}
