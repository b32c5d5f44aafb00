/**
 * HTTP/1.1 answers (RFC 9112) from bytes as they come: heads split anywhere, bodies by length, in chunks or until the connection
 * ends, interim answers passed over. Body bytes are handed on where they lie: nothing is gathered but a split head.
 *
 *   idle --begin--> head --> length | until-close | chunk-size <-> chunk-data -> chunk-end | trailers --> idle
 */

/** Bytes of a head, of the trailers, or of a chunk's size line. */
const HEAD_BYTES_MAX = 64 * 1024;
const CHUNK_LINE_BYTES_MAX = 1024;

/** Headers that can't be lists: the first counts where a server says them twice. (Content-Length is for framingOf to judge.) */
const SINGLE: ReadonlySet<string> = new Set([
  'age',
  'content-type',
  'etag',
  'expires',
  'last-modified',
  'location',
  'retry-after',
  'server',
]);
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

const NOTHING = Buffer.alloc(0);
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const END_OF_LINE = Buffer.from('\r\n');

export interface AnswerHead {
  readonly status: number;
  /** By lower-case name; those of one name joined by `, `, or the first of SINGLE. Values as latin1. All as node:http gives them. */
  readonly headers: ReadonlyMap<string, string>;
  /** The connection may carry another request after this answer. */
  readonly keepAlive: boolean;
}

export interface AnswerHandler {
  head(head: AnswerHead): void;
  /** Bytes of the body; the buffer is used again after the call. */
  body(chunk: Buffer): void;
  /** The answer is whole. */
  end(): void;
}

/** Bytes that are no HTTP/1.1 answer, or one that this client didn't ask for. */
export class HttpAnswerError extends Error {
  override readonly name = 'HttpAnswerError';
  /** In the manner of node:http's parser errors: a broken connection, worth another attempt. */
  readonly code = 'HPE_INVALID_ANSWER';
}

type State =
  'idle' | 'head' | 'length' | 'until-close' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailers';

export class AnswerParser {
  readonly #handler: AnswerHandler;
  #state: State = 'idle';
  #method = '';
  /** Bytes of the body, or of the chunk, that are still to come. */
  #left = 0;
  /** The part of a head or line that came so far. */
  #pending: Buffer = NOTHING;

  constructor(handler: AnswerHandler) {
    this.#handler = handler;
  }

  get idle(): boolean {
    return this.#state === 'idle';
  }

  /** Bytes from the next one on that are bytes of the body and nothing else, whatever comes. */
  get bodyBytes(): number {
    switch (this.#state) {
      case 'length':
      case 'until-close':
      case 'chunk-data':
        return this.#left;
      default:
        return 0;
    }
  }

