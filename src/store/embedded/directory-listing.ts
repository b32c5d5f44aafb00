/**
 * ListObjectsV2 and ListMultipartUploads of directory buckets: in no order of names, below prefixes that end in a slash only, rolled up
 * at slashes only, and with the common prefixes of uploads that are under way.
 */
import type { Bucket } from './bucket.js';
import { bucketOf, countParameter, wantsUrlEncoding, xmlAnswer, type Answer, type Call } from './call.js';
import { invalidArgument, S3Error } from './errors.js';
import { hashedOrder, type KeyOrder } from './hashed-order.js';
import { contents, commonPrefixes, decodeToken, encodeToken, optional } from './list-operations.js';
import { commonPrefixOf, isPast, type Listing, type ListingQuery } from './listing.js';
import type { ObjectRecord, UploadRecord } from './records.js';
import { uriEncode } from './target.js';
import { uploadElement } from './upload-listing.js';
import { compareUtf8 } from './utf8-order.js';
import { xmlDocument } from './xml.js';

const PAGE_MAX = 1000;

interface Scope {
  readonly prefix: string;
  readonly delimiter: string;
}

/** Prefix and delimiter, checked. The message about prefixes is AWS's. */
function scopeOf(call: Call): Scope {
  const prefix = call.query.get('prefix') ?? '';
  const delimiter = call.query.get('delimiter') ?? '';
  if (prefix !== '' && !prefix.endsWith('/')) {
    throw new S3Error(
      'InvalidRequest',
      'This bucket does not support a prefix that does not end in a delimiter. Specify a prefix path ending with a delimiter and try again.',
    );
  }
  if (delimiter !== '' && delimiter !== '/') {
    throw invalidArgument('delimiter', delimiter, 'Directory buckets support / as the only delimiter.');
  }
  return { prefix, delimiter };
}

function refuse(call: Call, names: readonly string[]): void {
  for (const name of names) {
    if (call.query.has(name))
      throw new S3Error('NotImplemented', `Directory buckets do not support ${name}.`, { Parameter: name });
  }
}

type Page = Listing & { readonly records: readonly ObjectRecord[] };

/** The common prefixes that uploads under way would have, as long as they come after `after`. */
function prefixesOfUploads(bucket: Bucket, query: ListingQuery, order: KeyOrder): string[] {
  const { prefix, delimiter, after } = query;
  const found = new Set<string>();
  for (const { key } of bucket.uploads()) {
    const common = key.startsWith(prefix) ? commonPrefixOf(key, prefix, delimiter) : undefined;
    if (common !== undefined && (after === '' || isPast(common, after, order))) found.add(common);
  }
  return [...found];
}

/** Adds prefixes to a page at their places in the order, and cuts it to its length again. */
function withPrefixes(page: Page, more: readonly string[], maxKeys: number, order: KeyOrder): Page {
  const reach = page.truncated ? page.last : undefined;
  const known = new Set(page.commonPrefixes);
  const missing = more.filter((name) => !known.has(name) && (reach === undefined || order(name, reach) < 0));
  if (missing.length === 0 || maxKeys === 0) return page;
  const recordOf = new Map(page.keys.map((key, at) => [key, page.records[at]]));
  const names = [...page.keys, ...page.commonPrefixes, ...missing].sort(order);
  const told = names.slice(0, maxKeys);
  const keys = told.filter((name) => recordOf.has(name));
  return {
    keys,
    records: keys.flatMap((key) => recordOf.get(key) ?? []),
    commonPrefixes: told.filter((name) => !recordOf.has(name)),
    truncated: page.truncated || names.length > told.length,
    last: told.at(-1) ?? '',
  };
}

