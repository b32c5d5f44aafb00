/**
 * One bucket: its sorted index of keys, its uploads, and every change of them.
 *
 *     body -> blob (fsync) -> line in the journal (fdatasync) -> file moved to the key's path -> index -> answer
 *
 * The journal line is the moment of publication: a crash before it leaves a blob nobody names, which the next start removes; a crash
 * after it leaves a blob the next start moves into place. A file found at a key's path without a matching line was put there by hand and is an
 * object with no metadata, and so is one that was changed by hand since.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../telemetry/log.js';
import { Blobs, type Blob, type BlobWriter } from './blobs.js';
import { Journal } from './journal.js';
import { KeyedLock } from './keyed-lock.js';
import { isPast, listPage, type Listing, type ListingQuery } from './listing.js';
import { PlainFiles, STORE_DIRECTORY, type PlainFile } from './plain-files.js';
import {
  applyLine,
  emptyState,
  putLine,
  type JournalLine,
  type ObjectRecord,
  type PartRecord,
  type UploadRecord,
} from './records.js';
import { SortedKeys } from './sorted-keys.js';
import { compareUtf8 } from './utf8-order.js';

/** A journal is rewritten when it is larger than this and four times what it was after the last rewrite. */
const REWRITE_BYTES_MIN = 32 * 1024 * 1024;

/** A look at every directory for changes by hand is free below this many of them; above, it is made once a second. */
const RESCAN_DIRECTORIES_FREE = 1000;
const RESCAN_INTERVAL_MS = 1000;

/** An object opened for reading: its bytes stay readable whatever happens to the key. Close `file`. */
export interface OpenObject {
  readonly record: ObjectRecord;
  readonly file: FileHandle;
}

/** What a new object is, beside its bytes. */
export type ObjectDescription = Pick<
  ObjectRecord,
  'etag' | 'lastModifiedMs' | 'headers' | 'checksum' | 'partSizes' | 'uploadId'
>;

/** Looks at the object that is there now, and throws to refuse the change. */
export type Check = (current: ObjectRecord | undefined) => void;

/** A file that came by hand. The ETag has the form of a multipart one, which promises no MD5 of the bytes. */
function handMade(file: PlainFile): ObjectRecord {
  const seed = `${file.inode} ${file.mtimeNs} ${file.size}`;
  return {
    size: file.size,
    mtimeNs: file.mtimeNs,
    etag: `${createHash('md5').update(seed).digest('hex')}-1`,
    lastModifiedMs: Math.floor(file.mtimeMs / 1000) * 1000,
    headers: {},
    checksum: undefined,
    partSizes: undefined,
    uploadId: undefined,
    blob: undefined,
  };
}

export class Bucket {
  readonly name: string;
  readonly createdMs: number;
  readonly #plain: PlainFiles;
  readonly #blobs: Blobs;
  readonly #journal: Journal;
  readonly #lock = new KeyedLock();
  readonly #log: Logger | undefined;
  readonly #objects: Map<string, ObjectRecord>;
  readonly #uploads: Map<string, UploadRecord>;
  #keys = new SortedKeys();
  #rescannedMs = 0;

