/**
 * The unpublished changes of one file, and how they become an object. Data goes in at any offset and in any order; parts that fill
 * go out to a multipart upload while more arrives; `publish` sends the rest, has unchanged ranges copied inside the store, and
 * makes the object appear whole.
 *
 *     write, truncate (shared, alone)     publish (alone)                                discard (alone)
 *       -> FileContent: parts, memory       small: one PUT                                 -> parts freed, upload aborted
 *       -> a part is full: StreamingUpload  else: planParts -> send | copy -> complete
 *
 * A failed publish leaves everything as it was: the same session may be published again, also under another key.
 */
import { isDeepStrictEqual } from 'node:util';
import { LightSignal } from '../cancel/light-signal.js';
import type { ByteSlices, ObjectVersion } from '../memory/byte-slices.js';
import { StoreError } from '../store/errors.js';
import type { ObjectHeaders, ObjectStore, WrittenObject } from '../store/object-store.js';
import type { Logger } from '../telemetry/log.js';
import { provesContent } from './content-proof.js';
import type { ContentSource } from './content-source.js';
import type { Durability } from './durability.js';
import type { DurableRecord } from './durable-record.js';
import type { FileContent } from './file-content.js';
import { Gate } from './gate.js';
import { JoinedRuns } from './joined-runs.js';
import { LOST_PART } from './multipart-upload.js';
import { appendTo, isAppend, putWhole, type OnePutParts } from './one-put.js';
import type { SpoolSegments } from './spool-segments.js';
import type { FileUpload } from './file-upload.js';
import { sessionAborted, tooLarge } from './session-errors.js';
import {
  published,
  type ChangeWitness,
  type PublishedVersion,
  type PublishRequest,
  type WriteSessionOptions,
} from './session-options.js';
import { makeSessionParts, type Cut } from './session-parts.js';

/** Largest piece of a write that memory is reserved for at a time, in bytes. */
const PIECE_BYTES_MAX = 1024 * 1024;

export class WriteSession {
  readonly #store: ObjectStore;
  readonly #content: FileContent;
  readonly #source: ContentSource;
  readonly #upload: FileUpload;
  readonly #onePut: OnePutParts;
  readonly #sizeMax: number;
  readonly #log: Logger;
  readonly #segments: SpoolSegments | undefined;
  readonly #durability: Durability | undefined;
  readonly #keeps = new JoinedRuns();
  #changedBytes = 0;
  #changes = 0;
  readonly #gate = new Gate();
  readonly #closing = new LightSignal();
  /** The publication under way; never rejects. */
  #publishing: Promise<void> | undefined;

  /** `cut` is how an earlier run cut the file into parts. */
  constructor(options: WriteSessionOptions, cut?: Cut) {
    const parts = makeSessionParts(options, cut, this.#closing);
    this.#store = options.store;
    this.#content = parts.content;
    this.#source = parts.source;
    this.#upload = parts.upload;
    this.#onePut = parts.onePut;
    this.#sizeMax = parts.sizeMax;
    this.#log = options.log;
    this.#segments = options.durable?.segments;
    this.#durability = parts.durability;
  }

  /**
   * A session that holds what an earlier run had made safe. Errors: the spool's, when it lost or changed something; SpoolFullError. Parts
   * that only the upload has are not looked at: that they are there is found out when it is completed.
   */
  static async restore(options: WriteSessionOptions, record: DurableRecord): Promise<WriteSession> {
    const { base } = record.state;
    const { base: _today, ...others } = options;
    const session = new WriteSession({ ...others, ...(base !== undefined && { base }) }, record.state);
    try {
      await session.#restore(record);
      return session;
    } catch (error) {
      await session.leave();
      throw error;
    }
  }

  /** Bytes, counting unpublished writes. */
  get size(): number {
    return this.#content.size;
  }

  /** Something differs from the base: writes, truncation, or no base. */
  get dirty(): boolean {
    return this.#content.dirty;
  }

  /** Counts changes of bytes or size. */
  get changes(): number {
    return this.#changes;
  }

  /** Bytes written since the last publication, each as often as it was written. */
  get changedBytes(): number {
    return this.#changedBytes;
  }

  /** Bytes that publishing now would have copied inside the store, at most. */
  get copiedBytes(): number {
    return this.isAppend ? 0 : this.#content.baseBytes;
  }

  /** Publishing now is one PUT. */
  get isOnePut(): boolean {
    return (this.#content.size <= this.#onePut.bytesMax && !this.#upload.holdsData) || this.isAppend;
  }

  /** Publishing now adds to the object, where that may keep its headers. */
  get isAppend(): boolean {
    return this.#upload.current === undefined && !this.#upload.holdsData && isAppend(this.#onePut);
  }

  /** Bytes of memory. */
  get bytesHeld(): number {
    return this.#content.bytesHeld;
  }

  /**
   * Takes all of `data`, copied when the promise resolves. Waits for memory and for a publication under way, never for a gap to fill.
   * `patience` ends these waits as long as nothing was copied: then nothing ever is. Errors: StoreError `too-large` past the largest file,
   * `aborted` once discarded; SpoolFullError; the reason of `patience`; what `witness` throws.
   */
  async write(offset: number, data: Buffer, patience?: AbortSignal, witness?: ChangeWitness): Promise<void> {
    if (data.length === 0) return;
    this.#assertSize(Math.max(offset + data.length, this.#content.size));
    await this.#gate.shared(async () => {
      witness?.mayBegin();
      const { partMap } = this.#content;
      let done = 0;
      try {
        while (done < data.length) {
          const from = offset + done;
          const partEnd = partMap.end(partMap.indexAt(from));
          const end = Math.min(partEnd, from + PIECE_BYTES_MAX, offset + data.length);
          const piece = data.subarray(done, end - offset);
          // All or nothing, as far as the caller has a say.
          const until = done === 0 ? patience : undefined;
          const part = await this.#content.write(from, piece, this.#closing, until);
          this.#durability?.written(from, end);
          this.#changedBytes += piece.length;
          this.#changes += 1;
          this.#upload.written(part);
          done = end - offset;
        }
      } finally {
        if (done > 0) witness?.changed();
      }
    }, patience);
  }

