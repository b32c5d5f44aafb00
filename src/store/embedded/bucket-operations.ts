/** ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation, GetBucketVersioning. */
import { bucketOf, OWNER_ID, OWNER_NAME, xmlAnswer, xmlTime, type Answer, type Call } from './call.js';
import { isDirectoryBucket } from './directory-buckets.js';
import { S3Error } from './errors.js';
import { refuseUnsupported } from './object-headers.js';
import { receiveSmall } from './payload.js';
import { childText, parseXml, xmlDocument, type XmlElement } from './xml.js';

const CONFIGURATION_BYTES_MAX = 64 * 1024;

/** The region whose name S3 leaves out, and where making a bucket again is no error. */
const CLASSIC_REGION = 'us-east-1';

export async function listBuckets(call: Call): Promise<Answer> {
  const buckets: XmlElement[] = [];
  for (const name of call.buckets.names()) {
    // ListDirectoryBuckets tells those.
    if (isDirectoryBucket(name)) continue;
    const bucket = await call.buckets.find(name);
    if (bucket === undefined) continue;
    buckets.push([
      'Bucket',
      [
        ['Name', name],
        ['CreationDate', xmlTime(bucket.createdMs)],
      ],
    ]);
  }
  return xmlAnswer(
    xmlDocument('ListAllMyBucketsResult', [
      [
        'Owner',
        [
          ['ID', OWNER_ID],
          ['DisplayName', OWNER_NAME],
        ],
      ],
      ['Buckets', buckets],
    ]),
  );
}

export async function createBucket(call: Call): Promise<Answer> {
  refuseUnsupported(call.headers);
  const { body } = await receiveSmall(call.payload, CONFIGURATION_BYTES_MAX);
  const constraint =
    body.length === 0
      ? undefined
      : childText(parseXml(body, 'CreateBucketConfiguration'), 'LocationConstraint')?.trim();
  const wanted = constraint === undefined || constraint === '' ? CLASSIC_REGION : constraint;
  if (wanted !== call.region && constraint !== undefined) {
    throw new S3Error(
      'IllegalLocationConstraintException',
      `The ${wanted} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    );
  }
  const made = await call.buckets.create(call.bucketName);
  if (!made && call.region !== CLASSIC_REGION) {
    throw new S3Error('BucketAlreadyOwnedByYou', undefined, { BucketName: call.bucketName });
  }
  return { status: 200, headers: { location: `/${call.bucketName}` } };
}

export async function headBucket(call: Call): Promise<Answer> {
  await bucketOf(call);
  return { status: 200, headers: { 'x-amz-bucket-region': call.region } };
}

export async function deleteBucket(call: Call): Promise<Answer> {
  await call.buckets.delete(await bucketOf(call));
  return { status: 204 };
}

export async function getBucketLocation(call: Call): Promise<Answer> {
  await bucketOf(call);
  return xmlAnswer(xmlDocument('LocationConstraint', call.region === CLASSIC_REGION ? '' : call.region));
}

/** Versioning is never on: the empty answer says so. */
export async function getBucketVersioning(call: Call): Promise<Answer> {
  await bucketOf(call);
  return xmlAnswer(xmlDocument('VersioningConfiguration', ''));
}