  private constructor(parts: {
    readonly name: string;
    readonly createdMs: number;
    readonly plain: PlainFiles;
    readonly blobs: Blobs;
    readonly journal: Journal;
    readonly objects: Map<string, ObjectRecord>;
    readonly uploads: Map<string, UploadRecord>;
    readonly log: Logger | undefined;
  }) {
    this.name = parts.name;
    this.createdMs = parts.createdMs;
    this.#plain = parts.plain;
    this.#blobs = parts.blobs;
    this.#journal = parts.journal;
    this.#objects = parts.objects;
    this.#uploads = parts.uploads;
    this.#log = parts.log;
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
    const { objects, uploads } = state;
    const bucket = new Bucket({ name, createdMs, plain, blobs, journal, objects, uploads, log });
    bucket.#settleBlobs();
    for (const [key, file] of state.deleted) {
      const found = plain.find(key);
      if (found?.size === file.size && found.mtimeNs === file.mtimeNs) bucket.#unplace(key);
    }
    await bucket.#takeStock();
    await journal.rewrite(bucket.#lines());
    return bucket;
  }

  /** Moves objects whose move was cut off, and removes blobs nobody names. */
  #settleBlobs(): void {
    const left = this.#blobs.list();
    for (const [key, record] of this.#objects) {
      const { blob } = record;
      if (blob === undefined || !left.has(blob)) {
        this.#objects.set(key, { ...record, blob: undefined });
        continue;
      }
      left.delete(blob);
      if (this.#place(key, blob)) this.#objects.set(key, { ...record, blob: undefined });
    }
    for (const upload of this.#uploads.values()) {
      for (const part of upload.parts.values()) left.delete(part.blob);
    }
    for (const blob of left) this.#blobs.remove(blob);
  }

  /** Moves a blob to the key's path. What the file system refuses stays in the side area, which serves as well. */
  #place(key: string, blob: string): boolean {
    try {
      return this.#plain.place(key, this.#blobs.path(blob));
    } catch (error) {
      this.#log?.warn({ err: error, bucket: this.name, key }, 'object kept in the side area');
      return false;
    }
  }

