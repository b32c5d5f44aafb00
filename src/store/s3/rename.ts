/** RenameObject (directory buckets). */
import { randomUUID } from 'node:crypto';
import { RenameObjectCommand } from '@aws-sdk/client-s3';
import type { RenameOptions } from '../object-store.js';
import { unquoted } from './checksum.js';
import type { S3Context } from './context.js';
import { headObject } from './head.js';
import { writeOnce } from './write-once.js';

export async function renameObject(
  context: S3Context,
  sourceKey: string,
  targetKey: string,
  { sourceEtag, condition, signal }: RenameOptions,
): Promise<void> {
  // One token for all attempts: "the retry succeeds without performing any further actions" (API reference, RenameObject).
  const ClientToken = randomUUID();
  await writeOnce<'renamed'>(context, {
    operation: 'RenameObject',
    key: targetKey,
    signal,
    send: async (attempt) => {
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
      return 'renamed';
    },
    refusals: ['not-found', 'precondition-failed'],
    // A server that forgot the token: the source is gone, and its version is at the target.
    find: async () => {
      if (sourceEtag === undefined) return undefined;
      const [source, target] = await Promise.all([
        headObject(context, sourceKey, signal),
        headObject(context, targetKey, signal),
      ]);
      const isMoved =
        source === undefined && target !== undefined && unquoted(target.etag) === unquoted(sourceEtag);
      return isMoved ? 'renamed' : undefined;
    },
  });
}
