/**
 * Whether an object holds what a session does: proven by its ETag where that can be told from the parts, else by its bytes. A size and
 * attributes that agree prove nothing: another writer's object has them as well.
 *
 *   small, and all its bytes are here                      -> ours if its ETag is their MD5
 *   no base, and the ETag tells of as many parts as ours   -> ours if its ETag is that of our parts
 *   else, or where the ETags differ                        -> ours if every byte that is known here is the same
 *
 * What shows of the base is not compared: the base is gone, and nobody was promised more of it than the object's writer kept.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { ObjectVersion } from '../memory/byte-slices.js';
import { StoreError } from '../store/errors.js';
import type { ObjectStore, UploadedPart } from '../store/object-store.js';
import type { ContentSource } from './content-source.js';
import type { FileContent, Stretch } from './file-content.js';
import { multipartEtag } from './multipart-upload.js';

/** Bytes read of either at a time. */
const PIECE_BYTES = 1024 * 1024;

/** Largest object whose ETag is compared with the MD5 of all its bytes. Files that are one PUT are mostly smaller. */
const DIGEST_BYTES_MAX = 16 * 1024 * 1024;

export interface ProofParts {
  readonly store: ObjectStore;
  readonly content: FileContent;
  readonly source: ContentSource;
}

/** False where the object differs, is gone by now, or nothing can be told. Errors: StoreError; SpoolFullError. */
export async function provesContent(parts: ProofParts, object: ObjectVersion): Promise<boolean> {
  const { content } = parts;
  if (object.size !== content.size) return false;
  if (content.size === 0) return true;
  if (object.etag === (await etagToBe(parts, object.etag))) return true;
  try {
    return await hasBytes(parts, object);
  } catch (error) {
    const isReplaced =
      error instanceof StoreError && (error.kind === 'precondition-failed' || error.kind === 'not-found');
    if (isReplaced) return false;
    throw error;
  }
}

/** The ETag that the object would have as one PUT or as our upload, where `seen` has that form. Under SSE-KMS ETags are no hashes: then it just differs. */
async function etagToBe(parts: ProofParts, seen: string): Promise<string | undefined> {
  const { content } = parts;
  const { partMap, size } = content;
  if (/^"[0-9a-f]{32}"$/.test(seen) && size <= DIGEST_BYTES_MAX) {
    const isAllHere = content
      .stretches(0, size)
      .every(({ place }) => place === 'memory' || place === 'spool' || place === 'zeros');
    return isAllHere ? `"${await digestOf(parts, 0, size)}"` : undefined;
  }
  const last = partMap.indexAt(size - 1);
  if (content.base !== undefined || !seen.endsWith(`-${last + 1}"`)) return undefined;
  const etags: { etag: string }[] = [];
  for (let index = 0; index <= last; index += 1) {
    const uploaded = content.part(index)?.uploadedPart;
    if (uploaded !== undefined) {
      etags.push(uploaded);
      continue;
    }
    etags.push({ etag: await digestOf(parts, partMap.start(index), Math.min(partMap.end(index), size)) });
  }
  return multipartEtag(etags);
}

/** MD5, in hexadecimal, of a range whose bytes are all here. */
async function digestOf({ source }: ProofParts, start: number, end: number): Promise<string> {
  const digest = createHash('md5');
  for (let at = start; at < end; at += PIECE_BYTES) {
    const own = await source.read(at, Math.min(end, at + PIECE_BYTES));
    for (const slice of own.slices) digest.update(slice);
    own.release();
  }
  return digest.digest('hex');
}

/** Cheap ranges first: an object that is another one is found out by them. */
async function hasBytes(parts: ProofParts, object: ObjectVersion): Promise<boolean> {
  const { content } = parts;
  const stretches = content.stretches(0, content.size);
  const inUpload = (stretch: Stretch): boolean => stretch.place === 'upload';
  for (const stretch of stretches) {
    if (inUpload(stretch) || stretch.place === 'base') continue;
    for (let at = stretch.start; at < stretch.end; at += PIECE_BYTES)
      if (!(await sameBytes(parts, object, at, Math.min(stretch.end, at + PIECE_BYTES)))) return false;
  }
  for (const stretch of stretches.filter(inUpload))
    if (!(await sameDigest(parts, object, stretch))) return false;
  return true;
}

async function sameBytes(
  { store, source }: ProofParts,
  { key, etag }: ObjectVersion,
  start: number,
  end: number,
): Promise<boolean> {
  const own = await source.read(start, end);
  try {
    const expected = Buffer.concat(own.slices);
    let at = 0;
    let same = true;
    await store.get(key, { offset: start, length: end - start }, { ifMatch: etag }, (chunk) => {
      same &&= chunk.equals(expected.subarray(at, at + chunk.length));
      at += chunk.length;
    });
    return same && at === expected.length;
  } finally {
    own.release();
  }
}

/** A part that only the upload has: its MD5 or CRC-32 is known. */
async function sameDigest(
  { store }: ProofParts,
  { key, etag }: ObjectVersion,
  { part, start, end }: Stretch,
): Promise<boolean> {
  const uploaded = part?.uploadedPart;
  if (uploaded === undefined) return false;
  const md5 = createHash('md5');
  let sum = 0;
  await store.get(key, { offset: start, length: end - start }, { ifMatch: etag }, (chunk) => {
    md5.update(chunk);
    sum = crc32(chunk, sum);
  });
  return isDigestOf(uploaded, md5.digest('hex'), sum);
}

function isDigestOf({ etag, checksum }: UploadedPart, md5: string, sum: number): boolean {
  if (etag.replaceAll('"', '') === md5) return true;
  if (checksum?.algorithm !== 'crc32') return false;
  const expected = Buffer.alloc(4);
  expected.writeUInt32BE(sum);
  return checksum.value === expected.toString('base64');
}
