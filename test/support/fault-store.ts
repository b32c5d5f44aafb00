/**
 * An ObjectStore around another that misbehaves by plan and remembers every call. Calls are counted per operation from 1;
 * a plan names the operation and the count:
 *
 *   const store = new FaultStore(inner);
 *   store.fail('PutObject', 2, 'throttled');                   // the second PUT fails, without effect
 *   store.fail('PutObject', 3, 'unavailable', 'after');        // the third takes effect, then fails: a lost answer
 *   const gate = store.hold('GetObject', 1);                   // the first GET waits: await gate.reached; gate.open()
 *   store.alterGet(2, (bytes) => bytes.subarray(0, 10));       // the second GET delivers other bytes
 *   t.same(store.operations(), ['HeadObject', 'GetObject']);   // what a client's action cost
 */
import { StoreError, type StoreErrorKind } from '../../src/store/errors.js';
import {
  canAppend,
  canRename,
  type AppendingStore,
  type AppendOptions,
  type RenameOptions,
  type RenamingStore,
} from '../../src/store/object-store.js';
import type {
  Body,
  ByteRange,
  ByteSink,
  Capabilities,
  GetResult,
  ListPage,
  ListRequest,
  ObjectHead,
  ObjectHeaders,
  ObjectStore,
  UnfinishedUpload,
  StreamedBody,
  UploadedPart,
  VersionToDelete,
  WriteCondition,
  WrittenObject,
} from '../../src/store/object-store.js';
import type { StoreCall, StoreOperation } from './memory-store.js';

/** A call that waits for the test. */
export interface Gate {
  /** Resolves when the call has arrived. */
  readonly reached: Promise<void>;
  open(): void;
}

interface Plan {
  readonly operation: StoreOperation;
  readonly nth: number;
  readonly before?: () => Promise<void> | void;
  readonly after?: () => void;
}

export class FaultStore implements AppendingStore, RenamingStore {
  /** Every call in order of its beginning; `probe` counts as a ListObjectsV2. */
  readonly calls: StoreCall[] = [];
  readonly #inner: ObjectStore;
  readonly #counts = new Map<StoreOperation, number>();
  readonly #plans: Plan[] = [];
  readonly #alterations = new Map<number, (bytes: Buffer) => Buffer>();

  constructor(inner: ObjectStore) {
    this.#inner = inner;
  }

  get bucket(): string {
    return this.#inner.bucket;
  }

  get capabilities(): Capabilities {
    return this.#inner.capabilities;
  }

  /** The names of the calls so far, and optionally forgets them. */
  operations(options: { readonly forget?: boolean } = {}): readonly StoreOperation[] {
    const operations = this.calls.map((call) => call.operation);
    if (options.forget === true) this.calls.length = 0;
    return operations;
  }

  /** How many calls of an operation there were; the next one is one more. */
  count(operation: StoreOperation): number {
    return this.#counts.get(operation) ?? 0;
  }

