/** The calls by the SDK: for endpoints whose signatures only it makes, and what the direct calls are compared with. */
import type { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
  type GetObjectCommandOutput,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3';
import type {
  Body,
  ListRequest,
  ObjectHeaders,
  PartChecksum,
  WriteCondition,
  WrittenObject,
} from '../object-store.js';
import type { Attempt } from './attempt.js';
import { bodyLength, checksumsOfSdk, sdkChecksum } from './checksum.js';
import type { S3Clients } from './client.js';
import { conditionHeaders } from './context.js';
import { fullChecksumOf, type ChecksumHeader } from './full-checksum.js';
import { fromSdkHeaders, toSdkHeaders } from './headers.js';
import type {
  AnsweredObject,
  CopyRequest,
  GetHandler,
  GetOptions,
  ListedPage,
  ObjectCalls,
  PartRequest,
} from './object-calls.js';
import { requestBody } from './request-body.js';

export class SdkCalls implements ObjectCalls {
  readonly #bucket: string;
  readonly #clients: S3Clients;

  constructor(bucket: string, clients: S3Clients) {
    this.#bucket = bucket;
    this.#clients = clients;
  }

  async get(key: string, options: GetOptions, attempt: Attempt, handler: GetHandler): Promise<void> {
    const output = await this.#clients.client.send(
      new GetObjectCommand({
        Bucket: this.#bucket,
        Key: key,
        ...(options.whole
          ? { ChecksumMode: 'ENABLED' as const }
          : { Range: `bytes=${String(options.first)}-${String(options.last)}` }),
        ...(options.ifMatch === undefined ? {} : { IfMatch: options.ifMatch }),
      }),
      { abortSignal: attempt.signal },
    );
    const body = output.Body as Readable;
    try {
      handler.head(this.#objectOf(output, options.whole));
      await drain(body, attempt, (chunk) => handler.body(chunk));
    } finally {
      // After the end this does nothing; before it, it closes a connection whose rest nobody wants.
      body.destroy();
    }
  }

  async head(
    key: string,
    options: { readonly checksums: boolean },
    attempt: Attempt,
  ): Promise<AnsweredObject> {
    const output = await this.#clients.client.send(
      new HeadObjectCommand({
        Bucket: this.#bucket,
        Key: key,
        ...(options.checksums ? { ChecksumMode: 'ENABLED' as const } : {}),
      }),
      { abortSignal: attempt.signal },
    );
    return this.#objectOf(output, options.checksums);
  }

  async list(request: ListRequest, attempt: Attempt): Promise<ListedPage> {
    const output = await this.#clients.client.send(
      new ListObjectsV2Command({
        Bucket: this.#bucket,
        Prefix: request.prefix,
        // Keys hold characters that XML 1.0 can't.
        EncodingType: 'url',
        ...(request.delimiter === undefined ? {} : { Delimiter: request.delimiter }),
        ...(request.startAfter === undefined ? {} : { StartAfter: request.startAfter }),
        ...(request.continuationToken === undefined ? {} : { ContinuationToken: request.continuationToken }),
        ...(request.maxKeys === undefined ? {} : { MaxKeys: request.maxKeys }),
      }),
      { abortSignal: attempt.signal },
    );
    return {
      encoded: output.EncodingType === 'url',
      contents: (output.Contents ?? []).map(({ Key, Size, ETag, LastModified }) => ({
        key: Key,
        size: Size ?? 0,
        etag: ETag ?? '',
        lastModifiedMs: LastModified?.getTime() ?? 0,
      })),
      prefixes: (output.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
      truncated: output.IsTruncated === true,
      continuationToken: output.NextContinuationToken,
    };
  }

  async put(
    key: string,
    body: Body,
    options: {
      readonly headers: ObjectHeaders;
      readonly tagging: string | undefined;
      readonly condition: WriteCondition;
      readonly checksum: PartChecksum | undefined;
    },
    attempt: Attempt,
  ): Promise<string | undefined> {
    const { headers, tagging, condition, checksum } = options;
    const command = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      Body: requestBody(body),
      ContentLength: bodyLength(body),
      ...toSdkHeaders(headers),
      ...(tagging === undefined ? {} : { Tagging: tagging }),
      ...(condition.ifMatch === undefined ? {} : { IfMatch: condition.ifMatch }),
      ...(condition.ifNoneMatch === undefined ? {} : { IfNoneMatch: condition.ifNoneMatch }),
      ...sdkChecksum(checksum),
    });
    const output = await this.#clients.client.send(command, {
      abortSignal: attempt.signal,
    });
    return output.ETag;
  }

  async delete(key: string, condition: WriteCondition, attempt: Attempt): Promise<void> {
    const command = new DeleteObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      ...(condition.ifMatch === undefined ? {} : { IfMatch: condition.ifMatch }),
    });
    await this.#clients.client.send(command, { abortSignal: attempt.signal });
  }

  async copy(
    key: string,
    { source, sourceEtag, headers, replaces, condition }: CopyRequest,
    attempt: Attempt,
  ): Promise<WrittenObject> {
    // With the metadata goes what belongs to the content; what says where and how it is kept, and where it leads, doesn't.
    const {
      StorageClass,
      WebsiteRedirectLocation,
      ServerSideEncryption,
      SSEKMSKeyId,
      BucketKeyEnabled,
      ...content
    } = toSdkHeaders(headers);
    const command = new CopyObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      CopySource: source,
      ...(sourceEtag === undefined ? {} : { CopySourceIfMatch: sourceEtag }),
      ...(replaces
        ? { MetadataDirective: 'REPLACE' as const, ...content }
        : { MetadataDirective: 'COPY' as const }),
      StorageClass,
      WebsiteRedirectLocation,
      ServerSideEncryption,
      SSEKMSKeyId,
      BucketKeyEnabled,
      ...conditionHeaders(condition),
    });
    const output = await this.#clients.slowClient.send(command, { abortSignal: attempt.signal });
    const { ETag, LastModified } = output.CopyObjectResult ?? {};
    return {
      etag: ETag ?? '',
      ...(LastModified === undefined ? {} : { lastModifiedMs: LastModified.getTime() }),
    };
  }

  async uploadPart(
    key: string,
    part: PartRequest,
    body: Body,
    attempt: Attempt,
  ): Promise<string | undefined> {
    const output = await this.#clients.client.send(
      new UploadPartCommand({
        Bucket: this.#bucket,
        Key: key,
        UploadId: part.uploadId,
        PartNumber: part.partNumber,
        Body: requestBody(body),
        ContentLength: bodyLength(body),
        ...sdkChecksum(part.checksum),
      }),
      { abortSignal: attempt.signal },
    );
    return output.ETag;
  }

  #objectOf(output: GetObjectCommandOutput | HeadObjectCommandOutput, asked: boolean): AnsweredObject {
    return {
      headers: fromSdkHeaders(output),
      etag: output.ETag,
      contentLength: output.ContentLength,
      contentRange: output.ContentRange,
      lastModifiedMs: output.LastModified?.getTime(),
      dateMs: this.#clients.dateOf(output),
      checksums: checksumsOfSdk(output),
      fullChecksum: asked ? fullChecksumOf((header) => checksumFieldOf(output, header)) : undefined,
    };
  }
}

