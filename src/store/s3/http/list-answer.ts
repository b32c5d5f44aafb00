/**
 * The answer of ListObjectsV2, read by its own shape: S3 writes one flat element after another, with no attributes but the root's
 * namespace. A general XML parser takes ten times as long, on the thread that serves READs. Entries whose first elements are in S3's order, which is
 * nearly all there are, are read in one go; others element by element.
 */
import { decodeEntities } from './answer-error.js';

export interface ListAnswer {
  readonly encodingType: string | undefined;
  readonly isTruncated: boolean;
  readonly nextContinuationToken: string | undefined;
  /** As listed: encoded where `encodingType` is `url`. */
  readonly contents: readonly {
    readonly key: string;
    readonly size: number;
    readonly etag: string;
    readonly lastModifiedMs: number;
  }[];
  readonly prefixes: readonly string[];
}

type ListedEntry = ListAnswer['contents'][number];

/** An answer that isn't one of ListObjectsV2. */
export class ListAnswerError extends Error {
  override readonly name = 'ListAnswerError';
  readonly code = 'EBADLIST';
}

export function parseListAnswer(xml: string): ListAnswer {
  const begin = /<ListBucketResult[\s>]/.exec(xml);
  if (begin === null || !/<\/ListBucketResult>\s*$/.test(xml))
    throw new ListAnswerError('an answer to ListObjectsV2 that is not a whole ListBucketResult');
  const contents: ListedEntry[] = [];
  const times = new ListedTimes();
  const prefixes: string[] = [];
  let rest = '';
  let at = begin.index;
  // Entries are cut out; what is left between them are the page's own fields.
  for (;;) {
    const open = xml.indexOf('<Co', at);
    if (open === -1) break;
    if (xml.startsWith('<Contents>', open)) {
      const close = xml.indexOf('</Contents>', open);
      if (close === -1) throw new ListAnswerError('an entry without its end');
      contents.push(usualEntry(xml, open, close, times) ?? entryOf(xml.slice(open, close)));
      // Mostly nothing stands between them.
      if (at < open) rest += xml.slice(at, open);
      at = close + '</Contents>'.length;
    } else if (xml.startsWith('<CommonPrefixes>', open)) {
      const close = xml.indexOf('</CommonPrefixes>', open);
      if (close === -1) throw new ListAnswerError('a prefix without its end');
      for (const prefix of textsOf(xml.slice(open, close), 'Prefix')) prefixes.push(prefix);
      rest += xml.slice(at, open);
      at = close + '</CommonPrefixes>'.length;
    } else {
      rest += xml.slice(at, open + 3);
      at = open + 3;
    }
  }
  rest += xml.slice(at);
  return {
    encodingType: textOf(rest, 'EncodingType'),
    isTruncated: textOf(rest, 'IsTruncated') === 'true',
    nextContinuationToken: textOf(rest, 'NextContinuationToken'),
    contents,
    prefixes,
  };
}

const QUOTE = '&quot;';
const BEFORE_KEY = '<Contents><Key>';
const BEFORE_TIME = '</Key><LastModified>';
const BEFORE_ETAG = '</LastModified><ETag>';
const BEFORE_SIZE = '<Size>';
/** Bytes of an object have fewer digits than what isn't exact any more. */
const SIZE_DIGITS_MAX = 15;

/** The entry from `open` to `close` as `entryOf` reads it; undefined where it isn't as S3 writes it. */
function usualEntry(xml: string, open: number, close: number, times: ListedTimes): ListedEntry | undefined {
  if (!xml.startsWith(BEFORE_KEY, open)) return undefined;
  const keyFrom = open + BEFORE_KEY.length;
  const keyTo = xml.indexOf('<', keyFrom);
  if (!xml.startsWith(BEFORE_TIME, keyTo)) return undefined;
  const timeFrom = keyTo + BEFORE_TIME.length;
  const timeTo = timeFrom + TIME_LENGTH;
  const lastModifiedMs = times.at(xml, timeFrom);
  if (lastModifiedMs === undefined || !xml.startsWith(BEFORE_ETAG, timeTo)) return undefined;
  const etagFrom = timeTo + BEFORE_ETAG.length;
  const etagTo = xml.indexOf('<', etagFrom);
  if (!xml.startsWith('</ETag>', etagTo)) return undefined;
  const sizeAt = xml.indexOf(BEFORE_SIZE, etagTo);
  if (sizeAt === -1 || sizeAt > close) return undefined;
  let size = 0;
  let at = sizeAt + BEFORE_SIZE.length;
  const sizeEnd = at + SIZE_DIGITS_MAX;
  for (let digit = digitAt(xml, at); digit >= 0 && at < sizeEnd; digit = digitAt(xml, ++at))
    size = 10 * size + digit;
  if (at === sizeAt + BEFORE_SIZE.length || xml.charCodeAt(at) !== LESS) return undefined;
  return {
    key: decodeEntities(xml.slice(keyFrom, keyTo)),
    size,
    etag: etagOf(xml, etagFrom, etagTo),
    lastModifiedMs,
  };
}

