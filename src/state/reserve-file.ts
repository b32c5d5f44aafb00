/**
 * Room on the disk for the few bytes by which room is given back: a file of random bytes (which no file system stores in less), cut a little at a
 * time where the disk is full. On disks that are shared others may be quicker to take what was cut; then less is left for the next time.
 */
import { randomBytes } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';

/** Thousands of the journal's entries of 40 bytes that tell what is over. */
const RESERVE_BYTES = 256 * 1024;
/** Given back at a time: some blocks, of which a batch of entries takes one or two. */
const CUT_BYTES = 16 * 1024;
/** A disk that had no room for it is tried again after this, in milliseconds. */
const RETRY_MS = 5_000;

export class ReserveFile {
  readonly #path: string;
  #file: FileHandle | undefined;
  #bytes = 0;
  #notBeforeMs = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Fills it up, as far as the disk has room; not again for a while where it has none. Never rejects. */
  async fill(): Promise<void> {
    if (this.#bytes >= RESERVE_BYTES || performance.now() < this.#notBeforeMs) return;
    try {
      const file = await this.#opened();
      while (this.#bytes < RESERVE_BYTES) {
        const { bytesWritten } = await file.write(randomBytes(CUT_BYTES), 0, CUT_BYTES, this.#bytes);
        this.#bytes += bytesWritten;
      }
      // Blocks are its own when they were written.
      await file.sync();
    } catch {
      // The journal does without: it says itself what it had no room for.
      this.#notBeforeMs = performance.now() + RETRY_MS;
    }
  }

  /** Gives some of it back to the disk; false where nothing is left of it. */
  async cut(): Promise<boolean> {
    this.#notBeforeMs = performance.now() + RETRY_MS;
    try {
      const file = await this.#opened();
      if (this.#bytes === 0) return false;
      this.#bytes = Math.max(0, this.#bytes - CUT_BYTES);
      await file.truncate(this.#bytes);
      // Some file systems let nobody have the blocks before that.
      await file.sync();
      return true;
    } catch {
      // Whoever wanted the room is told by the write that finds none.
      return false;
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  /** What an earlier run left counts. */
  async #opened(): Promise<FileHandle> {
    if (this.#file !== undefined) return this.#file;
    const file = await open(this.#path, 'a+', 0o600);
    await file.close();
    this.#file = await open(this.#path, 'r+');
    this.#bytes = (await this.#file.stat()).size;
    return this.#file;
  }
}
