/** GetObject and HeadObject, all but the bytes: conditions, the range or part that is wanted, and the headers that describe it. */
import { quoted, type Answer, type Call } from './call.js';
import { checksumHeader, checksumHeaders } from './checksums.js';
import { checkRead } from './conditions.js';
import { invalidArgument, S3Error } from './errors.js';
import { answerHeaders } from './object-headers.js';
import { parseRange, type Range } from './range.js';
import type { ObjectRecord } from './records.js';
import { tagCountHeaders } from './tags.js';

/** Headers of the answer that a signed GET may set by parameters. */
const OVERRIDES = [
  'content-type',
  'content-language',
  'expires',
  'cache-control',
  'content-disposition',
  'content-encoding',
];

/** The part a `partNumber` parameter names, as a range. Objects that weren't uploaded in parts have one. */
function partRange(call: Call, record: ObjectRecord): Range | undefined {
  const text = call.query.get('partNumber');
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!/^\d{1,5}$/.test(text) || number < 1 || number > 10_000) {
    throw invalidArgument(
      'partNumber',
      text,
      'Part number must be an integer between 1 and 10000, inclusive',
    );
  }
  if (call.headers.has('range')) {
    throw new S3Error('InvalidRequest', 'Cannot specify both Range header and partNumber query parameter');
  }
  const sizes = record.partSizes ?? [record.size];
  const length = sizes[number - 1];
  if (length === undefined)
    throw new S3Error('InvalidPartNumber', undefined, { ActualPartCount: String(sizes.length) });
  return { start: sizes.slice(0, number - 1).reduce((sum, size) => sum + size, 0), length };
}

/**
 * The checksum of what is answered: the object's for all of it, a part's for a range that is just that part ("Checking object
 * integrity": "a part number or byte range that aligns with a single part"), none for any other range.
 */
function checksumOf(record: ObjectRecord, range: Range | undefined): Record<string, string> {
  if (
    range === undefined ||
    (range.start === 0 && range.length === record.size && record.partSizes === undefined)
  )
    return checksumHeaders(record.checksum);
  let start = 0;
  for (const [at, length] of (record.partSizes ?? []).entries()) {
    const value = record.partChecksums?.[at];
    if (
      start === range.start &&
      length === range.length &&
      record.checksum !== undefined &&
      value !== undefined
    )
      return {
        [checksumHeader(record.checksum.algorithm)]: value,
        'x-amz-checksum-type': record.checksum.type,
      };
    start += length;
  }
  return {};
}

/** The headers that parameters ask for in place of the object's own. */
function overrides(call: Call): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of OVERRIDES) {
    const value = call.query.get(`response-${name}`);
    if (value === undefined) continue;
    if (/[^\t\u0020-\u007e\u0080-\u00ff]/.test(value)) {
      throw invalidArgument(
        `response-${name}`,
        value,
        'Header value cannot be represented using ISO-8859-1.',
      );
    }
    headers[name] = value;
  }
  return headers;
}

function readHeaders(call: Call, record: ObjectRecord, range: Range | undefined): Record<string, string> {
  const headers: Record<string, string> = {
    ...answerHeaders(record.headers),
    etag: quoted(record.etag),
    'last-modified': new Date(record.lastModifiedMs).toUTCString(),
    'accept-ranges': 'bytes',
    ...tagCountHeaders(record.tags),
  };
  if (call.headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED') {
    Object.assign(headers, checksumOf(record, range));
  }
  if (call.query.has('partNumber') && record.partSizes !== undefined) {
    headers['x-amz-mp-parts-count'] = String(record.partSizes.length);
  }
  return { ...headers, ...overrides(call) };
}

/** The status and headers of a read, and the range of bytes that would follow. */
export function planRead(
  call: Call,
  record: ObjectRecord,
): { readonly answer: Answer; readonly range: Range } {
  const { size } = record;
  if (checkRead(call.headers, record) === 'not-modified') {
    const { etag, 'last-modified': lastModified } = readHeaders(call, record, undefined);
    const headers = { etag: etag ?? '', 'last-modified': lastModified ?? '' };
    return { answer: { status: 304, headers }, range: { start: 0, length: 0 } };
  }
  const range = partRange(call, record) ?? parseRange(call.headers.get('range'), size);
  const headers = readHeaders(call, record, range);
  headers['content-length'] = String(range?.length ?? size);
  if (range === undefined || size === 0) {
    return { answer: { status: 200, headers }, range: { start: 0, length: size } };
  }
  headers['content-range'] = `bytes ${range.start}-${range.start + range.length - 1}/${size}`;
  return { answer: { status: 206, headers }, range };
}
