/**
 * The checksum of a whole object among the headers of an answer, and what is remembered of those. S3 tells none with most ranges, a part's
 * with a range that is a part, and with a whole object that was uploaded in parts maybe one that is made of the parts' (COMPOSITE, `-N`),
 * which says nothing of the bytes in one ("Checking object integrity in Amazon S3", user guide). So only answers without a range count.
 */
import { LRUCache } from 'lru-cache';
import type { ObjectChecksum } from '../object-store.js';

/** The cheapest to compute first: an object has one as a rule, and CRC-64/NVME beside it at times. */
const ALGORITHMS = ['crc32', 'crc64nvme', 'crc32c', 'sha256', 'sha1'] as const;

export type ChecksumHeader = `x-amz-checksum-${(typeof ALGORITHMS)[number] | 'type'}`;

/** Versions remembered: what a client has looked up and reads within moments, about 200 bytes each. */
const REMEMBERED_MAX = 8_192;

/** Of an answer to a request without a range. */
export function fullChecksumOf(
  header: (name: ChecksumHeader) => string | undefined,
): ObjectChecksum | undefined {
  // Servers that don't send the type mark a composite by its dash alone.
  if ((header('x-amz-checksum-type') ?? 'FULL_OBJECT') !== 'FULL_OBJECT') return undefined;
  for (const algorithm of ALGORITHMS) {
    const value = header(`x-amz-checksum-${algorithm}`);
    if (value !== undefined && value !== '' && !value.includes('-')) return { algorithm, value };
  }
  return undefined;
}

/** Shared, since most servers tell no checksum. */
const NONE = Object.freeze({ checksum: undefined });

/** Remembers what answers tell, so that a reader finds there what the HEAD of a file's LOOKUP has brought. */
export class KnownChecksums {
  readonly #known = new LRUCache<string, { readonly checksum: ObjectChecksum | undefined }>({
    max: REMEMBERED_MAX,
  });

  /** As ObjectChecksums has it. */
  get(key: string, etag: string): ObjectChecksum | null | undefined {
    const found = this.#known.get(nameOf(key, etag));
    return found === undefined ? undefined : (found.checksum ?? null);
  }

  set(key: string, etag: string, checksum: ObjectChecksum | undefined): void {
    this.#known.set(nameOf(key, etag), checksum === undefined ? NONE : { checksum });
  }
}

const nameOf = (key: string, etag: string): string => `${etag} ${key}`;