export async function listDirectoryObjects(call: Call): Promise<Answer> {
  const { query } = call;
  refuse(call, ['start-after', 'optional-object-attributes']);
  const encode = wantsUrlEncoding(call) ? (name: string) => uriEncode(name, true) : (name: string) => name;
  const { prefix, delimiter } = scopeOf(call);
  const maxKeys = countParameter(call, 'max-keys', PAGE_MAX, PAGE_MAX);
  const token = query.get('continuation-token');
  const bucket = await bucketOf(call);
  const order = hashedOrder(bucket.name);
  const asked = { prefix, delimiter, after: token === undefined ? '' : decodeToken(token), maxKeys };
  const uploads = prefixesOfUploads(bucket, asked, order);
  const page = withPrefixes(bucket.index.list(asked), uploads, maxKeys, order);
  return xmlAnswer(
    xmlDocument('ListBucketResult', [
      ['Name', call.bucketName],
      ['Prefix', encode(prefix)],
      ['ContinuationToken', token],
      ['NextContinuationToken', page.truncated ? encodeToken(page.last) : undefined],
      ['KeyCount', page.keys.length + page.commonPrefixes.length],
      ['MaxKeys', maxKeys],
      optional('Delimiter', encode(delimiter)),
      optional('EncodingType', query.get('encoding-type')),
      ['IsTruncated', page.truncated],
      ...contents(page, encode, query.get('fetch-owner') === 'true'),
      ...commonPrefixes(page, encode),
    ]),
  );
}

interface UploadPage {
  readonly uploads: UploadRecord[];
  readonly prefixes: string[];
  /** The marker of what comes next; undefined at the end. */
  readonly next: string | undefined;
}

/** A place among uploads: that of its key, or common prefix, then of its id. */
function markerOf(name: string, uploadId: string): string {
  return Buffer.from(JSON.stringify([name, uploadId])).toString('base64url');
}

function parseMarker(marker: string): readonly [string, string] | undefined {
  if (marker === '') return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(marker, 'base64url').toString('utf8'));
    if (Array.isArray(parsed)) {
      const [name, uploadId] = parsed as unknown[];
      if (typeof name === 'string' && typeof uploadId === 'string') return [name, uploadId];
    }
    throw new SyntaxError('no marker of this server');
  } catch (error) {
    throw new S3Error(
      'InvalidArgument',
      'The key-marker provided is incorrect',
      { ArgumentName: 'key-marker', ArgumentValue: marker },
      { cause: error },
    );
  }
}

function uploadPage(
  bucket: Bucket,
  { prefix, delimiter }: Scope,
  after: readonly [string, string] | undefined,
  max: number,
): UploadPage {
  const order = hashedOrder(bucket.name);
  const page = { uploads: [] as UploadRecord[], prefixes: [] as string[] };
  let next: string | undefined;
  const sorted = [...bucket.uploads()].sort(
    (a, b) => order(a.key, b.key) || compareUtf8(a.uploadId, b.uploadId),
  );
  for (const upload of sorted) {
    if (!upload.key.startsWith(prefix)) continue;
    const common = commonPrefixOf(upload.key, prefix, delimiter);
    const name = common ?? upload.key;
    const uploadId = common === undefined ? upload.uploadId : '';
    if (after !== undefined && (order(name, after[0]) || compareUtf8(uploadId, after[1])) <= 0) continue;
    if (common !== undefined && common === page.prefixes.at(-1)) continue;
    if (page.uploads.length + page.prefixes.length === max) return { ...page, next };
    if (common === undefined) page.uploads.push(upload);
    else page.prefixes.push(common);
    next = markerOf(name, uploadId);
  }
  return { ...page, next: undefined };
}

export async function listDirectoryUploads(call: Call): Promise<Answer> {
  refuse(call, ['upload-id-marker']);
  const bucket = await bucketOf(call);
  const encode = wantsUrlEncoding(call) ? (name: string) => uriEncode(name, true) : (name: string) => name;
  const max = countParameter(call, 'max-uploads', PAGE_MAX, PAGE_MAX);
  const scope = scopeOf(call);
  const marker = call.query.get('key-marker') ?? '';
  const page = uploadPage(bucket, scope, parseMarker(marker), max);
  return xmlAnswer(
    xmlDocument('ListMultipartUploadsResult', [
      ['Bucket', bucket.name],
      ['KeyMarker', marker],
      ['NextKeyMarker', page.next],
      ['Prefix', encode(scope.prefix)],
      optional('Delimiter', encode(scope.delimiter)),
      ['EncodingType', call.query.get('encoding-type')],
      ['MaxUploads', max],
      ['IsTruncated', page.next !== undefined],
      ...page.uploads.map((upload) => uploadElement(upload, encode)),
      ...commonPrefixes({ commonPrefixes: page.prefixes }, encode),
    ]),
  );
}
