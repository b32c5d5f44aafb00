/** RenameObject (directory buckets). */
import { randomUUID } from 'node:crypto';
import { RenameObjectCommand } from '@aws-sdk/client-s3';
import { StoreError } from '../errors.js';
import type { RenameOptions } from '../object-store.js';
import { unquoted } from './checksum.js';
import { answerMayBeLost, type S3Context } from './context.js';
import { headObject } from './head.js';

export async function renameObject(
  context: S3Context,
  sourceKey: string,
  targetKey: string,
  { sourceEtag, condition, signal }: RenameOptions,
): Promise<void> {
  // One token for all attempts: "the retry succeeds without performing any further actions" (API reference, RenameObject).
  const ClientToken = randomUUID();
  let lost = false;
  try {
    await context.requests.run('RenameObject', targetKey, signal, async (attempt) => {
      lost ||= answerMayBeLost(attempt);
      await context.clients.client.send(
        new RenameObjectCommand({
          Bucket: context.bucket,
          Key: targetKey,
          RenameSource: sourceKey.split('/').map(encodeURIComponent).join('/'),
          ClientToken,
          ...(sourceEtag === undefined ? {} : { SourceIfMatch: sourceEtag }),
          ...(condition?.ifMatch === undefined ? {} : { DestinationIfMatch: condition.ifMatch }),
          ...(condition?.ifNoneMatch === undefined ? {} : { DestinationIfNoneMatch: condition.ifNoneMatch }),
        }),
        { abortSignal: attempt.signal },
      );
    });
  } catch (error) {
    // A server that forgot the token: the source is gone, and its version is at the target.
    if (!lost || sourceEtag === undefined || !(error instanceof StoreError)) throw error;
    if (error.kind !== 'not-found' && error.kind !== 'precondition-failed') throw error;
    const [source, target] = await Promise.all([
      headObject(context, sourceKey, signal),
      headObject(context, targetKey, signal),
    ]);
    if (source !== undefined || target === undefined || unquoted(target.etag) !== unquoted(sourceEtag))
      throw error;
  }
}