  /** A request of this method is on its way: its answer is what comes next. */
  begin(method: string): void {
    if (this.#state !== 'idle') throw new Error(`a request begins in the state ${this.#state}`);
    this.#method = method;
    this.#state = 'head';
  }

  /** Throws HttpAnswerError, and what the handler throws: the connection is of no use afterwards. */
  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      switch (this.#state) {
        case 'idle':
          throw new HttpAnswerError(`${bytes.length - at} bytes beyond the end of an answer`);
        case 'head':
        case 'trailers':
          at = this.#takeHead(bytes, at);
          break;
        case 'length':
        case 'until-close':
        case 'chunk-data':
          at = this.#takeBody(bytes, at);
          break;
        case 'chunk-size':
        case 'chunk-end':
          at = this.#takeLine(bytes, at);
          break;
      }
    }
  }

  /** The other side has closed. True when that completes the answer, or when none was awaited. */
  close(): boolean {
    if (this.#state === 'until-close') this.#finish();
    return this.#state === 'idle';
  }

  #takeHead(bytes: Buffer, from: number): number {
    const trailers = this.#state === 'trailers';
    // Trailers may be none at all: then the empty line comes at once.
    const text = this.#upTo(bytes, from, END_OF_HEAD, HEAD_BYTES_MAX, trailers ? END_OF_LINE : undefined);
    if (text === undefined) return bytes.length;
    if (trailers) this.#finish();
    else this.#begun(text.head);
    return text.next;
  }

  #begun(text: string): void {
    const head = parseHead(text);
    if (head.status === 101) throw new HttpAnswerError('an answer of 101 Switching Protocols');
    // Interim (RFC 9110 15.2): the answer itself follows.
    if (head.status < 200) return;
    const framing = framingOf(head, this.#method);
    this.#handler.head(framing.state === 'until-close' ? { ...head, keepAlive: false } : head);
    this.#left = framing.bytes;
    this.#state = framing.state;
    if (framing.state === 'length' && framing.bytes === 0) this.#finish();
  }

  #takeBody(bytes: Buffer, from: number): number {
    const count =
      this.#state === 'until-close' ? bytes.length - from : Math.min(this.#left, bytes.length - from);
    this.#left -= count;
    this.#handler.body(from === 0 && count === bytes.length ? bytes : bytes.subarray(from, from + count));
    if (this.#left === 0) {
      if (this.#state === 'length') this.#finish();
      else if (this.#state === 'chunk-data') this.#state = 'chunk-end';
    }
    return from + count;
  }

  #takeLine(bytes: Buffer, from: number): number {
    const line = this.#upTo(bytes, from, END_OF_LINE, CHUNK_LINE_BYTES_MAX);
    if (line === undefined) return bytes.length;
    const text = line.head;
    if (this.#state === 'chunk-end') {
      if (text !== '') throw new HttpAnswerError('a chunk longer than its size');
      this.#state = 'chunk-size';
      return line.next;
    }
    const size = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(text)?.[1];
    if (size === undefined) throw new HttpAnswerError('a chunk without a size');
    this.#left = Number.parseInt(size, 16);
    this.#state = this.#left === 0 ? 'trailers' : 'chunk-data';
    return line.next;
  }

  #finish(): void {
    this.#state = 'idle';
    this.#handler.end();
  }

  /**
   * What lies before `end`, together with what earlier calls kept, and where the bytes after it begin; undefined (and kept) when
   * it has not all come. `atOnce` ends it, too, where nothing comes before it.
   */
  #upTo(
    bytes: Buffer,
    from: number,
    end: Buffer,
    bytesMax: number,
    atOnce?: Buffer,
  ): { readonly head: string; readonly next: number } | undefined {
    const kept = this.#pending.length;
    const rest = bytes.subarray(from, from + bytesMax + end.length);
    const text = kept === 0 ? rest : Buffer.concat([this.#pending, rest]);
    const empty = atOnce !== undefined && text.subarray(0, atOnce.length).equals(atOnce);
    const length = empty ? 0 : text.indexOf(end);
    if (length === -1) {
      if (text.length > bytesMax) throw new HttpAnswerError(`a head of more than ${bytesMax} bytes`);
      this.#pending = Buffer.from(text);
      return undefined;
    }
    this.#pending = NOTHING;
    // Latin-1, a character for each byte: a text is what both are read as, and doesn't need a copy of the bytes.
    const head = text.toString('latin1', 0, length);
    return { head, next: from + length + (empty ? (atOnce?.length ?? 0) : end.length) - kept };
  }
}

function parseHead(text: string): AnswerHead {
  const end = lineEnd(text, 0);
  const [, minor, status] = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(text.slice(0, end)) ?? [];
  if (status === undefined) throw new HttpAnswerError('an answer without an HTTP/1 status line');
  const headers = new Map<string, string>();
  for (let at = end + 2; at < text.length;) {
    const next = lineEnd(text, at);
    addHeader(headers, text, at, next);
    at = next + 2;
  }
  const connection = (headers.get('connection') ?? '').toLowerCase();
  const keepAlive = minor === '1' ? !connection.includes('close') : connection.includes('keep-alive');
  return { status: Number(status), headers, keepAlive };
}

/** Where the line that begins at `from` ends. */
function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\r\n', from);
  return end === -1 ? text.length : end;
}

/** The header in `text` from `start` to `end`. */
function addHeader(headers: Map<string, string>, text: string, start: number, end: number): void {
  const colon = text.indexOf(':', start);
  const name = colon === -1 || colon > end ? '' : text.slice(start, colon).toLowerCase();
  const value = withoutBlanks(text, colon + 1, end);
  if (!TOKEN.test(name) || /[\0\r\n]/.test(value))
    throw new HttpAnswerError('a line in the head that is no header');
  const before = headers.get(name);
  if (before === undefined) headers.set(name, value);
  else if (!SINGLE.has(name)) headers.set(name, `${before}, ${value}`);
}

/** The text from `from` to `until`, without the blanks at both ends. By hand: an expression takes the square of their number. */
function withoutBlanks(line: string, from: number, until: number): string {
  let start = from;
  let end = until;
  while (start < end && isBlank(line.charCodeAt(start))) start += 1;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end -= 1;
  return line.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** How the body is framed (RFC 9112 6.3). */
function framingOf(
  head: AnswerHead,
  method: string,
): { readonly state: 'length' | 'until-close' | 'chunk-size'; readonly bytes: number } {
  if (method === 'HEAD' || head.status === 204 || head.status === 304) return { state: 'length', bytes: 0 };
  const coding = head.headers.get('transfer-encoding');
  const length = head.headers.get('content-length');
  if (coding !== undefined) {
    // Both at once is how answers are smuggled (RFC 9112 6.3, 3).
    if (length !== undefined || coding.toLowerCase() !== 'chunked')
      throw new HttpAnswerError(
        `Transfer-Encoding ${coding.slice(0, 100)} with Content-Length ${length?.slice(0, 100) ?? 'none'}`,
      );
    return { state: 'chunk-size', bytes: 0 };
  }
  if (length === undefined) return { state: 'until-close', bytes: Infinity };
  const [only = length, ...others] = length.includes(',') ? new Set(length.split(/, */)) : [];
  const bytes = Number(only);
  if (others.length > 0 || !/^\d+$/.test(only) || !Number.isSafeInteger(bytes))
    throw new HttpAnswerError(`a Content-Length of ${length.slice(0, 100)}`);
  return { state: 'length', bytes };
}
