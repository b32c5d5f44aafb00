/** A request on its way through the operations, and the answer they give. */
import type { FileHandle } from 'node:fs/promises';
import type { Bucket } from './bucket.js';
import type { Buckets } from './buckets.js';
import { invalidArgument, S3Error } from './errors.js';
import type { PayloadSource } from './payload.js';
import type { Credentials } from './sigv4.js';

/** The canonical user id of the one account there is. */
export const OWNER_ID = '75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a';
export const OWNER_NAME = 's3nfsd';

export interface Call {
  readonly buckets: Buckets;
  /** The keys of the one account there is. */
  readonly account: Credentials;
  readonly region: string;
  readonly bucketName: string;
  /** '' where the operation has none. */
  readonly key: string;
  /** The first value of each parameter. */
  readonly query: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, string>;
  readonly payload: PayloadSource;
}

/** Bytes of an open file as a body; the file is closed after them. */
export interface FileBody {
  readonly file: FileHandle;
  readonly start: number;
  readonly length: number;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A whole XML document, or bytes of a file. */
  readonly body?: string | FileBody;
}

export type Operation = (call: Call) => Promise<Answer>;

/** The bucket a call is about. Fails with NoSuchBucket. */
export async function bucketOf(call: Call): Promise<Bucket> {
  return findBucket(call.buckets, call.bucketName);
}

export async function findBucket(buckets: Buckets, name: string): Promise<Bucket> {
  const bucket = await buckets.find(name);
  if (bucket === undefined) throw new S3Error('NoSuchBucket', undefined, { BucketName: name });
  return bucket;
}

/** An integer parameter between 0 and 2^31-1, cut down to `max`. Fails with InvalidArgument. */
export function countParameter(call: Call, name: string, fallback: number, max: number): number {
  const text = call.query.get(name);
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 0x7fffffff) {
    throw invalidArgument(name, text, `Provided ${name} not an integer or within integer range`);
  }
  return Math.min(value, max);
}

/** `encoding-type`: whether names are to be sent URL-encoded. Fails with InvalidArgument for anything but `url`. */
export function wantsUrlEncoding(call: Call): boolean {
  const type = call.query.get('encoding-type');
  if (type === undefined || type === '') return false;
  if (type !== 'url')
    throw invalidArgument('encoding-type', type, 'Invalid Encoding Method specified in Request');
  return true;
}

export function xmlAnswer(body: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body };
}

/** `2026-01-31T12:00:00.000Z`, as XML has times. */
export function xmlTime(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString();
}

export function quoted(etag: string): string {
  return `"${etag}"`;
}
