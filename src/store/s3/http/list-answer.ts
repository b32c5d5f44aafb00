/**
 * The answer of ListObjectsV2, read by its own shape: S3 writes one flat element after another, with no attributes but the root's
 * namespace. A general XML parser takes ten times as long, on the thread that serves READs.
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

/** An answer that isn't one of ListObjectsV2. */
export class ListAnswerError extends Error {
  override readonly name = 'ListAnswerError';
  readonly code = 'EBADLIST';
}

export function parseListAnswer(xml: string): ListAnswer {
  const begin = /<ListBucketResult[\s>]/.exec(xml);
  if (begin === null || !/<\/ListBucketResult>\s*$/.test(xml))
    throw new ListAnswerError('an answer to ListObjectsV2 that is not a whole ListBucketResult');
  const contents: ListAnswer['contents'][number][] = [];
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
      contents.push(entryOf(xml.slice(open, close)));
      rest += xml.slice(at, open);
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

function entryOf(xml: string): ListAnswer['contents'][number] {
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
