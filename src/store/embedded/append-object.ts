/** PutObject with x-amz-write-offset-bytes: adds to the end of an object (user guide, "Appending data to objects in directory buckets"). */
import { bucketOf, quoted, type Answer, type Call } from './call.js';
import { checksumAfter } from './checksum-after.js';
import { checksumHeaders, DEFAULT_CHECKSUM, type Checksum, type ChecksumAlgorithm } from './checksums.js';
import { writeCheck } from './conditions.js';
import { invalidArgument, S3Error } from './errors.js';
import { PARTS_MAX } from './multipart-operations.js';
import { encryptionHeaders, headersToStore } from './object-headers.js';
import { nowSeconds, receiveBlob } from './object-operations.js';
import type { Received } from './payload.js';
import type { ObjectRecord, StoredHeaders } from './records.js';

const OFFSET_HEADER = 'x-amz-write-offset-bytes';

function offsetOf(call: Call): number {
  const text = call.headers.get(OFFSET_HEADER) ?? '';
  const offset = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(offset)) {
    throw invalidArgument(OFFSET_HEADER, text, 'The write offset must be a number of bytes');
  }
  return offset;
}

/** The headers a new object gets; those of an object that is there stay as they are. */
function storedHeadersOf(call: Call): StoredHeaders {
  const headers = new Map(call.headers);
  headers.delete(OFFSET_HEADER);
  return headersToStore(headers);
}

/** Fails unless the object ends at the offset, and takes one part more. */
function checkAppend(current: ObjectRecord | undefined, offset: number, given: StoredHeaders): void {
  if ((current?.size ?? 0) !== offset) throw new S3Error('InvalidWriteOffset');
  if (current === undefined) return;
  if (Object.keys(given).some((name) => name.startsWith('x-amz-meta-'))) {
    throw new S3Error(
      'InvalidRequest',
      'Cannot specify both a write offset value and user-defined object metadata for existing objects.',
    );
  }
  if (partSizesOf(current).length >= PARTS_MAX) throw new S3Error('TooManyParts');
}

/** An object that was put whole is one part, an empty one none. */
function partSizesOf(record: ObjectRecord): readonly number[] {
  return record.partSizes ?? (record.size === 0 ? [] : [record.size]);
}

/** Of the algorithm the client claims, or of `fallback`. */
function checksumOf(received: Received, fallback?: ChecksumAlgorithm): Checksum | undefined {
  const algorithm = received.claimed ?? fallback;
  const value = algorithm === undefined ? undefined : received.checksums.get(algorithm);
  return algorithm === undefined || value === undefined
    ? undefined
    : { algorithm, type: 'FULL_OBJECT', value };
}

export async function appendObject(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const { headers, key } = call;
  const offset = offsetOf(call);
  const given = storedHeadersOf(call);
  const condition = writeCheck(headers);
  const check = (current: ObjectRecord | undefined): void => {
    condition(current);
    checkAppend(current, offset, given);
  };
  check(bucket.lookup(key));
  const { blob, received } = await receiveBlob(bucket, call.payload, {
    otherwise: DEFAULT_CHECKSUM.algorithm,
  });
  try {
    if (blob.size === 0) {
      throw new S3Error('InvalidRequest', "Request body cannot be empty when 'write offset' is specified.");
    }
    const tail = checksumOf(received);
    const first = checksumOf(received, DEFAULT_CHECKSUM.algorithm);
    const record = await bucket.append(key, blob, check, async (current) => {
      const made = { etag: '', lastModifiedMs: nowSeconds(), uploadId: undefined };
      if (current === undefined) return { ...made, headers: given, checksum: first, partSizes: undefined };
      const pieces = bucket.readBlob(blob.id);
      return {
        ...made,
        headers: current.headers,
        checksum: current.size === 0 ? first : await checksumAfter(current.checksum, tail, pieces),
        partSizes: [...partSizesOf(current), blob.size],
      };
    });
    return {
      status: 200,
      headers: {
        etag: quoted(record.etag),
        'x-amz-object-size': String(record.size),
        ...checksumHeaders(record.checksum),
        ...encryptionHeaders(record.headers),
      },
    };
  } finally {
    // What is appended was copied; what was refused goes too.
    bucket.discardBlob(blob);
  }
}
