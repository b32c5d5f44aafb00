/** One server a directory: two would write each other's journals to pieces. */
import { mkdirSync, statSync } from 'node:fs';
import { createServer } from 'node:net';

export interface DirectoryLock {
  release(): Promise<void>;
}

/**
 * Takes the directory, which is made if it isn't there, until `release` or the end of the process, however it ends: the lock is a socket in
 * Linux's abstract namespace, named by the directory's device and inode. Elsewhere there is none. Fails when another server has it.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  mkdirSync(directory, { recursive: true });
  if (process.platform !== 'linux') return { release: () => Promise.resolve() };
  const { dev, ino } = statSync(directory, { bigint: true });
  const socket = createServer();
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(taken ? new Error(`${directory} is in use by another server`, { cause: error }) : error);
    });
    socket.listen(`\0s3nfsd-embedded-${dev}-${ino}`, resolve);
  });
  socket.unref();
  return {
    release: () =>
      new Promise((resolve) => {
        socket.close(() => resolve());
      }),
  };
}
