/** CRC32 as S3 takes it, and the ETags S3 would give. node:zlib has crc32 since 20.15 and 22.2, below `engines`. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Body, UploadedPart } from '../object-store.js';
import { combineCrc32 } from './crc-combine.js';

export function bodyLength(body: Body): number {
  return body.reduce((sum, slice) => sum + slice.byteLength, 0);
}

/** base64 of the big-endian CRC32, as in `x-amz-checksum-crc32`. */
export function crc32Base64(body: Body): string {
  const digest = Buffer.alloc(4);
  digest.writeUInt32BE(body.reduce((sum, slice) => crc32(slice, sum), 0));
  return digest.toString('base64');
}

/** The ETag of an object put in one piece (not under SSE-KMS or SSE-C), without quotes. */
export function md5Etag(body: Body): string {
  const hash = createHash('md5');
  for (const slice of body) hash.update(slice);
  return hash.digest('hex');
}

/** The ETag of a completed multipart upload: MD5 of the parts' MD5s, a dash, their number. Undefined unless all are MD5s. */
export function multipartEtag(parts: readonly UploadedPart[]): string | undefined {
  const hash = createHash('md5');
  for (const part of parts) {
    const hex = unquoted(part.etag);
    if (!/^[0-9a-f]{32}$/.test(hex)) return undefined;
    hash.update(hex, 'hex');
  }
  return `${hash.digest('hex')}-${String(parts.length)}`;
}

/** The composite CRC32 of a completed upload: CRC32 of the parts' CRC32s, a dash, their number. */
export function compositeCrc32(parts: readonly UploadedPart[]): string | undefined {
  const digests: Buffer[] = [];
  for (const { crc32: partCrc32 } of parts) {
    if (partCrc32 === undefined) return undefined;
    digests.push(Buffer.from(partCrc32, 'base64'));
  }
  return `${crc32Base64(digests)}-${String(parts.length)}`;
}

/** The CRC32 of all parts' bytes in one. Undefined unless each part tells its own and its size. */
export function fullCrc32(parts: readonly UploadedPart[]): string | undefined {
  let sum = 0;
  for (const { crc32: partCrc32, bytes } of parts) {
    if (partCrc32 === undefined || bytes === undefined) return undefined;
    sum = combineCrc32(sum, Buffer.from(partCrc32, 'base64').readUInt32BE(), bytes);
  }
  const digest = Buffer.alloc(4);
  digest.writeUInt32BE(sum);
  return digest.toString('base64');
}

export function unquoted(etag: string): string {
  return etag.replaceAll('"', '');
}
