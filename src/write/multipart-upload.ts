/** One multipart upload of one file: from CreateMultipartUpload to its completion or abortion, journaled by the owner. */
import { createHash } from 'node:crypto';
import type { ObjectVersion } from '../memory/byte-slices.js';
import { StoreError } from '../store/errors.js';
import type {
  Body,
  ByteRange,
  ObjectHeaders,
  ObjectStore,
  StreamedBody,
  UploadedPart,
  WriteCondition,
  WrittenObject,
} from '../store/object-store.js';
import type { Logger } from '../telemetry/log.js';

/** S3's code where the upload has a part no more, or another: one that was given up and sent anew, and arrived late, say. */
export const LOST_PART = 'InvalidPart';

/** Told before an upload id is used and after it ended, so that a crash leaves no orphan. */
export interface UploadJournal {
  /** Resolves when that is safe on disk. */
  started(key: string, uploadId: string): Promise<void>;
  /** One of an earlier run is gone on with. */
  resumed(uploadId: string): void;
  /** Completed or aborted. Not waited for: aborting it again does no harm. */
  ended(uploadId: string): void;
  /** Nobody works with it any more, and it may be there still. */
  left(uploadId: string): void;
}

export interface UploadPlace {
  readonly store: ObjectStore;
  readonly journal: UploadJournal;
  readonly log: Logger;
}

export class MultipartUpload {
  readonly #place: UploadPlace;
  readonly key: string;
  readonly uploadId: string;
  /** What the object will have when completed. */
  readonly headers: ObjectHeaders;
  /** It can't be completed any more: gone, or lost to a concurrent write (409 asks for every part again). */
  spent = false;
  /** The store said that there is no such upload. */
  gone = false;

  private constructor(place: UploadPlace, key: string, uploadId: string, headers: ObjectHeaders) {
    this.#place = place;
    this.key = key;
    this.uploadId = uploadId;
    this.headers = headers;
  }

  /** Creates an upload and has it journaled. Errors: StoreError; the journal's, after the upload was aborted again. */
  static async create(
    place: UploadPlace,
    key: string,
    headers: ObjectHeaders,
    signal?: AbortSignal,
  ): Promise<MultipartUpload> {
    const uploadId = await place.store.createUpload(key, headers, signal);
    const upload = new MultipartUpload(place, key, uploadId, headers);
    try {
      await place.journal.started(key, uploadId);
    } catch (error) {
      place.journal.left(uploadId);
      await place.store.abortUpload(key, uploadId);
      throw error;
    }
    return upload;
  }

  /** Goes on with an upload of an earlier run, which the journal knows. */
  static resume(
    place: UploadPlace,
    { key, uploadId, headers }: { key: string; uploadId: string; headers: ObjectHeaders },
  ): MultipartUpload {
    place.journal.resumed(uploadId);
    return new MultipartUpload(place, key, uploadId, headers);
  }

  async send(partNumber: number, body: Body | StreamedBody, signal?: AbortSignal): Promise<UploadedPart> {
    return await this.#use(() =>
      this.#place.store.uploadPart(this.key, this.uploadId, partNumber, body, signal),
    );
  }

  /** Copies a range of `base` inside the store. */
  async copy(
    partNumber: number,
    base: ObjectVersion,
    range: ByteRange,
    signal?: AbortSignal,
  ): Promise<UploadedPart> {
    const source = { key: base.key, etag: base.etag, range };
    return await this.#use(() =>
      this.#place.store.copyPart(this.key, this.uploadId, partNumber, source, signal),
    );
  }

  /**
   * Completes the upload. An answer that was lost is recognised by the ETag the object must have: a second try finds no
   * upload any more, but the object. After 409, and where a part isn't what was sent, every part is to be sent again; where `isOnlyCopy`, that
   * can't be, and the same upload is completed by the next try: it is there as long as S3 doesn't say otherwise.
   */
  async complete(
    parts: readonly UploadedPart[],
    condition: WriteCondition | undefined,
    { isOnlyCopy, signal }: { readonly isOnlyCopy: boolean; readonly signal?: AbortSignal | undefined },
  ): Promise<WrittenObject> {
    try {
      return await this.#use(() =>
        this.#place.store.completeUpload(this.key, this.uploadId, parts, condition, signal),
      );
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const isUndecided = error.kind === 'precondition-failed' && error.httpStatus === 409;
      if (isUndecided || error.code === LOST_PART) this.spent = !isOnlyCopy;
      if (!this.spent || error.kind !== 'not-found') throw error;
      const head = await this.#place.store.head(this.key, signal);
      if (head === undefined || head.etag !== multipartEtag(parts)) throw error;
      return { etag: head.etag, lastModifiedMs: head.lastModifiedMs };
    }
  }

  /** It was completed: the journal may forget it. */
  forget(): void {
    this.#place.journal.ended(this.uploadId);
  }

  /** It stays as it is. */
  leave(): void {
    this.#place.journal.left(this.uploadId);
  }

  /** Aborts it. When that fails the journal keeps it, and the janitor aborts it later. */
  async abandon(): Promise<void> {
    this.spent = true;
    try {
      await this.#place.store.abortUpload(this.key, this.uploadId);
    } catch (error) {
      this.#place.log.warn({ err: error, key: this.key, uploadId: this.uploadId }, 'cannot abort an upload');
      this.leave();
      return;
    }
    this.forget();
  }

  async #use<Result>(call: () => Promise<Result>): Promise<Result> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof StoreError && error.code === 'NoSuchUpload') {
        this.spent = true;
        this.gone = true;
      }
      throw error;
    }
  }
}

/** The ETag S3 gives an object of these parts, where ETags are digests (not under SSE-KMS). */
export function multipartEtag(parts: readonly Pick<UploadedPart, 'etag'>[]): string {
  const digest = createHash('md5');
  for (const { etag } of parts) digest.update(Buffer.from(etag.replaceAll('"', ''), 'hex'));
  return `"${digest.digest('hex')}-${parts.length}"`;
}
