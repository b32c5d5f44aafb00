/**
 * What makes a bucket a directory bucket (S3 Express One Zone): its name. And what such a bucket has of its own: a zone, ETags that are
 * no digests, one storage class. S3 user guide, "Directory bucket naming rules" and "Differences for directory buckets".
 */
import { randomBytes } from 'node:crypto';
import type { StoredHeaders } from './records.js';

/** The suffix that only directory buckets may have. */
const SUFFIX = '--x-s3';

/** `base-name--zone-id--x-s3`: no dots, unlike the names of other buckets. */
const NAME = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?--([a-z0-9]+(?:-[a-z0-9]+)+)--x-s3$/;

/** Whether a name is a directory bucket's; it may break the rules for one all the same (`zoneOf`). */
export function isDirectoryBucket(name: string | undefined): boolean {
  return name?.endsWith(SUFFIX) === true;
}

/** The zone in a directory bucket's name (`use1-az4`); undefined where the name is none. */
export function zoneOf(name: string): string | undefined {
  return name.length <= 63 ? NAME.exec(name)?.[1] : undefined;
}

/** "Entity tags (ETags) for S3 Express One Zone are random alphanumeric strings" (API reference, ObjectIdentifier). */
export function randomEtag(): string {
  // 32 of 36 characters; the remainder of 256 makes four of them likelier by a seventh, which harms nobody.
  return [...randomBytes(32)].map((byte) => (byte % 36).toString(36)).join('');
}

/** The class of all objects in Availability Zones; what isn't STANDARD is told in headers. */
export const DIRECTORY_CLASS = 'EXPRESS_ONEZONE';

export const DIRECTORY_HEADERS: StoredHeaders = { 'x-amz-storage-class': DIRECTORY_CLASS };
