/** PUT, copy and delete: conditions, checksums, metadata directives. */
import { put, type Step, type WireCase } from './case.js';

const OTHER = '"0123456789abcdef0123456789abcdef"';

function remove(objects: string, more: Partial<Step> & { readonly answer: string }): Step {
  return {
    send: 'POST ?',
    query: { delete: '' },
    headers: { 'content-md5': '{body-md5}' },
    body: `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${objects}</Delete>`,
    ...more,
  };
}

export const WRITE_CASES: readonly WireCase[] = [
  {
    name: 'conditions of PUT',
    steps: [
      put('a', 'one', 'e', { headers: { 'if-none-match': '*' } }),
      put('a', 'two', 'f', { headers: { 'if-none-match': '*' }, answer: '412 PreconditionFailed' }),
      put('a', 'two', 'f', { headers: { 'if-none-match': '{e}' }, answer: '501 NotImplemented' }),
      put('a', 'two', 'f', { headers: { 'if-match': OTHER }, answer: '412 PreconditionFailed' }),
      { send: 'GET a', show: ['body'], answer: '200 body=one' },
      put('a', 'two', 'f', { headers: { 'if-match': '{e}' } }),
      put('a', 'three', 'g', { headers: { 'if-match': '{e}' }, answer: '412 PreconditionFailed' }),
      { send: 'GET a', show: ['body', 'etag'], answer: '200 body=two etag={f}' },
      put('absent', 'x', 'g', { headers: { 'if-match': OTHER }, answer: '404 NoSuchKey' }),
      { send: 'HEAD absent', answer: '404' },
    ],
  },
  {
    name: 'conditions of DELETE',
    steps: [
      put('a', 'one'),
      { send: 'DELETE a', headers: { 'if-match': OTHER }, answer: '412 PreconditionFailed' },
      { send: 'HEAD a', answer: '200' },
      { send: 'DELETE a', headers: { 'if-match': '{e}' }, answer: '204' },
      { send: 'HEAD a', answer: '404' },
      { send: 'DELETE a', headers: { 'if-match': '{e}' }, answer: '404 NoSuchKey' },
    ],
  },
  {
    name: 'conditions of a copy on its source',
    steps: [
      put('a', 'one'),
      { send: 'HEAD a', keep: { when: 'last-modified' }, answer: '200' },
      ...(
        [
          [{ 'x-amz-copy-source-if-match': '{e}' }, '200'],
          [{ 'x-amz-copy-source-if-match': OTHER }, '412 PreconditionFailed'],
          [{ 'x-amz-copy-source-if-none-match': '{e}' }, '412 PreconditionFailed'],
          [{ 'x-amz-copy-source-if-none-match': OTHER }, '200'],
          [{ 'x-amz-copy-source-if-modified-since': '{when}' }, '412 PreconditionFailed'],
          [{ 'x-amz-copy-source-if-unmodified-since': '{when}' }, '200'],
        ] as const
      ).map(([headers, answer]) => ({
        send: 'PUT b',
        headers: { 'x-amz-copy-source': '/{bucket}/{prefix}a', ...headers },
        answer,
      })),
      {
        send: 'PUT b',
        headers: { 'x-amz-copy-source': '/{bucket}/{prefix}absent' },
        answer: '404 NoSuchKey',
      },
      {
        send: 'PUT b',
        headers: { 'x-amz-copy-source': '/no-such-bucket-here/a' },
        answer: '404 NoSuchBucket',
      },
    ],
  },
  {
    name: 'conditions of a copy on its target',
    steps: [
      put('a', 'source'),
      put('b', 'target', 'f'),
      {
        send: 'PUT b',
        headers: { 'x-amz-copy-source': '/{bucket}/{prefix}a', 'if-none-match': '*' },
        answer: '412 PreconditionFailed',
      },
      {
        send: 'PUT b',
        headers: { 'x-amz-copy-source': '/{bucket}/{prefix}a', 'if-match': OTHER },
        answer: '412 PreconditionFailed',
      },
      { send: 'GET b', show: ['body'], answer: '200 body=target' },
      {
        send: 'PUT b',
        headers: { 'x-amz-copy-source': '/{bucket}/{prefix}a', 'if-match': '{f}' },
        answer: '200',
      },
      { send: 'GET b', show: ['body'], answer: '200 body=source' },
      {
        send: 'PUT c',
        headers: { 'x-amz-copy-source': '/{bucket}/{prefix}a', 'if-none-match': '*' },
        answer: '200',
      },
    ],
  },
  {
    name: 'metadata of a copy',
    steps: [
      put('a', 'one', 'e', { headers: { 'x-amz-meta-old': '1', 'content-type': 'text/plain' } }),
      {
        send: 'PUT b',
        headers: {
          'x-amz-copy-source': '/{bucket}/{prefix}a',
          'x-amz-meta-new': '2',
          'content-type': 'text/html',
        },
        show: ['<CopyObjectResult/ETag>'],
        answer: '200 <CopyObjectResult/ETag>={e}',
      },
      {
        send: 'HEAD b',
        show: ['x-amz-meta-old', 'x-amz-meta-new', 'content-type'],
        answer: '200 x-amz-meta-old=1 x-amz-meta-new=(none) content-type=text/plain',
      },
      {
        send: 'PUT b',
        headers: {
          'x-amz-copy-source': '{bucket}/{prefix}a',
          'x-amz-metadata-directive': 'REPLACE',
          'x-amz-meta-new': '2',
          'content-type': 'text/html',
        },
        answer: '200',
      },
      {
        send: 'HEAD b',
        show: ['x-amz-meta-old', 'x-amz-meta-new', 'content-type'],
        answer: '200 x-amz-meta-old=(none) x-amz-meta-new=2 content-type=text/html',
      },
      {
        send: 'PUT a',
        headers: { 'x-amz-copy-source': '/{bucket}/{prefix}a' },
        answer: '400 InvalidRequest',
      },
      {
        send: 'PUT a',
        headers: {
          'x-amz-copy-source': '/{bucket}/{prefix}a',
          'x-amz-metadata-directive': 'REPLACE',
          'x-amz-meta-self': '3',
        },
        answer: '200',
      },
      {
        send: 'HEAD a',
        show: ['x-amz-meta-old', 'x-amz-meta-self', 'etag'],
        answer: '200 x-amz-meta-old=(none) x-amz-meta-self=3 etag={e}',
      },
      {
        send: 'PUT b',
        headers: { 'x-amz-copy-source': '/{bucket}/{prefix}a', 'x-amz-metadata-directive': 'MERGE' },
        answer: '400 InvalidArgument',
      },
    ],
  },
  {
    name: 'checksums of PUT',
    steps: [
      put('a', 'hello', 'e', {
        keep: {},
        headers: { 'content-md5': 'XUFAKrxLKna5cZ2REBfFkg==' },
        show: ['etag'],
        answer: '200 etag="5d41402abc4b2a76b9719d911017c592"',
      }),
      put('a', 'hello', 'e', {
        headers: { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' },
        answer: '400 BadDigest',
      }),
      put('a', 'hello', 'e', { headers: { 'content-md5': 'short' }, answer: '400 InvalidDigest' }),
      put('crc32', 'hello', 'e', {
        headers: { 'x-amz-checksum-crc32': 'NhCmhg==' },
        show: ['x-amz-checksum-crc32'],
        answer: '200 x-amz-checksum-crc32=NhCmhg==',
      }),
      put('a', 'hello', 'e', { headers: { 'x-amz-checksum-crc32': 'AAAAAA==' }, answer: '400 BadDigest' }),
      put('a', 'hello', 'e', {
        headers: { 'x-amz-checksum-crc32': 'not base64' },
        answer: '400 InvalidRequest',
      }),
      put('a', 'hello', 'e', {
        headers: {
          'x-amz-checksum-crc32': 'NhCmhg==',
          'x-amz-checksum-sha256': 'LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=',
        },
        answer: '400 InvalidRequest',
      }),
      put('sha256', 'hello', 'e', {
        headers: { 'x-amz-checksum-sha256': 'LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=' },
      }),
      put('a', 'hello', 'e', {
        headers: { 'x-amz-content-sha256': '0'.repeat(64) },
        answer: '400 XAmzContentSHA256Mismatch',
      }),
      {
        send: 'HEAD crc32',
        headers: { 'x-amz-checksum-mode': 'ENABLED' },
        show: ['x-amz-checksum-crc32', 'x-amz-checksum-type'],
        answer: '200 x-amz-checksum-crc32=NhCmhg== x-amz-checksum-type=FULL_OBJECT',
      },
      { send: 'HEAD crc32', show: ['x-amz-checksum-crc32'], answer: '200 x-amz-checksum-crc32=(none)' },
      {
        send: 'HEAD sha256',
        headers: { 'x-amz-checksum-mode': 'ENABLED' },
        show: ['x-amz-checksum-sha256'],
        answer: '200 x-amz-checksum-sha256=LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=',
      },
      // A checksum of the whole would be wrong about a part of it.
      {
        send: 'GET crc32',
        headers: { 'x-amz-checksum-mode': 'ENABLED', range: 'bytes=0-1' },
        show: ['x-amz-checksum-crc32'],
        answer: '206 x-amz-checksum-crc32=(none)',
      },
    ],
  },
  {
    name: 'DeleteObjects',
    steps: [
      ...['a', 'b & c', 'd'].map((key) => put(key, 'x')),
      remove('<Object><Key>{prefix}a</Key></Object>', {
        headers: { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' },
        answer: '400 BadDigest',
      }),
      remove('<Object><Key>{prefix}a</Key></Object>', { headers: {}, answer: '400 InvalidRequest' }),
      { send: 'HEAD a', answer: '200' },
      remove('<Object><Key>{prefix}a</Key></Object><Object><Key>{prefix}absent</Key></Object>', {
        show: ['<DeleteResult/Deleted/Key>', '<DeleteResult/Error/Key>'],
        answer: '200 <DeleteResult/Deleted/Key>=a,absent <DeleteResult/Error/Key>=(none)',
      }),
      remove('<Quiet>true</Quiet><Object><Key>{prefix}b &amp; c</Key></Object>', {
        show: ['<DeleteResult/Deleted/Key>'],
        answer: '200 <DeleteResult/Deleted/Key>=(none)',
      }),
      { send: 'HEAD b & c', answer: '404' },
      remove('', { answer: '400 MalformedXML' }),
      remove('<Object><Key>{prefix}d</Key></Object>'.repeat(1001), { answer: '400 MalformedXML' }),
      remove('<Object>', { answer: '400 MalformedXML' }),
      { send: 'HEAD d', answer: '200' },
    ],
  },
];
