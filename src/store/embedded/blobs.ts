/**
 * The side area of a bucket: files named by random ids, where every body arrives, where parts of uploads lie, and where objects stay
 * whose keys can't be paths.
 */
import { randomUUID } from 'node:crypto';
import { copyFileSync, linkSync, lstatSync, mkdirSync, readdirSync, rmSync, unlinkSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Fingerprint } from './records.js';

/** Small chunks are gathered up to this many bytes before they are written. */
const WRITE_BYTES = 256 * 1024;

/** A body on disk (fsynced), without a name a client can see. */
export interface Blob extends Fingerprint {
  readonly id: string;
}

/** Writes one blob. Ends by `finish` or `discard`, exactly one of them. */
export class BlobWriter {
  readonly #id: string;
  readonly #path: string;
  readonly #file: FileHandle;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #size = 0;

  private constructor(id: string, path: string, file: FileHandle) {
    this.#id = id;
    this.#path = path;
    this.#file = file;
  }

  static async create(directory: string): Promise<BlobWriter> {
    const id = randomUUID();
    const path = join(directory, id);
    return new BlobWriter(id, path, await open(path, 'wx', 0o644));
  }

  /** Takes a chunk; it belongs to the writer from here on. */
  async write(chunk: Buffer): Promise<void> {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    this.#size += chunk.length;
    if (this.#pendingBytes >= WRITE_BYTES) await this.#drain();
  }

  async #drain(): Promise<void> {
    const chunks = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    // writev may write less than all of it; appendFile of one buffer goes on until it is done.
    const [first] = chunks;
    if (first !== undefined) await this.#file.appendFile(chunks.length === 1 ? first : Buffer.concat(chunks));
  }

  /** Fails with the file system's error; then nothing is left of the blob. */
  async finish(): Promise<Blob> {
    try {
      await this.#drain();
      await this.#file.sync();
      const { mtimeNs } = await this.#file.stat({ bigint: true });
      await this.#file.close();
      return { id: this.#id, size: this.#size, mtimeNs };
    } catch (error) {
      await this.discard();
      throw error;
    }
  }

  async discard(): Promise<void> {
    // The bucket may be gone, and the file with it.
    rmSync(this.#path, { force: true });
    await this.#file.close();
  }
}

export class Blobs {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  path(id: string): string {
    return join(this.#directory, id);
  }

  create(): Promise<BlobWriter> {
    return BlobWriter.create(this.#directory);
  }

  /** Gives the bytes of the file at `path` a second name here, so that they outlive the first. Where links aren't had, a copy. */
  async link(path: string): Promise<Blob> {
    const id = randomUUID();
    try {
      linkSync(path, this.path(id));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'EXDEV', 'ENOSYS'].includes(code ?? '')) throw error;
      copyFileSync(path, this.path(id));
    }
    // The name must be on disk before a journal line counts on it.
    for (const each of [this.path(id), this.#directory]) {
      const file = await open(each, 'r');
      await file.sync().finally(() => file.close());
    }
    const { size, mtimeNs } = lstatSync(this.path(id), { bigint: true });
    return { id, size: Number(size), mtimeNs };
  }

  /** The ids on disk. */
  list(): Set<string> {
    return new Set(readdirSync(this.#directory));
  }

  /** Removes one; readers that have it open go on. */
  remove(id: string): void {
    try {
      unlinkSync(this.path(id));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}
