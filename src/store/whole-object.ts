/** All bytes of a small object version, checked against the store's checksum, for those who put them into other objects. */
import { StoreError } from './errors.js';
import type { ObjectChecksum, ObjectStore } from './object-store.js';
import { BodyChecks } from './s3/body-checks.js';

/** As often as readers ask (read/verification.ts). */
const ASKED_MAX = 5;

interface Version {
  readonly key: string;
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
}

/** The store checks what is read, and has a checksum of this version as far as is known. */
export function canBeChecked(store: ObjectStore, { key, etag }: Version): boolean {
  return store.checksums !== undefined && store.checksums.known(key, etag) !== null;
}

/** Fails with StoreError: `checksum` where its bytes are wrong each time. */
export async function getWhole(
  store: ObjectStore,
  version: Version,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const { key, etag, size } = version;
  const bytes = Buffer.allocUnsafeSlow(size);
  const checks = new BodyChecks();
  for (let asked = 1; asked <= ASKED_MAX; asked += 1) {
    let checksum: ObjectChecksum | undefined;
    let at = 0;
    const whole = { told: (found: ObjectChecksum | undefined) => void (checksum = found) };
    const options = { ifMatch: etag, whole, ...(signal !== undefined && { signal }) };
    await store.get(key, { offset: 0, length: size }, options, (chunk) => void (at += chunk.copy(bytes, at)));
    const wanted: ObjectChecksum | undefined = checksum;
    if (at === size && (wanted === undefined || checks.matches(wanted, [bytes]))) return bytes;
  }
  const about = { operation: 'GetObject', bucket: store.bucket, key };
  const message = `the bytes of "${key}" (version ${etag}) are not what the checksum of the store says`;
  throw new StoreError('checksum', message, about);
}
