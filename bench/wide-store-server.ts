/**
 * A store that has nothing but large directories (stores/wide-names.ts). The answer to a LIST is a slice of a prepared buffer, so that the measured cost
 * is that of who asks. Arguments: milliseconds that each LIST waits (LISTs wait side by side), and the directories of the bucket. Tells its parent the
 * endpoint when it is ready, and for each message the number of requests so far, by S3 operation.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  directoriesAt,
  etagOf,
  firstBehind,
  WIDE_FILE_BYTES,
  wideDirectory,
  type WideDirectory,
} from './stores/wide-names.js';

const BUCKET = 'bench';
/** S3's default for max-keys, and the most that it gives. */
const KEYS_MAX = 1000;
const LAST_MODIFIED = 'Thu, 01 Jan 2026 00:00:00 GMT';
/** Entries of the directories held in memory, at most. A directory of a million takes some 300 MB. */
const ENTRIES_MAX = 1_100_000;

const [wait = '0', ...top] = process.argv.slice(2);
const listMs = Number(wait);
const requests: Record<string, number> = {};
const held = new Map<string, WideDirectory>();

function directoryAt(prefix: string): WideDirectory | undefined {
  const known = held.get(prefix);
  if (known !== undefined) return known;
  const made = prefix === '' ? directoriesAt('', top) : wideDirectory(prefix);
  if (made === undefined) return undefined;
  let entries = made.names.length;
  for (const { names } of held.values()) entries += names.length;
  if (entries > ENTRIES_MAX) held.clear();
  held.set(prefix, made);
  return made;
}

function page(query: URLSearchParams): Buffer {
  const prefix = query.get('prefix') ?? '';
  const directory = directoryAt(prefix);
  const after = query.get('continuation-token') ?? query.get('start-after') ?? '';
  const max = Math.min(KEYS_MAX, Number(query.get('max-keys') ?? KEYS_MAX));
  const { names, xml, starts } = directory ?? { names: [], xml: Buffer.alloc(0), starts: [0] };
  const first = after.startsWith(prefix) ? firstBehind(names, after.slice(prefix.length)) : 0;
  const end = Math.min(names.length, first + max);
  const more = end < names.length;
  const token = more ? `<NextContinuationToken>${prefix}${names[end - 1] ?? ''}</NextContinuationToken>` : '';
  return Buffer.concat([
    Buffer.from(
      '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
        `<EncodingType>url</EncodingType><KeyCount>${end - first}</KeyCount><IsTruncated>${String(more)}</IsTruncated>${token}`,
    ),
    xml.subarray(starts[first] ?? 0, starts[end] ?? 0),
    Buffer.from('</ListBucketResult>'),
  ]);
}

function list(query: URLSearchParams, response: ServerResponse): void {
  const body = query.get('list-type') === '2' ? page(query) : Buffer.from('<ListMultipartUploadsResult/>');
  const send = (): void => {
    response.writeHead(200, { 'Content-Type': 'application/xml', 'Content-Length': body.length });
    response.end(body);
  };
  if (listMs > 0) setTimeout(send, listMs);
  else send();
}

function file(key: string, method: string, response: ServerResponse): void {
  const cut = key.lastIndexOf('/') + 1;
  const names = directoryAt(key.slice(0, cut))?.names ?? [];
  const at = firstBehind(names, key.slice(cut)) - 1;
  if (cut === 0 || names[at] !== key.slice(cut)) {
    response.writeHead(404, { 'Content-Type': 'application/xml' });
    response.end(
      method === 'HEAD' ? '' : '<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>',
    );
    return;
  }
  response.writeHead(200, {
    'Content-Length': WIDE_FILE_BYTES,
    'Content-Type': 'application/octet-stream',
    'Last-Modified': LAST_MODIFIED,
    ETag: `"${etagOf(at)}"`,
  });
  response.end(method === 'HEAD' ? '' : Buffer.alloc(WIDE_FILE_BYTES, 'x'));
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://store');
  const key = decodeURIComponent(pathname).slice(`/${BUCKET}/`.length);
  const method = request.method ?? '';
  const isList = key === '';
  const name = !isList
    ? `${method === 'HEAD' ? 'Head' : method === 'GET' ? 'Get' : method}Object`
    : searchParams.has('list-type')
      ? 'ListObjectsV2'
      : 'ListMultipartUploads';
  requests[name] = (requests[name] ?? 0) + 1;
  if (isList) list(searchParams, response);
  else file(key, method, response);
}

const server = createServer(answer);
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1', () => {
  process.send?.({ endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
});
process.on('message', () => process.send?.(requests));
process.on('disconnect', () => process.exit());
