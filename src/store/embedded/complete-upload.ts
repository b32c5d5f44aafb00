/** CompleteMultipartUpload. */
import { createHash } from 'node:crypto';
import type { Bucket } from './bucket.js';
import { bucketOf, quoted, xmlAnswer, type Answer, type Call } from './call.js';
import {
  CHECKSUM_ALGORITHMS,
  checksumElement,
  checksumHeader,
  composeChecksums,
  type Checksum,
} from './checksums.js';
import { writeCheck } from './conditions.js';
import { copyToBlob, pour } from './copy-source.js';
import { S3Error } from './errors.js';
import { checksumOf, PARTS_MAX, uploadOf } from './multipart-operations.js';
import { encryptionHeaders } from './object-headers.js';
import { receiveSmall, type PayloadSource } from './payload.js';
import type { ObjectRecord, PartRecord, UploadRecord } from './records.js';
import { childText, parseXml, xmlDocument, type XmlNode } from './xml.js';

/** 10,000 parts with the longest checksum, generously. */
const BODY_BYTES_MAX = 8 * 1024 * 1024;

/** The least size of a part that isn't the last. */
const PART_BYTES_MIN = 5 * 1024 * 1024;

interface ClaimedPart {
  readonly partNumber: number;
  readonly etag: string;
  readonly node: XmlNode;
}

/** In Complete the checksum headers are about the object that is made, not about the body. */
function withoutObjectChecksums(payload: PayloadSource): PayloadSource {
  const headers = new Map(payload.headers);
  for (const algorithm of CHECKSUM_ALGORITHMS) headers.delete(checksumHeader(algorithm));
  headers.delete('x-amz-sdk-checksum-algorithm');
  return { ...payload, headers };
}

function parseParts(body: Buffer): readonly ClaimedPart[] {
  const nodes = parseXml(body, 'CompleteMultipartUpload').children.filter(({ name }) => name === 'Part');
  if (nodes.length === 0 || nodes.length > PARTS_MAX) throw new S3Error('MalformedXML');
  const claimed = nodes.map((node): ClaimedPart => {
    const number = childText(node, 'PartNumber')?.trim() ?? '';
    const etag = childText(node, 'ETag')?.trim().replaceAll('"', '');
    if (!/^\d{1,9}$/.test(number) || etag === undefined) throw new S3Error('MalformedXML');
    return { partNumber: Number(number), etag, node };
  });
  claimed.forEach((part, at) => {
    if (part.partNumber <= (claimed[at - 1]?.partNumber ?? 0)) throw new S3Error('InvalidPartOrder');
  });
  return claimed;
}

/** In directory buckets "the PartNumber must start at 1 and the part numbers must be consecutive" (API reference, CompletedPart). */
function requireConsecutive(claimed: readonly ClaimedPart[]): void {
  if (claimed.some(({ partNumber }, at) => partNumber !== at + 1)) throw new S3Error('InvalidPartOrder');
}

/** Compares the checksums a part is claimed with. */
function checkPart(upload: UploadRecord, part: PartRecord, node: XmlNode): void {
  const { algorithm, type } = checksumOf(upload);
  const value = childText(node, checksumElement(algorithm))?.trim();
  if (value === undefined && type === 'COMPOSITE') {
    throw new S3Error(
      'InvalidRequest',
      `The upload was created using a ${algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${part.partNumber} in the request.`,
    );
  }
  const other = CHECKSUM_ALGORITHMS.some(
    (each) => each !== algorithm && childText(node, checksumElement(each)) !== undefined,
  );
  if (other || (value !== undefined && value !== part.checksum)) {
    throw new S3Error('InvalidPart', undefined, { PartNumber: String(part.partNumber) });
  }
}

/** The uploaded parts that are claimed, each checked against what came. */
function chooseParts(upload: UploadRecord, claimed: readonly ClaimedPart[]): readonly PartRecord[] {
  const composite = checksumOf(upload).type === 'COMPOSITE';
  const parts = claimed.map(({ partNumber, etag, node }, at) => {
    const part = upload.parts.get(partNumber);
    if (part === undefined || part.etag !== etag) {
      throw new S3Error('InvalidPart', undefined, {
        UploadId: upload.uploadId,
        PartNumber: String(partNumber),
        ETag: etag,
      });
    }
    checkPart(upload, part, node);
    // "Checking object integrity": with composite checksums, part numbers that don't follow each other from 1 fail, and in this way.
    if (composite && partNumber !== at + 1) throw new S3Error('InternalError');
    return part;
  });
  const small = parts.slice(0, -1).find((part) => part.size < PART_BYTES_MIN);
  if (small !== undefined) {
    throw new S3Error('EntityTooSmall', undefined, {
      ProposedSize: String(small.size),
      MinSizeAllowed: String(PART_BYTES_MIN),
      PartNumber: String(small.partNumber),
      ETag: small.etag,
    });
  }
  return parts;
}

