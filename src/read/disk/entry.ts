/**
 * What is known of a block on disk. Its identity is what it holds: bytes `offset` to `offset + length` of one version of one object in one
 * volume. The checksum goes over identity and bytes together, so bytes that belong to another identity are as wrong as bytes that have
 * changed, however they got there.
 *
 *   identity: HMAC-SHA256 of (volume, key, ETag, size) under the cache's own secret, 16 bytes; offset; length
 *   entry:    identity, page, checksum, and a CRC of all that: 40 bytes
 */
import { createHmac } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { ObjectVersion } from '../../memory/byte-slices.js';

/** Blocks begin at pages of their file: what file systems allocate at least. */
export const PAGE_BYTES = 4096;
/** No block goes beyond a cell, a range of the object that begins at a multiple of this. */
export const CELL_BYTES = 256 * 1024;
export const ENTRY_BYTES = 40;

export interface Entry {
  /** 16 bytes. */
  readonly id: Buffer;
  /** In the object. */
  readonly offset: number;
  readonly length: number;
  /** Where the block begins in its segment, in pages. */
  readonly page: number;
  readonly checksum: number;
}

const ID_BYTES = 16;
const CHECKED_BYTES = ENTRY_BYTES - 4;

/**
 * Names a version of an object in the cache whose secret this is. Keyed, so that nobody who chooses the names of objects can choose
 * names that meet; and entries of another cache mean nothing here.
 */
export function versionId(secret: Buffer, volume: string, { key, etag, size }: ObjectVersion): Buffer {
  const text = JSON.stringify([volume, key, etag, size]);
  return createHmac('sha256', secret).update(text).digest().subarray(0, ID_BYTES);
}

/** CRC-32 over identity and bytes. */
export function checksumOf(id: Buffer, offset: number, bytes: Buffer): number {
  const identity = Buffer.allocUnsafe(ID_BYTES + 12);
  id.copy(identity);
  identity.writeDoubleLE(offset, ID_BYTES);
  identity.writeUInt32LE(bytes.length, ID_BYTES + 8);
  return crc32(bytes, crc32(identity));
}

/** A block can't be kept unless it begins at a page of the object and stays within its cell. */
export function canBeKept(offset: number, length: number): boolean {
  return length > 0 && offset % PAGE_BYTES === 0 && (offset % CELL_BYTES) + length <= CELL_BYTES;
}

export function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}

export function encodeEntry({ id, offset, length, page, checksum }: Entry, secret: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(ENTRY_BYTES);
  id.copy(bytes);
  bytes.writeDoubleLE(offset, 16);
  bytes.writeUInt32LE(length, 24);
  bytes.writeUInt32LE(page, 28);
  bytes.writeUInt32LE(checksum, 32);
  bytes.writeUInt32LE(checkOf(bytes, secret), CHECKED_BYTES);
  return bytes;
}

/** The entry at `at`, its id a view into `bytes`; undefined where none was written whole by the cache with this secret. */
export function decodeEntry(bytes: Buffer, at: number, secret: Buffer): Entry | undefined {
  const entry = bytes.subarray(at, at + ENTRY_BYTES);
  if (entry.length < ENTRY_BYTES || entry.readUInt32LE(CHECKED_BYTES) !== checkOf(entry, secret))
    return undefined;
  const offset = entry.readDoubleLE(16);
  const length = entry.readUInt32LE(24);
  if (!Number.isSafeInteger(offset) || offset < 0 || !canBeKept(offset, length)) return undefined;
  return {
    id: entry.subarray(0, ID_BYTES),
    offset,
    length,
    page: entry.readUInt32LE(28),
    checksum: entry.readUInt32LE(32),
  };
}

function checkOf(entry: Buffer, secret: Buffer): number {
  return crc32(entry.subarray(0, CHECKED_BYTES), crc32(secret));
}
