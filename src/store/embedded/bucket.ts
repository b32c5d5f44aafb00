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
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../telemetry/log.js';
import { Blobs, type Blob, type BlobWriter } from './blobs.js';
import { BucketFiles, type OpenObject } from './bucket-files.js';
import { DIRECTORY_HEADERS, isDirectoryBucket, randomEtag } from './directory-buckets.js';
import { S3Error } from './errors.js';
import { hashedOrder } from './hashed-order.js';
import { joinBlob } from './joined-blob.js';
import { DeleteWatches, type Watch } from './delete-watch.js';
import { Journal } from './journal.js';
import { KeyedLock } from './keyed-lock.js';
import { ObjectIndex } from './object-index.js';
import { PlainFiles, STORE_DIRECTORY } from './plain-files.js';
import type { RenameTokens } from './rename-tokens.js';
import {
  applyLine,
  emptyState,
  putLine,
  stateLines,
  type JournalLine,
  type ObjectDescription,
  type ObjectRecord,
  type PartRecord,
  type UploadRecord,
} from './records.js';
import type { Tags } from './tags.js';
import { Uploads } from './uploads.js';

/** Looks at the object that is there now, and throws to refuse the change. */
export type Check = (current: ObjectRecord | undefined) => void;

export class Bucket {
  readonly name: string;
  readonly createdMs: number;
  /** A directory bucket, with its rules. */
  readonly isDirectory: boolean;
  /** The objects, for looking at; changes of them are made here. */
  readonly index: ObjectIndex;
  readonly #files: BucketFiles;
  readonly #journal: Journal;
  readonly #lock = new KeyedLock();
  readonly #uploads: Uploads;
  readonly #renames: RenameTokens;
  readonly #watches = new DeleteWatches();
  readonly #log: Logger | undefined;
  /** Nothing can be changed any more. */
  #ended = false;

