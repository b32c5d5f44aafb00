/**
 * The ObjectStore seam: one bucket, by the few calls this project needs of S3. Implementations retry what is worth
 * retrying before they throw, and throw StoreError only. One contract suite (test/store/contract.ts) runs against each.
 */
import type { StoreError } from './errors.js';

/** What a bucket can do, as data: callers choose their way by it and never by the kind of store. */
export interface Capabilities {
  /** PUT, complete and copy obey If-Match / If-None-Match. */
  readonly conditionalWrites: boolean;
  /**
   * LIST answers in UTF-8 byte order, below any prefix, after any key. Otherwise, as directory buckets do: in no order (pages go on by
   * their tokens alone), below a prefix that is empty or ends in `/` (others are `invalid`), without `startAfter`, and common prefixes may
   * be those of unfinished uploads alone. `listUploads` takes the same prefixes.
   */
  readonly orderedListing: boolean;
  /** PUT with a write offset (directory buckets): see `canAppend`. */
  readonly append: boolean;
  /** RenameObject (directory buckets): see `canRename`. */
  readonly rename: boolean;
  /** The numbers of an upload's parts may have gaps. Otherwise they are 1, 2, 3 and so on (directory buckets). */
  readonly partNumberGaps: boolean;
  /** Least size of a part other than the last, in bytes; most parts of one upload; largest part and largest copied part. */
  readonly partBytesMin: number;
  readonly partBytesMax: number;
  readonly partsMax: number;
  /** Largest object one CopyObject takes, in bytes. */
  readonly copyBytesMax: number;
}

/** What identifies one version of an object's bytes, and what LIST tells of it. */
export interface ObjectSummary {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** With its quotes, as S3 gives it. */
  readonly etag: string;
  /** Milliseconds since the epoch, whole seconds as a rule. */
  readonly lastModifiedMs: number;
}

/** Headers of an object that a rewrite must keep. Values of `metadata` are decoded strings; its keys are lower case. */
export interface ObjectHeaders {
  readonly metadata: Readonly<Record<string, string>>;
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly contentLanguage?: string;
  readonly contentDisposition?: string;
  readonly cacheControl?: string;
  readonly storageClass?: string;
  /** As it is: S3 keeps what isn't a date as well. */
  readonly expires?: string;
  readonly websiteRedirect?: string;
  /** Of objects that a key of KMS encrypts; of others the bucket's default decides. */
  readonly encryption?: Encryption;
  /** How many tags it has. Whoever is given headers with tags for an object that is there keeps its tags. */
  readonly tagCount?: number;
}

/** SSE-KMS, by one layer or by two. */
export interface Encryption {
  readonly algorithm: 'aws:kms' | 'aws:kms:dsse';
  readonly keyId?: string;
  readonly bucketKey?: boolean;
}

/** HEAD's answer. `dateMs` is the server's Date header: what LastModified is compared with. */
export interface ObjectHead extends ObjectSummary, ObjectHeaders {
  readonly dateMs: number;
}

/** A write's condition. `ifMatch` carries an ETag; `ifNoneMatch: '*'` demands that no object is there. */
export interface WriteCondition {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: '*';
}

/** A version of an object, of which another one is left alone. */
export interface VersionToDelete {
  readonly key: string;
  readonly ifMatch: string;
}

export interface WrittenObject {
  readonly etag: string;
  /** Where the answer tells it; otherwise a HEAD would. */
  readonly lastModifiedMs?: number;
}

export interface ListRequest {
  readonly prefix: string;
  readonly delimiter?: '/';
  /** Keys after this one, in UTF-8 byte order; where the store lists in order. */
  readonly startAfter?: string;
  readonly continuationToken?: string;
  /** At most this many keys and prefixes together; at most 1,000. */
  readonly maxKeys?: number;
}

export interface ListPage {
  readonly objects: readonly ObjectSummary[];
  /** Common prefixes, with their trailing delimiter. */
  readonly prefixes: readonly string[];
  /** There is more, from here. */
  readonly continuationToken?: string;
}

/** As S3 tells it: base64 of the big-endian value, with `-N` where it is made of N parts' values. */
export interface PartChecksum {
  readonly algorithm: 'crc32' | 'crc32c' | 'crc64nvme';
  readonly value: string;
}