/** What the SDK made of a header of full-checksum.ts. */
function checksumFieldOf(
  output: GetObjectCommandOutput | HeadObjectCommandOutput,
  header: ChecksumHeader,
): string | undefined {
  switch (header) {
    case 'x-amz-checksum-crc32':
      return output.ChecksumCRC32;
    case 'x-amz-checksum-crc32c':
      return output.ChecksumCRC32C;
    case 'x-amz-checksum-crc64nvme':
      return output.ChecksumCRC64NVME;
    case 'x-amz-checksum-sha1':
      return output.ChecksumSHA1;
    case 'x-amz-checksum-sha256':
      return output.ChecksumSHA256;
    case 'x-amz-checksum-type':
      return output.ChecksumType;
  }
}

/**
 * A body gives way to the others after so many bytes. libuv reads up to 2 MiB from one socket before it looks at the next: with dozens of
 * GETs a turn of the event loop took 0.1 to 0.4 s, and connections with a small window got their 64 KiB once a turn. So it takes 15 to 40 ms.
 */
const BURST_BYTES_MAX = 128 * 1024;

/** Feeds the body to `deliver` as it comes, to its end. */
async function drain(body: Readable, attempt: Attempt, deliver: (chunk: Buffer) => void): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const settle = (error?: Error): void => {
      attempt.signal.removeEventListener('abort', onAbort);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onAbort = (): void => {
      body.destroy();
      settle(new Error('cut off'));
    };
    if (attempt.signal.aborted) return onAbort();
    attempt.signal.addEventListener('abort', onAbort, { once: true });
    let burst = 0;
    body.on('data', (chunk: Buffer) => {
      if (attempt.signal.aborted) return;
      burst += chunk.length;
      if (burst >= BURST_BYTES_MAX) {
        burst = 0;
        body.pause();
        setImmediate(() => body.resume());
      }
      attempt.alive();
      try {
        deliver(chunk);
      } catch (error) {
        body.destroy();
        settle(error instanceof Error ? error : new Error('the body was refused', { cause: error }));
      }
    });
    body.on('end', () => settle());
    body.on('error', settle);
    // Without an 'end' it was cut short, which the count of bytes tells.
    body.on('close', () => settle());
  });
}
