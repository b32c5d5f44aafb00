/** The calls over our own transport: headers to values and back, as the SDK reads and writes them. */
import type {
  Body,
  ListRequest,
  ObjectChecksum,
  ObjectHeaders,
  PartChecksum,
  WriteCondition,
  WrittenObject,
} from '../object-store.js';
import type { Attempt } from './attempt.js';
import { checksumHeader, checksumsOfHeaders } from './checksum.js';
import { decodeMetadata, encodeMetadata, encryptionOf, tagCountOf } from './headers.js';
import { fullChecksumOf } from './full-checksum.js';
import { ERROR_BYTES_MAX } from './http/answer-error.js';
import type { AnswerHead } from './http/answer-parser.js';
import { parseCopyAnswer } from './http/copy-answer.js';
import { ListAnswerError, parseListAnswer } from './http/list-answer.js';
import { queryOf } from './http/sigv4.js';
import type { Transport } from './http/transport.js';
import type {
  AnsweredObject,
  CopyRequest,
  GetHandler,
  GetOptions,
  ListedPage,
  ObjectCalls,
  PartRequest,
} from './object-calls.js';

/** A page of 1,000 keys of 1,024 bytes, each byte encoded in three, and room for the rest. */
const LIST_BYTES_MAX = 8 * 1024 * 1024;
// As the SDK names them: the parameter tells servers and logs which operation this is.
const GET_OBJECT = queryOf({ 'x-id': 'GetObject' });
const PUT_OBJECT = queryOf({ 'x-id': 'PutObject' });
const COPY_OBJECT = queryOf({ 'x-id': 'CopyObject' });
const DELETE_OBJECT = queryOf({ 'x-id': 'DeleteObject' });
const METADATA = 'x-amz-meta-';
/** What the SDK says of a body without a type. */
const UNTYPED = 'application/octet-stream';

export class DirectCalls implements ObjectCalls {
  readonly #transport: Transport;
  readonly #copies: Pick<ObjectCalls, 'copy'> | undefined;

  /** `copies`: who makes copies, where they aren't to be signed as the other calls are. */
  constructor(transport: Transport, copies?: Pick<ObjectCalls, 'copy'>) {
    this.#transport = transport;
    this.#copies = copies;
  }

