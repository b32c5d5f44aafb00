/**
 * Puts a stream of unknown length, front to back, through @aws-sdk/lib-storage: seeding and importing. Why the mount's own
 * writes don't go this way: docs/decisions/0002-lib-storage.md.
 */
import type { Readable } from 'node:stream';
import { Upload } from '@aws-sdk/lib-storage';
import type { ObjectHeaders, WrittenObject } from '../object-store.js';
import { SDK_ALGORITHM } from './checksum.js';
import { createClients } from './client.js';
import { toStoreError } from './error-map.js';
import { toSdkHeaders } from './headers.js';
import { resolveOptions, type S3StoreOptions } from './options.js';

/** Parts are whole buffers here, so the SDK can send them again by itself. */
const ATTEMPTS = 5;

/**
 * One PUT where the stream ends within 5 MiB, else a multipart upload of four parts at a time (20 MiB of memory), aborted
 * when it fails. Opens connections of its own for the one object. Throws StoreError.
 */
export async function uploadStream(
  options: S3StoreOptions,
  key: string,
  content: Readable,
  headers: ObjectHeaders,
): Promise<WrittenObject> {
  const resolved = resolveOptions(options);
  const { uploadChecksums } = resolved;
  const clients = createClients(resolved, ATTEMPTS);
  try {
    const upload = new Upload({
      client: clients.slowClient,
      params: {
        Bucket: resolved.bucket,
        Key: key,
        Body: content,
        ...toSdkHeaders(headers),
        ...(uploadChecksums === 'off' ? {} : { ChecksumAlgorithm: SDK_ALGORITHM[uploadChecksums] }),
      },
    });
    const output = await upload.done();
    return { etag: output.ETag ?? '' };
  } catch (error) {
    throw toStoreError(error, { operation: 'PutObject', bucket: resolved.bucket, key });
  } finally {
    clients.destroy();
  }
}
