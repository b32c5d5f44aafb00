/**
 * One bucket: its sorted index of keys, its uploads, and every change of them.
 *
 *     body -> blob (fsync) -> line in the journal (fdatasync) -> file moved to the key's path -> index -> answer
 *
 * The journal line is the moment of publication: a crash before it leaves a blob nobody names, which the next start removes; a crash
 * after it leaves a blob the next start moves into place. A file found at a key's path without a matching line was put there by hand and is an
 * object with no metadata, and so is one that was changed by hand since.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../telemetry/log.js';
import { Blobs, type Blob, type BlobWriter } from './blobs.js';
import { BucketFiles, type OpenObject } from './bucket-files.js';
import { Journal } from './journal.js';
import { KeyedLock } from './keyed-lock.js';
import { ObjectIndex } from './object-index.js';
import { PlainFiles, STORE_DIRECTORY } from './plain-files.js';
import {
  applyLine,
  emptyState,
  putLine,
  type JournalLine,
  type ObjectRecord,
  type PartRecord,
  type UploadRecord,
} from './records.js';
import { compareUtf8 } from './utf8-order.js';

/** A journal is rewritten when it is larger than this and four times what it was after the last rewrite. */
const REWRITE_BYTES_MIN = 32 * 1024 * 1024;

/** What a new object is, beside its bytes. */
export type ObjectDescription = Pick<
  ObjectRecord,
  'etag' | 'lastModifiedMs' | 'headers' | 'checksum' | 'partSizes' | 'uploadId'
>;

/** Looks at the object that is there now, and throws to refuse the change. */
export type Check = (current: ObjectRecord | undefined) => void;

export class Bucket {
  readonly name: string;
  readonly createdMs: number;
  /** The objects, for looking at; changes of them are made here. */
  readonly index: ObjectIndex;
  readonly #files: BucketFiles;
  readonly #journal: Journal;
  readonly #lock = new KeyedLock();
  readonly #uploads: Map<string, UploadRecord>;

  private constructor(parts: {
    readonly name: string;
    readonly createdMs: number;
    readonly index: ObjectIndex;
    readonly files: BucketFiles;
    readonly journal: Journal;
    readonly uploads: Map<string, UploadRecord>;
  }) {
    this.name = parts.name;
    this.createdMs = parts.createdMs;
    this.index = parts.index;
    this.#files = parts.files;
    this.#journal = parts.journal;
    this.#uploads = parts.uploads;
  }

