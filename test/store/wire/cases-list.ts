/** ListObjectsV2 and ListObjects; keys with characters that paths, forms and XML take for something else. */
import { put, type Step, type WireCase } from './case.js';

const KEY = '<ListBucketResult/Contents/Key>';
const PREFIX = '<ListBucketResult/CommonPrefixes/Prefix>';
const COUNT = '<ListBucketResult/KeyCount>';
const MORE = '<ListBucketResult/IsTruncated>';
const NEXT = '<ListBucketResult/NextContinuationToken>';
const NEXT_THERE = `${NEXT}?`;

function list(
  query: Readonly<Record<string, string>>,
  more: Partial<Step> & { readonly answer: string },
): Step {
  return { send: 'GET ?', query: { 'list-type': '2', prefix: '{prefix}', ...query }, show: [KEY], ...more };
}

/** What is shown, in that order, as the answer has it. */
function listed(...shown: readonly (readonly [what: string, text: string])[]): Pick<Step, 'show' | 'answer'> {
  return {
    show: shown.map(([what]) => what),
    answer: ['200', ...shown.map(([what, text]) => `${what}${what.endsWith('?') ? '' : '='}${text}`)].join(
      ' ',
    ),
  };
}

const TREE = ['a', 'b/1', 'b/2', 'b/c/3', 'd/', 'e'];

/** In UTF-8 order: U+FFEE comes before U+1F600, which UTF-16 has the other way round. */
const ODD = ['a b', 'a+b', 'a%20b', 'a&b', 'é', '日本', '\uffee', '😀'];
const ODD_SORTED = ['a b', 'a%20b', 'a&b', 'a+b', 'é', '日本', '\uffee', '😀'];

