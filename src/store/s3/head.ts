/** HeadObject. */
import { HeadObjectCommand, type HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import type { ObjectHead } from '../object-store.js';
import type { S3Context } from './context.js';
import { toStoreError } from './error-map.js';
import { fromSdkHeaders } from './headers.js';

export async function headObject(
  context: S3Context,
  key: string,
  signal: AbortSignal | undefined,
): Promise<ObjectHead | undefined> {
  const output = await headOutput(context, key, signal, false);
  if (output === undefined) return undefined;
  const lastModifiedMs = output.LastModified?.getTime() ?? 0;
  return {
    ...fromSdkHeaders(output),
    key,
    size: output.ContentLength ?? 0,
    etag: output.ETag ?? '',
    lastModifiedMs,
    // A server without Date: then nothing is proved about its clock, and equal to LastModified says so.
    dateMs: context.clients.dateOf(output) ?? lastModifiedMs,
  };
}

/** The raw answer, with the stored checksums on demand; undefined when there is no such key. */
export async function headOutput(
  context: S3Context,
  key: string,
  signal: AbortSignal | undefined,
  checksums: boolean,
): Promise<HeadObjectCommandOutput | undefined> {
  const about = { operation: 'HeadObject', bucket: context.bucket, key };
  return context.requests.run(
    'HeadObject',
    key,
    signal,
    async (attempt) => {
      try {
        return await context.clients.client.send(
          new HeadObjectCommand({
            Bucket: context.bucket,
            Key: key,
            ...(checksums ? { ChecksumMode: 'ENABLED' as const } : {}),
          }),
          { abortSignal: attempt.signal },
        );
      } catch (error) {
        // A HEAD's 404 has no body: a bucket that is gone looks the same as a key that isn't there.
        if (toStoreError(error, about).kind === 'not-found') return undefined;
        throw error;
      }
    },
    { firstByteMs: context.options.timeouts.firstByteMs },
  );
}
