/** GetObjectTagging, PutObjectTagging, DeleteObjectTagging. */
import { bucketOf, xmlAnswer, type Answer, type Call } from './call.js';
import { S3Error } from './errors.js';
import { refuseVersion } from './object-operations.js';
import { receiveSmall } from './payload.js';
import { tagSetElement, tagsOfDocument, type Tags } from './tags.js';
import { xmlDocument } from './xml.js';

/** Ten tags of the longest, with every character a reference, generously. */
const BODY_BYTES_MAX = 128 * 1024;

export async function getObjectTagging(call: Call): Promise<Answer> {
  refuseVersion(call.query.get('versionId'));
  const record = (await bucketOf(call)).lookup(call.key);
  if (record === undefined) throw new S3Error('NoSuchKey', undefined, { Key: call.key });
  return xmlAnswer(xmlDocument('Tagging', [tagSetElement(record.tags)]));
}

async function retag(call: Call, tags: Tags | undefined): Promise<void> {
  const done = await (await bucketOf(call)).retag(call.key, tags);
  if (!done) throw new S3Error('NoSuchKey', undefined, { Key: call.key });
}

export async function putObjectTagging(call: Call): Promise<Answer> {
  refuseVersion(call.query.get('versionId'));
  await bucketOf(call);
  const { body } = await receiveSmall(call.payload, BODY_BYTES_MAX);
  await retag(call, tagsOfDocument(body));
  return { status: 200 };
}

export async function deleteObjectTagging(call: Call): Promise<Answer> {
  refuseVersion(call.query.get('versionId'));
  await retag(call, undefined);
  return { status: 204 };
}
