/** GetObjectAttributes. */
import { bucketOf, xmlAnswer, type Answer, type Call } from './call.js';
import { checksumElement, type Checksum } from './checksums.js';
import { checkRead } from './conditions.js';
import { invalidArgument, S3Error } from './errors.js';
import { storageClassOf } from './object-headers.js';
import { refuseVersion } from './object-operations.js';
import type { ObjectRecord } from './records.js';
import { xmlDocument, type XmlElement } from './xml.js';

const ATTRIBUTES = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'];
const PARTS_PAGE_MAX = 1000;

/** The attributes asked for. Fails with InvalidArgument for none or one S3 doesn't have. */
function wantedAttributes(call: Call): ReadonlySet<string> {
  const header = call.headers.get('x-amz-object-attributes');
  if (header === undefined) {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-object-attributes');
  }
  const names = header.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !ATTRIBUTES.includes(name));
  if (unknown !== undefined) {
    throw invalidArgument('x-amz-object-attributes', header, 'Invalid attribute name specified.');
  }
  return new Set(names);
}

/** A header that counts, cut down to `max`. */
function count(call: Call, name: string, fallback: number, max: number): number {
  const text = call.headers.get(name);
  if (text === undefined) return fallback;
  if (!/^\d{1,9}$/.test(text)) {
    throw invalidArgument(name, text, `Provided ${name} not an integer or within integer range`);
  }
  return Math.min(Number(text), max);
}

/** A composite's value is told here without the number of its parts. */
function checksumContent(checksum: Checksum): readonly XmlElement[] {
  return [
    [checksumElement(checksum.algorithm), checksum.value.replace(/-\d+$/, '')],
    ['ChecksumType', checksum.type],
  ];
}

function partsContent(call: Call, record: ObjectRecord, sizes: readonly number[]): readonly XmlElement[] {
  const max = count(call, 'x-amz-max-parts', PARTS_PAGE_MAX, PARTS_PAGE_MAX);
  const marker = count(call, 'x-amz-part-number-marker', 0, 10_000);
  const { checksum, partChecksums } = record;
  const total: XmlElement = ['PartsCount', sizes.length];
  // Parts are told of objects with an additional checksum alone.
  if (checksum === undefined || partChecksums === undefined) return [total];
  const page = sizes.slice(marker, marker + max);
  return [
    total,
    ['PartNumberMarker', marker],
    ['NextPartNumberMarker', marker + page.length],
    ['MaxParts', max],
    ['IsTruncated', marker + page.length < sizes.length],
    ...page.map((size, at): XmlElement => [
      'Part',
      [
        ['PartNumber', marker + at + 1],
        ['Size', size],
        [checksumElement(checksum.algorithm), partChecksums[marker + at]],
      ],
    ]),
  ];
}

export async function getObjectAttributes(call: Call): Promise<Answer> {
  refuseVersion(call.query.get('versionId'));
  const wanted = wantedAttributes(call);
  const record = (await bucketOf(call)).lookup(call.key);
  if (record === undefined) throw new S3Error('NoSuchKey', undefined, { Key: call.key });
  const lastModified = { 'last-modified': new Date(record.lastModifiedMs).toUTCString() };
  if (checkRead(call.headers, record) === 'not-modified') return { status: 304, headers: lastModified };
  const { checksum, partSizes } = record;
  const only = <T>(name: string, content: T | undefined): T | undefined =>
    wanted.has(name) ? content : undefined;
  return xmlAnswer(
    xmlDocument('GetObjectAttributesResponse', [
      ['ETag', only('ETag', record.etag)],
      ['Checksum', only('Checksum', checksum && checksumContent(checksum))],
      ['ObjectParts', only('ObjectParts', partSizes && partsContent(call, record, partSizes))],
      ['StorageClass', only('StorageClass', storageClassOf(record.headers))],
      ['ObjectSize', only('ObjectSize', record.size)],
    ]),
    lastModified,
  );
}
