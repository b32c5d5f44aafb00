/** A blob made of a file and a blob behind it. */
import { constants, createReadStream } from 'node:fs';
import { copyFile, open } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import type { Blob, Blobs } from './blobs.js';

/**
 * Copies the file at `path`, of `size` bytes, and adds the blob `tail`. A file system with reflinks shares the bytes; others copy them
 * inside the kernel. Fails when the file has changed.
 */
export async function joinBlob(blobs: Blobs, path: string, size: number, tail: Blob): Promise<Blob> {
  const id = randomUUID();
  try {
    await copyFile(path, blobs.path(id), constants.COPYFILE_FICLONE);
    const file = await open(blobs.path(id), 'a');
    try {
      const before = await file.stat();
      if (before.size !== size) throw new Error(`${path} has ${before.size} bytes, not ${size}`);
      const more: AsyncIterable<Buffer> = createReadStream(blobs.path(tail.id));
      for await (const chunk of more) await file.appendFile(chunk);
      await file.sync();
      const { mtimeNs } = await file.stat({ bigint: true });
      return { id, size: size + tail.size, mtimeNs };
    } finally {
      await file.close();
    }
  } catch (error) {
    blobs.remove(id);
    throw error;
  }
}
