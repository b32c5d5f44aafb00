/** The ObjectStore of a bucket in S3 or a compatible server: the operations of this folder over one context. */
import type { StoreError } from '../errors.js';
import type {
  AppendingStore,
  AppendOptions,
  Body,
  ByteRange,
  ByteSink,
  CopyJournal,
  Capabilities,
  GetOptions,
  GetResult,
  ListPage,
  ListRequest,
  ObjectChecksums,
  ObjectHead,
  ObjectHeaders,
  ObjectStore,
  RenameOptions,
  RenamingStore,
  UnfinishedUpload,
  StreamedBody,
  UploadedPart,
  VersionToDelete,
  WriteCondition,
  WrittenObject,
} from '../object-store.js';
import { appendObject } from './append.js';
import { ChosenCalls } from './choose-calls.js';
import { BodyChecksum } from './checksum.js';
import { createClients } from './client.js';
import { ConditionalWrites, type S3Context } from './context.js';
import { copyObject, copyPart, type CopyOptions } from './copy.js';
import { deleteMany, deleteObject } from './delete.js';
import { isDirectoryBucket } from './directory-bucket.js';
import { KnownChecksums } from './full-checksum.js';
import { getRange } from './get.js';
import { headObject } from './head.js';
import { listPage, probeBucket } from './list.js';
import {
  abortUpload,
  completeUpload,
  createUpload,
  listUploads,
  PARTS_MAX,
  uploadPart,
} from './multipart.js';
import { resolveOptions, type S3StoreOptions } from './options.js';
import { checksumsOf } from './object-checksums.js';
import { Patience } from './patience.js';
import { putObject } from './put.js';
import { renameObject } from './rename.js';
import { Requests } from './requests.js';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** Makes no request: `probe` tells whether the bucket can be reached. */
export function createS3Store(options: S3StoreOptions): ObjectStore {
  const resolved = resolveOptions(options);
  const { bucket, log } = resolved;
  const clients = createClients(resolved);
  const calls = new ChosenCalls(bucket, resolved, clients);
  const context: S3Context = {
    bucket,
    options: resolved,
    log,
    clients,
    calls: () => calls.get(),
    requests: new Requests({ bucket, log, retry: resolved.retry, maxRequests: resolved.maxRequests }),
    patience: new Patience(),
    conditions: new ConditionalWrites(resolved.conditionalWrites, log),
    copies: { journal: undefined },
    checksum: resolved.uploadChecksums === 'off' ? undefined : new BodyChecksum(resolved.uploadChecksums),
    known: resolved.verifyReads ? new KnownChecksums() : undefined,
  };
  return new S3Store(context, () => {
    calls.close();
    clients.destroy();
  });
}

/** `append` and `rename` are for those who looked at the capabilities: `createS3Store` gives the type without them. */
class S3Store implements AppendingStore, RenamingStore {
  readonly #context: S3Context;
  readonly #isDirectory: boolean;

  readonly #disconnect: () => void;

  readonly checksums: ObjectChecksums | undefined;

  constructor(context: S3Context, disconnect: () => void) {
    this.#context = context;
    this.#disconnect = disconnect;
    this.#isDirectory = isDirectoryBucket(context.bucket);
    this.checksums = context.known === undefined ? undefined : checksumsOf(context, context.known);
  }

  get bucket(): string {
    return this.#context.bucket;
  }

  /** Read anew at each use: conditional writes turn off when the server turns out not to have them. */
  get capabilities(): Capabilities {
    return {
      conditionalWrites: this.#context.conditions.enabled,
      orderedListing: !this.#isDirectory,
      append: this.#isDirectory,
      rename: this.#isDirectory,
      partNumberGaps: !this.#isDirectory,
      partBytesMin: 5 * MIB,
      partBytesMax: 5 * GIB,
      partsMax: PARTS_MAX,
      copyBytesMax: this.#context.options.copyBytesMax,
    };
  }

  async probe(prefix: string, signal?: AbortSignal): Promise<void> {
    await probeBucket(this.#context, prefix, signal);
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    return headObject(this.#context, key, signal);
  }

  async get(key: string, range: ByteRange, options: GetOptions, sink: ByteSink): Promise<GetResult> {
    return getRange(this.#context, key, range, options, sink);
  }

  async list(request: ListRequest, signal?: AbortSignal): Promise<ListPage> {
    return listPage(this.#context, request, signal);
  }

  async put(
    key: string,
    body: Body,
    headers: ObjectHeaders,
    condition?: WriteCondition,
    signal?: AbortSignal,
  ): Promise<WrittenObject> {
    return putObject(this.#context, key, body, headers, condition, signal);
  }

  async delete(key: string, condition?: { readonly ifMatch?: string }, signal?: AbortSignal): Promise<void> {
    await deleteObject(this.#context, key, condition, signal);
  }

  async deleteMany(
    keys: readonly (string | VersionToDelete)[],
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, StoreError>> {
    return deleteMany(this.#context, keys, signal);
  }

  async copy(sourceKey: string, targetKey: string, options: CopyOptions): Promise<WrittenObject> {
    return copyObject(this.#context, sourceKey, targetKey, options);
  }

  journalCopies(journal: CopyJournal): void {
    this.#context.copies.journal = journal;
  }

  async createUpload(key: string, headers: ObjectHeaders, signal?: AbortSignal): Promise<string> {
    return createUpload(this.#context, key, headers, signal);
  }

  async uploadPart(
    key: string,
    uploadId: string,
    partNumber: number,
    body: Body | StreamedBody,
    signal?: AbortSignal,
  ): Promise<UploadedPart> {
    return uploadPart(this.#context, key, uploadId, partNumber, body, signal);
  }

  async copyPart(
    key: string,
    uploadId: string,
    partNumber: number,
    source: { readonly key: string; readonly etag: string; readonly range: ByteRange },
    signal?: AbortSignal,
  ): Promise<UploadedPart> {
    return copyPart(this.#context, key, uploadId, partNumber, source, signal);
  }

  async completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    condition?: WriteCondition,
    signal?: AbortSignal,
  ): Promise<WrittenObject> {
    return completeUpload(this.#context, key, uploadId, parts, condition, signal);
  }

  async abortUpload(key: string, uploadId: string, signal?: AbortSignal): Promise<void> {
    await abortUpload(this.#context, key, uploadId, signal);
  }

  async listUploads(prefix: string, signal?: AbortSignal): Promise<readonly UnfinishedUpload[]> {
    return listUploads(this.#context, prefix, signal);
  }

  async append(key: string, body: Body, offset: number, options: AppendOptions = {}): Promise<WrittenObject> {
    return appendObject(this.#context, key, body, offset, options);
  }

  async rename(sourceKey: string, targetKey: string, options: RenameOptions = {}): Promise<void> {
    await renameObject(this.#context, sourceKey, targetKey, options);
  }

  async close(): Promise<void> {
    this.#context.requests.close();
    this.#disconnect();
  }
}
