/** Answers to what the HTTP parser refuses, which never becomes a request: the error document that S3 gives. */
import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { S3Error } from './errors.js';
import { errorDocument, HOST_ID } from './respond.js';

/** S3's limit on the headers of a request, in bytes. */
export const HEADER_BYTES_MAX = 8 * 1024;

/** What the parser takes: more than S3, so that most of what is too large is still answered as a request. */
export const PARSED_HEADER_BYTES_MAX = 64 * 1024;

/** Fails with RequestHeaderSectionTooLarge for headers that are more than S3 takes. */
export function checkHeaderBytes(rawHeaders: readonly string[]): void {
  // A name and its value come with `: ` and CRLF.
  const bytes = rawHeaders.reduce((sum, text) => sum + text.length + 2, 0);
  if (bytes > HEADER_BYTES_MAX) throw tooLarge();
}

function tooLarge(): S3Error {
  return new S3Error('RequestHeaderSectionTooLarge', undefined, { MaxSizeAllowed: String(HEADER_BYTES_MAX) });
}

function refusalOf(error: NodeJS.ErrnoException): S3Error {
  if (error.code === 'HPE_HEADER_OVERFLOW') return tooLarge();
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return new S3Error('RequestTimeout');
  return new S3Error('BadRequest', 'An error occurred when parsing the HTTP request.', {}, { cause: error });
}

function answer(error: NodeJS.ErrnoException, socket: Duplex): void {
  // A client that went away needs none.
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const refusal = refusalOf(error);
  const requestId = randomBytes(8).toString('hex').toUpperCase();
  const body = errorDocument(refusal, '/', requestId);
  socket.end(
    [
      'HTTP/1.1 400 Bad Request',
      `x-amz-request-id: ${requestId}`,
      `x-amz-id-2: ${HOST_ID}`,
      'content-type: application/xml',
      `content-length: ${body.length}`,
      'connection: close',
      '',
      '',
    ].join('\r\n') + body.toString('latin1'),
    'latin1',
  );
}

/** Lets `server` answer what it can't parse. */
export function answerMalformed(server: Server): void {
  server.on('clientError', answer);
}