  /** Removes the file at a key's path. One that can't be removed comes back as if put there by hand: that must not stop the server. */
  #unplace(key: string): void {
    try {
      this.#plain.remove(key);
    } catch (error) {
      this.#log?.error(
        { err: error, bucket: this.name, key },
        'file of a deleted object could not be removed',
      );
    }
  }

  /** Reads all names, and builds the index of what is really there. */
  async #takeStock(): Promise<void> {
    const found = new Set<string>();
    await this.#plain.walk((key) => {
      if (Buffer.byteLength(key) > 1024 || this.#objects.get(key)?.blob !== undefined) return;
      if (this.#refresh(key, this.#plain.recheck(key)) !== undefined) found.add(key);
    });
    for (const [key, record] of this.#objects) {
      if (record.blob !== undefined) found.add(key);
      else if (!found.has(key)) this.#objects.delete(key);
    }
    this.#keys = SortedKeys.from(found);
  }

  /** Brings the record of a key in line with the file found at its path. */
  #refresh(key: string, file: PlainFile | undefined): ObjectRecord | undefined {
    const known = this.#objects.get(key);
    if (file === undefined) {
      if (known !== undefined) this.#forget(key);
      return undefined;
    }
    if (known?.size === file.size && known.mtimeNs === file.mtimeNs) return known;
    const record = handMade(file);
    this.#remember(key, record);
    return record;
  }

  #remember(key: string, record: ObjectRecord): void {
    this.#objects.set(key, record);
    this.#keys.add(key);
  }

  #forget(key: string): void {
    this.#objects.delete(key);
    this.#keys.delete(key);
  }

  /** The object at `key` as it is now on disk. */
  lookup(key: string): ObjectRecord | undefined {
    const known = this.#objects.get(key);
    if (known?.blob !== undefined) return known;
    if (known !== undefined) {
      const file = this.#plain.recheck(key);
      if (file?.size === known.size && file.mtimeNs === known.mtimeNs) return known;
    }
    return this.#refresh(key, this.#plain.find(key));
  }

  /** Opens the object's bytes; undefined when there is no such key. */
  async open(key: string): Promise<OpenObject | undefined> {
    for (;;) {
      const record = this.lookup(key);
      if (record === undefined) return undefined;
      const path = record.blob === undefined ? this.#plain.path(key) : this.#blobs.path(record.blob);
      if (path === undefined) return undefined;
      let file: FileHandle;
      try {
        file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      } catch (error) {
        // Replaced or deleted since the look: look again. A blob that is lost while its object stands is damage.
        const lost = record.blob !== undefined && this.#objects.get(key) === record;
        if ((error as NodeJS.ErrnoException).code === 'ENOENT' && !lost) continue;
        throw error;
      }
      const { size, mtimeNs } = await file.stat({ bigint: true });
      if (Number(size) === record.size && mtimeNs === record.mtimeNs) return { record, file };
      await file.close();
      if (record.blob !== undefined) {
        throw new Error(
          `blob ${record.blob} of ${key}: expected ${record.size} bytes of its time, found ${size}`,
        );
      }
    }
  }

  /** A place for a body that comes in. */
  newBlob(): Promise<BlobWriter> {
    return this.#blobs.create();
  }

  discardBlob(blob: Blob): void {
    this.#blobs.remove(blob.id);
  }

  openBlob(id: string): Promise<FileHandle> {
    return open(this.#blobs.path(id), 'r');
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
        this.#blobs.remove(blob.id);
        throw error;
      }
      if (this.#place(key, blob.id)) record = { ...record, blob: undefined };
      else if (current !== undefined && current.blob === undefined) this.#unplace(key);
      this.#remember(key, record);
      if (current?.blob !== undefined) this.#blobs.remove(current.blob);
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
      if (current.blob === undefined) this.#unplace(key);
      else this.#blobs.remove(current.blob);
      this.#forget(key);
      await this.#journal.append({ op: 'gone', key });
    });
  }

  /** One page of keys, and the records of those keys. */
  list(query: ListingQuery): Listing & { readonly records: readonly ObjectRecord[] } {
    this.#rescan();
    for (;;) {
      const page = listPage(this.#keys, query);
      const records: ObjectRecord[] = [];
      for (const key of page.keys) {
        const known = this.#objects.get(key);
        const record = known?.blob !== undefined ? known : this.#refresh(key, this.#plain.recheck(key));
        if (record === undefined) break;
        records.push(record);
      }
      // A file that went away by hand has left the index: the page is made anew.
      if (records.length === page.keys.length) return { ...page, records };
    }
  }

  /** Takes up files that came and went by hand since their directories were read. */
  #rescan(): void {
    const now = performance.now();
    const due = now - this.#rescannedMs > RESCAN_INTERVAL_MS;
    if (this.#plain.directoryCount > RESCAN_DIRECTORIES_FREE && !due) return;
    this.#rescannedMs = now;
    const { added, removed } = this.#plain.rescan(
      (prefix) => this.#plainChildren(prefix),
      (key) => this.#objects.has(key),
    );
    for (const key of removed) this.#forget(key);
    for (const key of added) {
      if (Buffer.byteLength(key) <= 1024) this.#refresh(key, this.#plain.recheck(key));
    }
  }

  /** Keys directly in a directory whose bytes lie in plain files. */
  *#plainChildren(prefix: string): Generator<string> {
    let at = this.#keys.seek((key) => compareUtf8(key, prefix) >= 0);
    for (let key = this.#keys.at(at); key?.startsWith(prefix) === true; key = this.#keys.at(at)) {
      const slash = key.indexOf('/', prefix.length);
      if (slash < 0) {
        if (this.#objects.get(key)?.blob === undefined) yield key;
        at = this.#keys.next(at);
      } else {
        const below = key.slice(0, slash + 1);
        at = this.#keys.seek((other) => isPast(other, below));
      }
    }
  }

  /** True when nothing is in the bucket. */
  isEmpty(): boolean {
    return this.list({ prefix: '', delimiter: '', after: '', maxKeys: 1 }).keys.length === 0;
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
        this.#blobs.remove(part.blob);
        return false;
      }
      try {
        await this.#journal.append({ ...part, op: 'part', uploadId: upload.uploadId });
      } catch (error) {
        this.#blobs.remove(part.blob);
        throw error;
      }
      const before = current.parts.get(part.partNumber);
      if (before !== undefined) this.#blobs.remove(before.blob);
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
    for (const part of upload?.parts.values() ?? []) this.#blobs.remove(part.blob);
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
    for (const [key, record] of this.#objects) yield putLine(key, record, record.blob ?? '');
    for (const { parts, ...upload } of this.#uploads.values()) {
      yield { ...upload, op: 'upload' };
      for (const part of parts.values()) yield { ...part, op: 'part', uploadId: upload.uploadId };
    }
  }

  /** Waits for changes under way and ends. */
  async close(): Promise<void> {
    await this.#lock.exclusive(async () => {
      await this.#journal.close();
      this.#log?.debug({ bucket: this.name }, 'bucket closed');
    });
  }
}
