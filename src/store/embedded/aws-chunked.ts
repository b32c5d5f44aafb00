/**
 * The aws-chunked body encoding, decoded as bytes arrive, whatever their boundaries:
 *
 *     chunk   = hex-size [";chunk-signature=" hex] CRLF data CRLF
 *     body    = *chunk, a chunk of size 0 without its data and CRLF, *(name ":" value CRLF), CRLF
 *
 * Each signed chunk's signature goes on from the one before (SigV4 "Transferring payload in multiple chunks"), and the trailer's from
 * the last.
 */
import { createHash, type Hash } from 'node:crypto';
import { S3Error } from './errors.js';
import { hmac, sameSignature, sha256Hex } from './sigv4.js';

/** Only the last chunk with data may be smaller (S3: "Transferring payload in multiple chunks"). */
export const CHUNK_BYTES_MIN = 8 * 1024;
/** A chunk header is `hex;chunk-signature=64`: no more than about 100 bytes. */
const LINE_BYTES_MAX = 1024;
/** Trailers are a checksum and a signature. */
const TRAILERS_MAX = 16;

const EMPTY_SHA256 = sha256Hex('');

/** What chunk signatures are made with. */
export interface ChunkSigning {
  readonly signingKey: Buffer;
  readonly timestamp: string;
  readonly scope: string;
  /** The request's own signature. */
  readonly seedSignature: string;
}

export interface AwsChunkedOptions {
  /** `x-amz-decoded-content-length`, in bytes: more is refused, less is IncompleteBody. */
  readonly decodedLength: number;
  readonly signing: ChunkSigning | undefined;
  /** Bytes every chunk but the last must have. */
  readonly chunkBytesMin: number;
  /** A trailer is expected, or none is allowed. */
  readonly trailer: boolean;
}

type State = 'size' | 'data' | 'data-end' | 'trailer' | 'end';

export class AwsChunkedDecoder {
  readonly #options: AwsChunkedOptions;
  readonly #trailers = new Map<string, string>();
  #state: State = 'size';
  #line = '';
  /** A chunk below the least size came: no data may follow it. */
  #short = false;
  /** Bytes of the present chunk still to come. */
  #left = 0;
  #decoded = 0;
  #chunkSignature = '';
  #previousSignature: string;
  #hash: Hash | undefined;
  #trailerText = '';

  constructor(options: AwsChunkedOptions) {
    this.#options = options;
    this.#previousSignature = options.signing?.seedSignature ?? '';
  }

  /** The trailing headers, names in lower case. Complete after `finish`. */
  get trailers(): ReadonlyMap<string, string> {
    return this.#trailers;
  }