  async get(key: string, options: GetOptions, attempt: Attempt, handler: GetHandler): Promise<void> {
    await this.#transport.send(
      {
        method: 'GET',
        key,
        query: GET_OBJECT,
        headers: options.whole
          ? { 'x-amz-checksum-mode': 'ENABLED', 'if-match': options.ifMatch }
          : { range: `bytes=${options.first}-${options.last}`, 'if-match': options.ifMatch },
        repeatable: true,
      },
      attempt,
      {
        head: (head) => handler.head(new HeadAnswer(head, options.whole)),
        body: (chunk) => handler.body(chunk),
        room: () => handler.room?.(),
      },
    );
  }

  async head(
    key: string,
    options: { readonly checksums: boolean },
    attempt: Attempt,
  ): Promise<AnsweredObject> {
    const headers = options.checksums ? { 'x-amz-checksum-mode': 'ENABLED' } : {};
    const head = await this.#transport.send({ method: 'HEAD', key, headers, repeatable: true }, attempt);
    return new HeadAnswer(head, options.checksums);
  }

  async list(request: ListRequest, attempt: Attempt): Promise<ListedPage> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    await this.#transport.send(
      {
        method: 'GET',
        query: queryOf({
          'list-type': '2',
          // Keys hold characters that XML 1.0 can't.
          'encoding-type': 'url',
          prefix: request.prefix,
          delimiter: request.delimiter,
          'start-after': request.startAfter,
          'continuation-token': request.continuationToken,
          'max-keys': request.maxKeys === undefined ? undefined : String(request.maxKeys),
        }),
        repeatable: true,
      },
      attempt,
      {
        body: (chunk) => {
          bytes += chunk.length;
          if (bytes > LIST_BYTES_MAX)
            throw new ListAnswerError(`a page of more than ${LIST_BYTES_MAX} bytes`);
          chunks.push(Buffer.from(chunk));
        },
      },
    );
    const answer = parseListAnswer(Buffer.concat(chunks).toString('utf8'));
    return {
      encoded: answer.encodingType === 'url',
      contents: answer.contents,
      prefixes: answer.prefixes,
      truncated: answer.isTruncated,
      continuationToken: answer.nextContinuationToken,
    };
  }

  async put(
    key: string,
    body: Body,
    options: {
      readonly headers: ObjectHeaders;
      readonly tagging: string | undefined;
      readonly condition: WriteCondition;
      readonly checksum: PartChecksum | undefined;
    },
    attempt: Attempt,
  ): Promise<string | undefined> {
    const { condition, checksum } = options;
    const headers = headersOf(options.headers);
    headers['x-amz-tagging'] = options.tagging;
    headers['if-match'] = condition.ifMatch;
    headers['if-none-match'] = condition.ifNoneMatch;
    if (checksum !== undefined) headers[checksumHeader(checksum.algorithm)] = checksum.value;
    const head = await this.#transport.send(
      {
        method: 'PUT',
        key,
        query: PUT_OBJECT,
        headers,
        body,
        // After a lost answer, a second PUT would meet its own first: that is for put.ts to sort out.
        repeatable: condition.ifMatch === undefined && condition.ifNoneMatch === undefined,
      },
      attempt,
    );
    return owned(head.headers.get('etag'));
  }

  async delete(key: string, condition: WriteCondition, attempt: Attempt): Promise<void> {
    const { ifMatch } = condition;
    await this.#transport.send(
      {
        method: 'DELETE',
        key,
        query: DELETE_OBJECT,
        headers: { 'if-match': ifMatch },
        // With a condition a repeated request may fail because the first one took effect: delete.ts decides, as with PUT.
        repeatable: ifMatch === undefined,
      },
      attempt,
    );
  }

  async copy(key: string, request: CopyRequest, attempt: Attempt): Promise<WrittenObject> {
    if (this.#copies !== undefined) return this.#copies.copy(key, request, attempt);
    const { source, sourceEtag, headers, replaces, condition } = request;
    const chunks: Buffer[] = [];
    let bytes = 0;
    const head = await this.#transport.send(
      {
        method: 'PUT',
        key,
        query: COPY_OBJECT,
        headers: {
          'x-amz-copy-source': source,
          'x-amz-copy-source-if-match': sourceEtag,
          'x-amz-metadata-directive': replaces ? 'REPLACE' : 'COPY',
          ...(replaces && contentOf(headers)),
          ...placed({}, headers),
          'if-match': condition.ifMatch,
          'if-none-match': condition.ifNoneMatch,
        },
        // As with PUT: copy.ts looks at what a copy met that was sent twice.
        repeatable: condition.ifMatch === undefined && condition.ifNoneMatch === undefined,
        slow: true,
      },
      attempt,
      {
        body: (chunk) => {
          bytes += chunk.length;
          if (bytes > ERROR_BYTES_MAX) throw new Error(`a result of more than ${ERROR_BYTES_MAX} bytes`);
          chunks.push(Buffer.from(chunk));
        },
      },
    );
    return parseCopyAnswer(head, Buffer.concat(chunks).toString('utf8'));
  }

  async uploadPart(
    key: string,
    part: PartRequest,
    body: Body,
    attempt: Attempt,
  ): Promise<string | undefined> {
    const head = await this.#transport.send(
      {
        method: 'PUT',
        key,
        query: queryOf({
          partNumber: String(part.partNumber),
          uploadId: part.uploadId,
          'x-id': 'UploadPart',
        }),
        headers: { 'content-type': UNTYPED, ...checksumOf(part.checksum) },
        body,
        repeatable: true,
      },
      attempt,
    );
    return owned(head.headers.get('etag'));
  }
}

function checksumOf(checksum: PartChecksum | undefined): Readonly<Record<string, string>> {
  return checksum === undefined ? {} : { [checksumHeader(checksum.algorithm)]: checksum.value };
}

/** Read from the headers when it is asked: of most GETs nobody wants more than to know that the answer is the right one. */
class HeadAnswer implements AnsweredObject {
  readonly #headers: ReadonlyMap<string, string>;
  readonly #asked: boolean;

  /** `asked`: for the checksum of all bytes in one. */
  constructor({ headers }: AnswerHead, asked: boolean) {
    this.#headers = headers;
    this.#asked = asked;
  }

