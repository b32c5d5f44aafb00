/**
 * An S3 server that keeps of its objects their sizes and headers and no bytes: what is written is counted and dropped, what is read is
 * zeros. So what is done to a file of 10 GiB, or how a stream of 20 GiB is sent, can be looked at in full size, without a disk. One bucket,
 * path style; signatures and checksums are not looked at, conditions are.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import type { EmbeddedStoreOptions } from '../../src/store/embedded/server.js';

interface HollowObject {
  readonly size: number;
  readonly etag: string;
  readonly modified: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface HollowUpload {
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes, by part number. */
  readonly parts: Map<number, number>;
}

interface Seen {
  readonly operation: string;
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly bytesIn: number;
}

interface Answered {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Zeros, in place of `body`. */
  readonly zeros?: number;
}

const ZEROS = Buffer.alloc(1024 * 1024);
const PLACEMENT = /^(x-amz-storage-class|x-amz-website-redirect-location|x-amz-server-side-encryption.*)$/;
const CONTENT = /^(x-amz-meta-.*|content-(type|encoding|language|disposition)|cache-control|expires)$/;
const TAGGING = 'x-amz-tagging';

export class HollowServer {
  readonly #bucket: string;
  readonly #server: Server;
  readonly #hooks: Required<Pick<EmbeddedStoreOptions, 'onArrival' | 'onRequest'>>;
  readonly #objects = new Map<string, HollowObject>();
  readonly #uploads = new Map<string, HollowUpload>();
  #made = 0;

  private constructor(
    bucket: string,
    hooks: Required<Pick<EmbeddedStoreOptions, 'onArrival' | 'onRequest'>>,
  ) {
    this.#bucket = bucket;
    this.#hooks = hooks;
    this.#server = createServer((request, response) => {
      hooks.onArrival();
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  static async start(
    bucket: string,
    hooks: Required<Pick<EmbeddedStoreOptions, 'onArrival' | 'onRequest'>>,
  ): Promise<HollowServer> {
    const hollow = new HollowServer(bucket, hooks);
    await new Promise<void>((resolve) => hollow.#server.listen(0, '127.0.0.1', resolve));
    return hollow;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Puts an object of so many zeros, as another S3 user would. */
  putNow(key: string, size: number, headers: Readonly<Record<string, string>> = {}): void {
    this.#put(key, size, headers);
  }

  /** What the object was given: as HEAD tells it, with `x-amz-tagging` as it came. */
  headersOf(key: string): Readonly<Record<string, string>> | undefined {
    return this.#objects.get(key)?.headers;
  }

  /** Bytes of the object; undefined where there is none. */
  sizeOf(key: string): number | undefined {
    return this.#objects.get(key)?.size;
  }

  get keys(): readonly string[] {
    return [...this.#objects.keys()].sort();
  }

  get unfinishedUploads(): number {
    return this.#uploads.size;
  }

  #put(
    key: string,
    size: number,
    headers: Readonly<Record<string, string>>,
    etag = `"${(this.#made += 1).toString(16).padStart(32, '0')}"`,
  ): HollowObject {
    const object = { size, etag, modified: new Date().toUTCString(), headers };
    this.#objects.set(key, object);
    return object;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen = await this.#read(request);
    const { status, headers = {}, body = '', zeros } = this.#answer(seen);
    const bytesOut = zeros ?? Buffer.byteLength(body);
    response.writeHead(status, {
      ...(request.method !== 'HEAD' && { 'content-length': String(bytesOut) }),
      ...headers,
    });
    if (zeros === undefined) response.end(request.method === 'HEAD' ? undefined : body);
    else await pipeline(Readable.from(zeroPieces(zeros)), response);
    const { operation, key, query, headers: sent, bytesIn } = seen;
    this.#hooks.onRequest({
      operation,
      bucket: this.#bucket,
      key,
      status,
      bytesIn,
      bytesOut: zeros ?? 0,
      headers: sent,
      query,
    });
  }

  async #read(request: IncomingMessage): Promise<Seen> {
    const url = new URL(request.url ?? '/', 'http://hollow');
    const query = new Map(url.searchParams);
    const headers = new Map(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const key = decodeURIComponent(url.pathname).slice(`/${this.#bucket}/`.length);
    const operation = operationOf(request.method ?? '', key, query, headers);
    const keeps = request.method === 'POST' || operation === 'PutObject';
    const kept: Buffer[] = [];
    let bytesIn = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytesIn += chunk.length;
      if (keeps) kept.push(chunk);
    }
    return { operation, key, query, headers, body: Buffer.concat(kept), bytesIn };
  }

