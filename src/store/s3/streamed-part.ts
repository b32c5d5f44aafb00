/** A part that is larger than memory: its checksum by one reading, its bytes by another, and by one more for each attempt. */
import { Readable } from 'node:stream';
import { UploadPartCommand } from '@aws-sdk/client-s3';
import type { StreamedBody, UploadedPart } from '../object-store.js';
import type { Attempt } from './attempt.js';
import { sdkChecksum } from './checksum.js';
import type { S3Context } from './context.js';

/** Errors: StoreError; whatever reading the body fails with. */
export async function uploadStreamedPart(
  context: S3Context,
  key: string,
  { uploadId, partNumber }: { readonly uploadId: string; readonly partNumber: number },
  body: StreamedBody,
  signal: AbortSignal | undefined,
): Promise<UploadedPart> {
  const checksum = await context.checksum?.ofStream(body.open());
  const etag = await context.requests.run('UploadPart', key, signal, async (attempt) => {
    const content = Readable.from(watched(body, attempt), { objectMode: false, highWaterMark: 0 });
    try {
      const output = await context.clients.client.send(
        new UploadPartCommand({
          Bucket: context.bucket,
          Key: key,
          UploadId: uploadId,
          PartNumber: partNumber,
          Body: content,
          ContentLength: body.bytes,
          ...sdkChecksum(checksum),
        }),
        { abortSignal: attempt.signal },
      );
      return output.ETag;
    } finally {
      content.destroy();
    }
  });
  const part = { partNumber, etag: etag ?? '', bytes: body.bytes };
  return { ...part, ...(checksum === undefined ? {} : { checksum }) };
}

/** Bytes that go out are no result, but a sign of life: what takes minutes must not use up the time for other attempts. */
async function* watched(body: StreamedBody, attempt: Attempt): AsyncGenerator<Uint8Array> {
  for await (const chunk of body.open()) {
    attempt.progress();
    yield chunk;
  }
}
