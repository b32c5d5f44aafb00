/**
 * Renames in stores that have them (directory buckets): a file at once; a directory key by key, each at once, so that no key is ever
 * twice there or gone, and what a crash leaves is finished by going on.
 */
import pLimit from 'p-limit';
import { StoreError } from '../store/errors.js';
import type { ObjectSummary, RenamingStore } from '../store/object-store.js';
import { pagesBelow } from './key-trees.js';
import type { Volume } from './volume.js';

/** Renames under way at a time. */
const RENAMES_MAX = 16;
/** The last finds nothing left, unless others write into the directory meanwhile. */
const PASSES_MAX = 4;

/** Renames every key below a prefix; `onMoved` is told of each as it was. Fails with the first failure, once none is under way. */
export async function renameTree(
  volume: Volume,
  store: RenamingStore,
  fromPrefix: string,
  toPrefix: string,
  onMoved?: (object: ObjectSummary) => void,
): Promise<void> {
  const limit = pLimit(RENAMES_MAX);
  for (let pass = 1; pass <= PASSES_MAX; pass++) {
    let left = 0;
    for await (const page of pagesBelow(volume, fromPrefix)) {
      left += page.length;
      const results = await Promise.allSettled(
        page.map((object) =>
          limit(async () => {
            const moved = await renameKey(store, object, toPrefix + object.key.slice(fromPrefix.length));
            if (moved) onMoved?.(object);
          }),
        ),
      );
      const failed = results.find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    }
    if (left === 0) return;
  }
  const message =
    'files of a renamed directory stay under the old name: others wrote there, or took the new one, meanwhile';
  volume.log.warn({ prefix: fromPrefix }, message);
}

/** A directory that can't be renamed whole stays where it is: what went is brought back. */
export async function renameTreeOrUndo(
  volume: Volume,
  store: RenamingStore,
  fromPrefix: string,
  toPrefix: string,
): Promise<void> {
  const moved: ObjectSummary[] = [];
  try {
    await renameTree(volume, store, fromPrefix, toPrefix, (object) => moved.push(object));
  } catch (error) {
    const limit = pLimit(RENAMES_MAX);
    const results = await Promise.allSettled(
      moved.map((object) =>
        limit(async () => {
          const key = toPrefix + object.key.slice(fromPrefix.length);
          const back = await renameKey(store, { ...object, key }, object.key);
          if (!back) throw new Error(`${key} was replaced or removed meanwhile`);
        }),
      ),
    );
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      const left = { err: result.reason as unknown, from: fromPrefix, to: toPrefix };
      volume.log.error(left, 'a failed rename of a directory leaves a part of it under the new name');
      break;
    }
    throw error;
  }
}

/** True once the version is at its new key; false where somebody replaced or removed it, which the next pass sees, or put an object at the new key. */
async function renameKey(store: RenamingStore, object: ObjectSummary, target: string): Promise<boolean> {
  const { key, etag, size } = object;
  try {
    if (!key.endsWith('/')) {
      await store.rename(key, target, { sourceEtag: etag, condition: { ifNoneMatch: '*' } });
      return true;
    }
    // RenameObject takes no names that end in a slash; markers are small.
    await store.copy(key, target, { sourceEtag: etag, size });
    await store.delete(key, { ifMatch: etag });
    return true;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (error.kind !== 'not-found' && error.kind !== 'precondition-failed') throw error;
    return false;
  }
}
