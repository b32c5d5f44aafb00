/**
 * Where a bucket's bytes lie: in plain files where keys can be paths, else in the side area. Moves them from one to the other, opens
 * them, and puts in order what a crash left.
 */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { Logger } from '../../telemetry/log.js';
import type { Blobs } from './blobs.js';
import type { PlainFiles } from './plain-files.js';
import type { BucketState, ObjectRecord } from './records.js';

/** An object opened for reading: its bytes stay readable whatever happens to the key. Close `file`. */
export interface OpenObject {
  readonly record: ObjectRecord;
  readonly file: FileHandle;
}

export class BucketFiles {
  readonly blobs: Blobs;
  readonly #plain: PlainFiles;
  readonly #name: string;
  readonly #log: Logger | undefined;

  constructor(parts: {
    readonly name: string;
    readonly plain: PlainFiles;
    readonly blobs: Blobs;
    readonly log: Logger | undefined;
  }) {
    this.blobs = parts.blobs;
    this.#plain = parts.plain;
    this.#name = parts.name;
    this.#log = parts.log;
  }

  /** Finishes the moves and removals that a crash cut off, and removes blobs nobody names. Objects' `blob` tells the truth after it. */
  settle(state: BucketState): void {
    const left = this.blobs.list();
    for (const [key, record] of state.objects) {
      const { blob } = record;
      if (blob === undefined) continue;
      const inSideArea = left.delete(blob);
      if (!inSideArea || this.place(key, blob)) state.objects.set(key, { ...record, blob: undefined });
    }
    for (const upload of state.uploads.values()) {
      for (const part of upload.parts.values()) left.delete(part.blob);
    }
    for (const blob of left) this.blobs.remove(blob);
    for (const [key, file] of state.deleted) {
      const found = this.#plain.find(key);
      if (found?.size === file.size && found.mtimeNs === file.mtimeNs) this.unplace(key);
    }
  }

  /** The path of the bytes of an object. */
  pathOf(key: string, record: ObjectRecord): string {
    const path = record.blob === undefined ? this.#plain.path(key) : this.blobs.path(record.blob);
    if (path === undefined) throw new Error(`${key} can't be a path`);
    return path;
  }

  /** Moves a blob to the key's path. What the file system refuses stays in the side area, which serves as well. */
  place(key: string, blob: string): boolean {
    try {
      return this.#plain.place(key, this.blobs.path(blob));
    } catch (error) {
      this.#log?.warn({ err: error, bucket: this.#name, key }, 'object kept in the side area');
      return false;
    }
  }

  /** Removes the file at a key's path. One that can't be removed comes back as if put there by hand: that must not stop the server. */
  unplace(key: string): void {
    try {
      this.#plain.remove(key);
    } catch (error) {
      this.#log?.error({ err: error, bucket: this.#name, key }, 'a deleted object keeps its file');
    }
  }

  /** Opens the bytes of the object that `lookup` gives, looking again while it changes; undefined when there is none. */
  async open(key: string, lookup: () => ObjectRecord | undefined): Promise<OpenObject | undefined> {
    let before: ObjectRecord | undefined;
    for (let record = lookup(); record !== undefined; record = lookup()) {
      const { blob } = record;
      // The same side-area file a second time: it isn't being replaced, it is damaged.
      if (blob !== undefined && record === before)
        throw new Error(`blob ${blob} of ${key} is lost or changed`);
      before = record;
      const path = blob === undefined ? this.#plain.path(key) : this.blobs.path(blob);
      if (path === undefined) return undefined;
      const file = await this.#openFile(path);
      if (file === undefined) continue;
      const { size, mtimeNs } = await file.stat({ bigint: true });
      if (Number(size) === record.size && mtimeNs === record.mtimeNs) return { record, file };
      await file.close();
    }
    return undefined;
  }

  /** Opens a file, but no link; undefined when it is gone. */
  async #openFile(path: string): Promise<FileHandle | undefined> {
    try {
      return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // ENOTDIR: its directory is gone, and another object's file has that name now.
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw error;
    }
  }
}
