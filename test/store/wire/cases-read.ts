/** GET and HEAD: conditions (GetObject, RFC 9110 13), ranges (RFC 9110 14), headers. */
import { put, type WireCase } from './case.js';

const LONG_AGO = 'Wed, 01 Jan 2020 00:00:00 GMT';
const OTHER = '"0123456789abcdef0123456789abcdef"';

export const READ_CASES: readonly WireCase[] = [
  {
    name: 'conditions of GET',
    steps: [
      put('a', 'hello'),
      { send: 'HEAD a', keep: { when: 'last-modified' }, answer: '200' },
      {
        send: 'GET a',
        headers: { 'if-match': '{e}' },
        show: ['body', 'etag'],
        answer: '200 body=hello etag={e}',
      },
      { send: 'GET a', headers: { 'if-match': '*' }, show: ['body'], answer: '200 body=hello' },
      { send: 'GET a', headers: { 'if-match': OTHER }, answer: '412 PreconditionFailed' },
      {
        send: 'GET a',
        headers: { 'if-none-match': '{e}' },
        show: ['etag', 'body'],
        answer: '304 etag={e} body=',
      },
      { send: 'GET a', headers: { 'if-none-match': OTHER }, answer: '200' },
      { send: 'GET a', headers: { 'if-modified-since': '{when}' }, answer: '304' },
      { send: 'GET a', headers: { 'if-modified-since': LONG_AGO }, answer: '200' },
      { send: 'GET a', headers: { 'if-unmodified-since': '{when}' }, answer: '200' },
      { send: 'GET a', headers: { 'if-unmodified-since': LONG_AGO }, answer: '412 PreconditionFailed' },
      { send: 'GET a', headers: { 'if-match': '{e}', 'if-unmodified-since': LONG_AGO }, answer: '200' },
      { send: 'GET a', headers: { 'if-none-match': '{e}', 'if-modified-since': LONG_AGO }, answer: '304' },
      { send: 'GET a', headers: { 'if-none-match': OTHER, 'if-modified-since': '{when}' }, answer: '200' },
      { send: 'GET a', headers: { 'if-modified-since': 'no date' }, answer: '200' },
    ],
  },
  {
    name: 'conditions of HEAD',
    steps: [
      put('a', 'hello'),
      { send: 'HEAD a', keep: { when: 'last-modified' }, answer: '200' },
      {
        send: 'HEAD a',
        headers: { 'if-match': '{e}' },
        show: ['content-length'],
        answer: '200 content-length=5',
      },
      { send: 'HEAD a', headers: { 'if-match': OTHER }, show: ['body'], answer: '412 body=' },
      { send: 'HEAD a', headers: { 'if-none-match': '{e}' }, show: ['etag'], answer: '304 etag={e}' },
      { send: 'HEAD a', headers: { 'if-modified-since': '{when}' }, answer: '304' },
      { send: 'HEAD a', headers: { 'if-unmodified-since': LONG_AGO }, answer: '412' },
    ],
  },
  {
    name: 'what is not there',
    steps: [
      { send: 'GET absent', answer: '404 NoSuchKey' },
      { send: 'HEAD absent', show: ['body'], answer: '404 body=' },
      { send: 'GET absent', headers: { 'if-match': OTHER }, answer: '404 NoSuchKey' },
      { send: 'GET absent', headers: { 'if-none-match': OTHER }, answer: '404 NoSuchKey' },
      { send: 'GET absent', headers: { range: 'bytes=0-1' }, answer: '404 NoSuchKey' },
      { send: 'DELETE absent', answer: '204' },
    ],
  },
  {
    name: 'ranges of GET',
    steps: [
      put('a', '0123456789'),
      {
        send: 'GET a',
        headers: { range: 'bytes=2-4' },
        show: ['body', 'content-range', 'content-length', 'accept-ranges'],
        answer: '206 body=234 content-range=bytes 2-4/10 content-length=3 accept-ranges=bytes',
      },
      {
        send: 'GET a',
        headers: { range: 'bytes=4-' },
        show: ['body', 'content-range'],
        answer: '206 body=456789 content-range=bytes 4-9/10',
      },
      {
        send: 'GET a',
        headers: { range: 'bytes=-3' },
        show: ['body', 'content-range'],
        answer: '206 body=789 content-range=bytes 7-9/10',
      },
      {
        send: 'GET a',
        headers: { range: 'bytes=-30' },
        show: ['body', 'content-range'],
        answer: '206 body=0123456789 content-range=bytes 0-9/10',
      },
      {
        send: 'GET a',
        headers: { range: 'bytes=8-100' },
        show: ['body', 'content-range'],
        answer: '206 body=89 content-range=bytes 8-9/10',
      },
      {
        send: 'GET a',
        headers: { range: 'bytes=0-9' },
        show: ['content-range'],
        answer: '206 content-range=bytes 0-9/10',
      },
      { send: 'GET a', headers: { range: 'bytes=10-' }, answer: '416 InvalidRange' },
      { send: 'GET a', headers: { range: 'bytes=10-20' }, answer: '416 InvalidRange' },
      { send: 'GET a', headers: { range: 'bytes=-0' }, answer: '416 InvalidRange' },
      { send: 'GET a', headers: { range: 'bytes=5-3' }, show: ['body'], answer: '200 body=0123456789' },
      { send: 'GET a', headers: { range: 'lines=0-3' }, show: ['body'], answer: '200 body=0123456789' },
      { send: 'GET a', headers: { range: 'bytes=x-3' }, show: ['body'], answer: '200 body=0123456789' },
      { send: 'GET a', headers: { range: 'bytes=0-3', 'if-match': OTHER }, answer: '412 PreconditionFailed' },
      { send: 'GET a', headers: { range: 'bytes=10-', 'if-match': OTHER }, answer: '412 PreconditionFailed' },
      { send: 'GET a', headers: { range: 'bytes=0-3', 'if-none-match': '{e}' }, answer: '304' },
      {
        send: 'HEAD a',
        headers: { range: 'bytes=2-4' },
        show: ['content-range', 'content-length'],
        answer: '206 content-range=bytes 2-4/10 content-length=3',
      },
      { send: 'HEAD a', headers: { range: 'bytes=10-' }, answer: '416' },
      {
        send: 'GET a',
        query: { partNumber: '1' },
        show: ['body', 'content-range'],
        answer: '206 body=0123456789 content-range=bytes 0-9/10',
      },
      { send: 'GET a', query: { partNumber: '2' }, answer: '416 InvalidPartNumber' },
    ],
  },
  {
    name: 'an empty object',
    steps: [
      put('empty', '', 'e', {
        show: ['etag'],
        keep: {},
        answer: '200 etag="d41d8cd98f00b204e9800998ecf8427e"',
      }),
      {
        send: 'GET empty',
        show: ['body', 'content-length', 'etag'],
        answer: '200 body= content-length=0 etag="d41d8cd98f00b204e9800998ecf8427e"',
      },
      { send: 'GET empty', headers: { range: 'bytes=0-' }, answer: '416 InvalidRange' },
      { send: 'GET empty', headers: { range: 'bytes=0-10' }, answer: '416 InvalidRange' },
    ],
  },
  {
    name: 'headers of an object',
    steps: [
      put('a', 'x', 'e', {
        headers: {
          'content-type': 'text/plain; charset=utf-8',
          'cache-control': 'max-age=60',
          'content-disposition': 'attachment; filename="a b"',
          'content-encoding': 'gzip',
          'content-language': 'en, de',
          'x-amz-meta-mixed-case': 'Some Value',
          'x-amz-meta-encoded': '=?UTF-8?B?w6k=?=',
        },
      }),
      {
        send: 'HEAD a',
        show: [
          'content-type',
          'cache-control',
          'content-disposition',
          'content-encoding',
          'content-language',
          'x-amz-meta-mixed-case',
          'x-amz-meta-encoded',
        ],
        answer:
          '200 content-type=text/plain; charset=utf-8 cache-control=max-age=60 content-disposition=attachment; filename="a b" content-encoding=gzip content-language=en, de x-amz-meta-mixed-case=Some Value x-amz-meta-encoded==?UTF-8?B?w6k=?=',
      },
      {
        send: 'GET a',
        query: { 'response-content-type': 'text/html', 'response-cache-control': 'no-cache' },
        show: ['content-type', 'cache-control', 'content-language'],
        answer: '200 content-type=text/html cache-control=no-cache content-language=en, de',
      },
      put('plain', 'x'),
      { send: 'HEAD plain', show: ['content-type'], answer: '200 content-type=binary/octet-stream' },
      put('heavy', 'x', 'e', {
        headers: { 'x-amz-meta-a': 'v'.repeat(2050) },
        answer: '400 MetadataTooLarge',
      }),
      put('heaviest', 'x', 'e', { headers: { 'x-amz-meta-a': 'v'.repeat(2047) } }),
      put('class', 'x', 'e', {
        headers: { 'x-amz-storage-class': 'NO_SUCH_CLASS' },
        answer: '400 InvalidStorageClass',
      }),
    ],
  },
];
