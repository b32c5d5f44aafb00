/** HeadObject. */
import type { ObjectHead } from '../object-store.js';
import type { S3Context } from './context.js';
import { toStoreError } from './error-map.js';
import type { AnsweredObject } from './object-calls.js';

export async function headObject(
  context: S3Context,
  key: string,
  signal: AbortSignal | undefined,
): Promise<ObjectHead | undefined> {
  const { known } = context;
  const answer = await headAnswer(context, key, signal, known !== undefined);
  if (answer === undefined) return undefined;
  if (answer.etag !== undefined) known?.set(key, answer.etag, answer.fullChecksum);
  return objectHead(key, answer);
}

/** What an answer's headers tell of the object. `of`: what a GET of a range has found out in another way. */
export function objectHead(
  key: string,
  answer: AnsweredObject,
  of?: { readonly etag: string; readonly size: number },
): ObjectHead {
  const { headers, etag, contentLength, lastModifiedMs = 0, dateMs } = answer;
  const head = {
    key,
    size: of?.size ?? contentLength ?? 0,
    etag: of?.etag ?? etag ?? '',
    lastModifiedMs,
    // A server without Date: then nothing is proved about its clock, and equal to LastModified says so.
    dateMs: dateMs ?? lastModifiedMs,
  };
  // Not spread into the literal: that costs 3 us more, with each GET.
  return Object.assign(head, headers);
}

/** The raw answer, with the stored checksums on demand; undefined when there is no such key. */
export async function headAnswer(
  context: S3Context,
  key: string,
  signal: AbortSignal | undefined,
  checksums: boolean,
): Promise<AnsweredObject | undefined> {
  const about = { operation: 'HeadObject', bucket: context.bucket, key };
  return context.requests.run(
    'HeadObject',
    key,
    signal,
    async (attempt) => {
      try {
        return await (await context.calls()).head(key, { checksums }, attempt);
      } catch (error) {
        // A HEAD's 404 has no body: a bucket that is gone looks the same as a key that isn't there.
        if (toStoreError(error, about).kind === 'not-found') return undefined;
        throw error;
      }
    },
    { firstByteMs: context.options.timeouts.firstByteMs, wholeMs: context.options.timeouts.wholeMs },
  );
}
