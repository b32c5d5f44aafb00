/** What a crash left of the move of an object: carried out while nobody else has put anything at the new key since. */
import { isDeepStrictEqual } from 'node:util';
import { canRename, type ObjectHead, type WriteCondition } from '../store/object-store.js';
import type { Intent } from './intent-log.js';
import { isReplaced } from './store-errors.js';
import type { Volume } from './volume.js';

type FileIntent = Extract<Intent, { kind: 'rename-file' }>;

/** Bytes of either object that are compared at a time. */
const PIECE_BYTES = 1024 * 1024;

/**
 * `moved`: the object is at the new key, or was and is somebody else's affair. `theirs`: somebody else's is there, and what was to be moved stays.
 * `unknown`: somebody else's is at the old key, which tells nothing of the new one.
 */
export type Finished = 'moved' | 'theirs' | 'unknown';

/** Errors: StoreError. */
export async function finishObjectMove(volume: Volume, intent: FileIntent): Promise<Finished> {
  const { store } = volume;
  const { fromKey, toKey, etag } = intent;
  const source = await store.head(fromKey);
  if (source === undefined) return 'moved';
  if (source.etag !== etag) return 'unknown';
  const there = await store.head(toKey);
  // A journal of before tells nothing of what was there.
  const replacedEtag = intent.replacedEtag === undefined ? there?.etag : intent.replacedEtag;
  if (there !== undefined && there.etag !== replacedEtag) {
    // Where a rename is one step the source would be gone.
    if (canRename(store) || !(await isCopy(volume, source, there))) return 'theirs';
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

/** What was uploaded in parts, or is encrypted by a key, has another ETag than its copy: the bytes tell. */
async function isCopy(volume: Volume, source: ObjectHead, there: ObjectHead): Promise<boolean> {
  const { size } = source;
  if (there.size !== size || !isDeepStrictEqual(there.metadata, source.metadata)) return false;
  if (there.etag === source.etag) return true;
  try {
    for (let offset = 0; offset < size; offset += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, size - offset);
      const [ours, theirs] = await Promise.all(
        [source, there].map((each) => bytesOf(volume, each, offset, length)),
      );
      if (ours === undefined || theirs === undefined || !ours.equals(theirs)) return false;
    }
    return true;
  } catch (error) {
    if (isReplaced(error)) return false;
    throw error;
  }
}

async function bytesOf(
  { store }: Volume,
  { key, etag }: ObjectHead,
  offset: number,
  length: number,
): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let at = 0;
  await store.get(key, { offset, length }, { ifMatch: etag }, (chunk) => {
    chunk.copy(bytes, at);
    at += chunk.length;
  });
  return bytes;
}