  private constructor(parts: {
    readonly name: string;
    readonly createdMs: number;
    readonly index: ObjectIndex;
    readonly files: BucketFiles;
    readonly journal: Journal;
    readonly uploads: Uploads;
    readonly renames: RenameTokens;
    readonly log: Logger | undefined;
  }) {
    this.name = parts.name;
    this.isDirectory = isDirectoryBucket(parts.name);
    this.createdMs = parts.createdMs;
    this.index = parts.index;
    this.#files = parts.files;
    this.#journal = parts.journal;
    this.#uploads = parts.uploads;
    this.#renames = parts.renames;
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
    const { journal, badLines, lines } = await Journal.open(join(store, 'journal'), (line) =>
      applyLine(state, line),
    );
    if (badLines > 0) log?.error({ bucket: name, badLines }, 'damaged lines in the journal were left out');
    const files = new BucketFiles({ name, plain, blobs, log });
    files.settle(state);
    const { objects, renames } = state;
    const uploads = new Uploads(state.uploads, journal, blobs);
    const index = isDirectoryBucket(name)
      ? new ObjectIndex(plain, objects, hashedOrder(name), DIRECTORY_HEADERS)
      : new ObjectIndex(plain, objects);
    await index.takeStock();
    const bucket = new Bucket({ name, createdMs, index, files, journal, uploads, renames, log });
    // What was deleted must not be so again at the next start: its file may have been put back by hand.
    const unsettled = badLines > 0 || state.deleted.size > 0;
    await journal.tidy(unsettled, lines, bucket.#lineCount, () => bucket.#lines());
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
  async newBlob(): Promise<BlobWriter> {
    try {
      return await this.#files.blobs.create();
    } catch (error) {
      if (this.#ended) throw this.#gone();
      throw error;
    }
  }

  discardBlob(blob: Blob): void {
    this.#files.blobs.remove(blob.id);
  }

  openBlob(id: string): Promise<FileHandle> {
    return open(this.#files.blobs.path(id), 'r');
  }

  /** A blob's bytes, piece by piece; opened when the first is asked for. */
  async *readBlob(id: string): AsyncGenerator<Buffer> {
    const stream: AsyncIterable<Buffer> = createReadStream(this.#files.blobs.path(id));
    yield* stream;
  }

  /** The ETag of a part whose MD5 this is. */
  partEtag(md5: string): string {
    return this.isDirectory ? randomEtag() : md5;
  }

  /** What an object's description becomes in this bucket. */
  #asHere(description: ObjectDescription): ObjectDescription {
    if (!this.isDirectory) return description;
    return {
      ...description,
      etag: randomEtag(),
      headers: { ...description.headers, ...DIRECTORY_HEADERS },
    };
  }

  /** Makes `blob` the object at `key`, if `check` lets it. The blob is taken, or discarded when this fails. */
  async publish(
    key: string,
    blob: Blob,
    description: ObjectDescription,
    check: Check,
  ): Promise<ObjectRecord> {
    return this.#changing([key], () => this.#publishAlone(key, blob, description, check));
  }

  async #publishAlone(
    ...[key, blob, description, check]: Parameters<Bucket['publish']>
  ): Promise<ObjectRecord> {
    const { size, mtimeNs } = blob;
    const record: ObjectRecord = { ...this.#asHere(description), size, mtimeNs, blob: blob.id };
    let current: ObjectRecord | undefined;
    try {
      current = this.lookup(key);
      check(current);
      await this.#journal.append(putLine(key, record, blob.id));
    } catch (error) {
      this.#files.blobs.remove(blob.id);
      throw error;
    }
    const placed = this.#settleAt(key, record, blob.id, current);
    if (description.uploadId !== undefined) this.#uploads.drop(description.uploadId);
    return placed;
  }

  /** The journal has it: the bytes of `record`, in the side area, go to the key's path, and what was there goes. */
  #settleAt(key: string, record: ObjectRecord, blob: string, before: ObjectRecord | undefined): ObjectRecord {
    let placed = record;
    if (this.#files.place(key, blob)) placed = { ...record, blob: undefined };
    else if (before !== undefined && before.blob === undefined) this.#files.unplace(key);
    this.index.remember(key, placed);
    if (before?.blob !== undefined) this.#files.blobs.remove(before.blob);
    return placed;
  }

  /** Adds `tail`, which stays the caller's, to the object at `key`, or makes it the object; `describe` tells what the object is then. */
  async append(
    key: string,
    tail: Blob,
    check: Check,
    describe: (current: ObjectRecord | undefined) => Promise<ObjectDescription>,
  ): Promise<ObjectRecord> {
    return this.#changing([key], async () => {
      const current = this.lookup(key);
      check(current);
      const description = await describe(current);
      const blob =
        current === undefined
          ? await this.#files.blobs.link(this.#files.blobs.path(tail.id))
          : await joinBlob(this.#files.blobs, this.#files.pathOf(key, current), current.size, tail);
      // Somebody may have changed the file by hand while it was copied.
      return this.#publishAlone(key, blob, description, (now) => {
        check(now);
        if (now !== current) throw new S3Error('InvalidWriteOffset');
      });
    });
  }

  /**
   * Gives the object at `from` the name `to`, over an object that is there, if `check` lets it; one journal line makes it so. A request
   * that was carried out under its token has nothing left to do.
   */
  async rename(
    from: string,
    to: string,
    repeat: { readonly token: string; readonly request: string } | undefined,
    check: (source: ObjectRecord | undefined, target: ObjectRecord | undefined) => void,
  ): Promise<void> {
    await this.#changing([from, to], async () => {
      if (repeat !== undefined && this.#renames.has(repeat.token, repeat.request)) return;
      const source = this.lookup(from);
      const target = this.lookup(to);
      check(source, target);
      if (source === undefined) return;
      const { blobs } = this.#files;
      // A second name for the bytes first: whatever a crash leaves, one of the two is there.
      const linked =
        source.blob === undefined ? await blobs.link(this.#files.pathOf(from, source)) : undefined;
      const record = {
        ...source,
        mtimeNs: linked?.mtimeNs ?? source.mtimeNs,
        blob: linked?.id ?? source.blob ?? '',
      };
      const made = repeat === undefined ? undefined : { ...repeat, atMs: Date.now() };
      try {
        await this.#journal.append({
          op: 'rename',
          from,
          fromMtimeNs: String(source.mtimeNs),
          put: putLine(to, record, record.blob),
          ...(made !== undefined && { made }),
        });
      } catch (error) {
        if (linked !== undefined) blobs.remove(linked.id);
        throw error;
      }
      if (linked !== undefined) this.#files.unplace(from);
      this.index.forget(from);
      this.#settleAt(to, record, record.blob, target);
      if (made !== undefined) this.#renames.add(made);
      await this.#journal.append({ op: 'gone', key: from });
    });
  }

  /** Deletes the object at `key`, if `check` lets it. Nothing is fine, unless `check` minds. */
  async delete(key: string, check: Check): Promise<void> {
    await this.#changing([key], async () => {
      const current = this.lookup(key);
      check(current);
      await this.#uploads.overtake(key);
      this.#watches.note(key);
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

  /** A write of `key` begins that wants to know of deletes meanwhile. */
  watchDeletes(key: string): Watch {
    return this.#watches.begin(key);
  }

  /** Gives the object at `key` other tags; false when there is no such key. */
  async retag(key: string, tags: Tags | undefined): Promise<boolean> {
    return this.#changing([key], async () => {
      const current = this.lookup(key);
      if (current === undefined) return false;
      const record = { ...current, tags };
      await this.#journal.append(putLine(key, record, record.blob ?? ''));
      this.index.remember(key, record);
      return true;
    });
  }

  /** True when nothing is in the bucket. */
  isEmpty(): boolean {
    return this.index.list({ prefix: '', delimiter: '', after: '', maxKeys: 1 }).keys.length === 0;
  }

  async createUpload(upload: Omit<UploadRecord, 'parts'>): Promise<void> {
    const headers = this.isDirectory ? { ...upload.headers, ...DIRECTORY_HEADERS } : upload.headers;
    await this.#changing([upload.key], () => this.#uploads.create({ ...upload, headers }));
  }

  /** The upload of that id for that key, or undefined. */
  upload(key: string, uploadId: string): UploadRecord | undefined {
    return this.#uploads.find(key, uploadId);
  }

  /** All uploads under way, in the order of their keys, then of their ids. */
  uploads(): readonly UploadRecord[] {
    return this.#uploads.sorted();
  }

  /** Adds a part, over one of the same number; false when the upload is gone. The part's blob is taken, or discarded when this fails. */
  async addPart(upload: UploadRecord, part: PartRecord): Promise<boolean> {
    return this.#changing([upload.key], () => this.#uploads.addPart(upload.uploadId, part));
  }

  /** Ends an upload without an object; false when there is none. */
  async abortUpload(key: string, uploadId: string): Promise<boolean> {
    return this.#changing([key], () => this.#uploads.abort(key, uploadId));
  }

  /** Runs one change: changes of one key come one after another. */
  async #changing<T>(keys: readonly string[], change: () => Promise<T>): Promise<T> {
    const result = await this.#lock.shared(keys, () => {
      if (this.#ended) throw this.#gone();
      return change();
    });
    if (this.#journal.isLong) {
      await this.#lock.exclusive(async () => {
        if (this.#journal.isLong && !this.#ended) await this.#shortenJournal();
      });
    }
    return result;
  }

  async #shortenJournal(): Promise<void> {
    try {
      await this.#journal.rewrite(this.#lines());
    } catch (error) {
      // The change that made it long has happened; the long journal serves as well.
      this.#journal.postponeRewrite();
      this.#log?.error({ err: error, bucket: this.name }, 'the journal could not be rewritten');
    }
  }

  #gone(): S3Error {
    return new S3Error('NoSuchBucket', undefined, { BucketName: this.name });
  }

  /** About how many lines the whole state is. */
  get #lineCount(): number {
    return this.index.records().size + this.#uploads.size;
  }

  #lines(): Iterable<JournalLine> {
    return stateLines(this.index.records(), this.#renames, this.#uploads.lines());
  }

  /**
   * Ends the bucket for good: once no change is under way `remove` takes its directory away, and changes that come after it fail with
   * NoSuchBucket. Fails with BucketNotEmpty; uploads under way keep directory buckets alone (user guide, "Deleting a directory bucket").
   */
  async retire(remove: () => void): Promise<void> {
    await this.#lock.exclusive(async () => {
      if (this.#ended) throw this.#gone();
      if (!this.isEmpty() || (this.isDirectory && this.#uploads.size > 0))
        throw new S3Error('BucketNotEmpty');
      remove();
      this.#ended = true;
      await this.#journal.close();
    });
  }

  /** Waits for changes under way and ends. */
  async close(): Promise<void> {
    await this.#lock.exclusive(async () => {
      if (this.#ended) return;
      this.#ended = true;
      await this.#journal.close();
    });
  }
}