  #answer(seen: Seen): Answered {
    const { operation, key, query, headers, bytesIn } = seen;
    const refused = this.#refused(seen);
    if (refused !== undefined) return refused;
    const object = this.#objects.get(key);
    const upload = this.#uploads.get(query.get('uploadId') ?? '');
    const part = Number(query.get('partNumber'));
    const etag = `"${(this.#made += 1).toString(16).padStart(32, '0')}"`;
    switch (operation) {
      case 'PutObject':
        this.#put(key, bytesIn, keptOf(headers), md5(seen.body));
        return { status: 200, headers: { etag: md5(seen.body) } };
      case 'CopyObject': {
        const source = this.#sourceOf(headers);
        if (source === undefined) return error(404, 'NoSuchKey');
        const replaces = headers.get('x-amz-metadata-directive') === 'REPLACE';
        const content = replaces ? keptOf(headers, CONTENT) : kept(source.headers, CONTENT);
        const tags = kept(source.headers, new RegExp(`^${TAGGING}$`));
        const copied = this.#put(key, source.size, { ...content, ...tags, ...keptOf(headers, PLACEMENT) });
        return xml(`<CopyObjectResult><ETag>${copied.etag}</ETag></CopyObjectResult>`);
      }
      case 'CreateMultipartUpload': {
        const uploadId = `upload${String((this.#made += 1))}`;
        this.#uploads.set(uploadId, { headers: keptOf(headers), parts: new Map() });
        return xml(
          `<InitiateMultipartUploadResult><UploadId>${uploadId}</UploadId></InitiateMultipartUploadResult>`,
        );
      }
      case 'UploadPart':
        if (upload === undefined) return error(404, 'NoSuchUpload');
        upload.parts.set(part, bytesIn);
        return { status: 200, headers: { etag } };
      case 'UploadPartCopy': {
        if (upload === undefined) return error(404, 'NoSuchUpload');
        const [first = 0, last = 0] = rangeOf(headers.get('x-amz-copy-source-range') ?? '');
        if (last >= (this.#sourceOf(headers)?.size ?? 0)) return error(416, 'InvalidRange');
        upload.parts.set(part, last - first + 1);
        return xml(`<CopyPartResult><ETag>${etag}</ETag></CopyPartResult>`);
      }
      case 'CompleteMultipartUpload': {
        if (upload === undefined) return error(404, 'NoSuchUpload');
        const numbers = [...seen.body.toString().matchAll(/<PartNumber>(\d+)</g)].map(([, n]) => Number(n));
        const sizes = numbers.map((number) => upload.parts.get(number) ?? 0);
        if (sizes.slice(0, -1).some((size) => size < 5 * 1024 * 1024)) return error(400, 'EntityTooSmall');
        const size = sizes.reduce((sum, each) => sum + each, 0);
        this.#uploads.delete(query.get('uploadId') ?? '');
        const etagOfParts = `${etag.slice(0, -1)}-${String(sizes.length)}"`;
        const made = this.#put(key, size, upload.headers, etagOfParts);
        return xml(
          `<CompleteMultipartUploadResult><ETag>${made.etag}</ETag></CompleteMultipartUploadResult>`,
        );
      }
      case 'HeadObject':
        return object === undefined ? { status: 404 } : { status: 200, headers: describe(object) };
      case 'GetObject': {
        if (object === undefined) return error(404, 'NoSuchKey');
        if (!headers.has('range')) {
          const whole = { ...describe(object), 'content-length': String(object.size) };
          return { status: 200, headers: whole, zeros: object.size };
        }
        const [first = 0, last = Infinity] = rangeOf(headers.get('range') ?? '');
        const end = Math.min(last, object.size - 1);
        const range = `bytes ${String(first)}-${String(end)}/${String(object.size)}`;
        const length = String(end - first + 1);
        return {
          status: 206,
          headers: { ...describe(object), 'content-length': length, 'content-range': range },
          zeros: end - first + 1,
        };
      }
      case 'GetObjectTagging':
        return object === undefined ? error(404, 'NoSuchKey') : xml(tagSetOf(object.headers[TAGGING] ?? ''));
      case 'DeleteObject':
        this.#objects.delete(key);
        return { status: 204 };
      case 'AbortMultipartUpload':
        this.#uploads.delete(query.get('uploadId') ?? '');
        return { status: 204 };
      case 'ListObjectsV2':
        return this.#list(query);
      default:
        return error(501, 'NotImplemented');
    }
  }

  #refused({ operation, key, headers }: Seen): Answered | undefined {
    const there = this.#objects.get(key)?.etag;
    const ifMatch = headers.get('if-match');
    if (ifMatch !== undefined && ifMatch !== there) return error(412, 'PreconditionFailed');
    if (headers.get('if-none-match') === '*' && there !== undefined) return error(412, 'PreconditionFailed');
    const sourceMatch = headers.get('x-amz-copy-source-if-match');
    if (/Copy/.test(operation) && sourceMatch !== undefined && this.#sourceOf(headers)?.etag !== sourceMatch)
      return error(412, 'PreconditionFailed');
    return undefined;
  }

  #sourceOf(headers: ReadonlyMap<string, string>): HollowObject | undefined {
    const source = decodeURIComponent(headers.get('x-amz-copy-source') ?? '').replace(/^\//, '');
    return this.#objects.get(source.slice(this.#bucket.length + 1));
  }

  #list(query: ReadonlyMap<string, string>): Answered {
    const prefix = query.get('prefix') ?? '';
    const after = query.get('start-after') ?? query.get('continuation-token') ?? '';
    const max = Number(query.get('max-keys') ?? 1000);
    const delimiter = query.get('delimiter');
    // Keys and common prefixes, in order.
    const found = [
      ...new Set(
        this.keys
          .filter((key) => key.startsWith(prefix))
          .map((key) => {
            const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
            return at < 0 ? key : key.slice(0, at + 1);
          }),
      ),
    ].filter((entry) => entry > after);
    const page = found.slice(0, max);
    const contents = page.map((key) => {
      const held = this.#objects.get(key);
      if (held === undefined || (delimiter !== undefined && key.endsWith(delimiter) && key !== prefix))
        return `<CommonPrefixes><Prefix>${encodeURIComponent(key)}</Prefix></CommonPrefixes>`;
      const { size, etag, modified } = held;
      const time = new Date(modified).toISOString();
      return `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>${time}</LastModified><ETag>${etag}</ETag><Size>${String(size)}</Size></Contents>`;
    });
    const next =
      found.length > max ? `<NextContinuationToken>${page.at(-1) ?? ''}</NextContinuationToken>` : '';
    return xml(
      `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${String(found.length > max)}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`,
    );
  }
}

