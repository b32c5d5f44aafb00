/**
 * The tags of an object that is about to be rewritten: what is put at its key has none unless the request carries them (user guide,
 * "Categorizing your storage using tags"). HEAD tells how many there are, so those without cost no request.
 */
import { GetObjectTaggingCommand } from '@aws-sdk/client-s3';
import { StoreError } from '../errors.js';
import type { ObjectHeaders } from '../object-store.js';
import type { S3Context } from './context.js';

/** As `x-amz-tagging` has them; undefined where `headers` tell of none, or the object isn't there. */
export async function taggingOf(
  context: S3Context,
  key: string,
  { tagCount = 0 }: ObjectHeaders,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (tagCount === 0) return undefined;
  try {
    const { TagSet = [] } = await context.requests.run(
      'GetObjectTagging',
      key,
      signal,
      async (attempt) =>
        context.clients.client.send(new GetObjectTaggingCommand({ Bucket: context.bucket, Key: key }), {
          abortSignal: attempt.signal,
        }),
      { firstByteMs: context.options.timeouts.firstByteMs },
    );
    return TagSet.map(({ Key = '', Value = '' }) => [Key, Value].map(encodeURIComponent).join('=')).join('&');
  } catch (error) {
    if (error instanceof StoreError && error.kind === 'not-found') return undefined;
    throw error;
  }
}
