/**
 * One daemon a directory, also after kill -9. Node has no flock(2), a pid means nothing to a daemon in another container, and a pid's start time
 * neither; but a unix socket in the directory is reached from every process of the machine that sees the directory, and
 * the kernel stops answering on it at the moment its process ends, however that ends.
 *
 *   listen on <pid>.<random>.sock   ->   find the highest lock.<n>, a symlink to its holder's socket
 *     it answers: locked            ->   it doesn't: claim lock.<n+1> (symlink(2) is atomic: one wins, the others look again)
 *     ->   look again: if a higher claim is there now, give up this one and start over; else the directory is ours
 *
 * Why two can't hold it: a claim is looked at again after it was made, and a holder's claim is removed by nobody while it is the highest. To
 * get past claim n one must have found n the highest and its socket silent, and a holder listens before it claims. Dead claims
 * are never replaced in place, so there is no moment between finding a lock stale and taking it.
 */
import { randomBytes } from 'node:crypto';
import { open, readdir, readlink, rm, symlink, type FileHandle } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { isErrorCode } from './durable-file.js';

/** Another daemon has the state directory. */
export class StateDirectoryLockedError extends Error {
  override readonly name = 'StateDirectoryLockedError';
  readonly directory: string;
  /** Process id of the holder, in the holder's own pid namespace. */
  readonly pid: number;

  constructor(directory: string, pid: number) {
    super(`state directory ${directory} is in use by another s3nfsd (pid ${pid})`);
    this.directory = directory;
    this.pid = pid;
  }
}

/** sun_path holds 108 bytes with its NUL on Linux, 104 on others. */
const SOCKET_PATH_BYTES_MAX = 103;

export class DirectoryLock {
  readonly #directory: FileHandle;
  readonly #server: Server;

  private constructor(directory: FileHandle, server: Server) {
    this.#directory = directory;
    this.#server = server;
  }

  /** Takes the lock or fails at once with StateDirectoryLockedError. */
  static async take(directory: string): Promise<DirectoryLock> {
    const handle = await open(directory, 'r');
    const socketPath = (name: string): string => shortPath(directory, handle, name);
    const name = `${process.pid}.${randomBytes(8).toString('hex')}.sock`;
    try {
      const server = await listen(socketPath(name));
      try {
        await claim(directory, name, (holder) => answers(socketPath(holder)));
      } catch (error) {
        await closeServer(server);
        throw error;
      }
      return new DirectoryLock(handle, server);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Gives the lock back. The claim stays behind and is found stale: removing it would make its number free for a slow starter. */
  async release(): Promise<void> {
    await closeServer(this.#server);
    await this.#directory.close();
  }
}

interface Claim {
  readonly number: number;
  readonly file: string;
}

async function claim(
  directory: string,
  socketName: string,
  isAlive: (holder: string) => Promise<boolean>,
): Promise<void> {
  for (;;) {
    const highest = (await claims(directory)).at(-1);
    if (highest !== undefined) await refuseIfHeld(directory, highest, isAlive);
    const number = (highest?.number ?? 0) + 1;
    try {
      await symlink(socketName, join(directory, `lock.${number}`));
    } catch (error) {
      if (isErrorCode(error, 'EEXIST')) continue;
      throw error;
    }
    const now = await claims(directory);
    if (now.at(-1)?.number === number) {
      await Promise.all(now.slice(0, -1).map(({ file }) => rm(join(directory, file), { force: true })));
      return;
    }
    await rm(join(directory, `lock.${number}`), { force: true });
  }
}

async function refuseIfHeld(
  directory: string,
  { file }: Claim,
  isAlive: (holder: string) => Promise<boolean>,
): Promise<void> {
  let holder: string;
  try {
    holder = await readlink(join(directory, file));
  } catch (error) {
    // Removed since: a higher claim was made, which the look after ours will find.
    if (isErrorCode(error, 'ENOENT')) return;
    throw error;
  }
  if (await isAlive(holder)) throw new StateDirectoryLockedError(directory, Number.parseInt(holder, 10));
  await rm(join(directory, holder), { force: true });
}

/** Claims in the directory, by number. */
async function claims(directory: string): Promise<Claim[]> {
  const found: Claim[] = [];
  for (const file of await readdir(directory)) {
    const number = /^lock\.(\d{1,15})$/.exec(file)?.[1];
    if (number !== undefined) found.push({ number: Number(number), file });
  }
  return found.sort((a, b) => a.number - b.number);
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    // The lock alone doesn't keep a process running.
    server.unref();
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

/** Whether somebody listens. The kernel accepts for a process that is busy; only a refusal proves that nobody is there. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => resolve(!isErrorCode(error, 'ECONNREFUSED', 'ENOENT')));
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
  });
}

/** A path for the socket that fits sun_path: Linux also finds it through the open directory. */
function shortPath(directory: string, handle: FileHandle, name: string): string {
  const path = join(directory, name);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path;
  if (process.platform === 'linux') return `/proc/self/fd/${handle.fd}/${name}`;
  throw new Error(`state directory ${directory}: the path is longer than this system allows for a socket`);
}
