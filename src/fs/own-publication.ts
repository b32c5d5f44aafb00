/**
 * Publications whose answer this daemon never had, because it was lost on the way or the daemon had died: an object that isn't the version
 * expected may be what one of them left. Bytes prove it; attributes where there are none.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ObjectHead, ObjectHeaders } from '../store/object-store.js';
import type { FileNode, PublicationAttempt } from './node.js';
import { differsInTimesOnly } from './posix-metadata.js';
import type { Volume } from './volume.js';

/** The object at a file's key, where it is what was to be published. Errors: StoreError; SpoolFullError. */
export async function findOwn(
  { store }: Volume,
  node: FileNode,
  key: string,
  attempted: PublicationAttempt,
): Promise<ObjectHead | undefined> {
  const head = await store.head(key);
  const { session, size, metadata } = attempted;
  if (head === undefined || head.size !== size || node.session !== session) return undefined;
  const { etag } = head;
  const isOwn =
    session === undefined
      ? isDeepStrictEqual(head.metadata, metadata)
      : await session.isHeldBy({ key, etag, size });
  return isOwn ? head : undefined;
}

/** An object may have these headers in place of those wanted: an upload carries no times, unless a client gave the file some. */
export function willDo(
  { timesGiven }: Pick<FileNode, 'timesGiven'>,
  has: ObjectHeaders,
  wanted: ObjectHeaders,
): boolean {
  if (isDeepStrictEqual(has, wanted)) return true;
  const isAllElseEqual = isDeepStrictEqual({ ...has, metadata: {} }, { ...wanted, metadata: {} });
  return !timesGiven && isAllElseEqual && differsInTimesOnly(has.metadata, wanted.metadata);
}
