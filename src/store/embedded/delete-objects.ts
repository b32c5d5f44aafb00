/** DeleteObjects: up to 1,000 keys in one request, each with its own outcome. */
import type { Bucket } from './bucket.js';
import { bucketOf, xmlAnswer, type Answer, type Call } from './call.js';
import { checkMatch } from './conditions.js';
import { deleteCheck } from './delete-conditions.js';
import { S3Error } from './errors.js';
import { refuseVersion } from './object-operations.js';
import { receiveSmall } from './payload.js';
import { childText, parseXml, xmlDocument, type XmlElement, type XmlNode } from './xml.js';

const KEYS_MAX = 1000;
const KEY_BYTES_MAX = 1024;

/** 1,000 keys of 1,024 bytes, each byte of them a reference such as `&#x1F;`, and their ETags. */
const BODY_BYTES_MAX = 8 * 1024 * 1024;

interface Deletion {
  readonly key: string;
  readonly etag: string | undefined;
  readonly versionId: string | undefined;
  readonly lastModified: string | undefined;
  readonly size: string | undefined;
}

function parseDeletion(node: XmlNode): Deletion {
  const key = childText(node, 'Key');
  if (key === undefined || key === '') throw new S3Error('MalformedXML');
  return {
    key,
    etag: childText(node, 'ETag'),
    versionId: childText(node, 'VersionId'),
    lastModified: childText(node, 'LastModifiedTime')?.trim(),
    size: childText(node, 'Size')?.trim(),
  };
}

async function deleteOne(bucket: Bucket, deletion: Deletion): Promise<S3Error | undefined> {
  const { key, etag, versionId } = deletion;
  try {
    refuseVersion(versionId);
    if (Buffer.byteLength(key) > KEY_BYTES_MAX) throw new S3Error('KeyTooLongError');
    const sameAs = deleteCheck(bucket, deletion);
    await bucket.delete(key, (current) => {
      checkMatch(etag, current);
      sameAs(current);
    });
    return undefined;
  } catch (error) {
    return error instanceof S3Error ? error : new S3Error('InternalError', undefined, {}, { cause: error });
  }
}

export async function deleteObjects(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const { body, received } = await receiveSmall(call.payload, BODY_BYTES_MAX);
  if (received.claimed === undefined && !call.headers.has('content-md5')) {
    throw new S3Error(
      'InvalidRequest',
      'Missing required header for this request: Content-MD5 OR x-amz-checksum-*',
    );
  }
  const document = parseXml(body, 'Delete');
  const deletions = document.children.filter(({ name }) => name === 'Object').map(parseDeletion);
  if (deletions.length === 0 || deletions.length > KEYS_MAX) throw new S3Error('MalformedXML');
  const quiet = childText(document, 'Quiet')?.trim() === 'true';
  const outcomes = await Promise.all(deletions.map((deletion) => deleteOne(bucket, deletion)));
  const results = deletions.flatMap(({ key }, at): XmlElement[] => {
    const error = outcomes[at];
    if (error === undefined) return quiet ? [] : [['Deleted', [['Key', key]]]];
    return [
      [
        'Error',
        [
          ['Key', key],
          ['Code', error.code],
          ['Message', error.message],
        ],
      ],
    ];
  });
  return xmlAnswer(xmlDocument('DeleteResult', results));
}
