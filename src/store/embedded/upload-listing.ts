/** ListParts and ListMultipartUploads. */
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
import { checksumElement } from './checksums.js';
import { checksumOf, uploadOf } from './multipart-operations.js';
import { storageClassOf } from './object-headers.js';
import type { UploadRecord } from './records.js';
import { formEncode } from './target.js';
import { compareUtf8 } from './utf8-order.js';
import { xmlDocument, type XmlElement } from './xml.js';

const PAGE_MAX = 1000;

const PERSON: readonly XmlElement[] = [
  ['ID', OWNER_ID],
  ['DisplayName', OWNER_NAME],
];

export async function listParts(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const upload = uploadOf(bucket, call);
  const max = countParameter(call, 'max-parts', PAGE_MAX, PAGE_MAX);
  const marker = countParameter(call, 'part-number-marker', 0, 0x7fffffff);
  const later = [...upload.parts.values()]
    .filter((part) => part.partNumber > marker)
    .sort((a, b) => a.partNumber - b.partNumber);
  const page = later.slice(0, max);
  const truncated = max > 0 && later.length > max;
  const { algorithm, type } = checksumOf(upload);
  return xmlAnswer(
    xmlDocument('ListPartsResult', [
      ['Bucket', bucket.name],
      ['Key', upload.key],
      ['UploadId', upload.uploadId],
      ['Initiator', PERSON],
      ['Owner', PERSON],
      ['StorageClass', storageClassOf(upload.headers)],
      ['PartNumberMarker', marker],
      ['NextPartNumberMarker', page.at(-1)?.partNumber ?? 0],
      ['MaxParts', max],
      ['IsTruncated', truncated],
      ['ChecksumAlgorithm', algorithm],
      ['ChecksumType', type],
      ...page.map((part): XmlElement => [
        'Part',
        [
          ['PartNumber', part.partNumber],
          ['LastModified', xmlTime(part.lastModifiedMs)],
          ['ETag', quoted(part.etag)],
          ['Size', part.size],
          [checksumElement(algorithm), part.checksum],
        ],
      ]),
    ]),
  );
}

interface UploadPage {
  readonly uploads: UploadRecord[];
  readonly commonPrefixes: string[];
  readonly truncated: boolean;
  readonly nextKey: string;
  readonly nextUploadId: string;
}

/** One page of uploads in order, rolled up at the delimiter. Without an upload id marker, all of the marker's key are over. */
function pageOf(
  uploads: readonly UploadRecord[],
  query: {
    readonly prefix: string;
    readonly delimiter: string;
    readonly keyMarker: string;
    readonly uploadIdMarker: string;
    readonly max: number;
  },
): UploadPage {
  const { prefix, delimiter, keyMarker, uploadIdMarker, max } = query;
  const page = {
    uploads: [] as UploadRecord[],
    commonPrefixes: [] as string[],
    nextKey: '',
    nextUploadId: '',
  };
  for (const upload of uploads) {
    const order = compareUtf8(upload.key, keyMarker);
    const later = order > 0 || (order === 0 && uploadIdMarker !== '' && upload.uploadId > uploadIdMarker);
    if (!upload.key.startsWith(prefix) || (keyMarker !== '' && !later)) continue;
    const at = delimiter === '' ? -1 : upload.key.indexOf(delimiter, prefix.length);
    const common = at < 0 ? undefined : upload.key.slice(0, at + delimiter.length);
    if (common !== undefined && (common === keyMarker || common === page.commonPrefixes.at(-1))) continue;
    if (page.uploads.length + page.commonPrefixes.length === max) return { ...page, truncated: max > 0 };
    if (common === undefined) page.uploads.push(upload);
    else page.commonPrefixes.push(common);
    page.nextKey = common ?? upload.key;
    page.nextUploadId = common === undefined ? upload.uploadId : '';
  }
  return { ...page, truncated: false };
}

/** An upload as ListMultipartUploads tells it. */
export function uploadElement(upload: UploadRecord, encode: (name: string) => string): XmlElement {
  return [
    'Upload',
    [
      ['Key', encode(upload.key)],
      ['UploadId', upload.uploadId],
      ['Initiator', PERSON],
      ['Owner', PERSON],
      ['StorageClass', storageClassOf(upload.headers)],
      ['Initiated', new Date(upload.initiatedMs).toISOString()],
      ['ChecksumAlgorithm', checksumOf(upload).algorithm],
      ['ChecksumType', checksumOf(upload).type],
    ],
  ];
}

export async function listMultipartUploads(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const encode = wantsUrlEncoding(call) ? formEncode : (name: string) => name;
  const max = countParameter(call, 'max-uploads', PAGE_MAX, PAGE_MAX);
  const prefix = call.query.get('prefix') ?? '';
  const delimiter = call.query.get('delimiter') ?? '';
  const keyMarker = call.query.get('key-marker') ?? '';
  const uploadIdMarker = keyMarker === '' ? '' : (call.query.get('upload-id-marker') ?? '');
  const page = pageOf(bucket.uploads(), { prefix, delimiter, keyMarker, uploadIdMarker, max });
  return xmlAnswer(
    xmlDocument('ListMultipartUploadsResult', [
      ['Bucket', bucket.name],
      ['KeyMarker', encode(keyMarker)],
      ['UploadIdMarker', uploadIdMarker],
      ['NextKeyMarker', page.truncated ? encode(page.nextKey) : undefined],
      ['NextUploadIdMarker', page.truncated ? page.nextUploadId : undefined],
      ['Prefix', encode(prefix)],
      ['Delimiter', delimiter === '' ? undefined : encode(delimiter)],
      ['EncodingType', call.query.get('encoding-type')],
      ['MaxUploads', max],
      ['IsTruncated', page.truncated],
      ...page.uploads.map((upload) => uploadElement(upload, encode)),
      ...page.commonPrefixes.map((common): XmlElement => ['CommonPrefixes', [['Prefix', encode(common)]]]),
    ]),
  );
}