/** As the ETag of what was put: by it a client knows its own bytes again when it asks twice. */
function md5(body: Buffer): string {
  return `"${createHash('md5').update(body).digest('hex')}"`;
}

function operationOf(
  method: string,
  key: string,
  query: ReadonlyMap<string, string>,
  headers: ReadonlyMap<string, string>,
): string {
  const isCopy = headers.has('x-amz-copy-source');
  switch (method) {
    case 'PUT':
      if (query.has('partNumber')) return isCopy ? 'UploadPartCopy' : 'UploadPart';
      return isCopy ? 'CopyObject' : 'PutObject';
    case 'POST':
      if (query.has('uploads')) return 'CreateMultipartUpload';
      return query.has('uploadId') ? 'CompleteMultipartUpload' : 'Unknown';
    case 'HEAD':
      return 'HeadObject';
    case 'DELETE':
      return query.has('uploadId') ? 'AbortMultipartUpload' : 'DeleteObject';
    case 'GET':
      if (query.has('tagging')) return 'GetObjectTagging';
      return key === '' ? 'ListObjectsV2' : 'GetObject';
    default:
      return 'Unknown';
  }
}

function* zeroPieces(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= ZEROS.length)
    yield ZEROS.subarray(0, Math.min(left, ZEROS.length));
}

function rangeOf(header: string): readonly number[] {
  return header
    .replace('bytes=', '')
    .split('-')
    .filter((text) => text !== '')
    .map(Number);
}

function keptOf(
  headers: ReadonlyMap<string, string>,
  ...names: readonly RegExp[]
): Readonly<Record<string, string>> {
  return kept(Object.fromEntries(headers), ...names);
}

function kept(
  headers: Readonly<Record<string, string>>,
  ...names: readonly RegExp[]
): Readonly<Record<string, string>> {
  const wanted = names.length === 0 ? [CONTENT, PLACEMENT, new RegExp(`^${TAGGING}$`)] : names;
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => wanted.some((pattern) => pattern.test(name))),
  );
}

function describe({ size, etag, modified, headers }: HollowObject): Record<string, string> {
  const { [TAGGING]: tagging, ...told } = headers;
  const count = tagging === undefined ? {} : { 'x-amz-tagging-count': String(tagging.split('&').length) };
  return { ...told, ...count, 'content-length': String(size), etag, 'last-modified': modified };
}

function tagSetOf(tagging: string): string {
  const tags = [...new URLSearchParams(tagging)].map(
    ([name, value]) => `<Tag><Key>${name}</Key><Value>${value}</Value></Tag>`,
  );
  return `<Tagging><TagSet>${tags.join('')}</TagSet></Tagging>`;
}

function xml(text: string): Answered {
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: `<?xml version="1.0"?>${text}`,
  };
}

function error(status: number, code: string): Answered {
  return { ...xml(`<Error><Code>${code}</Code><Message>${code}</Message></Error>`), status };
}
