/**
 * A complete ObjectStore in memory, for tests: S3's rules (conditions, listing order, ETags of parts), a list of every
 * call, and three ways to get in between:
 * - `before` and `after` run around each call and may wait or throw: after `after` throws, the call has had its effect.
 * - `holdGets` keeps GETs until the test delivers their bytes piece by piece or fails them.
 * - `chunkBytes` sets how many bytes a sink gets at a time.
 */
import { createHash, randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { StoreError, type StoreErrorKind } from '../../src/store/errors.js';
import type {
  AppendingStore,
  AppendOptions,
  Body,
  ByteRange,
  ByteSink,
  Capabilities,
  GetResult,
  ListPage,
  ListRequest,
  ObjectHead,
  ObjectHeaders,
  RenameOptions,
  RenamingStore,
  StreamedBody,
  UnfinishedUpload,
  UploadedPart,
  VersionToDelete,
  WriteCondition,
  WrittenObject,
  Room,
} from '../../src/store/object-store.js';
import { HeldGet } from './held-get.js';
import { listPage, listPageUnordered } from './memory-listing.js';

export type StoreOperation =
  | 'HeadObject'
  | 'GetObject'
  | 'ListObjectsV2'
  | 'PutObject'
  | 'DeleteObject'
  | 'DeleteObjects'
  | 'CopyObject'
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'UploadPartCopy'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
  | 'ListMultipartUploads'
  | 'RenameObject';

/** One call as the store saw it. `bytes` is what a write carried. */
export interface StoreCall {
  readonly operation: StoreOperation;
  readonly key?: string;
  readonly range?: ByteRange;
  readonly ifMatch?: string;
  readonly bytes?: number;
  readonly partNumber?: number;
  readonly uploadId?: string;
  readonly condition?: WriteCondition;
}

export interface StoredObject {
  readonly body: Buffer;
  readonly etag: string;
  readonly lastModifiedMs: number;
  readonly headers: ObjectHeaders;
}

interface Upload {
  readonly key: string;
  readonly headers: ObjectHeaders;
  readonly initiatedMs: number;
  readonly initiator: string;
  readonly parts: Map<number, { readonly body: Buffer; readonly etag: string }>;
}

export interface MemoryStoreOptions {
  readonly bucket?: string;
  readonly capabilities?: Partial<Capabilities>;
  /** Milliseconds since the epoch; Date.now unless told otherwise. LastModified has whole seconds. */
  readonly now?: () => number;
  /** Bytes a GET's sink gets at a time. */
  readonly chunkBytes?: number;
  /** GETs put their bytes where they are wanted, and what they still write after they were aborted is wrong. */
  readonly fillsRooms?: boolean;
}

type Around = (call: StoreCall) => void | Promise<void>;

const md5 = (bytes: Uint8Array): Buffer => createHash('md5').update(bytes).digest();
const quoted = (name: string): string => `"${name}"`;

/** What makes a store as directory buckets are: its listings, prefixes, ETags and part numbers go by these. */
export const DIRECTORY_CAPABILITIES = {
  orderedListing: false,
  append: true,
  rename: true,
  partNumberGaps: false,
} as const satisfies Partial<Capabilities>;

export class MemoryStore implements AppendingStore, RenamingStore {
  readonly bucket: string;
  readonly capabilities: Capabilities;
  /** What is in the bucket: tests may look, and change things as another S3 user would through `putNow`. */
  readonly objects = new Map<string, StoredObject>();
  readonly uploads = new Map<string, Upload>();
  /** Every call in order of its beginning. */
  readonly calls: StoreCall[] = [];
  /** Who begins uploads now, as ListMultipartUploads tells it. */
  initiator = 'arn:aws:iam::111111111111:user/mount';
  before: Around | undefined;
  after: Around | undefined;
  /** GETs that wait for the test, oldest first. */
  readonly heldGets: HeldGet[] = [];
  /** GETs that haven't settled. */
  getsUnderWay = 0;
  #holding = false;
  #nextUploadId = 1;
  #closed = false;
  readonly #heldWaiters: { readonly count: number; readonly resolve: () => void }[] = [];
  readonly #now: () => number;
  readonly #chunkBytes: number;
  readonly #fillsRooms: boolean;

  constructor(options: MemoryStoreOptions = {}) {
    this.bucket = options.bucket ?? 'bucket';
    this.#now = options.now ?? Date.now;
    this.#chunkBytes = options.chunkBytes ?? 64 * 1024;
    this.#fillsRooms = options.fillsRooms ?? false;
    this.capabilities = {
      conditionalWrites: true,
      orderedListing: true,
      append: false,
      rename: false,
      partNumberGaps: true,
      partBytesMin: 5 * 1024 ** 2,
      partBytesMax: 5 * 1024 ** 3,
      partsMax: 10_000,
      copyBytesMax: 5 * 1024 ** 3,
      ...options.capabilities,
    };
  }

  /** How many calls of this operation there were, of this key where one is given. */
  countOf(operation: StoreOperation, key?: string): number {
    return this.calls.filter(
      (call) => call.operation === operation && (key === undefined || call.key === key),
    ).length;
  }

  /** Puts an object without a call being recorded: another S3 user's PUT. */
  putNow(key: string, body: Uint8Array, headers: ObjectHeaders = { metadata: {} }): StoredObject {
    const bytes = Buffer.from(body);
    return this.#store(key, bytes, this.#etag(bytes), headers);
  }

  /** From now on GETs wait in `heldGets`. */
  holdGets(): void {
    this.#holding = true;
  }

  /** Lets the GETs that wait run to their end, and those to come. */
  releaseGets(): void {
    this.#holding = false;
    for (const held of this.heldGets.splice(0)) held.finish();
  }

  /** Resolves once at least `count` GETs have ever been held and not yet taken out of `heldGets`. */
  async whenHeld(count: number): Promise<void> {
    if (this.heldGets.length >= count) return;
    await new Promise<void>((resolve) => this.#heldWaiters.push({ count, resolve }));
  }

  async probe(_prefix: string, signal?: AbortSignal): Promise<void> {
    await this.#call({ operation: 'ListObjectsV2' }, signal, () => undefined);
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    return await this.#call({ operation: 'HeadObject', key }, signal, () => {
      const object = this.objects.get(key);
      if (object === undefined) return undefined;
      const { body, etag, lastModifiedMs, headers } = object;
      return { ...headers, key, size: body.length, etag, lastModifiedMs, dateMs: this.#nowSeconds() };
    });
  }

  async get(
    key: string,
    range: ByteRange,
    options: { readonly ifMatch?: string; readonly signal?: AbortSignal; readonly room?: Room },
    sink: ByteSink,
  ): Promise<GetResult> {
    const { ifMatch, signal } = options;
    const call: StoreCall = { operation: 'GetObject', key, range, ...(ifMatch !== undefined && { ifMatch }) };
    return await this.#call(call, signal, async () => {
      const object = this.objects.get(key);
      if (object === undefined) throw this.#error('not-found', call, 'NoSuchKey', 404);
      if (ifMatch !== undefined && ifMatch !== object.etag) {
        throw this.#error('precondition-failed', call, 'PreconditionFailed', 412);
      }
      if (range.offset >= object.body.length) throw this.#error('range', call, 'InvalidRange', 416);
      const bytes = object.body.subarray(range.offset, range.offset + range.length);
      this.getsUnderWay += 1;
      try {
        if (this.#holding) await this.#hold(call, bytes, signal, sink);
        else if (this.#fillsRooms) await this.#fill(call, bytes, signal, sink, options.room);
        else await this.#deliver(call, bytes, signal, sink);
      } finally {
        this.getsUnderWay -= 1;
      }
      const { body, etag, lastModifiedMs, headers } = object;
      const head = { ...headers, key, size: body.length, etag, lastModifiedMs, dateMs: this.#nowSeconds() };
      return { etag, length: bytes.length, size: body.length, head };
    });
  }

  async list(request: ListRequest, signal?: AbortSignal): Promise<ListPage> {
    const call: StoreCall = { operation: 'ListObjectsV2', key: request.prefix };
    return await this.#call(call, signal, () => {
      if (this.capabilities.orderedListing) return listPage(this.objects, request);
      this.#checkPrefix(call, request.prefix);
      if (request.startAfter !== undefined) throw this.#error('unsupported', call, 'NotImplemented', 501);
      return listPageUnordered(this.objects, request);
    });
  }

  async put(
    key: string,
    body: Body,
    headers: ObjectHeaders,
    condition?: WriteCondition,
    signal?: AbortSignal,
  ): Promise<WrittenObject> {
    const bytes = Buffer.concat(body);
    const call: StoreCall = {
      operation: 'PutObject',
      key,
      bytes: bytes.length,
      ...(condition !== undefined && { condition }),
    };
    return await this.#call(call, signal, () => {
      this.#check(call, key, condition);
      return written(this.#store(key, bytes, this.#etag(bytes), headers));
    });
  }

  async delete(key: string, condition?: { readonly ifMatch?: string }, signal?: AbortSignal): Promise<void> {
    const call: StoreCall = { operation: 'DeleteObject', key, ...(condition !== undefined && { condition }) };
    await this.#call(call, signal, () => {
      if (this.objects.has(key)) this.#check(call, key, condition);
      this.objects.delete(key);
    });
  }

  async deleteMany(
    keys: readonly (string | VersionToDelete)[],
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, StoreError>> {
    const call: StoreCall = { operation: 'DeleteObjects' };
    return await this.#call(call, signal, () => {
      const failed = new Map<string, StoreError>();
      for (const each of keys) {
        const { key, ...condition } = typeof each === 'string' ? { key: each } : each;
        try {
          if (this.objects.has(key)) this.#check({ ...call, key }, key, condition);
          this.objects.delete(key);
        } catch (error) {
          if (!(error instanceof StoreError)) throw error;
          failed.set(key, error);
        }
      }
      return failed;
    });
  }

  async copy(
    sourceKey: string,
    targetKey: string,
    options: {
      readonly sourceEtag?: string;
      readonly headers?: ObjectHeaders;
      readonly condition?: WriteCondition;
      readonly size?: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<WrittenObject> {
    const { sourceEtag, headers, condition, signal } = options;
    const call: StoreCall = {
      operation: 'CopyObject',
      key: targetKey,
      ...(sourceEtag !== undefined && { ifMatch: sourceEtag }),
      ...(condition !== undefined && { condition }),
    };
    return await this.#call(call, signal, () => {
      const source = this.#source(call, sourceKey, sourceEtag);
      this.#check(call, targetKey, condition);
      // As S3 does: a copy in one request has a plain ETag, also of an object that was uploaded in parts.
      const etag = this.#etag(source.body);
      return written(this.#store(targetKey, source.body, etag, headers ?? source.headers));
    });
  }

  async createUpload(key: string, headers: ObjectHeaders, signal?: AbortSignal): Promise<string> {
    return await this.#call({ operation: 'CreateMultipartUpload', key }, signal, () => {
      const uploadId = `upload-${this.#nextUploadId++}`;
      this.uploads.set(uploadId, {
        key,
        headers,
        initiatedMs: this.#nowSeconds(),
        initiator: this.initiator,
        parts: new Map(),
      });
      return uploadId;
    });
  }

  async uploadPart(
    key: string,
    uploadId: string,
    partNumber: number,
    body: Body | StreamedBody,
    signal?: AbortSignal,
  ): Promise<UploadedPart> {
    const slices: Uint8Array[] = [];
    if ('open' in body) for await (const chunk of body.open()) slices.push(Buffer.from(chunk));
    const bytes = Buffer.concat('open' in body ? slices : body);
    const call: StoreCall = { operation: 'UploadPart', key, uploadId, partNumber, bytes: bytes.length };
    return await this.#call(call, signal, () => this.#storePart(call, key, uploadId, partNumber, bytes));
  }

  async copyPart(
    key: string,
    uploadId: string,
    partNumber: number,
    source: { readonly key: string; readonly etag: string; readonly range: ByteRange },
    signal?: AbortSignal,
  ): Promise<UploadedPart> {
    const { range } = source;
    const call: StoreCall = {
      operation: 'UploadPartCopy',
      key,
      uploadId,
      partNumber,
      range,
      ifMatch: source.etag,
    };
    return await this.#call(call, signal, () => {
      const { body } = this.#source(call, source.key, source.etag);
      if (range.offset + range.length > body.length) throw this.#error('range', call, 'InvalidRange', 416);
      const bytes = Buffer.from(body.subarray(range.offset, range.offset + range.length));
      return this.#storePart(call, key, uploadId, partNumber, bytes);
    });
  }

  async completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    condition?: WriteCondition,
    signal?: AbortSignal,
  ): Promise<WrittenObject> {
    const call: StoreCall = {
      operation: 'CompleteMultipartUpload',
      key,
      uploadId,
      ...(condition !== undefined && { condition }),
    };
    return await this.#call(call, signal, () => {
      const upload = this.#upload(call, key, uploadId);
      const bodies = parts.map((part, at) => {
        const stored = upload.parts.get(part.partNumber);
        if (stored === undefined || stored.etag !== part.etag)
          throw this.#error('invalid', call, 'InvalidPart', 400);
        const gap = !this.capabilities.partNumberGaps && part.partNumber !== at + 1;
        if (gap || (at > 0 && (parts[at - 1]?.partNumber ?? 0) >= part.partNumber)) {
          throw this.#error('invalid', call, 'InvalidPartOrder', 400);
        }
        if (at < parts.length - 1 && stored.body.length < this.capabilities.partBytesMin) {
          throw this.#error('invalid', call, 'EntityTooSmall', 400);
        }
        return stored.body;
      });
      if (parts.length === 0) throw this.#error('invalid', call, 'MalformedXML', 400);
      if (parts.length > this.capabilities.partsMax)
        throw this.#error('too-large', call, 'InvalidArgument', 400);
      this.#check(call, key, condition);
      const digest = md5(Buffer.concat(bodies.map(md5))).toString('hex');
      this.uploads.delete(uploadId);
      const etag = this.capabilities.orderedListing ? quoted(`${digest}-${parts.length}`) : randomEtag();
      return written(this.#store(key, Buffer.concat(bodies), etag, upload.headers));
    });
  }

  async abortUpload(key: string, uploadId: string, signal?: AbortSignal): Promise<void> {
    await this.#call({ operation: 'AbortMultipartUpload', key, uploadId }, signal, () => {
      this.uploads.delete(uploadId);
    });
  }

  async listUploads(prefix: string, signal?: AbortSignal): Promise<readonly UnfinishedUpload[]> {
    const call: StoreCall = { operation: 'ListMultipartUploads', key: prefix };
    return await this.#call(call, signal, () => {
      if (!this.capabilities.orderedListing) this.#checkPrefix(call, prefix);
      return [...this.uploads]
        .filter(([, upload]) => upload.key.startsWith(prefix))
        .map(([uploadId, { key, initiatedMs, initiator }]) => ({ key, uploadId, initiatedMs, initiator }));
    });
  }

  async append(
    key: string,
    body: Body,
    offset: number,
    { condition, headers, signal }: AppendOptions = {},
  ): Promise<WrittenObject> {
    const bytes = Buffer.concat(body);
    const call: StoreCall = {
      operation: 'PutObject',
      key,
      bytes: bytes.length,
      ...(condition !== undefined && { condition }),
    };
    return await this.#call(call, signal, () => {
      if (!this.capabilities.append) throw this.#error('unsupported', call, 'NotImplemented', 501);
      if (bytes.length === 0) throw this.#error('invalid', call, 'InvalidRequest', 400);
      this.#check(call, key, condition);
      const before = this.objects.get(key);
      if ((before?.body.length ?? 0) !== offset)
        throw this.#error('precondition-failed', call, 'InvalidWriteOffset', 400);
      const whole = Buffer.concat([before?.body ?? Buffer.alloc(0), bytes]);
      return written(
        this.#store(key, whole, this.#etag(whole), before?.headers ?? headers ?? { metadata: {} }),
      );
    });
  }

  async rename(
    sourceKey: string,
    targetKey: string,
    { sourceEtag, condition, signal }: RenameOptions = {},
  ): Promise<void> {
    const call: StoreCall = {
      operation: 'RenameObject',
      key: targetKey,
      ...(sourceEtag !== undefined && { ifMatch: sourceEtag }),
      ...(condition !== undefined && { condition }),
    };
    await this.#call(call, signal, () => {
      if (!this.capabilities.rename) throw this.#error('unsupported', call, 'NotImplemented', 501);
      if (sourceKey === targetKey || sourceKey.endsWith('/') || targetKey.endsWith('/'))
        throw this.#error('invalid', call, 'InvalidRequest', 400);
      const source = this.#source(call, sourceKey, sourceEtag);
      this.#check(call, targetKey, condition);
      this.objects.delete(sourceKey);
      this.objects.set(targetKey, source);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const held of this.heldGets.splice(0)) held.fail(this.#error('unavailable', held.call, 'Closed'));
    return await Promise.resolve();
  }

  /** Records a call, then runs `before`, the effect and `after`. */
  async #call<T>(call: StoreCall, signal: AbortSignal | undefined, effect: () => T | Promise<T>): Promise<T> {
    this.calls.push(call);
    if (this.#closed) throw this.#error('unavailable', call, 'Closed');
    this.#throwIfAborted(call, signal);
    await this.before?.(call);
    this.#throwIfAborted(call, signal);
    const result = await effect();
    await this.after?.(call);
    return result;
  }

  async #hold(
    call: StoreCall,
    bytes: Buffer,
    signal: AbortSignal | undefined,
    sink: ByteSink,
  ): Promise<void> {
    const held = new HeldGet(call, bytes, sink);
    const onAbort = (): void => held.fail(this.#error('aborted', call, undefined));
    signal?.addEventListener('abort', onAbort, { once: true });
    this.heldGets.push(held);
    for (const waiter of this.#heldWaiters.splice(0)) {
      if (this.heldGets.length >= waiter.count) waiter.resolve();
      else this.#heldWaiters.push(waiter);
    }
    try {
      await held.settled;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      const at = this.heldGets.indexOf(held);
      if (at >= 0) this.heldGets.splice(at, 1);
    }
  }

  async #deliver(
    call: StoreCall,
    bytes: Buffer,
    signal: AbortSignal | undefined,
    sink: ByteSink,
  ): Promise<void> {
    for (let at = 0; at < bytes.length; at += this.#chunkBytes) {
      // A turn of the microtask queue between chunks: others run while a body arrives.
      await Promise.resolve();
      this.#throwIfAborted(call, signal);
      // The sink may keep nothing: its chunk is overwritten afterwards, as a transport's buffer would be.
      const chunk = Buffer.from(bytes.subarray(at, at + this.#chunkBytes));
      sink(chunk);
      chunk.fill(0xee);
    }
  }

  /** As a transport does that reads into rooms: until the GET has settled it may write there, whatever happens meanwhile. */
  async #fill(
    call: StoreCall,
    bytes: Buffer,
    signal: AbortSignal | undefined,
    sink: ByteSink,
    room: Room | undefined,
  ): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const target = room?.() ?? Buffer.alloc(this.#chunkBytes);
      const count = bytes.copy(target, 0, at, at + Math.min(this.#chunkBytes, target.length));
      await Promise.resolve();
      if (signal?.aborted === true) {
        await new Promise((resolve) => setImmediate(resolve));
        target.fill(0xee);
        this.#throwIfAborted(call, signal);
      }
      sink(target.subarray(0, count));
      at += count;
    }
  }

  #etag(bytes: Uint8Array): string {
    return this.capabilities.orderedListing ? quoted(md5(bytes).toString('hex')) : randomEtag();
  }

  #checkPrefix(call: StoreCall, prefix: string): void {
    if (prefix !== '' && !prefix.endsWith('/')) throw this.#error('invalid', call, 'InvalidRequest', 400);
  }

  #store(key: string, body: Buffer, etag: string, headers: ObjectHeaders): StoredObject {
    const metadata = Object.fromEntries(
      Object.entries(headers.metadata).map(([name, value]) => [name.toLowerCase(), value]),
    );
    const object = { body, etag, lastModifiedMs: this.#nowSeconds(), headers: { ...headers, metadata } };
    this.objects.set(key, object);
    return object;
  }

  #storePart(call: StoreCall, key: string, uploadId: string, partNumber: number, body: Buffer): UploadedPart {
    const upload = this.#upload(call, key, uploadId);
    if (partNumber < 1 || partNumber > 10_000) throw this.#error('too-large', call, 'InvalidArgument', 400);
    const etag = this.#etag(body);
    upload.parts.set(partNumber, { body, etag });
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(body));
    return { partNumber, etag, checksum: { algorithm: 'crc32', value: sum.toString('base64') } };
  }

  #upload(call: StoreCall, key: string, uploadId: string): Upload {
    const upload = this.uploads.get(uploadId);
    if (upload === undefined || upload.key !== key) throw this.#error('not-found', call, 'NoSuchUpload', 404);
    return upload;
  }

  #source(call: StoreCall, key: string, etag: string | undefined): StoredObject {
    const source = this.objects.get(key);
    if (source === undefined) throw this.#error('not-found', call, 'NoSuchKey', 404);
    if (etag !== undefined && etag !== source.etag) {
      throw this.#error('precondition-failed', call, 'PreconditionFailed', 412);
    }
    return source;
  }

  #check(call: StoreCall, key: string, condition: WriteCondition | undefined): void {
    if (condition === undefined || !this.capabilities.conditionalWrites) return;
    const etag = this.objects.get(key)?.etag;
    if (condition.ifNoneMatch !== undefined && etag !== undefined) {
      throw this.#error('precondition-failed', call, 'PreconditionFailed', 412);
    }
    if (condition.ifMatch === undefined || condition.ifMatch === etag) return;
    if (etag === undefined) throw this.#error('not-found', call, 'NoSuchKey', 404);
    throw this.#error('precondition-failed', call, 'PreconditionFailed', 412);
  }

  #throwIfAborted(call: StoreCall, signal: AbortSignal | undefined): void {
    if (signal?.aborted === true) throw this.#error('aborted', call, undefined);
  }

  #error(kind: StoreErrorKind, call: StoreCall, code: string | undefined, httpStatus?: number): StoreError {
    const { operation, key } = call;
    const message = `${operation} ${key ?? ''}: ${code ?? kind}`;
    return new StoreError(kind, message, { operation, bucket: this.bucket, key, code, httpStatus });
  }

  #nowSeconds(): number {
    return Math.floor(this.#now() / 1000) * 1000;
  }
}

/** Of no digest, as in directory buckets. */
function randomEtag(): string {
  return quoted(randomUUID().replaceAll('-', 'z'));
}

function written(object: StoredObject): WrittenObject {
  return { etag: object.etag, lastModifiedMs: object.lastModifiedMs };
}
