/**
 * Whether an object is as good as a copy of another: the same bytes with the same headers. Equal ETags prove equal bytes. But an object that was uploaded
 * in parts, or is encrypted with a KMS key, has another ETag than its copy: then the bytes are compared.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ObjectHead } from '../store/object-store.js';
import { isReplaced } from './store-errors.js';
import type { Volume } from './volume.js';

/** Two objects are compared in pieces of this many bytes. */
const PIECE_BYTES = 1024 * 1024;

/** Headers that a copy always takes along. Storage class and encryption may differ, by the rules of the bucket. */
const headersOf = (head: ObjectHead): readonly unknown[] => [
  head.metadata,
  head.contentType,
  head.contentEncoding,
  head.contentLanguage,
  head.contentDisposition,
  head.cacheControl,
];

/** Whether `there` is as good as a copy of `source`; false where either was replaced meanwhile. Errors: StoreError. */
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