  /** The nth call fails with this kind: `before` it reaches the store, or `after` it took effect. */
  fail(
    operation: StoreOperation,
    nth: number,
    kind: StoreErrorKind,
    when: 'before' | 'after' = 'before',
  ): void {
    const fault = (): never => {
      throw new StoreError(kind, `${operation} number ${String(nth)} fails by plan`, {
        operation,
        bucket: this.bucket,
      });
    };
    this.#plans.push(
      when === 'before' ? { operation, nth, before: fault } : { operation, nth, after: fault },
    );
  }

  /** The nth call waits, before it reaches the store, until the gate is opened. */
  hold(operation: StoreOperation, nth: number): Gate {
    let arrive: () => void = () => undefined;
    let open: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => (arrive = resolve));
    const opened = new Promise<void>((resolve) => (open = resolve));
    this.#plans.push({
      operation,
      nth,
      before: () => {
        arrive();
        return opened;
      },
    });
    return { reached, open: () => open() };
  }

  /** The nth GET delivers what `alter` makes of its bytes. Fewer bytes: it then fails as `unavailable`, as a reset would. */
  alterGet(nth: number, alter: (bytes: Buffer) => Buffer): void {
    this.#alterations.set(nth, alter);
  }

  async probe(prefix: string, signal?: AbortSignal): Promise<void> {
    await this.#call({ operation: 'ListObjectsV2' }, signal, () => this.#inner.probe(prefix, signal));
  }

  async head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    return this.#call({ operation: 'HeadObject', key }, signal, () => this.#inner.head(key, signal));
  }

  async get(
    key: string,
    range: ByteRange,
    options: { readonly ifMatch?: string; readonly signal?: AbortSignal },
    sink: ByteSink,
  ): Promise<GetResult> {
    const { ifMatch, signal } = options;
    const call = {
      operation: 'GetObject',
      key,
      range,
      ...(ifMatch === undefined ? {} : { ifMatch }),
    } as const;
    return this.#call(call, signal, (nth) => {
      const alter = this.#alterations.get(nth);
      return alter === undefined
        ? this.#inner.get(key, range, options, sink)
        : this.#alteredGet(key, range, options, sink, alter);
    });
  }

  async list(request: ListRequest, signal?: AbortSignal): Promise<ListPage> {
    return this.#call({ operation: 'ListObjectsV2', key: request.prefix }, signal, () =>
      this.#inner.list(request, signal),
    );
  }

  async put(
    key: string,
    body: Body,
    headers: ObjectHeaders,
    condition?: WriteCondition,
    signal?: AbortSignal,
  ): Promise<WrittenObject> {
    const call = { operation: 'PutObject', key, bytes: lengthOf(body), ...conditionOf(condition) } as const;
    return this.#call(call, signal, () => this.#inner.put(key, body, headers, condition, signal));
  }

  async delete(key: string, condition?: { readonly ifMatch?: string }, signal?: AbortSignal): Promise<void> {
    await this.#call({ operation: 'DeleteObject', key, ...conditionOf(condition) }, signal, () =>
      this.#inner.delete(key, condition, signal),
    );
  }

  async deleteMany(
    keys: readonly (string | VersionToDelete)[],
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, StoreError>> {
    return this.#call({ operation: 'DeleteObjects' }, signal, () => this.#inner.deleteMany(keys, signal));
  }

  async copy(
    sourceKey: string,
    targetKey: string,
    options: Parameters<ObjectStore['copy']>[2],
  ): Promise<WrittenObject> {
    const call = { operation: 'CopyObject', key: targetKey, ...conditionOf(options.condition) } as const;
    return this.#call(call, options.signal, () => this.#inner.copy(sourceKey, targetKey, options));
  }

  async createUpload(key: string, headers: ObjectHeaders, signal?: AbortSignal): Promise<string> {
    return this.#call({ operation: 'CreateMultipartUpload', key }, signal, () =>
      this.#inner.createUpload(key, headers, signal),
    );
  }

  async uploadPart(
    key: string,
    uploadId: string,
    partNumber: number,
    body: Body | StreamedBody,
    signal?: AbortSignal,
  ): Promise<UploadedPart> {
    const bytes = 'open' in body ? body.bytes : lengthOf(body);
    const call = { operation: 'UploadPart', key, uploadId, partNumber, bytes } as const;
    return this.#call(call, signal, () => this.#inner.uploadPart(key, uploadId, partNumber, body, signal));
  }

  async copyPart(
    key: string,
    uploadId: string,
    partNumber: number,
    source: { readonly key: string; readonly etag: string; readonly range: ByteRange },
    signal?: AbortSignal,
  ): Promise<UploadedPart> {
    const call = { operation: 'UploadPartCopy', key, uploadId, partNumber, range: source.range } as const;
    return this.#call(call, signal, () => this.#inner.copyPart(key, uploadId, partNumber, source, signal));
  }

  async completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    condition?: WriteCondition,
    signal?: AbortSignal,
  ): Promise<WrittenObject> {
    const call = { operation: 'CompleteMultipartUpload', key, uploadId, ...conditionOf(condition) } as const;
    return this.#call(call, signal, () =>
      this.#inner.completeUpload(key, uploadId, parts, condition, signal),
    );
  }

  async abortUpload(key: string, uploadId: string, signal?: AbortSignal): Promise<void> {
    await this.#call({ operation: 'AbortMultipartUpload', key, uploadId }, signal, () =>
      this.#inner.abortUpload(key, uploadId, signal),
    );
  }

  async listUploads(prefix: string, signal?: AbortSignal): Promise<readonly UnfinishedUpload[]> {
    return this.#call({ operation: 'ListMultipartUploads', key: prefix }, signal, () =>
      this.#inner.listUploads(prefix, signal),
    );
  }

  async append(key: string, body: Body, offset: number, options: AppendOptions = {}): Promise<WrittenObject> {
    const inner = this.#inner;
    const { condition, signal } = options;
    const call = { operation: 'PutObject', key, bytes: lengthOf(body), ...conditionOf(condition) } as const;
    return this.#call(call, signal, () => {
      if (!canAppend(inner))
        throw new StoreError('unsupported', 'no append', { ...call, bucket: this.bucket });
      return inner.append(key, body, offset, options);
    });
  }

  async rename(sourceKey: string, targetKey: string, options: RenameOptions = {}): Promise<void> {
    const inner = this.#inner;
    const { condition, signal } = options;
    const call = { operation: 'RenameObject', key: targetKey, ...conditionOf(condition) } as const;
    await this.#call(call, signal, () => {
      if (!canRename(inner))
        throw new StoreError('unsupported', 'no rename', { ...call, bucket: this.bucket });
      return inner.rename(sourceKey, targetKey, options);
    });
  }

  async close(): Promise<void> {
    await this.#inner.close();
  }

  async #call<T>(
    call: StoreCall,
    signal: AbortSignal | undefined,
    forward: (nth: number) => Promise<T>,
  ): Promise<T> {
    const { operation } = call;
    const nth = this.count(operation) + 1;
    this.#counts.set(operation, nth);
    this.calls.push(call);
    const plans = this.#plans.filter((plan) => plan.operation === operation && plan.nth === nth);
    for (const plan of plans) await abortable(Promise.resolve(plan.before?.()), call, this.bucket, signal);
    const result = await forward(nth);
    for (const plan of plans) plan.after?.();
    return result;
  }

  async #alteredGet(
    key: string,
    range: ByteRange,
    options: { readonly ifMatch?: string; readonly signal?: AbortSignal },
    sink: ByteSink,
    alter: (bytes: Buffer) => Buffer,
  ): Promise<GetResult> {
    const chunks: Buffer[] = [];
    const result = await this.#inner.get(key, range, options, (chunk) => chunks.push(Buffer.from(chunk)));
    const altered = alter(Buffer.concat(chunks));
    if (altered.length > 0) sink(altered);
    if (altered.length === result.length) return result;
    throw new StoreError('unavailable', `GetObject was cut after ${String(altered.length)} bytes by plan`, {
      operation: 'GetObject',
      bucket: this.bucket,
      key,
    });
  }
}

/** A held call still answers to its signal. */
async function abortable(
  held: Promise<void>,
  call: StoreCall,
  bucket: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal === undefined) return held;
  return new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      const { operation, key } = call;
      reject(new StoreError('aborted', `${operation} was aborted while held`, { operation, bucket, key }));
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    held.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function conditionOf(condition: WriteCondition | undefined): { readonly condition?: WriteCondition } {
  return condition === undefined ? {} : { condition };
}

function lengthOf(body: Body): number {
  return body.reduce((sum, slice) => sum + slice.byteLength, 0);
}