export const LIST_CASES: readonly WireCase[] = [
  {
    name: 'ListObjectsV2: prefix and delimiter',
    steps: [
      ...TREE.map((key) => put(key, key.endsWith('/') ? '' : 'x')),
      list({}, listed([KEY, TREE.join()], [COUNT, '6'], [MORE, 'false'], [NEXT_THERE, 'no'])),
      list({ delimiter: '/' }, listed([KEY, 'a,e'], [PREFIX, 'b/,d/'], [COUNT, '4'], [MORE, 'false'])),
      list(
        { delimiter: '/', prefix: '{prefix}b/' },
        listed([KEY, 'b/1,b/2'], [PREFIX, 'b/c/'], [COUNT, '3']),
      ),
      list({ delimiter: '/', prefix: '{prefix}b' }, listed([KEY, '(none)'], [PREFIX, 'b/'])),
      list({ delimiter: '/', prefix: '{prefix}d/' }, listed([KEY, 'd/'], [PREFIX, '(none)'])),
      list({ prefix: '{prefix}none' }, listed([KEY, '(none)'], [COUNT, '0'], [MORE, 'false'])),
      list({ delimiter: 'c' }, listed([KEY, 'a,b/1,b/2,d/,e'], [PREFIX, 'b/c'])),
      list(
        { prefix: '{prefix}a' },
        listed(
          ['<ListBucketResult/Name>', '{bucket}'],
          ['<ListBucketResult/Prefix>', 'a'],
          ['<ListBucketResult/Contents/ETag>', '{e}'],
          ['<ListBucketResult/Contents/Size>', '1'],
          ['<ListBucketResult/Contents/StorageClass>', 'STANDARD'],
          ['<ListBucketResult/MaxKeys>', '1000'],
        ),
      ),
    ],
  },
  {
    name: 'ListObjectsV2: pages',
    steps: [
      ...TREE.map((key) => put(key, key.endsWith('/') ? '' : 'x')),
      list(
        { 'max-keys': '2' },
        { ...listed([KEY, 'a,b/1'], [COUNT, '2'], [MORE, 'true']), keep: { n: NEXT } },
      ),
      list(
        { 'max-keys': '2', 'continuation-token': '{n}' },
        { ...listed([KEY, 'b/2,b/c/3'], [MORE, 'true']), keep: { m: NEXT } },
      ),
      list(
        { 'max-keys': '2', 'continuation-token': '{m}' },
        listed([KEY, 'd/,e'], [MORE, 'false'], [NEXT_THERE, 'no']),
      ),
      list(
        { 'max-keys': '2', delimiter: '/' },
        { ...listed([KEY, 'a'], [PREFIX, 'b/'], [MORE, 'true']), keep: { n: NEXT } },
      ),
      list(
        { 'max-keys': '2', delimiter: '/', 'continuation-token': '{n}' },
        listed([KEY, 'e'], [PREFIX, 'd/'], [MORE, 'false']),
      ),
      list({ 'max-keys': '0' }, listed([KEY, '(none)'], [COUNT, '0'], [MORE, 'false'])),
      list({ 'max-keys': '5000' }, listed(['<ListBucketResult/MaxKeys>', '1000'])),
      list({ 'max-keys': '-1' }, { answer: '400 InvalidArgument', show: [] }),
      list({ 'max-keys': 'many' }, { answer: '400 InvalidArgument', show: [] }),
      list({ 'continuation-token': 'no token' }, { answer: '400 InvalidArgument', show: [] }),
      list(
        { 'start-after': '{prefix}b/1' },
        listed([KEY, 'b/2,b/c/3,d/,e'], ['<ListBucketResult/StartAfter>', 'b/1']),
      ),
      list({ 'start-after': '{prefix}b/10' }, listed([KEY, 'b/2,b/c/3,d/,e'])),
      list({ 'start-after': '{prefix}b/1', delimiter: '/' }, listed([KEY, 'e'], [PREFIX, 'b/,d/'])),
      list({ 'start-after': '{prefix}z' }, listed([KEY, '(none)'])),
      list(
        { 'start-after': '{prefix}e', 'continuation-token': '{n}', delimiter: '/' },
        listed([KEY, 'e'], [PREFIX, 'd/']),
      ),
    ],
  },
  {
    name: 'ListObjects',
    steps: [
      ...TREE.map((key) => put(key, key.endsWith('/') ? '' : 'x')),
      {
        send: 'GET ?',
        query: { prefix: '{prefix}', 'max-keys': '2' },
        ...listed([KEY, 'a,b/1'], [MORE, 'true'], ['<ListBucketResult/NextMarker>', '(none)']),
      },
      {
        send: 'GET ?',
        query: { prefix: '{prefix}', marker: '{prefix}b/1' },
        ...listed([KEY, 'b/2,b/c/3,d/,e'], ['<ListBucketResult/Marker>', 'b/1']),
      },
      {
        send: 'GET ?',
        query: { prefix: '{prefix}', delimiter: '/', 'max-keys': '2' },
        ...listed([KEY, 'a'], [PREFIX, 'b/'], ['<ListBucketResult/NextMarker>', 'b/']),
      },
      {
        send: 'GET ?',
        query: { prefix: '{prefix}', delimiter: '/', marker: '{prefix}b/' },
        ...listed([KEY, 'e'], [PREFIX, 'd/']),
      },
    ],
  },
  {
    name: 'odd keys',
    steps: [
      ...ODD.map((key) => put(key, key, 'e', { headers: { 'x-amz-meta-key': encodeURIComponent(key) } })),
      ...ODD.map((key): Step => ({
        send: `GET ${key}`,
        show: ['body', 'x-amz-meta-key'],
        answer: `200 body=${key} x-amz-meta-key=${encodeURIComponent(key)}`,
      })),
      list({}, listed([KEY, ODD_SORTED.join()])),
      list(
        { 'encoding-type': 'url' },
        listed(
          [KEY, 'a+b,a%2520b,a%26b,a%2Bb,%C3%A9,%E6%97%A5%E6%9C%AC,%EF%BF%AE,%F0%9F%98%80'],
          ['<ListBucketResult/EncodingType>', 'url'],
        ),
      ),
      list({ 'encoding-type': 'base64' }, { answer: '400 InvalidArgument', show: [] }),
      list({ prefix: '{prefix}a+' }, listed([KEY, 'a+b'])),
      list({ prefix: '{prefix}a ' }, listed([KEY, 'a b'])),
      list({ 'start-after': '{prefix}\uffee' }, listed([KEY, '😀'])),
      ...ODD.map((key): Step => ({
        send: `PUT copy/${key}`,
        headers: { 'x-amz-copy-source': `/{bucket}/{prefix}${encodeURIComponent(key)}` },
        answer: '200',
      })),
      ...ODD.map((key): Step => ({ send: `GET copy/${key}`, show: ['body'], answer: `200 body=${key}` })),
      ...ODD.map((key): Step => ({ send: `DELETE ${key}`, answer: '204' })),
      list({ delimiter: '/' }, listed([KEY, '(none)'], [PREFIX, 'copy/'])),
    ],
  },
  {
    name: 'long keys',
    steps: [
      // 43 characters of the prefix are the runner's: "wire-", a UUID, "/".
      put(
        `${'k'.repeat(200)}/${'k'.repeat(200)}/${'k'.repeat(200)}/${'k'.repeat(200)}/${'k'.repeat(178)}`,
        'x',
      ),
      put(
        `${'k'.repeat(200)}/${'k'.repeat(200)}/${'k'.repeat(200)}/${'k'.repeat(200)}/${'k'.repeat(179)}`,
        'x',
        'e',
        { answer: '400 KeyTooLongError' },
      ),
    ],
  },
  {
    name: 'keys that are no paths',
    steps: ['a//b', 'a/./b', '/a', 'a/'].flatMap((key) => [
      put(key, key.endsWith('/') ? '' : key),
      { send: `GET ${key}`, show: ['body'], answer: `200 body=${key.endsWith('/') ? '' : key}` },
    ]),
  },
  {
    name: 'a file and a directory of one name',
    steps: [
      put('a', 'file'),
      put('a/b', 'below'),
      { send: 'GET a', show: ['body'], answer: '200 body=file' },
      list({ delimiter: '/' }, listed([KEY, 'a'], [PREFIX, 'a/'])),
    ],
  },
];