  /** Opens the bucket in `root`, finishing what a crash cut off. */
  static async open(options: {
    readonly name: string;
    readonly root: string;
    readonly createdMs: number;
    readonly caseSensitive: boolean;
    readonly log: Logger | undefined;
  }): Promise<Bucket> {
    const { name, root, createdMs, log } = options;
    const store = join(root, STORE_DIRECTORY);
    const plain = new PlainFiles(root, options.caseSensitive);
    const blobs = new Blobs(join(store, 'blobs'));
    const state = emptyState();
    const { journal, badLines } = await Journal.open(join(store, 'journal'), (line) =>
      applyLine(state, line),
    );
    if (badLines > 0) log?.error({ bucket: name, badLines }, 'damaged lines in the journal were left out');
    const files = new BucketFiles({ name, plain, blobs, log });
    files.settle(state);
    const { objects, uploads } = state;
    const index = new ObjectIndex(plain, objects);
    await index.takeStock();
    const bucket = new Bucket({ name, createdMs, index, files, journal, uploads });
    await journal.rewrite(bucket.#lines());
    return bucket;
  }

  /** The object at `key` as it is now on disk. */
  lookup(key: string): ObjectRecord | undefined {
    return this.index.lookup(key);
  }

  /** Opens the object's bytes; undefined when there is no such key. */
  open(key: string): Promise<OpenObject | undefined> {
    return this.#files.open(key, () => this.index.lookup(key));
  }

  /** A place for a body that comes in. */
  newBlob(): Promise<BlobWriter> {
    return this.#files.blobs.create();
  }

  discardBlob(blob: Blob): void {
    this.#files.blobs.remove(blob.id);
  }

  openBlob(id: string): Promise<FileHandle> {
    return open(this.#files.blobs.path(id), 'r');
  }

  /** Makes `blob` the object at `key`, if `check` lets it. The blob is taken, or discarded when this fails. */
  async publish(
    key: string,
    blob: Blob,
    description: ObjectDescription,
    check: Check,
  ): Promise<ObjectRecord> {
    return this.#changing(key, async () => {
      let record: ObjectRecord = { ...description, size: blob.size, mtimeNs: blob.mtimeNs, blob: blob.id };
      let current: ObjectRecord | undefined;
      try {
        current = this.lookup(key);
        check(current);
        await this.#journal.append(putLine(key, record, blob.id));
      } catch (error) {
        this.#files.blobs.remove(blob.id);
        throw error;
      }
      if (this.#files.place(key, blob.id)) record = { ...record, blob: undefined };
      else if (current !== undefined && current.blob === undefined) this.#files.unplace(key);
      this.index.remember(key, record);
      if (current?.blob !== undefined) this.#files.blobs.remove(current.blob);
      if (description.uploadId !== undefined) this.#dropUpload(description.uploadId);
      return record;
    });
  }

  /** Deletes the object at `key`, if `check` lets it. Nothing is fine, unless `check` minds. */
  async delete(key: string, check: Check): Promise<void> {
    await this.#changing(key, async () => {
      const current = this.lookup(key);
      check(current);
      if (current === undefined) return;
      await this.#journal.append({
        op: 'delete',
        key,
        size: current.size,
        mtimeNs: String(current.mtimeNs),
      });
      if (current.blob === undefined) this.#files.unplace(key);
      else this.#files.blobs.remove(current.blob);
      this.index.forget(key);
      await this.#journal.append({ op: 'gone', key });
    });
  }

  /** True when nothing is in the bucket. */
  isEmpty(): boolean {
    return this.index.list({ prefix: '', delimiter: '', after: '', maxKeys: 1 }).keys.length === 0;
  }

  async createUpload(upload: Omit<UploadRecord, 'parts'>): Promise<void> {
    await this.#changing(upload.key, async () => {
      await this.#journal.append({ ...upload, op: 'upload' });
      this.#uploads.set(upload.uploadId, { ...upload, parts: new Map() });
    });
  }

  /** The upload of that id for that key, or undefined. */
  upload(key: string, uploadId: string): UploadRecord | undefined {
    const upload = this.#uploads.get(uploadId);
    return upload?.key === key ? upload : undefined;
  }

  /** All uploads under way, in the order of their keys, then of their ids. */
  uploads(): readonly UploadRecord[] {
    return [...this.#uploads.values()].sort(
      (a, b) => compareUtf8(a.key, b.key) || compareUtf8(a.uploadId, b.uploadId),
    );
  }

  /** Adds a part, over one of the same number; false when the upload is gone. The part's blob is taken, or discarded when this fails. */
  async addPart(upload: UploadRecord, part: PartRecord): Promise<boolean> {
    return this.#changing(upload.key, async () => {
      const current = this.#uploads.get(upload.uploadId);
      if (current === undefined) {
        this.#files.blobs.remove(part.blob);
        return false;
      }
      try {
        await this.#journal.append({ ...part, op: 'part', uploadId: upload.uploadId });
      } catch (error) {
        this.#files.blobs.remove(part.blob);
        throw error;
      }
      const before = current.parts.get(part.partNumber);
      if (before !== undefined) this.#files.blobs.remove(before.blob);
      current.parts.set(part.partNumber, part);
      return true;
    });
  }

  /** Ends an upload without an object; false when there is none. */
  async abortUpload(key: string, uploadId: string): Promise<boolean> {
    return this.#changing(key, async () => {
      if (this.upload(key, uploadId) === undefined) return false;
      await this.#journal.append({ op: 'abort', uploadId });
      this.#dropUpload(uploadId);
      return true;
    });
  }

  #dropUpload(uploadId: string): void {
    const upload = this.#uploads.get(uploadId);
    this.#uploads.delete(uploadId);
    for (const part of upload?.parts.values() ?? []) this.#files.blobs.remove(part.blob);
  }

  /** Runs one change: changes of one key come one after another. */
  async #changing<T>(key: string, change: () => Promise<T>): Promise<T> {
    const result = await this.#lock.shared(key, change);
    const { now, compact } = this.#journal.bytes;
    if (now > REWRITE_BYTES_MIN && now > 4 * compact) {
      await this.#lock.exclusive(async () => {
        const bytes = this.#journal.bytes;
        if (bytes.now > 4 * bytes.compact) await this.#journal.rewrite(this.#lines());
      });
    }
    return result;
  }

  /** The whole state as lines. Objects without a line of their own (made by hand) need none. */
  *#lines(): Generator<JournalLine> {
    for (const [key, record] of this.index.records()) yield putLine(key, record, record.blob ?? '');
    for (const { parts, ...upload } of this.#uploads.values()) {
      yield { ...upload, op: 'upload' };
      for (const part of parts.values()) yield { ...part, op: 'part', uploadId: upload.uploadId };
    }
  }

  /** Waits for changes under way and ends. */
  async close(): Promise<void> {
    await this.#lock.exclusive(async () => {
      await this.#journal.close();
    });
  }
}