export interface UploadedPart {
  /** 1 to 10,000; with gaps where the store's capabilities allow them. */
  readonly partNumber: number;
  readonly etag: string;
  /** Of the part, where the upload carries checksums. */
  readonly checksum?: PartChecksum;
  /** Its size, where the store needs it to sum the whole. */
  readonly bytes?: number;
}

/** An unfinished multipart upload, as ListMultipartUploads tells it. */
export interface UnfinishedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly initiatedMs: number;
  /** The principal that began it, as the store names it. */
  readonly initiator?: string;
}

/** A body to send: slices in order, unchanged until the call settles. */
export type Body = readonly Uint8Array[];

/** A body that memory has no room for: the same bytes each time it is opened, until the call settles. */
export interface StreamedBody {
  readonly bytes: number;
  /** Each chunk is the taker's. */
  open(): AsyncIterable<Uint8Array>;
}

export interface ByteRange {
  readonly offset: number;
  /** Bytes, at least 1. */
  readonly length: number;
}

/** Where a GET's bytes go as they arrive. Called in order; the buffer is the callee's to keep only if it copies it. */
export type ByteSink = (chunk: Buffer) => void;

/**
 * Where a GET's next bytes are to be in the end. A store may put them there itself; the sink is then given that very part of the buffer,
 * and has nothing to copy. It is asked anew after each call of the sink. A store that reads into buffers of its own has no need to ask.
 * Whatever was given out is written to only while the GET is under way: its owner keeps it until the call has settled.
 */
export type Room = () => Buffer | undefined;

/** What a GET was: the version whose bytes the sink received. */
export interface GetResult {
  readonly etag: string;
  /** Bytes delivered. */
  readonly length: number;
  /** Size of the whole object. */
  readonly size: number;
  /** What HEAD would have told: a GET's answer carries the same headers. */
  readonly head: ObjectHead;
  /** It took more than one attempt: how long it took says little of the store's speed. */
  readonly retried?: true;
}

/** Of all bytes of an object in one, as S3 tells it: base64. */
export interface ObjectChecksum {
  readonly algorithm: 'crc32' | 'crc32c' | 'crc64nvme' | 'sha1' | 'sha256';
  readonly value: string;
}

/** What a GET of all of a version asks for. */
export interface WholeGet {
  /** Called with the object's checksum before the first byte, undefined where the store has none; again after a retry. */
  told(checksum: ObjectChecksum | undefined): void;
}

/** Checksums of object versions, for those who check what they read. */
export interface ObjectChecksums {
  /** What answers have told of a version lately: null where the store has none, undefined where it isn't known. */
  known(key: string, etag: string): ObjectChecksum | null | undefined;
  /** The same, asked for with a HeadObject where it isn't known. A version that is gone has none. */
  of(key: string, etag: string, signal?: AbortSignal): Promise<ObjectChecksum | undefined>;
}

export interface GetOptions {
  readonly ifMatch?: string;
  readonly signal?: AbortSignal;
  readonly room?: Room;
  /** The range is all of the version that `ifMatch` names. */
  readonly whole?: WholeGet | undefined;
}

/** Told of the multipart uploads that copies are made by, so that a crash in the middle of one leaves none that nobody knows of. */
export interface CopyJournal {
  /** Resolves when it is safe on disk. No part is copied before. */
  started(key: string, uploadId: string): Promise<void>;
  /** Completed or aborted. */
  ended(uploadId: string): void;
  /** It could not be aborted and may still be there. */
  left(uploadId: string): void;
}

export interface ObjectStore {
  readonly bucket: string;
  readonly capabilities: Capabilities;
  /** There where what is read is to be checked. */
  readonly checksums?: ObjectChecksums | undefined;

