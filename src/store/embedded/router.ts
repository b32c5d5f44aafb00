/** Which operation a request is: by method, by what it is about, and by the parameters that name sub-resources. */
import {
  createBucket,
  deleteBucket,
  getBucketLocation,
  getBucketVersioning,
  headBucket,
  listBuckets,
} from './bucket-operations.js';
import type { Answer, Operation } from './call.js';
import { completeMultipartUpload } from './complete-upload.js';
import { copyObject } from './copy-object.js';
import { deleteObjects } from './delete-objects.js';
import { S3Error } from './errors.js';
import { listObjects, listObjectsV2 } from './list-operations.js';
import {
  abortMultipartUpload,
  createMultipartUpload,
  uploadPart,
  uploadPartCopy,
} from './multipart-operations.js';
import { getObjectAttributes } from './object-attributes.js';
import { deleteObject, getObject, headObject, putObject } from './object-operations.js';
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './tagging-operations.js';
import { listMultipartUploads, listParts } from './upload-listing.js';

/** S3's name of the operation, and what carries it out. */
export interface Route {
  readonly operation: string;
  readonly run: Operation;
}

type Scope = 'service' | 'bucket' | 'object';

interface Rule {
  readonly method: string;
  readonly scope: Scope;
  /** Parameters that must be there, the sub-resources among them. */
  readonly with: readonly string[];
  /** A header that must be there. */
  readonly header?: string;
  readonly route: Route;
}

function rule(
  method: string,
  scope: Scope,
  parameters: readonly string[],
  operation: string,
  run: Operation,
  header?: string,
): Rule {
  const route = { operation, run };
  return { method, scope, with: parameters, route, ...(header === undefined ? {} : { header }) };
}

async function onlyInDirectoryBuckets(): Promise<Answer> {
  return Promise.reject(new S3Error('NotImplemented', 'Only directory buckets have this operation.'));
}

/** More particular rules come first. */
const RULES: readonly Rule[] = [
  rule('GET', 'service', [], 'ListBuckets', listBuckets),
  rule('GET', 'bucket', ['session'], 'CreateSession', onlyInDirectoryBuckets),
  rule('GET', 'bucket', ['location'], 'GetBucketLocation', getBucketLocation),
  rule('GET', 'bucket', ['versioning'], 'GetBucketVersioning', getBucketVersioning),
  rule('GET', 'bucket', ['uploads'], 'ListMultipartUploads', listMultipartUploads),
  rule('GET', 'bucket', ['list-type'], 'ListObjectsV2', listObjectsV2),
  rule('GET', 'bucket', [], 'ListObjects', listObjects),
  rule('HEAD', 'bucket', [], 'HeadBucket', headBucket),
  rule('PUT', 'bucket', [], 'CreateBucket', createBucket),
  rule('DELETE', 'bucket', [], 'DeleteBucket', deleteBucket),
  rule('POST', 'bucket', ['delete'], 'DeleteObjects', deleteObjects),
  rule('GET', 'object', ['uploadId'], 'ListParts', listParts),
  rule('GET', 'object', ['tagging'], 'GetObjectTagging', getObjectTagging),
  rule('PUT', 'object', ['tagging'], 'PutObjectTagging', putObjectTagging),
  rule('DELETE', 'object', ['tagging'], 'DeleteObjectTagging', deleteObjectTagging),
  rule('GET', 'object', ['attributes'], 'GetObjectAttributes', getObjectAttributes),
  rule('GET', 'object', [], 'GetObject', getObject),
  rule('HEAD', 'object', [], 'HeadObject', headObject),
  rule('PUT', 'object', ['renameObject'], 'RenameObject', onlyInDirectoryBuckets),
  rule('PUT', 'object', ['uploadId', 'partNumber'], 'UploadPartCopy', uploadPartCopy, 'x-amz-copy-source'),
  rule('PUT', 'object', ['uploadId', 'partNumber'], 'UploadPart', uploadPart),
  rule('PUT', 'object', [], 'CopyObject', copyObject, 'x-amz-copy-source'),
  rule('PUT', 'object', [], 'PutObject', putObject),
  rule('POST', 'object', ['uploads'], 'CreateMultipartUpload', createMultipartUpload),
  rule('POST', 'object', ['uploadId'], 'CompleteMultipartUpload', completeMultipartUpload),
  rule('DELETE', 'object', ['uploadId'], 'AbortMultipartUpload', abortMultipartUpload),
  rule('DELETE', 'object', [], 'DeleteObject', deleteObject),
];

/** Parameters that turn a request into another operation: one that its rule doesn't name isn't to be passed over. */
const SUB_RESOURCES = new Set(
  (
    'accelerate acl analytics append attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle ' +
    'location logging metadataConfiguration metadataTable metrics notification object-lock ownershipControls policy ' +
    'policyStatus publicAccessBlock renameObject replication requestPayment restore retention select session tagging ' +
    'torrent uploadId uploads versioning versions website'
  ).split(' '),
);

/** What a request is told apart by. */
export interface RoutedRequest {
  readonly method: string;
  readonly bucket: string | undefined;
  readonly key: string | undefined;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, string>;
}

/** Finds the operation. Fails with NotImplemented for S3's others, and MethodNotAllowed where S3 has none. */
export function route(request: RoutedRequest): Route {
  const { method, bucket, key, query, headers } = request;
  const scope: Scope = bucket === undefined ? 'service' : key === undefined ? 'bucket' : 'object';
  const subResources = [...query.keys()].filter((name) => SUB_RESOURCES.has(name));
  const found = RULES.find(
    (each) =>
      each.method === method &&
      each.scope === scope &&
      each.with.every((name) => query.has(name)) &&
      subResources.every((name) => each.with.includes(name)) &&
      (each.header === undefined || headers.has(each.header)),
  );
  if (found !== undefined) return found.route;
  if (subResources.length > 0) {
    throw new S3Error(
      'NotImplemented',
      `This server does not implement ${method} of ${subResources.join(', ')}`,
    );
  }
  throw new S3Error('MethodNotAllowed', undefined, { Method: method, ResourceType: scope.toUpperCase() });
}
