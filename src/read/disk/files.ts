/**
 * The few file operations that the disk cache needs: a seam, so that tests can have each of them fail. Everything here is asynchronous
 * and runs in libuv's threads.
 */
import { open, readdir, stat, unlink, type FileHandle } from 'node:fs/promises';

export interface FileSize {
  /** Bytes up to the end of the file. */
  readonly length: number;
  /** Bytes that it takes of the disk now: whole blocks of the file system. */
  readonly diskBytes: number;
}

export interface CacheFile {
  /** Fills the buffer from `position` on; the bytes read, fewer only where the file ends. */
  read(buffer: Buffer, position: number): Promise<number>;
  /** Writes all of the buffers, one after the other, from `position` on, or fails. */
  write(buffers: readonly Buffer[], position: number): Promise<void>;
  size(): Promise<FileSize>;
  /** Gives the file's space back to the disk, also when its name is gone already. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

export interface CacheFiles {
  /** Names in a directory. */
  list(directory: string): Promise<string[]>;
  /** What tells a directory from another that is made at its path later. */
  identify(directory: string): Promise<string>;
  /** A new file, mode 0600; fails where there is one. */
  create(path: string): Promise<CacheFile>;
  /** A file that is there. */
  open(path: string): Promise<CacheFile>;
  /** Fails with ENOENT where there is none. */
  remove(path: string): Promise<void>;
}

/** The file system of the machine. */
export const nodeFiles: CacheFiles = {
  list: (directory) => readdir(directory),
  identify: async (directory) => {
    const { dev, ino } = await stat(directory, { bigint: true });
    return `${dev}:${ino}`;
  },
  create: async (path) => new NodeFile(await open(path, 'wx+', 0o600)),
  open: async (path) => new NodeFile(await open(path, 'r+')),
  remove: (path) => unlink(path),
};

/** Blocks that st_blocks counts (stat(2)). */
const STAT_BLOCK_BYTES = 512;

class NodeFile implements CacheFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(buffer: Buffer, position: number): Promise<number> {
    let done = 0;
    while (done < buffer.length) {
      const { bytesRead } = await this.#handle.read(buffer, done, buffer.length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(buffers: readonly Buffer[], position: number): Promise<void> {
    const bytes = buffers.reduce((sum, { length }) => sum + length, 0);
    const { bytesWritten } = await this.#handle.writev(buffers as Buffer[], position);
    // A disk that is nearly full takes a part first, and says why only when asked again.
    if (bytesWritten < bytes) throw new Error(`the disk took ${bytesWritten} of ${bytes} bytes`);
  }

  async size(): Promise<FileSize> {
    const { size, blocks } = await this.#handle.stat();
    return { length: size, diskBytes: blocks * STAT_BLOCK_BYTES };
  }

  async empty(): Promise<void> {
    await this.#handle.truncate(0);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
