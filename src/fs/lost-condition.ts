/**
 * Removals and renames meet what somebody else wrote since the daemon last looked: theirs stays, the caller gets EIO and the log a line,
 * and the next call works on what is there. ESTALE and JUKEBOX would make clients repeat the call by themselves, and nobody would hear of it.
 */
import { FsError } from './errors.js';
import type { FileNode, PublishedVersion, SillyState } from './node.js';
import { isReplaced, isUndecided, toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** Deletions that meet another write of the same object each time (409), and no change of it. */
const ATTEMPTS_MAX = 3;

/** The error of an operation that would have taken somebody else's object away. Tells the log. */
export function notOurs(volume: Volume, key: string, cause?: unknown): FsError {
  const what =
    'somebody else wrote this object meanwhile: it stays, and the call that would have taken it away failed';
  volume.log.warn({ key, bucket: volume.name, ...(cause !== undefined && { err: cause }) }, what);
  return new FsError('EIO', `"${key}" in ${volume.name} was written by somebody else meanwhile: it stays`, {
    cause,
  });
}

/** Deletes one version of an object; does nothing where the object is gone. EIO where another version is there by now. */
export async function deleteVersion(
  volume: Volume,
  key: string,
  { etag }: Pick<PublishedVersion, 'etag'>,
): Promise<void> {
  const { store } = volume;
  for (let attempt = 1; ; attempt++) {
    try {
      return await store.delete(key, { ifMatch: etag });
    } catch (error) {
      if (!isReplaced(error)) throw toFsError(error);
      const isThere = isUndecided(error) && (await store.head(key))?.etag === etag;
      if (!isThere || attempt >= ATTEMPTS_MAX) throw notOurs(volume, key, error);
    }
  }
}

/**
 * Deletes the object of a file: `version`, by default the one that the node has. EIO where somebody else's object is there by now. Where the file is a
 * removed one whose old name is free (silly-names.ts), their object is left without an error, and the name that it has is returned: it is to be looked at
 * anew.
 */
export async function deleteObjectOf(
  volume: Volume,
  node: FileNode,
  version = node.version,
): Promise<string | undefined> {
  const { store } = volume;
  const { silly } = node;
  const key = volume.keyOf(node);
  if (version === undefined) return undefined;
  if (silly?.heldName === undefined) {
    await deleteVersion(volume, key, version);
    return undefined;
  }
  try {
    if (await isTheirs(volume, key, version, silly)) return silly.heldName;
    await store.delete(key, { ifMatch: version.etag });
    return undefined;
  } catch (error) {
    if (!isReplaced(error)) throw error;
    return silly.heldName;
  }
}

/**
 * Somebody put another object at the key of a removed file: asked first where a store deletes without a condition, and where the time of the object
 * is known, since the same bytes have the same ETag. (Conditions on the time are for directory buckets alone, where ETags are of no digest.)
 */
async function isTheirs(
  { store }: Volume,
  key: string,
  { etag }: Pick<PublishedVersion, 'etag'>,
  { taken }: SillyState,
): Promise<boolean> {
  const { conditionalWrites, orderedListing } = store.capabilities;
  const isTimed = orderedListing && taken?.etag === etag;
  if (conditionalWrites && !isTimed) return false;
  const head = await store.head(key);
  if (head === undefined) return false;
  return head.etag !== etag || (isTimed && secondsOf(head) !== secondsOf(taken));
}

/** HEAD tells no milliseconds, and some servers' LIST does. */
const secondsOf = ({ lastModifiedMs }: { readonly lastModifiedMs: number }): number =>
  Math.floor(lastModifiedMs / 1000);
