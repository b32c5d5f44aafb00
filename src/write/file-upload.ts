/**
 * A file's parts on their way into a multipart upload: those that fill go out while data still arrives, the rest when the file is
 * published. A part that fails to go out early is kept and tried again then; a part written to again goes out again then, and
 * not before, or rewriting in place would send it for every write.
 */
import pLimit, { type LimitFunction } from 'p-limit';
import type { ObjectHeaders, UploadedPart, WriteCondition, WrittenObject } from '../store/object-store.js';
import type { ContentSource } from './content-source.js';
import type { FileContent } from './file-content.js';
import { MultipartUpload, type UploadPlace } from './multipart-upload.js';
import type { Part } from './part.js';
import { planParts, type PlannedPart } from './publish-plan.js';
import type { Spiller } from './spiller.js';
import { LostUploadError } from './lost-upload.js';
import { SpoolFullError } from './spool-full.js';

export interface FileUploadOptions {
  readonly place: UploadPlace;
  readonly spiller: Spiller;
  readonly content: FileContent;
  readonly source: ContentSource;
  /** The key and headers of an upload opened while data arrives. */
  readonly target: () => { key: string; headers: ObjectHeaders };
  /** Parts on their way at a time. */
  readonly parallel: number;
  /** Largest range to copy in one request, in bytes. */
  readonly copyBytesMax: number;
  /** Ends what goes out while data arrives. */
  readonly signal: AbortSignal;
  /** A COMMIT was answered for what the upload holds of this part: it is not sent again but by a publication. */
  readonly isPromised: (start: number) => boolean;
}

export class FileUpload {
  readonly #options: FileUploadOptions;
  /** Made for the first part: most files are one PUT. */
  #limit: LimitFunction | undefined;
  /** Parts going out while data arrives; these never reject. */
  readonly #streaming = new Set<Promise<void>>();
  #upload: MultipartUpload | undefined;
  /** Uploads that hold what COMMITs were answered for, and that can't become the object: aborted once there is one. */
  readonly #retired: MultipartUpload[] = [];
  #opening: Promise<MultipartUpload> | undefined;
  /** No upload could be opened, or it is lost: not tried again for every part, but when the file is published. */
  #refused = false;

  constructor(options: FileUploadOptions) {
    this.#options = options;
  }

