/** GetObject, HeadObject, PutObject, DeleteObject. */
import type { Bucket } from './bucket.js';
import type { OpenObject } from './bucket-files.js';
import type { Blob } from './blobs.js';
import { bucketOf, quoted, type Answer, type Call } from './call.js';
import { checksumHeaders, DEFAULT_CHECKSUM, type Checksum, type ChecksumAlgorithm } from './checksums.js';
import { checkMatch, writeCheck } from './conditions.js';
import { deleteCheck } from './delete-conditions.js';
import { invalidArgument, S3Error } from './errors.js';
import { encryptionHeaders, headersToStore, isArchived, storageClassOf } from './object-headers.js';
import { PUT_BYTES_MAX, receive, type PayloadSource, type Received } from './payload.js';
import { planRead } from './read-plan.js';
import { tagsOfHeader } from './tags.js';

/**
 * Receives a body into a blob; nothing is left of it when that fails. `also` is computed besides what the client claims, `otherwise`
 * when it claims nothing.
 */
export async function receiveBlob(
  bucket: Bucket,
  payload: PayloadSource,
  sums: { readonly also?: ChecksumAlgorithm; readonly otherwise?: ChecksumAlgorithm },
): Promise<{ readonly blob: Blob; readonly received: Received }> {
  const writer = await bucket.newBlob();
  let received: Received;
  try {
    received = await receive(payload, { lengthMax: PUT_BYTES_MAX, ...sums }, (chunk) => writer.write(chunk));
  } catch (error) {
    await writer.discard();
    throw error;
  }
  return { blob: await writer.finish(), received };
}

/** The versions of buckets without versioning are all `null`. */
export function refuseVersion(versionId: string | undefined): void {
  if (versionId !== undefined && versionId !== 'null') {
    throw invalidArgument('versionId', versionId, 'Invalid version id specified');
  }
}

/** Now, in the whole seconds that S3 tells. */
export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000) * 1000;
}

export async function putObject(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const { headers, key } = call;
  const stored = headersToStore(headers);
  const tags = tagsOfHeader(headers);
  const watch = bucket.watchDeletes(key);
  try {
    const check = writeCheck(headers, watch.deleted);
    // What fails now needn't be sent: a client that expects 100-continue is told at once.
    check(bucket.lookup(key));
    const { blob, received } = await receiveBlob(bucket, call.payload, {
      otherwise: DEFAULT_CHECKSUM.algorithm,
    });
    const { claimed, md5 } = received;
    const algorithm = claimed ?? DEFAULT_CHECKSUM.algorithm;
    const value = received.checksums.get(algorithm);
    const checksum: Checksum | undefined =
      value === undefined ? undefined : { algorithm, type: 'FULL_OBJECT', value };
    const { etag } = await bucket.publish(
      key,
      blob,
      {
        etag: md5,
        lastModifiedMs: nowSeconds(),
        headers: stored,
        checksum,
        partSizes: undefined,
        tags,
        uploadId: undefined,
      },
      check,
    );
    return {
      status: 200,
      headers: { etag: quoted(etag), ...checksumHeaders(checksum), ...encryptionHeaders(stored) },
    };
  } finally {
    watch.end();
  }
}

async function openObject(call: Call): Promise<OpenObject> {
  const opened = await (await bucketOf(call)).open(call.key);
  if (opened === undefined) throw new S3Error('NoSuchKey', undefined, { Key: call.key });
  return opened;
}

export async function getObject(call: Call): Promise<Answer> {
  refuseVersion(call.query.get('versionId'));
  const { record, file } = await openObject(call);
  try {
    if (isArchived(record.headers)) {
      throw new S3Error('InvalidObjectState', undefined, { StorageClass: storageClassOf(record.headers) });
    }
    const { answer, range } = planRead(call, record);
    if (answer.status === 304) {
      await file.close();
      return answer;
    }
    return { ...answer, body: { file, ...range } };
  } catch (error) {
    await file.close();
    throw error;
  }
}

export async function headObject(call: Call): Promise<Answer> {
  refuseVersion(call.query.get('versionId'));
  const record = (await bucketOf(call)).lookup(call.key);
  if (record === undefined) throw new S3Error('NoSuchKey', undefined, { Key: call.key });
  return planRead(call, record).answer;
}

export async function deleteObject(call: Call): Promise<Answer> {
  refuseVersion(call.query.get('versionId'));
  const match = call.headers.get('if-match');
  const bucket = await bucketOf(call);
  const sameAs = deleteCheck(bucket, {
    lastModified: call.headers.get('x-amz-if-match-last-modified-time'),
    size: call.headers.get('x-amz-if-match-size'),
  });
  await bucket.delete(call.key, (current) => {
    // The asterisk asks whether there is an object: nothing there fails it, as it isn't a version that is missing.
    if (match?.trim() === '*' && current === undefined) {
      throw new S3Error('PreconditionFailed', undefined, { Condition: 'If-Match' });
    }
    checkMatch(match, current);
    sameAs(current);
  });
  return { status: 204 };
}