  get headers(): ObjectHeaders {
    return objectHeadersOf(this.#headers);
  }

  get etag(): string | undefined {
    return owned(this.#headers.get('etag'));
  }

  get contentLength(): number | undefined {
    const length = this.#headers.get('content-length');
    return length === undefined ? undefined : Number(length.split(',')[0]);
  }

  get contentRange(): string | undefined {
    return this.#headers.get('content-range');
  }

  get lastModifiedMs(): number | undefined {
    return timeOf(this.#headers.get('last-modified'));
  }

  get dateMs(): number | undefined {
    return timeOf(this.#headers.get('date'));
  }

  get checksums(): readonly PartChecksum[] {
    return checksumsOfHeaders(this.#headers);
  }

  get fullChecksum(): ObjectChecksum | undefined {
    return this.#asked ? fullChecksumOf((name) => this.#headers.get(name)) : undefined;
  }
}

/** A text by itself: what is cut out of another one keeps all of that in memory, here 300 bytes of headers for each file that is known. */
function owned(text: string): string;
function owned(text: string | undefined): string | undefined;
function owned(text: string | undefined): string | undefined {
  return text === undefined ? undefined : Buffer.from(text).toString();
}

function objectHeadersOf(headers: ReadonlyMap<string, string>): ObjectHeaders {
  const metadata: Record<string, string> = {};
  for (const [name, value] of headers)
    if (name.startsWith(METADATA)) metadata[name.slice(METADATA.length)] = owned(decodeMetadata(value));
  const optional = (name: string, header: string): Record<string, string> => {
    const value = owned(headers.get(header));
    return value === undefined ? {} : { [name]: value };
  };
  return {
    metadata,
    ...optional('contentType', 'content-type'),
    ...optional('contentEncoding', 'content-encoding'),
    ...optional('contentLanguage', 'content-language'),
    ...optional('contentDisposition', 'content-disposition'),
    ...optional('cacheControl', 'cache-control'),
    ...optional('storageClass', 'x-amz-storage-class'),
    ...optional('expires', 'expires'),
    ...optional('websiteRedirect', 'x-amz-website-redirect-location'),
    ...encryptionOf(
      headers.get('x-amz-server-side-encryption'),
      headers.get('x-amz-server-side-encryption-aws-kms-key-id'),
      headers.get('x-amz-server-side-encryption-bucket-key-enabled') === 'true',
    ),
    ...tagCountOf(Number(headers.get('x-amz-tagging-count') ?? 0)),
  };
}

type SentHeaders = Record<string, string | undefined>;

function headersOf(headers: ObjectHeaders): SentHeaders {
  const sent = contentOf(headers);
  sent['content-type'] ??= UNTYPED;
  return placed(sent, headers);
}

/** User metadata, and what tells of the content. Set one by one: to spread them into a literal costs ten times as much. */
function contentOf(headers: ObjectHeaders): SentHeaders {
  const sent: SentHeaders = { 'content-type': headers.contentType };
  for (const name in headers.metadata) {
    const value = headers.metadata[name];
    if (value !== undefined) sent[METADATA + name.toLowerCase()] = encodeMetadata(value);
  }
  sent['content-encoding'] = headers.contentEncoding;
  sent['content-language'] = headers.contentLanguage;
  sent['content-disposition'] = headers.contentDisposition;
  sent['cache-control'] = headers.cacheControl;
  sent['expires'] = headers.expires;
  return sent;
}

/** Adds where and how an object is kept, and where it leads. */
function placed(sent: SentHeaders, headers: ObjectHeaders): SentHeaders {
  sent['x-amz-storage-class'] = headers.storageClass;
  sent['x-amz-website-redirect-location'] = headers.websiteRedirect;
  const { encryption } = headers;
  if (encryption === undefined) return sent;
  sent['x-amz-server-side-encryption'] = encryption.algorithm;
  sent['x-amz-server-side-encryption-aws-kms-key-id'] = encryption.keyId;
  if (encryption.bucketKey === true) sent['x-amz-server-side-encryption-bucket-key-enabled'] = 'true';
  return sent;
}

function timeOf(value: string | undefined): number | undefined {
  const ms = Date.parse(value ?? '');
  return Number.isNaN(ms) ? undefined : ms;
}
