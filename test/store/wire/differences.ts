/** Where servers answer the wire cases otherwise than AWS documents. docs/embedded-store.md tells of them in words. */

export interface Difference {
  /** The case. */
  readonly name: string;
  /** What the server answers to steps of it, by number from 1. */
  readonly answers: Readonly<Record<number, string>>;
  /** Who is right, and by what. */
  readonly why: string;
}

/** The embedded server: none. */
export const EMBEDDED: readonly Difference[] = [];

/** versitygw v1.8.0 on a POSIX directory. */
export const VERSITYGW: readonly Difference[] = [
  {
    name: 'conditions of GET',
    answers: { 6: '304 etag=(none) body=' },
    why: 'AWS sends the ETag with 304, as RFC 9110 15.4.5 demands.',
  },
  {
    name: 'conditions of GET',
    answers: { 8: '200', 10: '412 PreconditionFailed' },
    why: 'It compares HTTP dates, which are whole seconds, with times that have fractions. RFC 9110 13.1.3: a time equal to the date is not modified since.',
  },
  { name: 'conditions of HEAD', answers: { 5: '304 etag=(none)' }, why: 'As with GET.' },
  { name: 'conditions of HEAD', answers: { 6: '200' }, why: 'As with GET.' },
  {
    name: 'headers of an object',
    answers: { 8: '200' },
    why: 'PutObject names the storage classes there are; versitygw takes any.',
  },
  {
    name: 'conditions of DELETE',
    answers: { 6: '204' },
    why: 'A conditional delete of what is gone is 404 at AWS (user guide, conditional deletes). The client takes either for success.',
  },
  {
    name: 'conditions of a copy on its source',
    answers: { 5: '304' },
    why: "CopyObject documents 412 for the source's conditions; 304 is for reads.",
  },
  {
    name: 'conditions of a copy on its source',
    answers: { 7: '200', 8: '412 PreconditionFailed' },
    why: 'Fractions of seconds again.',
  },
  {
    name: 'conditions of a copy on its target',
    answers: { 3: '200', 4: '200', 5: '200 body=source' },
    why: 'It ignores If-Match and If-None-Match of CopyObject, which AWS has had since October 2025: copies overwrite.',
  },
  {
    name: 'DeleteObjects',
    answers: { 8: '200 <DeleteResult/Deleted/Key>=b & c' },
    why: 'Quiet mode lists errors only (DeleteObjects).',
  },
  {
    name: 'DeleteObjects',
    answers: { 10: '200', 11: '200', 12: '400 InvalidRequest', 13: '404' },
    why: 'DeleteObjects takes 1 to 1,000 keys and is MalformedXML otherwise; versitygw deletes any number.',
  },
  {
    name: 'ListObjectsV2: pages',
    answers: { 16: '200' },
    why: "A continuation token is opaque and has to be one of the server's own; versitygw takes any key for one.",
  },
  {
    name: 'ListObjectsV2: pages',
    answers: { 19: '200 <ListBucketResult/Contents/Key>=e <ListBucketResult/CommonPrefixes/Prefix>=d/' },
    why: 'start-after names a key inside a common prefix of which more keys follow. The reference says no more than that keys after it are listed; nobody here has asked AWS. The client never asks so.',
  },
  {
    name: 'ListObjectsV2: pages',
    answers: {
      21: '200 <ListBucketResult/Contents/Key>=(none) <ListBucketResult/CommonPrefixes/Prefix>=(none)',
    },
    why: 'With a continuation token, start-after is ignored (ListObjectsV2).',
  },
  {
    name: 'ListObjects',
    answers: {
      7: '200 <ListBucketResult/Contents/Key>=a,b/1 <ListBucketResult/IsTruncated>=true <ListBucketResult/NextMarker>=b/1',
    },
    why: 'NextMarker comes only with a delimiter (ListObjects).',
  },
  {
    name: 'odd keys',
    answers: {
      18: '200 <ListBucketResult/Contents/Key>=a b,a%20b,a&b,a+b,é,日本,￮,😀 <ListBucketResult/EncodingType>=',
      19: '200',
    },
    why: "It has no encoding-type for ListObjects; keys with control characters can't be listed.",
  },
  {
    name: 'long keys',
    answers: { 2: '200' },
    why: 'Keys are at most 1,024 bytes (user guide, object keys).',
  },
  {
    name: 'keys that are no paths',
    answers: { 5: '409 ExistingObjectIsDirectory', 6: '404 NoSuchKey' },
    why: 'Keys are paths of its file system.',
  },
  {
    name: 'a file and a directory of one name',
    answers: {
      2: '409 ObjectParentIsFile',
      4: '200 <ListBucketResult/Contents/Key>=a <ListBucketResult/CommonPrefixes/Prefix>=(none)',
    },
    why: 'Keys are paths of its file system.',
  },
  {
    name: 'CompleteMultipartUpload: the list of parts',
    answers: { 5: '400 EntityTooSmall' },
    why: 'Both are wrong with the list; AWS looks at the order first (its error is about the request, not the parts).',
  },
  {
    name: 'UploadPart: numbers, ids, replacement',
    answers: { 11: '400 InvalidPart' },
    why: "An upload that isn't there is NoSuchUpload, whatever the parts.",
  },
  {
    name: 'ListMultipartUploads',
    answers: { 8: '200 <ListMultipartUploadsResult/Upload/Key>=a+b,c,d/e' },
    why: 'It has no encoding-type here either.',
  },
  {
    name: 'UploadPartCopy',
    answers: { 7: '200' },
    why: 'A range of a copy must have both ends (UploadPartCopy: `bytes=first-last`).',
  },
  {
    name: 'checksums of parts',
    answers: { 3: '400 InvalidRequest' },
    why: 'The upload wants CRC32 with each part, which AWS demands of FULL_OBJECT uploads only.',
  },
];