  /** Sets the size; growth reads back zeros. `patience` ends the wait for others. Errors: as of write. */
  async truncate(size: number, patience?: AbortSignal, witness?: ChangeWitness): Promise<void> {
    this.#assertSize(size);
    await this.#gate.exclusive(async () => {
      witness?.mayBegin();
      this.#closing.throwIfAborted();
      this.#durability?.truncated(size);
      await this.#content.truncate(size);
      this.#changes += 1;
      witness?.changed();
    }, patience);
  }

  /**
   * Resolves when a crash of the daemon loses nothing that was written before the call. Those who ask while one runs share the next.
   * Errors: SpoolFullError; the journal's; StoreError `aborted` once discarded. Then everything is as it was.
   */
  async keep(): Promise<void> {
    const durability = this.#durability;
    if (durability === undefined) throw new Error('a session without a journal keeps nothing');
    await this.#keeps.join((begun) =>
      this.#gate.shared(() => {
        begun();
        this.#closing.throwIfAborted();
        return durability.keep();
      }),
    );
  }

  /**
   * Unpublished data over the base, clipped to the size; less than asked for where that is more than the memory that is kept for READs. Never waits
   * for memory that writers have, but for bytes of the base. Errors: StoreError; SpoolFullError for data only an upload holds.
   */
  async read(offset: number, count: number, signal?: AbortSignal): Promise<ByteSlices> {
    for (;;) {
      const end = Math.min(offset + count, this.#content.size);
      if (offset >= end) return { slices: [], count: 0, release: () => undefined };
      try {
        return await this.#source.answer(offset, end, signal);
      } catch (error) {
        // The base may be gone because this session's own publication has just replaced it.
        if (this.#publishing === undefined || signal?.aborted === true) throw error;
        await this.#publishing;
      }
    }
  }

  /**
   * Makes the object at `key` what the session holds. Afterwards base is the new version, and the session clean and usable. On
   * failure the session keeps everything and can be published again. A request that is a function is asked for when nobody writes any more: it
   * tells of all that is in the object. Errors: StoreError; SpoolFullError, naming the upload, when data is only in an upload to another key.
   */
  async publish(asked: PublishRequest | (() => PublishRequest)): Promise<PublishedVersion> {
    return await this.#gate.exclusive(async () => {
      this.#closing.throwIfAborted();
      const request = typeof asked === 'function' ? asked() : asked;
      const published = this.#publishAlone(request);
      this.#publishing = published.then(
        () => undefined,
        () => undefined,
      );
      try {
        return await published;
      } catch (error) {
        request.onFailed?.(error);
        if (request.signal?.aborted === true && !(error instanceof StoreError)) throw this.#aborted(error);
        throw error;
      } finally {
        this.#publishing = undefined;
      }
    });
  }

  /** The object at a version has every byte that was written here. Nobody writes meanwhile. Errors: StoreError; SpoolFullError. */
  async isHeldBy(version: ObjectVersion): Promise<boolean> {
    return await this.#gate.exclusive(() =>
      provesContent({ store: this.#store, content: this.#content, source: this.#source }, version),
    );
  }

  /** Drops the data, aborts the upload, frees memory and spool. The session is of no use afterwards. */
  async discard(): Promise<void> {
    this.#closing.abortFor(() => this.#aborted(undefined));
    await this.#gate.exclusive(async () => {
      await this.#upload.settled();
      await this.#content.clear();
      await this.#upload.abandon();
      this.#endRecord();
    });
  }

  /** Frees memory and the undurable spool. What `keep` made safe stays, the upload too, for whoever reads the journal. */
  async leave(): Promise<void> {
    this.#closing.abortFor(() => this.#aborted(undefined));
    await this.#gate.exclusive(async () => {
      await this.#upload.settled();
      await this.#content.clear();
      this.#upload.leave();
    });
  }

  /** The journal may forget the file's bytes. */
  #endRecord(): void {
    this.#durability?.ended().catch((error: unknown) => {
      this.#log.warn({ err: error }, 'the journal could not be told that bytes in the spool are not needed');
    });
  }

  async #restore(record: DurableRecord): Promise<void> {
    const { upload, parts, extents, baseBytes, sizeBytes } = record;
    if (upload !== undefined) {
      this.#upload.resume(upload);
      for (const part of parts) this.#content.adoptUploaded(part, upload);
    }
    for (const { start, end, piece } of extents) {
      const bytes = await this.#segments?.read(piece);
      if (bytes !== undefined) await this.write(start, bytes.subarray(0, end - start));
    }
    await this.#gate.exclusive(() => {
      this.#content.restoreSizes(baseBytes, sizeBytes);
      this.#durability?.restore(record);
      return Promise.resolve();
    });
  }

  async #publishAlone(request: PublishRequest): Promise<PublishedVersion> {
    const content = this.#content;
    await this.#upload.settled();
    request.signal?.throwIfAborted();
    const { base } = content;
    if (base?.key === request.key && !content.dirty) return { ...base, headers: request.headers };
    const willDo = (headers: ObjectHeaders): boolean =>
      isDeepStrictEqual(headers, request.headers) || request.acceptHeaders?.(headers) === true;
    const opened = this.isOnePut ? undefined : this.#upload.current;
    // From the completion of such an upload until its object gets the right headers, only the journal has those.
    const isToBeKept = opened !== undefined && !willDo(opened.headers);
    const unkept = await this.#durability?.beforePublishing(isToBeKept);
    if (unkept !== undefined)
      this.#log.warn({ err: unkept }, 'published without room to keep what is published first');
    const { written, headers } = await this.#send(request);
    const version = { key: request.key, etag: written.etag, size: content.size };
    if (!willDo(headers)) await request.onLacking?.(version);
    await content.rebase(version);
    this.#changedBytes = 0;
    this.#endRecord();
    await this.#upload.completed();
    return published(version, written, headers);
  }

  /** One PUT, or the multipart upload; the headers that the object has now. */
  async #send(request: PublishRequest): Promise<{ written: WrittenObject; headers: ObjectHeaders }> {
    const { key, headers, condition, signal, objectHeaders } = request;
    const added = this.isAppend ? await appendTo(this.#onePut, request) : undefined;
    if (added !== undefined) return { written: added, headers: objectHeaders ?? headers };
    if (this.#content.size <= this.#onePut.bytesMax && !this.#upload.holdsData) {
      if (this.#durability?.hasRecord === true) await this.#upload.retire();
      else await this.#upload.abandon();
      return { written: await putWhole(this.#onePut, request), headers };
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#upload.complete(key, headers, condition, signal);
      } catch (error) {
        if (attempt > 1 || !this.#upload.lost || !(error instanceof StoreError)) throw error;
        // The upload is gone (somebody's lifecycle rule), or parts of it: everything is here still, so once more from the start.
        if (error.kind !== 'not-found' && error.code !== LOST_PART) throw error;
      }
    }
  }

  #assertSize(size: number): void {
    if (size > this.#sizeMax) throw tooLarge(this.#store.bucket, this.#sizeMax, size);
  }

  #aborted(cause: unknown): StoreError {
    return sessionAborted(this.#store.bucket, cause);
  }
}
