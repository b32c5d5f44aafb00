/**
 * The answer of CopyObject. S3 sends its head before the copy is made: the status says 200 whatever becomes of it, and the body tells (API
 * reference, CopyObject, "Response and special errors").
 */
import type { WrittenObject } from '../../object-store.js';
import { element, S3AnswerError } from './answer-error.js';
import type { AnswerHead } from './answer-parser.js';

/** Fails with the error that stands in the body, or with one that has the call repeated where the body isn't whole. */
export function parseCopyAnswer(head: AnswerHead, xml: string): WrittenObject {
  const isError = xml.includes('<Error>');
  const etag = isError ? undefined : element(xml, 'ETag');
  if (etag === undefined) {
    // As the SDK has it, in its words: an error after a 200 is one of the store's, and so is an answer that was cut off.
    const aborted = '<Error><Code>InternalError</Code><Message>S3 aborted request</Message></Error>';
    throw new S3AnswerError({ ...head, status: 503 }, isError ? xml : aborted);
  }
  const ms = Date.parse(element(xml, 'LastModified') ?? '');
  return { etag, ...(!Number.isNaN(ms) && { lastModifiedMs: ms }) };
}