/** Mostly its quotes are all that is to be decoded. */
function etagOf(xml: string, from: number, to: number): string {
  const inner = from + QUOTE.length;
  const end = to - QUOTE.length;
  const isQuoted = end >= inner && xml.startsWith(QUOTE, from) && xml.startsWith(QUOTE, end);
  const isPlain = isQuoted && xml.indexOf('&', inner) === end;
  return isPlain ? `"${xml.slice(inner, end)}"` : decodeEntities(xml.slice(from, to));
}

const ZERO = 0x30;
const LESS = 0x3c;

/** Negative, or above 9, where there is none. */
function digitAt(text: string, at: number): number {
  const digit = text.charCodeAt(at) - ZERO;
  return digit >= 0 && digit <= 9 ? digit : -1;
}

/** The number that two digits make. */
function pairAt(text: string, at: number): number {
  const tens = digitAt(text, at);
  const ones = digitAt(text, at + 1);
  return tens < 0 || ones < 0 ? NaN : 10 * tens + ones;
}

const TIME_LENGTH = '2026-01-01T00:00:00.000Z'.length;
const DAY_LENGTH = '2026-01-01T'.length;

/** Times of a page, which are mostly of few days. */
class ListedTimes {
  /** The day that was read last, and when it began. */
  #day: string | undefined;
  #dayMs = NaN;

  /** The time there (milliseconds since the epoch); undefined where none is as S3 writes it. */
  at(xml: string, from: number): number | undefined {
    if (this.#day === undefined || !xml.startsWith(this.#day, from)) {
      const day = xml.slice(from, from + DAY_LENGTH);
      const dayMs = Date.parse(`${day}00:00:00.000Z`);
      if (Number.isNaN(dayMs)) return undefined;
      this.#day = day;
      this.#dayMs = dayMs;
    }
    const at = from + DAY_LENGTH;
    const hours = pairAt(xml, at);
    const minutes = pairAt(xml, at + 3);
    const seconds = pairAt(xml, at + 6);
    const ms = 10 * pairAt(xml, at + 9) + (pairAt(xml, at + 10) % 10);
    const isOne = xml[at + 2] === ':' && xml[at + 5] === ':' && xml[at + 8] === '.' && xml[at + 12] === 'Z';
    if (!isOne || !(hours <= 23 && minutes <= 59 && seconds <= 59 && ms >= 0)) return undefined;
    return this.#dayMs + 1000 * (60 * (60 * hours + minutes) + seconds) + ms;
  }
}

function entryOf(xml: string): ListedEntry {
  const key = textOf(xml, 'Key');
  const size = Number(textOf(xml, 'Size') ?? NaN);
  const lastModifiedMs = Date.parse(textOf(xml, 'LastModified') ?? '');
  if (key === undefined || !Number.isSafeInteger(size) || Number.isNaN(lastModifiedMs))
    throw new ListAnswerError(`an entry without key, size or time: ${xml.slice(0, 200)}`);
  return { key, size, etag: textOf(xml, 'ETag') ?? '', lastModifiedMs };
}

function textOf(xml: string, name: string): string | undefined {
  const open = `<${name}>`;
  const from = xml.indexOf(open);
  if (from === -1) return undefined;
  const to = xml.indexOf('</', from);
  return to === -1 ? undefined : decodeEntities(xml.slice(from + open.length, to));
}

function* textsOf(xml: string, name: string): Generator<string> {
  const open = `<${name}>`;
  for (let from = xml.indexOf(open); from !== -1; from = xml.indexOf(open, from + 1)) {
    const to = xml.indexOf('</', from);
    if (to !== -1) yield decodeEntities(xml.slice(from + open.length, to));
  }
}
