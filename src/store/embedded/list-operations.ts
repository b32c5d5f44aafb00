/** ListObjectsV2 and ListObjects. */
import {
  bucketOf,
  countParameter,
  OWNER_ID,
  OWNER_NAME,
  quoted,
  wantsUrlEncoding,
  xmlAnswer,
  xmlTime,
  type Answer,
  type Call,
} from './call.js';
import { invalidArgument } from './errors.js';
import type { Listing } from './listing.js';
import { storageClassOf } from './object-headers.js';
import type { ObjectRecord } from './records.js';
import { formEncode } from './target.js';
import { xmlDocument, type XmlElement } from './xml.js';

const PAGE_MAX = 1000;

type Encode = (name: string) => string;

function encoder(call: Call): Encode {
  return wantsUrlEncoding(call) ? formEncode : (name) => name;
}

/** Opaque to clients, and recognisable: anything else is refused. */
export function encodeToken(last: string): string {
  return Buffer.from(`1${last}`, 'utf8').toString('base64');
}

export function decodeToken(token: string): string {
  const text = Buffer.from(token, 'base64').toString('utf8');
  if (!text.startsWith('1') || encodeToken(text.slice(1)) !== token) {
    throw invalidArgument('continuation-token', token, 'The continuation token provided is incorrect');
  }
  return text.slice(1);
}

export function contents(
  page: Listing & { readonly records: readonly ObjectRecord[] },
  encode: Encode,
  withOwner: boolean,
): XmlElement[] {
  return page.keys.flatMap((key, at): XmlElement[] => {
    const record = page.records[at];
    if (record === undefined) return [];
    return [
      [
        'Contents',
        [
          ['Key', encode(key)],
          ['LastModified', xmlTime(record.lastModifiedMs)],
          ['ETag', quoted(record.etag)],
          ['ChecksumAlgorithm', record.checksum?.algorithm],
          ['ChecksumType', record.checksum?.type],
          ['Size', record.size],
          [
            'Owner',
            withOwner
              ? [
                  ['ID', OWNER_ID],
                  ['DisplayName', OWNER_NAME],
                ]
              : undefined,
          ],
          ['StorageClass', storageClassOf(record.headers)],
        ],
      ],
    ];
  });
}

export function commonPrefixes(page: Pick<Listing, 'commonPrefixes'>, encode: Encode): XmlElement[] {
  return page.commonPrefixes.map((prefix) => ['CommonPrefixes', [['Prefix', encode(prefix)]]]);
}

export function optional(name: string, value: string | undefined): XmlElement {
  return [name, value === '' ? undefined : value];
}

export async function listObjectsV2(call: Call): Promise<Answer> {
  const { query } = call;
  const type = query.get('list-type') ?? '';
  if (type !== '2') throw invalidArgument('list-type', type, 'Invalid List Type specified in Request');
  const encode = encoder(call);
  const maxKeys = countParameter(call, 'max-keys', PAGE_MAX, PAGE_MAX);
  const token = query.get('continuation-token');
  const startAfter = query.get('start-after') ?? '';
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const after = token === undefined ? startAfter : decodeToken(token);
  const page = (await bucketOf(call)).index.list({ prefix, delimiter, after, maxKeys });
  return xmlAnswer(
    xmlDocument('ListBucketResult', [
      ['Name', call.bucketName],
      ['Prefix', encode(prefix)],
      ['ContinuationToken', token],
      ['NextContinuationToken', page.truncated ? encodeToken(page.last) : undefined],
      optional('StartAfter', encode(startAfter)),
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

export async function listObjects(call: Call): Promise<Answer> {
  const { query } = call;
  const encode = encoder(call);
  const maxKeys = countParameter(call, 'max-keys', PAGE_MAX, PAGE_MAX);
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const after = query.get('marker') ?? '';
  const page = (await bucketOf(call)).index.list({ prefix, delimiter, after, maxKeys });
  return xmlAnswer(
    xmlDocument('ListBucketResult', [
      ['Name', call.bucketName],
      ['Prefix', encode(prefix)],
      ['Marker', encode(after)],
      // Without a delimiter clients go on after the last key.
      ['NextMarker', page.truncated && delimiter !== '' ? encode(page.last) : undefined],
      ['MaxKeys', maxKeys],
      optional('Delimiter', encode(delimiter)),
      optional('EncodingType', query.get('encoding-type')),
      ['IsTruncated', page.truncated],
      ...contents(page, encode, true),
      ...commonPrefixes(page, encode),
    ]),
  );
}
