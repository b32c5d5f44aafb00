/** The bucket as any S3 tool sees it: by the AWS SDK alone, with nothing of the daemon in between. */
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import pLimit from 'p-limit';
import { createHash } from 'node:crypto';
import { BUCKET, KEYS } from './daemon.js';

export interface ObjectFacts {
  readonly size: number;
  /** Of the body, hexadecimal. */
  readonly sha256: string;
  /** User metadata. */
  readonly metadata: Readonly<Record<string, string>>;
}

const PARALLEL = 16;

export class Bucket {
  readonly #client: S3Client;

  constructor(endpoint: string) {
    this.#client = new S3Client({ endpoint, credentials: KEYS, region: 'us-east-1', forcePathStyle: true });
  }

  /** Every key below the prefix, in the order of S3. */
  async keys(prefix = ''): Promise<readonly string[]> {
    const keys: string[] = [];
    let token: string | undefined;
    do {
      const page = await this.#client.send(
        new ListObjectsV2Command({ Bucket: BUCKET, Prefix: prefix, ContinuationToken: token }),
      );
      for (const { Key } of page.Contents ?? []) if (Key !== undefined) keys.push(Key);
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return keys;
  }

  /** Reads the whole object. Fails with the SDK's error when there is none. */
  async facts(key: string): Promise<ObjectFacts> {
    const { Body, Metadata = {} } = await this.#client.send(
      new GetObjectCommand({ Bucket: BUCKET, Key: key }),
    );
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of Body as AsyncIterable<Uint8Array>) {
      hash.update(chunk);
      size += chunk.length;
    }
    return { size, sha256: hash.digest('hex'), metadata: Metadata };
  }

  /** The facts of every object below the prefix, by key without it. */
  async tree(prefix: string): Promise<ReadonlyMap<string, ObjectFacts>> {
    const keys = await this.keys(prefix);
    const facts = await pLimit(PARALLEL).map(keys, (key) => this.facts(key));
    return new Map(keys.map((key, index) => [key.slice(prefix.length), facts[index] as ObjectFacts]));
  }

  async text(key: string): Promise<string> {
    const { Body } = await this.#client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
    return (await Body?.transformToString()) ?? '';
  }

  async put(key: string, body: string): Promise<void> {
    await this.#client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body }));
  }

  async remove(key: string): Promise<void> {
    await this.#client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: key }));
  }

  close(): void {
    this.#client.destroy();
  }
}
