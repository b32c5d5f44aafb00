/** Sends answers: headers, XML, bytes of files at the client's pace. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AnswerStream } from '../faults/answer-stream.js';
import type { Answer, FileBody } from './call.js';
import { pour } from './copy-source.js';
import type { S3Error } from './errors.js';
import { xmlDocument, type XmlElement } from './xml.js';

/** Sends a file's bytes; the file is closed whatever happens. */
async function sendFile(response: AnswerStream, { file, start, length }: FileBody): Promise<number> {
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  response.once('close', onClose);
  if (response.destroyed) gone.abort();
  let sent = 0;
  // The last chunk waits until the file is closed: who has all bytes can count on the request being over.
  let last: Buffer = Buffer.alloc(0);
  try {
    await pour(file, { start, length }, async (chunk) => {
      gone.signal.throwIfAborted();
      const flows = last.length === 0 || response.write(last);
      sent += chunk.length;
      last = chunk;
      if (!flows) await once(response, 'drain', { signal: gone.signal });
    });
  } catch (error) {
    // A client that went away is no failure of ours.
    if (!gone.signal.aborted) throw error;
    return sent;
  } finally {
    response.off('close', onClose);
    await file.close();
  }
  response.end(last);
  return sent;
}

/** Sends an answer; the bytes of its body. */
export async function sendAnswer(
  request: IncomingMessage,
  response: AnswerStream,
  answer: Answer,
): Promise<number> {
  const { status, headers = {}, body } = answer;
  if (typeof body === 'string') {
    const text = Buffer.from(body);
    response.writeHead(status, { ...headers, 'content-length': text.length });
    response.end(text);
    return text.length;
  }
  const bodyless = request.method === 'HEAD' || status === 204 || status === 304;
  response.writeHead(status, bodyless || body !== undefined ? headers : { 'content-length': 0, ...headers });
  if (body !== undefined) return sendFile(response, body);
  response.end();
  return 0;
}

/** The path of a request, for the error document. */
function resourceOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?')[0] ?? '';
}

/** `x-amz-id-2`, and HostId of error documents. */
export const HOST_ID = 's3nfsd';

/** The document of an error, in UTF-8. */
export function errorDocument(error: S3Error, resource: string, requestId: string): Buffer {
  const elements: XmlElement[] = [
    ['Code', error.code],
    ['Message', error.message],
    ...Object.entries(error.details).map(([name, value]): XmlElement => [name, value]),
    ['Resource', resource],
    ['RequestId', requestId],
    ['HostId', HOST_ID],
  ];
  return Buffer.from(xmlDocument('Error', elements, false));
}

/** Sends an error document; none in answer to HEAD. */
export function sendError(
  request: IncomingMessage,
  response: AnswerStream,
  error: S3Error,
  requestId: string,
): number {
  const text = errorDocument(error, resourceOf(request), requestId);
  if (request.method === 'HEAD') {
    response.writeHead(error.status);
    response.end();
    return 0;
  }
  response.writeHead(error.status, { 'content-type': 'application/xml', 'content-length': text.length });
  response.end(text);
  return text.length;
}
