/** Multipart uploads: the rules of parts and their lists, copies of ranges, listings of what is unfinished. */
import { begin, complete, MIB, part, put, type Step, type WireCase } from './case.js';

const OTHER = '"0123456789abcdef0123456789abcdef"';
const NUMBER = '<ListPartsResult/Part/PartNumber>';
const UPLOAD = '<ListMultipartUploadsResult/Upload/Key>';

function copyPart(
  number: number,
  headers: Readonly<Record<string, string>>,
  answer: string,
  more: Partial<Step> = {},
): Step {
  return {
    send: 'PUT a',
    query: { uploadId: '{u}', partNumber: String(number) },
    headers: { 'x-amz-copy-source': '/{bucket}/{prefix}source', ...headers },
    answer,
    ...more,
  };
}

export const MULTIPART_CASES: readonly WireCase[] = [
  {
    name: 'CompleteMultipartUpload: the list of parts',
    steps: [
      begin('a', { headers: { 'x-amz-meta-m': 'v', 'content-type': 'text/plain' } }),
      part('a', 1, 5 * MIB),
      part('a', 3, 'tail'),
      { send: 'HEAD a', answer: '404' },
      complete(
        'a',
        [
          [3, '{p3}'],
          [1, '{p1}'],
        ],
        { answer: '400 InvalidPartOrder' },
      ),
      complete(
        'a',
        [
          [1, '{p1}'],
          [2, '{p3}'],
        ],
        { answer: '400 InvalidPart' },
      ),
      complete(
        'a',
        [
          [1, '{p1}'],
          [3, OTHER],
        ],
        { answer: '400 InvalidPart' },
      ),
      complete('a', [], { answer: '400 MalformedXML' }),
      complete(
        'a',
        [
          [1, '{p1}'],
          [3, '{p3}'],
        ],
        {
          show: [
            '<CompleteMultipartUploadResult/Bucket>',
            '<CompleteMultipartUploadResult/Key>',
            '<CompleteMultipartUploadResult/ETag>',
          ],
          keep: { whole: '<CompleteMultipartUploadResult/ETag>' },
          answer:
            '200 <CompleteMultipartUploadResult/Bucket>={bucket} <CompleteMultipartUploadResult/Key>=a <CompleteMultipartUploadResult/ETag>={whole}',
        },
      ),
      {
        send: 'HEAD a',
        show: ['etag', 'content-length', 'x-amz-meta-m', 'content-type'],
        // The MD5 of the parts' MD5s: what AWS's ETag of 5 MiB of zeros and "tail" is.
        answer: '200 etag={whole} content-length=5242884 x-amz-meta-m=v content-type=text/plain',
      },
      {
        send: 'GET a',
        headers: { range: 'bytes=5242880-' },
        show: ['body', 'content-range'],
        answer: '206 body=tail content-range=bytes 5242880-5242883/5242884',
      },
      {
        send: 'HEAD a',
        query: { partNumber: '1' },
        show: ['content-length', 'x-amz-mp-parts-count'],
        answer: '206 content-length=5242880 x-amz-mp-parts-count=2',
      },
      {
        send: 'GET a',
        query: { partNumber: '2' },
        show: ['body', 'content-range'],
        answer: '206 body=tail content-range=bytes 5242880-5242883/5242884',
      },
      part('a', 4, 'late', { answer: '404 NoSuchUpload' }),
    ],
  },
  {
    name: 'CompleteMultipartUpload: a part twice',
    steps: [
      begin('a'),
      part('a', 1, 5 * MIB),
      complete(
        'a',
        [
          [1, '{p1}'],
          [1, '{p1}'],
        ],
        { answer: '400 InvalidPartOrder' },
      ),
      { send: 'HEAD a', answer: '404' },
    ],
  },
  {
    name: 'CompleteMultipartUpload: parts that are too small',
    steps: [
      begin('a'),
      part('a', 1, 5 * MIB - 1),
      part('a', 2, 'tail'),
      complete(
        'a',
        [
          [1, '{p1}'],
          [2, '{p2}'],
        ],
        { answer: '400 EntityTooSmall' },
      ),
      complete('a', [[1, '{p1}']], { answer: '200' }),
      { send: 'HEAD a', show: ['content-length'], answer: '200 content-length=5242879' },
    ],
  },
  {
    name: 'CompleteMultipartUpload: conditions',
    steps: [
      put('a', 'old'),
      begin('a'),
      part('a', 1, 'new'),
      complete('a', [[1, '{p1}']], { headers: { 'if-none-match': '*' }, answer: '412 PreconditionFailed' }),
      complete('a', [[1, '{p1}']], { headers: { 'if-match': OTHER }, answer: '412 PreconditionFailed' }),
      { send: 'GET a', show: ['body'], answer: '200 body=old' },
      complete('a', [[1, '{p1}']], { headers: { 'if-match': '{e}' }, answer: '200' }),
      { send: 'GET a', show: ['body'], answer: '200 body=new' },
      begin('b'),
      part('b', 1, 'new'),
      complete('b', [[1, '{p1}']], { headers: { 'if-match': OTHER }, answer: '404 NoSuchKey' }),
      complete('b', [[1, '{p1}']], { headers: { 'if-none-match': '*' }, answer: '200' }),
    ],
  },
  {
    name: 'UploadPart: numbers, ids, replacement',
    steps: [
      begin('a'),
      part('a', 0, 'x', { answer: '400 InvalidArgument' }),
      part('a', 10_001, 'x', { answer: '400 InvalidArgument' }),
      part('a', 10_000, 'last'),
      part('a', 1, 'first'),
      part('a', 1, 'second', { keep: { second: 'etag' } }),
      complete('a', [[1, '{p1}']], { answer: '400 InvalidPart' }),
      complete('a', [[1, '{second}']], { answer: '200' }),
      { send: 'GET a', show: ['body'], answer: '200 body=second' },
      {
        send: 'PUT a',
        query: { uploadId: 'no-such-upload', partNumber: '1' },
        body: 'x',
        answer: '404 NoSuchUpload',
      },
      {
        send: 'POST a',
        query: { uploadId: 'no-such-upload' },
        body: '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>',
        answer: '404 NoSuchUpload',
      },
      { send: 'GET a', query: { uploadId: 'no-such-upload' }, answer: '404 NoSuchUpload' },
      { send: 'DELETE a', query: { uploadId: 'no-such-upload' }, answer: '404 NoSuchUpload' },
    ],
  },
  {
    name: 'AbortMultipartUpload',
    steps: [
      begin('a'),
      part('a', 1, 'x'),
      { send: 'DELETE a', query: { uploadId: '{u}' }, answer: '204' },
      { send: 'DELETE a', query: { uploadId: '{u}' }, answer: '404 NoSuchUpload' },
      complete('a', [[1, '{p1}']], { answer: '404 NoSuchUpload' }),
      { send: 'HEAD a', answer: '404' },
    ],
  },
  {
    name: 'ListParts',
    steps: [
      begin('a b'),
      ...[1, 2, 5].map((number) => part('a b', number, 'x'.repeat(number))),
      {
        send: 'GET a b',
        query: { uploadId: '{u}' },
        show: [
          '<ListPartsResult/Key>',
          NUMBER,
          '<ListPartsResult/Part/Size>',
          '<ListPartsResult/Part/ETag>',
          '<ListPartsResult/IsTruncated>',
        ],
        answer: `200 <ListPartsResult/Key>=a b ${NUMBER}=1,2,5 <ListPartsResult/Part/Size>=1,2,5 <ListPartsResult/Part/ETag>={p1},{p2},{p5} <ListPartsResult/IsTruncated>=false`,
      },
      {
        send: 'GET a b',
        query: { uploadId: '{u}', 'max-parts': '2' },
        show: [NUMBER, '<ListPartsResult/IsTruncated>', '<ListPartsResult/NextPartNumberMarker>'],
        answer: `200 ${NUMBER}=1,2 <ListPartsResult/IsTruncated>=true <ListPartsResult/NextPartNumberMarker>=2`,
      },
      {
        send: 'GET a b',
        query: { uploadId: '{u}', 'part-number-marker': '2' },
        show: [NUMBER],
        answer: `200 ${NUMBER}=5`,
      },
      { send: 'DELETE a b', query: { uploadId: '{u}' }, answer: '204' },
    ],
  },
  {
    name: 'ListMultipartUploads',
    steps: [
      begin('c'),
      begin('a+b', { keep: { v: '<InitiateMultipartUploadResult/UploadId>' } }),
      begin('d/e', { keep: { w: '<InitiateMultipartUploadResult/UploadId>' } }),
      {
        send: 'GET ?',
        query: { uploads: '', prefix: '{prefix}' },
        show: [
          UPLOAD,
          '<ListMultipartUploadsResult/Upload/UploadId>',
          '<ListMultipartUploadsResult/IsTruncated>',
        ],
        answer: `200 ${UPLOAD}=a+b,c,d/e <ListMultipartUploadsResult/Upload/UploadId>={v},{u},{w} <ListMultipartUploadsResult/IsTruncated>=false`,
      },
      {
        send: 'GET ?',
        query: { uploads: '', prefix: '{prefix}', delimiter: '/' },
        show: [UPLOAD, '<ListMultipartUploadsResult/CommonPrefixes/Prefix>'],
        answer: `200 ${UPLOAD}=a+b,c <ListMultipartUploadsResult/CommonPrefixes/Prefix>=d/`,
      },
      {
        send: 'GET ?',
        query: { uploads: '', prefix: '{prefix}', 'max-uploads': '1' },
        show: [
          UPLOAD,
          '<ListMultipartUploadsResult/IsTruncated>',
          '<ListMultipartUploadsResult/NextKeyMarker>',
        ],
        answer: `200 ${UPLOAD}=a+b <ListMultipartUploadsResult/IsTruncated>=true <ListMultipartUploadsResult/NextKeyMarker>=a+b`,
      },
      {
        send: 'GET ?',
        query: { uploads: '', prefix: '{prefix}', 'key-marker': '{prefix}a+b' },
        show: [UPLOAD],
        answer: `200 ${UPLOAD}=c,d/e`,
      },
      {
        send: 'GET ?',
        query: { uploads: '', prefix: '{prefix}', 'encoding-type': 'url' },
        show: [UPLOAD],
        answer: `200 ${UPLOAD}=a%2Bb,c,d/e`,
      },
      ...(['c', 'a+b', 'd/e'] as const).map((key, at): Step => ({
        send: `DELETE ${key}`,
        query: { uploadId: ['{u}', '{v}', '{w}'][at] ?? '' },
        answer: '204',
      })),
      {
        send: 'GET ?',
        query: { uploads: '', prefix: '{prefix}' },
        show: [UPLOAD],
        answer: `200 ${UPLOAD}=(none)`,
      },
    ],
  },
  {
    name: 'UploadPartCopy',
    steps: [
      put('source', 6 * MIB),
      begin('a'),
      copyPart(1, { 'x-amz-copy-source-range': 'bytes=0-5242879' }, '200', {
        keep: { p1: '<CopyPartResult/ETag>' },
      }),
      copyPart(2, { 'x-amz-copy-source-range': 'bytes=6291455-6291455' }, '200', {
        keep: { p2: '<CopyPartResult/ETag>' },
      }),
      copyPart(3, { 'x-amz-copy-source-range': 'bytes=6291455-6291456' }, '400 InvalidArgument'),
      copyPart(3, { 'x-amz-copy-source-range': 'bytes=6291456-7000000' }, '400 InvalidArgument'),
      copyPart(3, { 'x-amz-copy-source-range': 'bytes=5-' }, '400 InvalidArgument'),
      copyPart(3, { 'x-amz-copy-source-range': 'bytes=-5' }, '400 InvalidArgument'),
      copyPart(3, { 'x-amz-copy-source-range': '0-5' }, '400 InvalidArgument'),
      copyPart(3, { 'x-amz-copy-source-range': 'bytes=5-3' }, '400 InvalidArgument'),
      copyPart(3, { 'x-amz-copy-source-if-match': OTHER }, '412 PreconditionFailed'),
      copyPart(3, { 'x-amz-copy-source-if-match': '{e}' }, '200', { keep: { p3: '<CopyPartResult/ETag>' } }),
      copyPart(4, { 'x-amz-copy-source': '/{bucket}/{prefix}absent' }, '404 NoSuchKey'),
      copyPart(0, {}, '400 InvalidArgument'),
      complete(
        'a',
        [
          [1, '{p1}'],
          [2, '{p2}'],
        ],
        { answer: '200' },
      ),
      { send: 'HEAD a', show: ['content-length'], answer: '200 content-length=5242881' },
    ],
  },
  {
    name: 'checksums of parts',
    steps: [
      begin('a', {
        headers: { 'x-amz-checksum-algorithm': 'CRC32' },
        show: ['x-amz-checksum-algorithm'],
        answer: '200 x-amz-checksum-algorithm=CRC32',
      }),
      part('a', 1, 'hello', { headers: { 'x-amz-checksum-crc32': 'AAAAAA==' }, answer: '400 BadDigest' }),
      part('a', 1, 'hello', {
        headers: { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' },
        answer: '400 BadDigest',
      }),
      part('a', 1, 'hello', {
        headers: { 'x-amz-checksum-crc32': 'NhCmhg==' },
        show: ['x-amz-checksum-crc32'],
        answer: '200 x-amz-checksum-crc32=NhCmhg==',
      }),
      {
        send: 'POST a',
        query: { uploadId: '{u}' },
        body: '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{p1}</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>',
        answer: '400 InvalidPart',
      },
      {
        send: 'POST a',
        query: { uploadId: '{u}' },
        body: '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{p1}</ETag><ChecksumCRC32>NhCmhg==</ChecksumCRC32></Part></CompleteMultipartUpload>',
        keep: { sum: '<CompleteMultipartUploadResult/ChecksumCRC32>' },
        show: [
          '<CompleteMultipartUploadResult/ChecksumCRC32>',
          '<CompleteMultipartUploadResult/ChecksumType>',
        ],
        answer:
          '200 <CompleteMultipartUploadResult/ChecksumCRC32>={sum} <CompleteMultipartUploadResult/ChecksumType>=COMPOSITE',
      },
      {
        send: 'HEAD a',
        headers: { 'x-amz-checksum-mode': 'ENABLED' },
        show: ['x-amz-checksum-crc32', 'x-amz-checksum-type'],
        answer: '200 x-amz-checksum-crc32={sum} x-amz-checksum-type=COMPOSITE',
      },
    ],
  },
  {
    name: 'buckets',
    steps: [
      { send: 'HEAD ?', answer: '200' },
      {
        send: 'GET ?',
        query: { location: '' },
        show: ['<LocationConstraint>'],
        answer: '200 <LocationConstraint>=',
      },
      {
        send: 'GET ?',
        query: { versioning: '' },
        show: ['<VersioningConfiguration/Status>'],
        answer: '200 <VersioningConfiguration/Status>=(none)',
      },
    ],
  },
];
