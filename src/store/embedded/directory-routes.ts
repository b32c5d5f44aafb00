/** Which operation a request of a directory bucket is: those that are carried out otherwise there, and those it doesn't have. */
import { appendObject } from './append-object.js';
import type { Answer, Call, Operation } from './call.js';
import { signedService } from './directory-access.js';
import {
  createDirectoryBucket,
  createSessionOperation,
  headDirectoryBucket,
  listDirectoryBuckets,
} from './directory-bucket-operations.js';
import { DIRECTORY_CLASS, isDirectoryBucket } from './directory-buckets.js';
import { listDirectoryObjects, listDirectoryUploads } from './directory-listing.js';
import { S3Error } from './errors.js';
import { renameObject } from './rename-object.js';
import { route, type Route, type RoutedRequest } from './router.js';

/** User guide, "API operations supported for directory buckets". */
const AS_ELSEWHERE = new Set([
  'DeleteBucket',
  'GetObject',
  'HeadObject',
  'PutObject',
  'CopyObject',
  'DeleteObject',
  'DeleteObjects',
  'CreateMultipartUpload',
  'UploadPart',
  'UploadPartCopy',
  'CompleteMultipartUpload',
  'AbortMultipartUpload',
  'ListParts',
  'GetObjectAttributes',
]);

const OTHERWISE: ReadonlyMap<string, Operation> = new Map([
  ['CreateBucket', createDirectoryBucket],
  ['CreateSession', createSessionOperation],
  ['HeadBucket', headDirectoryBucket],
  ['ListObjectsV2', listDirectoryObjects],
  ['ListMultipartUploads', listDirectoryUploads],
  ['RenameObject', renameObject],
]);

/** "This functionality is not supported for directory buckets" (API reference). Encryption and ACLs are judged as in other buckets. */
const REFUSED_HEADERS = ['content-md5', 'x-amz-tagging', 'x-amz-checksum-md5', 'x-amz-mfa'];

/** Headers that none of its operations may have, checked and taken out: all objects are of the one class. */
function asDirectoryCall(call: Call): Call {
  const headers = new Map(call.headers);
  for (const name of REFUSED_HEADERS) {
    if (headers.has(name)) throw new S3Error('NotImplemented', undefined, { Header: name });
  }
  const storageClass = headers.get('x-amz-storage-class');
  if (storageClass !== undefined && storageClass !== DIRECTORY_CLASS)
    throw new S3Error('InvalidStorageClass');
  headers.delete('x-amz-storage-class');
  return { ...call, headers };
}

function directoryRoute(found: Route, request: RoutedRequest): Route {
  const { operation } = found;
  const appends = operation === 'PutObject' && request.headers.has('x-amz-write-offset-bytes');
  const run = appends
    ? appendObject
    : (OTHERWISE.get(operation) ?? (AS_ELSEWHERE.has(operation) ? found.run : undefined));
  if (run === undefined) {
    throw new S3Error('NotImplemented', `Directory buckets do not have ${operation}.`);
  }
  return { operation, run: async (call): Promise<Answer> => run(asDirectoryCall(call)) };
}

/** The operation of a request. Fails with NotImplemented or MethodNotAllowed. */
export function routeOf(request: RoutedRequest): Route {
  const found = route(request);
  if (isDirectoryBucket(request.bucket)) return directoryRoute(found, request);
  // On AWS an endpoint of its own tells this from ListBuckets; here the service that the request is signed for.
  if (found.operation === 'ListBuckets' && signedService(request.headers, request.query) === 's3express') {
    return { operation: 'ListDirectoryBuckets', run: listDirectoryBuckets };
  }
  return found;
}