/** MinIO, the last release that `go install` gives, with one drive. */
export const MINIO: readonly Difference[] = [
  {
    name: 'conditions of GET',
    answers: { 14: '304' },
    why: 'RFC 9110 13.1.3: If-Modified-Since is ignored where there is If-None-Match.',
  },
  {
    name: 'ranges of GET',
    answers: { 11: '416 InvalidRange' },
    why: 'RFC 9110 14.1.1: a range whose last byte comes before its first is invalid, and ignored.',
  },
  {
    name: 'headers of an object',
    answers: { 7: '400 MetadataTooLarge' },
    why: 'User metadata may be 2 KB, names and values together (user guide, object metadata).',
  },
  {
    name: 'conditions of PUT',
    answers: { 3: '412 PreconditionFailed' },
    why: 'If-None-Match of a write takes `*` only (PutObject).',
  },
  {
    name: 'conditions of DELETE',
    answers: { 2: '204', 3: '404', 6: '204' },
    why: 'It ignores If-Match of DeleteObject: what somebody else has just written is deleted.',
  },
  {
    name: 'conditions of a copy on its target',
    answers: { 3: '200', 4: '200', 5: '200 body=source' },
    why: 'It ignores If-Match and If-None-Match of CopyObject, which AWS has had since October 2025: copies overwrite.',
  },
  {
    name: 'checksums of PUT',
    answers: { 5: '400 XAmzContentChecksumMismatch', 6: '400 InvalidArgument', 7: '400 InvalidArgument' },
    why: 'Other codes; the status is right.',
  },
  {
    name: 'DeleteObjects',
    answers: { 4: '200', 6: '404' },
    why: "It doesn't check Content-MD5 of DeleteObjects.",
  },
  {
    name: 'DeleteObjects',
    answers: { 5: '400 MissingContentMD5' },
    why: 'Another code; the status is right.',
  },
  {
    name: 'ListObjectsV2: pages',
    answers: {
      9: '200 <ListBucketResult/Contents/Key>=d/,e <ListBucketResult/IsTruncated>=true <ListBucketResult/NextContinuationToken>?yes',
    },
    why: 'A full last page is not known to be the last: one more, empty, follows. Allowed to a client that goes by IsTruncated, as ours does.',
  },
  {
    name: 'ListObjectsV2: pages',
    answers: { 13: '200 <ListBucketResult/MaxKeys>=5000' },
    why: 'MaxKeys is cut to 1,000 in the answer (ListObjectsV2).',
  },
  {
    name: 'ListObjectsV2: pages',
    answers: { 19: '200 <ListBucketResult/Contents/Key>=e <ListBucketResult/CommonPrefixes/Prefix>=d/' },
    why: 'As versitygw; see there.',
  },
  {
    name: 'ListObjects',
    answers: {
      7: '200 <ListBucketResult/Contents/Key>=a,b/1 <ListBucketResult/IsTruncated>=true <ListBucketResult/NextMarker>=b/1[minio_cache:v2,return:]',
      9: '200 <ListBucketResult/Contents/Key>=a <ListBucketResult/CommonPrefixes/Prefix>=b/ <ListBucketResult/NextMarker>=b/[minio_cache:v2,return:]',
    },
    why: 'Markers carry a hint for its own cache, and come without a delimiter as well.',
  },
  {
    name: 'keys that are no paths',
    answers: {
      1: '400 XMinioInvalidObjectName',
      2: '400 XMinioInvalidObjectName',
      3: '400 XMinioInvalidResourceName',
      4: '400 XMinioInvalidResourceName',
      5: '400 XMinioInvalidObjectName',
      6: '400 XMinioInvalidObjectName',
    },
    why: 'Keys are paths of its file system.',
  },
  {
    name: 'a file and a directory of one name',
    answers: { 4: '200 <ListBucketResult/Contents/Key>=a <ListBucketResult/CommonPrefixes/Prefix>=(none)' },
    why: 'A file hides the directory of its name in listings.',
  },
  {
    name: 'CompleteMultipartUpload: the list of parts',
    answers: { 8: '400 InvalidRequest' },
    why: 'Another code; the status is right.',
  },
  {
    name: 'CompleteMultipartUpload: the list of parts',
    answers: { 13: '416 InvalidPartNumber' },
    why: 'GET by part number knows only numbers without gaps.',
  },
  {
    name: 'CompleteMultipartUpload: a part twice',
    answers: { 3: '200', 4: '200' },
    why: 'The list must ascend (CompleteMultipartUpload); MinIO joins the part twice.',
  },
  {
    name: 'UploadPart: numbers, ids, replacement',
    answers: { 2: '400 InvalidPart' },
    why: 'Another code; the status is right.',
  },
  {
    name: 'UploadPart: numbers, ids, replacement',
    answers: { 13: '204' },
    why: "Aborting what isn't there is NoSuchUpload (AbortMultipartUpload). The client takes either for success.",
  },
  {
    name: 'AbortMultipartUpload',
    answers: { 4: '204' },
    why: "Aborting what isn't there is NoSuchUpload (AbortMultipartUpload). The client takes either for success.",
  },
  {
    name: 'ListMultipartUploads',
    answers: {
      4: '200 <ListMultipartUploadsResult/Upload/Key>=(none) <ListMultipartUploadsResult/Upload/UploadId>=(none) <ListMultipartUploadsResult/IsTruncated>=false',
      5: '200 <ListMultipartUploadsResult/Upload/Key>=(none) <ListMultipartUploadsResult/CommonPrefixes/Prefix>=(none)',
      6: '200 <ListMultipartUploadsResult/Upload/Key>=(none) <ListMultipartUploadsResult/IsTruncated>=false <ListMultipartUploadsResult/NextKeyMarker>=',
      7: '200 <ListMultipartUploadsResult/Upload/Key>=(none)',
      8: '200 <ListMultipartUploadsResult/Upload/Key>=(none)',
    },
    why: 'It lists uploads by exact key only: unfinished uploads below a prefix are never found, so those a lost state directory leaves are not cleaned up.',
  },
  {
    name: 'UploadPartCopy',
    answers: { 6: '416 InvalidRange' },
    why: 'AWS was seen to answer InvalidArgument to a range that begins after the end.',
  },
  { name: 'UploadPartCopy', answers: { 14: '400 InvalidPart' }, why: 'Another code; the status is right.' },
  {
    name: 'checksums of parts',
    answers: { 2: '400 XAmzContentChecksumMismatch', 3: '400 InvalidArgument' },
    why: 'Other codes; the status is right.',
  },
  {
    name: 'checksums of parts',
    answers: {
      6: '200 <CompleteMultipartUploadResult/ChecksumCRC32>={sum} <CompleteMultipartUploadResult/ChecksumType>=(none)',
    },
    why: "It doesn't tell the type of the checksum.",
  },
];
