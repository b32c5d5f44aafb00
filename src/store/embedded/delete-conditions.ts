/** The conditions on time and size that deletes have in directory buckets alone (API reference, DeleteObject and ObjectIdentifier). */
import type { Bucket } from './bucket.js';
import { invalidArgument, S3Error } from './errors.js';
import type { ObjectRecord } from './records.js';

/** The check of a delete. An object that isn't there passes: nothing is left to do. */
export function deleteCheck(
  bucket: Bucket,
  wanted: { readonly lastModified: string | undefined; readonly size: string | undefined },
): (current: ObjectRecord | undefined) => void {
  const { lastModified, size } = wanted;
  if (lastModified === undefined && size === undefined) return () => undefined;
  if (!bucket.isDirectory) {
    throw new S3Error('NotImplemented', 'Only directory buckets have conditions on time and size.');
  }
  const modifiedMs = lastModified === undefined ? undefined : Date.parse(lastModified);
  if (Number.isNaN(modifiedMs))
    throw invalidArgument('LastModifiedTime', lastModified ?? '', 'A time was expected');
  return (current) => {
    if (current === undefined) return;
    if (
      modifiedMs !== undefined &&
      Math.floor(modifiedMs / 1000) !== Math.floor(current.lastModifiedMs / 1000)
    )
      throw new S3Error('PreconditionFailed', undefined, { Condition: 'x-amz-if-match-last-modified-time' });
    if (size !== undefined && size !== String(current.size))
      throw new S3Error('PreconditionFailed', undefined, { Condition: 'x-amz-if-match-size' });
  };
}
