/** A bucket as another S3 user sees it. */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
  type ListObjectsV2CommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';

export interface SeenObject {
  readonly body: Buffer;
  readonly metadata: Readonly<Record<string, string>>;
  readonly contentType: string | undefined;
}

export class BucketView {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor(client: S3Client, bucket: string) {
    this.#client = client;
    this.#bucket = bucket;
  }

  close(): void {
    this.#client.destroy();
  }

  async put(key: string, body: Buffer, metadata: Record<string, string>, contentType: string): Promise<void> {
    await this.#client.send(
      new PutObjectCommand({
        Bucket: this.#bucket,
        Key: key,
        Body: body,
        Metadata: metadata,
        ContentType: contentType,
      }),
    );
  }

  /** By a multipart upload. */
  async putInParts(key: string, body: Buffer, partBytes: number): Promise<void> {
    const object = { Bucket: this.#bucket, Key: key };
    const { UploadId } = await this.#client.send(new CreateMultipartUploadCommand(object));
    const Parts: { readonly PartNumber: number; readonly ETag: string | undefined }[] = [];
    for (let at = 0; at < body.length; at += partBytes) {
      const PartNumber = Parts.length + 1;
      const Body = body.subarray(at, at + partBytes);
      const part = new UploadPartCommand({ ...object, UploadId, PartNumber, Body });
      const { ETag } = await this.#client.send(part);
      Parts.push({ PartNumber, ETag });
    }
    const MultipartUpload = { Parts };
    await this.#client.send(new CompleteMultipartUploadCommand({ ...object, UploadId, MultipartUpload }));
  }

  /** ETags by key. */
  async list(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    let token: string | undefined;
    do {
      const page: ListObjectsV2CommandOutput = await this.#client.send(
        new ListObjectsV2Command({ Bucket: this.#bucket, ContinuationToken: token }),
      );
      for (const { Key = '', ETag = '' } of page.Contents ?? []) found.set(Key, ETag);
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return found;
  }

  async get(key: string): Promise<SeenObject> {
    const answer = await this.#client.send(new GetObjectCommand({ Bucket: this.#bucket, Key: key }));
    const body = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
    return { body, metadata: answer.Metadata ?? {}, contentType: answer.ContentType };
  }

  /** Ids of the uploads that are neither completed nor aborted. */
  async uploads(): Promise<string[]> {
    const { Uploads = [] } = await this.#client.send(
      new ListMultipartUploadsCommand({ Bucket: this.#bucket }),
    );
    return Uploads.map(({ UploadId = '' }) => UploadId);
  }
}
