/** The uploads of a bucket under way, and their parts: in memory, with every change in the journal first. One change of a key at a time. */
import type { Blobs } from './blobs.js';
import type { Journal } from './journal.js';
import type { JournalLine, PartRecord, UploadRecord } from './records.js';
import { compareUtf8 } from './utf8-order.js';

export class Uploads {
  readonly #uploads: Map<string, UploadRecord>;
  readonly #journal: Journal;
  readonly #blobs: Blobs;

  /** `uploads` is what the journal knows. */
  constructor(uploads: Map<string, UploadRecord>, journal: Journal, blobs: Blobs) {
    this.#uploads = uploads;
    this.#journal = journal;
    this.#blobs = blobs;
  }

  get size(): number {
    return this.#uploads.size;
  }

  /** The upload of that id for that key, or undefined. */
  find(key: string, uploadId: string): UploadRecord | undefined {
    const upload = this.#uploads.get(uploadId);
    return upload?.key === key ? upload : undefined;
  }

  /** All of them, in the order of their keys, then of their ids. */
  sorted(): readonly UploadRecord[] {
    return [...this.#uploads.values()].sort(
      (a, b) => compareUtf8(a.key, b.key) || compareUtf8(a.uploadId, b.uploadId),
    );
  }

  async create(upload: Omit<UploadRecord, 'parts'>): Promise<void> {
    await this.#journal.append({ ...upload, op: 'upload' });
    this.#uploads.set(upload.uploadId, { ...upload, parts: new Map() });
  }

  /** Adds a part, over one of the same number; false when the upload is gone. The part's blob is taken, or discarded when this fails. */
  async addPart(uploadId: string, part: PartRecord): Promise<boolean> {
    const current = this.#uploads.get(uploadId);
    if (current === undefined) {
      this.#blobs.remove(part.blob);
      return false;
    }
    try {
      await this.#journal.append({ ...part, op: 'part', uploadId });
    } catch (error) {
      this.#blobs.remove(part.blob);
      throw error;
    }
    const before = current.parts.get(part.partNumber);
    if (before !== undefined) this.#blobs.remove(before.blob);
    current.parts.set(part.partNumber, part);
    return true;
  }

  /** Ends an upload without an object; false when there is none. */
  async abort(key: string, uploadId: string): Promise<boolean> {
    if (this.find(key, uploadId) === undefined) return false;
    await this.#journal.append({ op: 'abort', uploadId });
    this.drop(uploadId);
    return true;
  }

  /** Forgets an upload that the journal knows to be over. */
  drop(uploadId: string): void {
    const upload = this.#uploads.get(uploadId);
    this.#uploads.delete(uploadId);
    for (const part of upload?.parts.values() ?? []) this.#blobs.remove(part.blob);
  }

  /** Marks the uploads of a key that is deleted. */
  async overtake(key: string): Promise<void> {
    for (const upload of this.#uploads.values()) {
      if (upload.key !== key || upload.overtaken === true) continue;
      await this.#journal.append({ op: 'overtaken', uploadId: upload.uploadId });
      this.#uploads.set(upload.uploadId, { ...upload, overtaken: true });
    }
  }

  /** All of them as lines. */
  *lines(): Generator<JournalLine> {
    for (const { parts, ...upload } of this.#uploads.values()) {
      yield { ...upload, op: 'upload' };
      for (const part of parts.values()) yield { ...part, op: 'part', uploadId: upload.uploadId };
    }
  }
}