  /**
   * Takes encoded bytes and gives the decoded ones in them, as slices of `input`. They are proven only when the call that ends their
   * chunk returns. Fails with IncompleteBody, SignatureDoesNotMatch or MalformedTrailerError.
   */
  push(input: Buffer): Buffer[] {
    const out: Buffer[] = [];
    for (let at = 0; at < input.length;) {
      if (this.#state === 'data') {
        const data = input.subarray(at, at + this.#left);
        at += data.length;
        this.#left -= data.length;
        this.#decoded += data.length;
        this.#hash?.update(data);
        out.push(data);
        if (this.#left === 0) this.#endChunkData();
        continue;
      }
      if (this.#state === 'end') throw new S3Error('IncompleteBody', 'Data follow the end of the chunks.');
      const end = input.indexOf(0x0a, at);
      const stop = end < 0 ? input.length : end + 1;
      this.#line += input.toString('latin1', at, stop);
      at = stop;
      if (this.#line.length > LINE_BYTES_MAX) throw this.#malformed('a line is too long');
      if (end >= 0) {
        const line = this.#line;
        this.#line = '';
        if (!line.endsWith('\r\n')) throw this.#malformed('a line does not end in CRLF');
        this.#takeLine(line.slice(0, -2));
      }
    }
    return out;
  }

  /** The body has ended. Fails unless it ended where it had to. */
  finish(): void {
    if (this.#state !== 'end' || this.#decoded !== this.#options.decodedLength) {
      throw new S3Error(
        'IncompleteBody',
        `The request body was not whole: expected ${this.#options.decodedLength} decoded bytes, found ${this.#decoded}`,
      );
    }
  }

  #malformed(reason: string): S3Error {
    return this.#state === 'trailer'
      ? new S3Error('MalformedTrailerError', `The trailer is not well-formed: ${reason}.`)
      : new S3Error('IncompleteBody', `The chunked body is not well-formed: ${reason}.`);
  }

  #takeLine(line: string): void {
    switch (this.#state) {
      case 'size':
        this.#takeSize(line);
        return;
      case 'data-end':
        if (line !== '') throw this.#malformed('a chunk is longer than its size');
        this.#state = 'size';
        return;
      case 'trailer':
        this.#takeTrailer(line);
        return;
      case 'data':
      case 'end':
        throw this.#malformed('a line where none belongs');
    }
  }

  #takeSize(line: string): void {
    const parts = /^([0-9a-fA-F]{1,13})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
    const size = parseInt(parts?.[1] ?? '', 16);
    if (parts === null) throw this.#malformed('a chunk header is wrong');
    if (size > this.#options.decodedLength - this.#decoded) {
      throw this.#malformed('more data than x-amz-decoded-content-length');
    }
    if (size > 0 && this.#short) throw new S3Error('InvalidChunkSizeError');
    this.#short = size < this.#options.chunkBytesMin;
    const { signing } = this.#options;
    if ((signing !== undefined) !== (parts[2] !== undefined)) {
      throw new S3Error('SignatureDoesNotMatch', 'Chunks must be signed as x-amz-content-sha256 says.');
    }
    this.#chunkSignature = parts[2] ?? '';
    this.#left = size;
    if (signing !== undefined) this.#hash = createHash('sha256');
    if (size > 0) {
      this.#state = 'data';
      return;
    }
    this.#verifyChunk();
    // Without a trailer too, one empty line ends the body.
    this.#state = 'trailer';
  }

  #endChunkData(): void {
    this.#verifyChunk();
    this.#state = 'data-end';
  }

  #sign(kind: string, ...rest: readonly string[]): string {
    const { signing } = this.#options;
    if (signing === undefined) return '';
    const text = [kind, signing.timestamp, signing.scope, this.#previousSignature, ...rest].join('\n');
    return hmac(signing.signingKey, text).toString('hex');
  }

  #verifyChunk(): void {
    if (this.#hash === undefined) return;
    const expected = this.#sign('AWS4-HMAC-SHA256-PAYLOAD', EMPTY_SHA256, this.#hash.digest('hex'));
    this.#hash = undefined;
    if (!sameSignature(expected, this.#chunkSignature)) throw new S3Error('SignatureDoesNotMatch');
    this.#previousSignature = this.#chunkSignature;
  }

  #takeTrailer(line: string): void {
    if (line === '') {
      const signature = this.#trailers.get('x-amz-trailer-signature');
      if (this.#options.trailer && this.#options.signing !== undefined) {
        const expected = this.#sign('AWS4-HMAC-SHA256-TRAILER', sha256Hex(this.#trailerText));
        if (!sameSignature(expected, signature ?? '')) throw new S3Error('SignatureDoesNotMatch');
      }
      this.#trailers.delete('x-amz-trailer-signature');
      this.#state = 'end';
      return;
    }
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (
      name === '' ||
      !this.#options.trailer ||
      this.#trailers.has(name) ||
      this.#trailers.size >= TRAILERS_MAX
    ) {
      throw this.#malformed('a header that does not belong there');
    }
    this.#trailers.set(name, value);
    if (name !== 'x-amz-trailer-signature') this.#trailerText += `${name}:${value}\n`;
  }
}
