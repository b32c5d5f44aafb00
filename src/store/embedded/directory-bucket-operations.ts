/** CreateSession, and CreateBucket, HeadBucket and ListDirectoryBuckets as directory buckets have them. */
import { bucketOf, countParameter, xmlAnswer, xmlTime, type Answer, type Call } from './call.js';
import { isDirectoryBucket, zoneOf } from './directory-buckets.js';
import { invalidArgument, S3Error } from './errors.js';
import { refuseUnsupported } from './object-headers.js';
import { receiveSmall } from './payload.js';
import { createSession, type SessionMode } from './sessions.js';
import { childText, parseXml, xmlDocument, type XmlElement, type XmlNode } from './xml.js';

const CONFIGURATION_BYTES_MAX = 64 * 1024;

const DIRECTORY_BUCKETS_MAX = 1000;

function modeOf(call: Call): SessionMode {
  const mode = call.headers.get('x-amz-create-session-mode') ?? 'ReadWrite';
  if (mode !== 'ReadWrite' && mode !== 'ReadOnly') {
    throw invalidArgument(
      'x-amz-create-session-mode',
      mode,
      'The session mode must be ReadWrite or ReadOnly',
    );
  }
  return mode;
}

export async function createSessionOperation(call: Call): Promise<Answer> {
  const bucket = await bucketOf(call);
  const session = createSession(call.account.secretAccessKey, bucket.name, modeOf(call), Date.now());
  return xmlAnswer(
    xmlDocument('CreateSessionResult', [
      [
        'Credentials',
        [
          ['SessionToken', session.token],
          ['SecretAccessKey', session.secretAccessKey],
          ['AccessKeyId', session.accessKeyId],
          ['Expiration', xmlTime(session.expiresMs)],
        ],
      ],
    ]),
    { 'x-amz-server-side-encryption': 'AES256' },
  );
}

function child(node: XmlNode | undefined, name: string): XmlNode | undefined {
  return node?.children.find((each) => each.name === name);
}

function text(node: XmlNode | undefined, name: string): string | undefined {
  return node === undefined ? undefined : childText(node, name)?.trim();
}

/** The location must be the zone in the name, and the bucket be called a directory. */
function checkConfiguration(body: Buffer, bucketName: string): void {
  const document = body.length === 0 ? undefined : parseXml(body, 'CreateBucketConfiguration');
  const location = child(document, 'Location');
  const bucket = child(document, 'Bucket');
  if (text(document, 'LocationConstraint') !== undefined) {
    throw new S3Error('InvalidRequest', 'LocationConstraint is not supported for directory buckets.');
  }
  if (
    !['AvailabilityZone', 'LocalZone'].includes(text(location, 'Type') ?? '') ||
    text(location, 'Name') !== zoneOf(bucketName)
  ) {
    throw new S3Error(
      'InvalidRequest',
      `The location of this bucket must be the zone ${zoneOf(bucketName) ?? ''} of its name.`,
    );
  }
  if (text(bucket, 'Type') !== 'Directory') {
    throw new S3Error('InvalidRequest', 'The type of this bucket must be Directory.');
  }
}

export async function createDirectoryBucket(call: Call): Promise<Answer> {
  refuseUnsupported(call.headers);
  const { body } = await receiveSmall(call.payload, CONFIGURATION_BYTES_MAX);
  if (zoneOf(call.bucketName) === undefined) {
    throw new S3Error('InvalidBucketName', undefined, { BucketName: call.bucketName });
  }
  checkConfiguration(body, call.bucketName);
  if (!(await call.buckets.create(call.bucketName))) {
    throw new S3Error('BucketAlreadyOwnedByYou', undefined, { BucketName: call.bucketName });
  }
  return { status: 200, headers: { location: `/${call.bucketName}` } };
}

export async function headDirectoryBucket(call: Call): Promise<Answer> {
  const { name } = await bucketOf(call);
  return {
    status: 200,
    headers: {
      'x-amz-bucket-region': call.region,
      'x-amz-bucket-location-type': 'AvailabilityZone',
      'x-amz-bucket-location-name': zoneOf(name) ?? '',
      'x-amz-access-point-alias': 'false',
    },
  };
}

export async function listDirectoryBuckets(call: Call): Promise<Answer> {
  const max = countParameter(call, 'max-directory-buckets', DIRECTORY_BUCKETS_MAX, DIRECTORY_BUCKETS_MAX);
  const token = call.query.get('continuation-token') ?? '';
  const after = Buffer.from(token, 'base64url').toString('utf8');
  const later = call.buckets.names().filter((name) => isDirectoryBucket(name) && name > after);
  const page = later.slice(0, max);
  const last = page.at(-1);
  const buckets: XmlElement[] = [];
  for (const name of page) {
    const bucket = await call.buckets.find(name);
    if (bucket === undefined) continue;
    buckets.push([
      'Bucket',
      [
        ['Name', name],
        ['CreationDate', xmlTime(bucket.createdMs)],
        ['BucketRegion', call.region],
      ],
    ]);
  }
  return xmlAnswer(
    xmlDocument('ListAllMyDirectoryBucketsResult', [
      ['Buckets', buckets],
      [
        'ContinuationToken',
        later.length > page.length && last !== undefined
          ? Buffer.from(last).toString('base64url')
          : undefined,
      ],
    ]),
  );
}
