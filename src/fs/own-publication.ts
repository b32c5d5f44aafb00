/**
 * Publications that this daemon never had an answer for, because it was lost on the way or the daemon had died. An object that isn't the version
 * expected may be what one of them left. Equal bytes prove it; where a publication has no bytes of its own, equal metadata.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ObjectHead, ObjectHeaders } from '../store/object-store.js';
import type { FileNode, PublicationAttempt } from './node.js';
import { differsInTimesOnly } from './posix-metadata.js';
import type { Volume } from './volume.js';

/** The object at the file's key, if it is what was to be published. Errors: StoreError; SpoolFullError. */
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

/** Whether an object's headers need no change to be those wanted. An upload carries no times: these may differ unless a client set them. */
export function willDo(
  { timesGiven }: Pick<FileNode, 'timesGiven'>,
  has: ObjectHeaders,
  wanted: ObjectHeaders,
): boolean {
  if (isDeepStrictEqual(has, wanted)) return true;
  const isAllElseEqual = isDeepStrictEqual({ ...has, metadata: {} }, { ...wanted, metadata: {} });
  return !timesGiven && isAllElseEqual && differsInTimesOnly(has.metadata, wanted.metadata);
}