/** The MD5 of the parts' MD5s, and how many they are. */
function compositeEtag(parts: readonly PartRecord[]): string {
  const hash = createHash('md5');
  for (const part of parts) hash.update(Buffer.from(part.etag, 'hex'));
  return `${hash.digest('hex')}-${parts.length}`;
}

/** The parts' own checksums; undefined when one has none. */
function checksumsOf(parts: readonly PartRecord[]): readonly string[] | undefined {
  const values = parts.flatMap(({ checksum }) => checksum ?? []);
  return values.length === parts.length ? values : undefined;
}

function objectChecksum(
  upload: UploadRecord,
  parts: readonly PartRecord[],
  whole: string | undefined,
): Checksum | undefined {
  const { algorithm, type } = checksumOf(upload);
  if (type === 'FULL_OBJECT') return whole === undefined ? undefined : { algorithm, type, value: whole };
  const values = parts.map((part) => part.checksum ?? '');
  return { algorithm, type, value: composeChecksums(algorithm, values) };
}

/** Compares the object's checksum, its type, and the object's size with what the request claims of them. */
function checkClaims(call: Call, upload: UploadRecord, checksum: Checksum | undefined, size: number): void {
  const claimedType = call.headers.get('x-amz-checksum-type')?.toUpperCase();
  if (claimedType !== undefined && claimedType !== checksumOf(upload).type) {
    throw new S3Error('BadDigest', 'The checksum type you specified did not match that of the upload.');
  }
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const claim = call.headers.get(checksumHeader(algorithm));
    if (claim === undefined) continue;
    // A composite is taken with the number of its parts and without.
    const values = [checksum?.value, checksum?.value.replace(/-\d+$/, '')];
    if (checksum?.algorithm !== algorithm || !values.includes(claim)) {
      throw new S3Error('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`);
    }
  }
  const claimedSize = call.headers.get('x-amz-mp-object-size');
  if (claimedSize !== undefined && claimedSize !== String(size)) {
    throw new S3Error(
      'InvalidRequest',
      `The provided 'x-amz-mp-object-size' header value ${claimedSize} does not match what was computed: ${size}`,
    );
  }
}

async function openPart(bucket: Bucket, part: PartRecord): ReturnType<Bucket['openBlob']> {
  try {
    return await bucket.openBlob(part.blob);
  } catch (error) {
    // Uploaded anew, completed or aborted by somebody else meanwhile.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new S3Error('InvalidPart', undefined, {}, { cause: error });
    throw error;
  }
}

function answer(call: Call, record: ObjectRecord): Answer {
  return xmlAnswer(
    xmlDocument('CompleteMultipartUploadResult', [
      ['Location', `/${call.bucketName}/${call.key}`],
      ['Bucket', call.bucketName],
      ['Key', call.key],
      ['ETag', quoted(record.etag)],
      ['ChecksumType', record.checksum?.type],
      [checksumElement(record.checksum?.algorithm ?? 'CRC32'), record.checksum?.value],
    ]),
    encryptionHeaders(record.headers),
  );
}

export async function completeMultipartUpload(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const { body } = await receiveSmall(withoutObjectChecksums(call.payload), BODY_BYTES_MAX);
  const claimed = parseParts(body);
  const uploadId = call.query.get('uploadId') ?? '';
  const before = bucket.lookup(call.key);
  // A repeat of a completion whose answer was lost: the object it made is still there.
  if (bucket.upload(call.key, uploadId) === undefined && before?.uploadId === uploadId)
    return answer(call, before);

  const upload = uploadOf(bucket, call);
  const check = writeCheck(call.headers, () => bucket.upload(call.key, uploadId)?.overtaken === true);
  if (bucket.isDirectory) requireConsecutive(claimed);
  const parts = chooseParts(upload, claimed);
  check(before);
  const { algorithm, type } = checksumOf(upload);
  const whole = type === 'FULL_OBJECT' ? algorithm : undefined;
  const made = await copyToBlob(bucket, whole, async (take) => {
    for (const part of parts) {
      const file = await openPart(bucket, part);
      await pour(file, { start: 0, length: part.size }, take).finally(() => file.close());
    }
  });
  const checksum = objectChecksum(upload, parts, made.checksum);
  try {
    checkClaims(call, upload, checksum, made.blob.size);
  } catch (error) {
    bucket.discardBlob(made.blob);
    throw error;
  }
  const record = await bucket.publish(
    call.key,
    made.blob,
    {
      etag: compositeEtag(parts),
      // S3 dates a multipart object by the beginning of its upload.
      lastModifiedMs: Math.floor(upload.initiatedMs / 1000) * 1000,
      headers: upload.headers,
      checksum,
      partSizes: parts.map((part) => part.size),
      partChecksums: checksumsOf(parts),
      tags: upload.tags,
      uploadId,
    },
    (current) => {
      uploadOf(bucket, call);
      check(current);
    },
  );
  return answer(call, record);
}
