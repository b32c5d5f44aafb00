/**
 * Whether an object is as good as a copy of another: the same bytes under the same headers. An ETag alone tells it only of what was put in one
 * piece and is not encrypted by a key; what was uploaded in parts has another one than its copy, and its bytes are compared.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ObjectHead } from '../store/object-store.js';
import { isReplaced } from './store-errors.js';
import type { Volume } from './volume.js';

/** Bytes of either object that are compared at a time. */
const PIECE_BYTES = 1024 * 1024;

/** What a copy always takes along. Storage class and encryption may be the bucket's own, by its rules. */
const headersOf = (head: ObjectHead): readonly unknown[] => [
  head.metadata,
  head.contentType,
  head.contentEncoding,
  head.contentLanguage,
  head.contentDisposition,
  head.cacheControl,
];

/** False where either was replaced meanwhile. Errors: StoreError. */
export async function isAsGoodAs(volume: Volume, there: ObjectHead, source: ObjectHead): Promise<boolean> {
  const { size } = source;
  if (there.size !== size || !isDeepStrictEqual(headersOf(there), headersOf(source))) return false;
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
