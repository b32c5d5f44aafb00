/**
 * Publications of one request: the whole file, or what was added to it. What was added behind an object's end goes there as it is, by one
 * PUT with a write offset, where the store has that (directory buckets): nothing of the object is copied. It keeps its headers then, so
 * whoever publishes says whether it may.
 */
import { StoreError } from '../store/errors.js';
import { canAppend, type ObjectStore, type WrittenObject } from '../store/object-store.js';
import type { ContentSource } from './content-source.js';
import type { FileContent } from './file-content.js';
import type { PublishRequest, WriteSessionOptions } from './session-options.js';
import type { Spiller } from './spiller.js';

export interface OnePutParts {
  readonly store: ObjectStore;
  readonly spiller: Spiller;
  readonly content: FileContent;
  readonly source: ContentSource;
  /** Largest piece that is one PUT. */
  readonly bytesMax: number;
  readonly onPut: WriteSessionOptions['onPut'];
}

/** PUTs all that the file holds, of at most `bytesMax`. Errors: StoreError. */
export async function putWhole(
  { store, spiller, content, source, onPut }: OnePutParts,
  { key, headers, condition, signal }: PublishRequest,
): Promise<WrittenObject> {
  const { size } = content;
  const lease = await source.lease(0, size, signal);
  try {
    const written = await spiller.during(() => store.put(key, lease.body, headers, condition, signal));
    onPut?.({ key, etag: written.etag, size }, lease.body);
    return written;
  } finally {
    lease.release();
  }
}

/** Something stands behind the object, of at most `bytesMax`, and the object itself is unchanged. */
export function isAppend({
  store,
  content,
  bytesMax,
}: Pick<OnePutParts, 'store' | 'content' | 'bytesMax'>): boolean {
  const { base, size } = content;
  if (!canAppend(store) || base === undefined || content.baseBytes < base.size) return false;
  if (size <= base.size || size - base.size > bytesMax) return false;
  for (const part of content.parts) if ((part.dirty.hull?.start ?? Infinity) < base.size) return false;
  return true;
}

/** Undefined where it can't be: not an append, or the object is made of too many of them. Errors: StoreError. */
export async function appendTo(
  parts: OnePutParts,
  { key, condition, objectHeaders, signal }: PublishRequest,
): Promise<WrittenObject | undefined> {
  const { store, spiller, content, source } = parts;
  const { base } = content;
  if (objectHeaders === undefined || base?.key !== key || !isAppend(parts) || !canAppend(store))
    return undefined;
  const lease = await source.lease(base.size, content.size, signal);
  try {
    const options = {
      ...(condition?.ifMatch !== undefined && { condition: { ifMatch: condition.ifMatch } }),
      ...(signal !== undefined && { signal }),
    };
    return await spiller.during(() => store.append(key, lease.body, base.size, options));
  } catch (error) {
    if (error instanceof StoreError && error.kind === 'too-large') return undefined;
    throw error;
  } finally {
    lease.release();
  }
}