  /** Runs `send` when fewer are under way than may be. */
  #limited<T>(send: () => Promise<T>): Promise<T> {
    this.#limit ??= pLimit(this.#options.parallel);
    return this.#limit(send);
  }

  /** Some of the file's bytes are nowhere but in the upload. */
  get holdsData(): boolean {
    return this.#uploadOnlyPart !== undefined;
  }

  /** The upload can't be completed any more. */
  get lost(): boolean {
    return this.#upload?.spent === true;
  }

  /** The upload that parts go to, as far as it can be completed. */
  get current(): MultipartUpload | undefined {
    return this.#upload?.spent === true ? undefined : this.#upload;
  }

  /** Goes on with an upload of an earlier run. */
  resume(upload: { key: string; uploadId: string; headers: ObjectHeaders }): void {
    this.#upload = MultipartUpload.resume(this.#options.place, upload);
  }

  /** Resolves when the parts that are on their way now have arrived or failed. */
  async inFlight(): Promise<void> {
    await Promise.all(this.#streaming);
  }

  /** Data came into a part: it goes out if it is full for the first time and the file is larger than one part. */
  written(part: Part): void {
    const { content } = this.#options;
    if (content.size <= content.partMap.end(0)) return;
    const first = content.part(0);
    if (first !== undefined) this.#stream(first);
    this.#stream(part);
  }

  /** Resolves when no part is going out early. */
  async settled(): Promise<void> {
    while (this.#streaming.size > 0) await Promise.all(this.#streaming);
    this.#refused = false;
  }

  /**
   * Sends what is missing and completes the object; nobody writes meanwhile. The headers are those the object has now. Errors:
   * StoreError; SpoolFullError when the upload at another key, or one that is lost, holds data that is nowhere else.
   */
  async complete(
    key: string,
    headers: ObjectHeaders,
    condition: WriteCondition | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ written: WrittenObject; headers: ObjectHeaders }> {
    if (this.#upload !== undefined && (this.#upload.key !== key || this.#upload.spent)) await this.#replace();
    const { spiller } = this.#options;
    const upload = this.#upload ?? (await this.#create(key, headers, signal));
    try {
      const parts = await this.#sendPlan(upload, signal);
      const written = await spiller.during(() =>
        upload.complete(parts, condition, { isOnlyCopy: this.holdsData, signal }),
      );
      return { written, headers: upload.headers };
    } finally {
      if (upload.spent) this.#forgetParts();
    }
  }

  /** The upload became the object, or another one did. */
  async completed(): Promise<void> {
    const upload = this.#upload;
    this.#upload = undefined;
    upload?.forget();
    await this.#abandonRetired();
  }

  /** Makes way for another upload, or for a PUT; what COMMITs were answered for stays until there is an object. */
  async retire(): Promise<void> {
    const upload = this.#upload;
    this.#upload = undefined;
    if (upload === undefined) return;
    this.#forgetParts();
    if (upload.spent) await upload.abandon();
    else this.#retired.push(upload);
  }

  /** Aborts the upload, if there is one. */
  async abandon(): Promise<void> {
    const upload = this.#upload;
    this.#upload = undefined;
    this.#forgetParts();
    await upload?.abandon();
    await this.#abandonRetired();
  }

  /** Nobody here works with the uploads any more; the journal has what rests on them. */
  leave(): void {
    this.#upload?.leave();
    for (const upload of this.#retired) upload.leave();
  }

  async #abandonRetired(): Promise<void> {
    for (const upload of this.#retired.splice(0)) await upload.abandon();
  }

  /** What the upload has counts for nothing, and nobody may rely on it to free memory. */
  #forgetParts(): void {
    for (const part of this.#options.content.parts) if (!part.uploadOnly) part.forgetUploaded();
  }

  get #uploadOnlyPart(): Part | undefined {
    for (const part of this.#options.content.parts) if (part.uploadOnly) return part;
    return undefined;
  }

  /** Makes room for an upload at another key. */
  async #replace(): Promise<void> {
    const part = this.#uploadOnlyPart;
    if (part !== undefined && this.#upload?.gone === true) throw new LostUploadError(part.lostMessage);
    if (part !== undefined) throw new SpoolFullError(part.uploadOnlyMessage);
    await this.retire();
  }

  #stream(part: Part): void {
    if (part.streamed || !part.complete || this.#refused || this.#options.isPromised(part.start)) return;
    part.streamed = true;
    part.queued = true;
    const going = this.#limited(() => this.#sendEarly(part)).finally(() => {
      part.queued = false;
      this.#streaming.delete(going);
      this.#options.spiller.poke();
    });
    this.#streaming.add(going);
  }

  async #sendEarly(part: Part): Promise<void> {
    const { signal, place } = this.#options;
    if (signal.aborted || this.#refused) return;
    try {
      const upload = await this.#open();
      await this.#sendPart(upload, part, signal);
    } catch (error) {
      if (this.lost) {
        this.#refused = true;
        this.#forgetParts();
      }
      if (!signal.aborted) place.log.warn({ err: error, part: part.index }, 'a part goes out later');
    }
  }

  /** Sends a full part as it is, unless it is cut or gone by the time there is memory for it. */
  async #sendPart(upload: MultipartUpload, part: Part, signal: AbortSignal): Promise<void> {
    const { content, source, spiller } = this.#options;
    const lease = await source.leaseToSend(part.start, part.end, signal);
    try {
      if (content.part(part.index) !== part || !part.complete || part.uploadOnly) return;
      const sent = await spiller.during(() => upload.send(part.index + 1, lease.body, signal));
      if (!upload.spent) part.setUploaded(upload, part.end - part.start, sent);
    } finally {
      lease.release();
    }
    spiller.trim();
  }

  async #open(): Promise<MultipartUpload> {
    if (this.#upload !== undefined) return this.#upload;
    const { target, signal } = this.#options;
    const { key, headers } = target();
    this.#opening ??= this.#create(key, headers, signal);
    try {
      return await this.#opening;
    } catch (error) {
      this.#refused = true;
      throw error;
    } finally {
      this.#opening = undefined;
    }
  }

  async #create(
    key: string,
    headers: ObjectHeaders,
    signal: AbortSignal | undefined,
  ): Promise<MultipartUpload> {
    const { place, spiller } = this.#options;
    this.#upload = await spiller.during(() => MultipartUpload.create(place, key, headers, signal));
    return this.#upload;
  }

  /** Every part of the plan, in order. After a failure nothing more is begun, and what runs is waited for. */
  async #sendPlan(upload: MultipartUpload, signal: AbortSignal | undefined): Promise<UploadedPart[]> {
    const { content, place } = this.#options;
    const { partBytesMin, partBytesMax, partNumberGaps } = place.store.capabilities;
    const plan = planParts({
      partMap: content.partMap,
      size: content.size,
      baseBytes: content.baseBytes,
      changed: (index) => content.changed(index),
      isUploaded: (index) => content.part(index)?.uploadedIn(upload, content.partBytes(index)) !== undefined,
      copyBytesMax: this.#options.copyBytesMax,
      partBytesMin,
      partBytesMax,
      partNumberGaps,
    });
    const failures: unknown[] = [];
    const parts: UploadedPart[] = [];
    const sending = plan.map((planned, at) =>
      this.#limited(async () => {
        if (failures.length > 0) return;
        try {
          parts[at] = await this.#sendPlanned(upload, planned, signal);
        } catch (error) {
          failures.push(error);
        }
      }),
    );
    await Promise.all(sending);
    if (failures.length > 0) throw failures[0];
    return parts;
  }

  async #sendPlanned(
    upload: MultipartUpload,
    { kind, index, offset, length }: PlannedPart,
    signal: AbortSignal | undefined,
  ): Promise<UploadedPart> {
    const { content, source, spiller } = this.#options;
    const part = content.part(index);
    const there = kind === 'uploaded' ? part?.uploadedIn(upload, length) : undefined;
    if (there !== undefined) return there;
    if (kind === 'copy' && content.base !== undefined) {
      const { base } = content;
      return await spiller.during(() => upload.copy(index + 1, base, { offset, length }, signal));
    }
    const lease = await source.leaseToSend(offset, offset + length, signal);
    try {
      const sent = await spiller.during(() => upload.send(index + 1, lease.body, signal));
      // Less than the part is of no use to another plan.
      if (length === content.partBytes(index)) part?.setUploaded(upload, length, sent);
      return sent;
    } finally {
      lease.release();
    }
  }
}