  /** Fails unless the bucket is there and may be listed below `prefix`: what a start-up check asks (ListObjectsV2, one key). */
  probe(prefix: string, signal?: AbortSignal): Promise<void>;
  /** HeadObject; undefined when there is no such key. */
  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined>;
  /**
   * GetObject of one range, pinned to a version by `ifMatch`: bytes go to `sink` as they arrive, checked for length. A retry
   * goes on after the last byte delivered, under the same ETag; so the sink never sees a byte twice, nor two versions.
   */
  get(key: string, range: ByteRange, options: GetOptions, sink: ByteSink): Promise<GetResult>;
  /** One page of ListObjectsV2: one without entries is the last. `invalid` where the server never comes to its end. */
  list(request: ListRequest, signal?: AbortSignal): Promise<ListPage>;
  /** PutObject. */
  put(
    key: string,
    body: Body,
    headers: ObjectHeaders,
    condition?: WriteCondition,
    signal?: AbortSignal,
  ): Promise<WrittenObject>;
  /** DeleteObject; deleting what isn't there succeeds. */
  delete(key: string, condition?: { readonly ifMatch?: string }, signal?: AbortSignal): Promise<void>;
  /**
   * DeleteObjects, up to 1,000 keys a request, each under its own condition; the keys that could not be deleted, with their errors:
   * `precondition-failed` for another version. Where the store has no conditions there is none.
   */
  deleteMany(
    keys: readonly (string | VersionToDelete)[],
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, StoreError>>;
  /**
   * CopyObject within the bucket, or a multipart copy beyond `copyBytesMax`, from the source version `sourceEtag`. With
   * `headers` the target's headers are these (MetadataDirective REPLACE), otherwise the source's.
   */
  copy(
    sourceKey: string,
    targetKey: string,
    options: {
      readonly sourceEtag?: string;
      readonly headers?: ObjectHeaders;
      readonly condition?: WriteCondition;
      /** Bytes of the source, where the caller knows it: saves a HEAD. */
      readonly size?: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<WrittenObject>;

  /** Journals the uploads of copies from now on. Absent where copies never go in parts. */
  journalCopies?(journal: CopyJournal): void;

  /** CreateMultipartUpload; the upload id. */
  createUpload(key: string, headers: ObjectHeaders, signal?: AbortSignal): Promise<string>;
  uploadPart(
    key: string,
    uploadId: string,
    partNumber: number,
    body: Body | StreamedBody,
    signal?: AbortSignal,
  ): Promise<UploadedPart>;
  /** UploadPartCopy of a range of `sourceKey` at version `sourceEtag`. */
  copyPart(
    key: string,
    uploadId: string,
    partNumber: number,
    source: { readonly key: string; readonly etag: string; readonly range: ByteRange },
    signal?: AbortSignal,
  ): Promise<UploadedPart>;
  /** CompleteMultipartUpload; parts in ascending order. An answer of 200 with an error inside is an error. */
  completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    condition?: WriteCondition,
    signal?: AbortSignal,
  ): Promise<WrittenObject>;
  /** AbortMultipartUpload; an upload that is gone already is fine. */
  abortUpload(key: string, uploadId: string, signal?: AbortSignal): Promise<void>;
  /** ListMultipartUploads, all of them below `prefix`. */
  listUploads(prefix: string, signal?: AbortSignal): Promise<readonly UnfinishedUpload[]>;

  /** Ends connections. Calls under way fail. */
  close(): Promise<void>;
}

export interface AppendOptions {
  /** The version that is added to; without it, any that ends at the offset. */
  readonly condition?: { readonly ifMatch?: string };
  /** Of the object that offset 0 makes where none is; an object that is there keeps its own. */
  readonly headers?: ObjectHeaders;
  readonly signal?: AbortSignal;
}

/** A store whose objects can be added to. `canAppend` tells. */
export interface AppendingStore extends ObjectStore {
  /**
   * PutObject with a write offset: adds `body`, which isn't empty, to the object that ends at `offset`; what is new is a version of its
   * own. `precondition-failed` where the object ends elsewhere, `too-large` after 10,000 parts (a copy onto itself starts anew). After a
   * lost answer the bytes at the offset are read: bytes that are there are not added twice.
   */
  append(key: string, body: Body, offset: number, options?: AppendOptions): Promise<WrittenObject>;
}

export interface RenameOptions {
  /** The source's version. */
  readonly sourceEtag?: string;
  /** Of the target. */
  readonly condition?: WriteCondition;
  readonly signal?: AbortSignal;
}

/** A store whose objects can be given another name. `canRename` tells. */
export interface RenamingStore extends ObjectStore {
  /**
   * RenameObject: at once, with metadata and times, over an object that is there. Neither name may end in `/`, nor may they be the same
   * (`invalid`). Retries carry one token, so that none renames what came to the old name meanwhile.
   */
  rename(sourceKey: string, targetKey: string, options?: RenameOptions): Promise<void>;
}

/** The only way to `append`: its call isn't there for those who didn't look. */
export function canAppend(store: ObjectStore): store is AppendingStore {
  return store.capabilities.append;
}

/** The only way to `rename`. */
export function canRename(store: ObjectStore): store is RenamingStore {
  return store.capabilities.rename;
}
