/** Finishes the move of one object that a crash interrupted, unless somebody else has put an object at the new key since. */
import { canRename, type WriteCondition } from '../store/object-store.js';
import type { Intent } from './intent-log.js';
import { isAsGoodAs } from './same-object.js';
import { isReplaced } from './store-errors.js';
import type { Volume } from './volume.js';

type FileIntent = Extract<Intent, { kind: 'rename-file' }>;

/**
 * - `moved`: the object is at the new key, or has been there and was changed by somebody else since.
 * - `theirs`: somebody else's object is at the new key; ours stays at the old one.
 * - `unknown`: somebody else's object is at the old key, which tells nothing about the new one.
 */
export type Finished = 'moved' | 'theirs' | 'unknown';

/** Carries out what is left of `intent`. Errors: StoreError. */
export async function finishObjectMove(volume: Volume, intent: FileIntent): Promise<Finished> {
  const { store } = volume;
  const { fromKey, toKey, etag } = intent;
  const source = await store.head(fromKey);
  if (source === undefined) return 'moved';
  if (source.etag !== etag) return 'unknown';
  const there = await store.head(toKey);
  // Journals of earlier versions don't tell what was at the new key: what is there now is taken for that.
  const replacedEtag = intent.replacedEtag === undefined ? there?.etag : intent.replacedEtag;
  if (there !== undefined && there.etag !== replacedEtag) {
    // An atomic rename would have taken the source away, so the object there can't be ours.
    if (canRename(store) || !(await isAsGoodAs(volume, there, source))) return 'theirs';
  } else {
    const condition: WriteCondition = there === undefined ? { ifNoneMatch: '*' } : { ifMatch: there.etag };
    try {
      if (canRename(store)) await store.rename(fromKey, toKey, { sourceEtag: etag, condition });
      else await store.copy(fromKey, toKey, { sourceEtag: etag, size: source.size, condition });
    } catch (error) {
      if (!isReplaced(error)) throw error;
      return 'theirs';
    }
  }
  if (!canRename(store)) await store.delete(fromKey, { ifMatch: etag });
  return 'moved';
}
