/** Gives an object another key: a rename where the store has one, else a copy and a removal. */
import { canRename, type WriteCondition, type WrittenObject } from '../store/object-store.js';
import { notOurs } from './lost-condition.js';
import type { PublishedVersion } from './node.js';
import { isAsGoodAs } from './same-object.js';
import { isReplaced } from './store-errors.js';
import type { Volume } from './volume.js';

/**
 * The version it is at its new key. `replaced` is what is there, undefined where nothing is: EIO where somebody else's object is there by
 * now, which stays.
 */
export async function moveObject(
  volume: Volume,
  fromKey: string,
  toKey: string,
  version: PublishedVersion,
  replaced: PublishedVersion | undefined,
): Promise<PublishedVersion> {
  const { store } = volume;
  const { etag, size } = version;
  const condition: WriteCondition =
    replaced === undefined ? { ifNoneMatch: '*' } : { ifMatch: replaced.etag };
  const requireUntouched = async (error: unknown): Promise<never> => {
    // The source may be the one that was replaced, or nothing was.
    const isOther = isReplaced(error) && (await store.head(toKey))?.etag !== replaced?.etag;
    throw isOther ? notOurs(volume, toKey, error) : error;
  };
  if (canRename(store)) {
    await store.rename(fromKey, toKey, { sourceEtag: etag, condition }).catch(requireUntouched);
    // Documented to keep all of an object's metadata; were the ETag not among them, the next READ would find out.
    return version;
  }
  const copying = { fromKey, toKey, etag, size };
  const written = await store
    .copy(fromKey, toKey, { sourceEtag: etag, size, condition })
    .catch(async (error: unknown) => {
      if (!isReplaced(error)) volume.copiesInDoubt.set(toKey, versionOf(copying));
      else return (await ownCopy(volume, copying)) ?? requireUntouched(error);
      throw error;
    });
  volume.copiesInDoubt.delete(toKey);
  await deleteOrUndo(volume, { fromKey, etag }, toKey, replaced === undefined ? written.etag : undefined);
  return { ...written, size };
}

/** A copy that a move asks for. `size` in bytes. */
interface Copying {
  readonly fromKey: string;
  readonly toKey: string;
  readonly etag: string;
  readonly size: number;
}

const versionOf = ({ fromKey, etag }: Copying): string => `${etag} ${fromKey}`;

/**
 * The object that a copy left whose answer was lost, before the client came again: it has the source's bytes and headers. One by somebody else
 * that has neither less nor other of them is as good.
 */
async function ownCopy(volume: Volume, copying: Copying): Promise<WrittenObject | undefined> {
  const { store, copiesInDoubt } = volume;
  const { fromKey, toKey, etag } = copying;
  if (copiesInDoubt.get(toKey) !== versionOf(copying)) return undefined;
  const [source, copy] = await Promise.all([store.head(fromKey), store.head(toKey)]);
  if (source?.etag !== etag || copy === undefined) return undefined;
  return (await isAsGoodAs(volume, copy, source)) ? copy : undefined;
}

/**
 * A file whose source stays has not been renamed: the copy goes, unless it replaced something. The source stays where somebody
 * replaced it since it was copied. Where it is gone, the answer was lost and the copy is all there is.
 */
async function deleteOrUndo(
  volume: Volume,
  { fromKey, etag }: { readonly fromKey: string; readonly etag: string },
  toKey: string,
  copyEtag: string | undefined,
): Promise<void> {
  const { store, log } = volume;
  try {
    await store.delete(fromKey, { ifMatch: etag });
  } catch (error) {
    const left = await sourceLeft(volume, fromKey);
    if (left === 'gone') return;
    const isThere = left === etag || (left !== 'unknown' && isReplaced(error));
    if (!isThere) log.error({ key: toKey, source: fromKey }, 'a rename failed, and its copy is left behind');
    else if (copyEtag !== undefined) {
      await store.delete(toKey, { ifMatch: copyEtag }).catch((undoError: unknown) => {
        log.error({ err: undoError, key: toKey }, 'the copy of a failed rename is left behind');
      });
    }
    throw error;
  }
}

/** The ETag of what is at the key. */
async function sourceLeft(volume: Volume, key: string): Promise<string> {
  try {
    return (await volume.store.head(key))?.etag ?? 'gone';
  } catch (error) {
    volume.log.warn({ err: error, key }, 'what a failed rename left is not known');
    return 'unknown';
  }
}
