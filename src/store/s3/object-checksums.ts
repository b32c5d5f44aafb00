/** The checksums of a bucket's objects for those who check what they read: as answers have told them, else by HeadObject. */
import { StoreError } from '../errors.js';
import type { ObjectChecksums } from '../object-store.js';
import type { S3Context } from './context.js';
import type { KnownChecksums } from './full-checksum.js';
import { headAnswer } from './head.js';

/** Fails with StoreError where it is worth asking again; what can't be asked for isn't there. */
export function checksumsOf(context: S3Context, known: KnownChecksums): ObjectChecksums {
  return {
    known: (key, etag) => known.get(key, etag),
    of: async (key, etag, signal) => {
      const found = known.get(key, etag);
      if (found !== undefined) return found ?? undefined;
      try {
        const head = await headAnswer(context, key, signal, true);
        // Of another version: the GETs find out that this one is gone.
        if (head?.etag !== etag) return undefined;
        known.set(key, etag, head.fullChecksum);
        return head.fullChecksum;
      } catch (error) {
        if (!(error instanceof StoreError) || !isRefusal(error)) throw error;
        context.log.warn(
          { err: error, key },
          'the store does not tell checksums: what is read is not checked',
        );
        known.set(key, etag, undefined);
        return undefined;
      }
    },
  };
}

/** To the request itself: asked again it is refused again. */
function isRefusal({ kind }: StoreError): boolean {
  return kind === 'access-denied' || kind === 'unsupported' || kind === 'invalid';
}
