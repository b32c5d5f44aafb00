/**
 * The folder that outlives the daemon: the lock that keeps others out, the layout's version, the secret behind ids and handles, the write
 * verifier of a clean shutdown, and places for the database, the journal and the spool.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DirectoryLock } from './directory-lock.js';
import { readFileIfThere, replaceFile, syncDirectory } from './durable-file.js';
import { migrate, MIGRATED_VERSIONS } from './migrations.js';

export { StateDirectoryLockedError } from './directory-lock.js';

/** Layout of the folder and of what is in it. A daemon brings older layouts here and refuses those it doesn't know. */
const SCHEMA_VERSION = '2';
const SECRET_BYTES = 32;
/** writeverf3 (RFC 1813 2.5: NFS3_WRITEVERFSIZE). */
const VERIFIER_BYTES = 8;

export class StateDirectory {
  /** Absolute. */
  readonly path: string;
  /** 32 random bytes, made once. */
  readonly secret: Buffer;
  readonly #lock: DirectoryLock;

  constructor(path: string, secret: Buffer, lock: DirectoryLock) {
    this.path = path;
    this.secret = secret;
    this.#lock = lock;
  }

  /** Folder for data that isn't published yet. */
  get spoolPath(): string {
    return join(this.path, 'spool');
  }

  /** File of the journal. */
  get journalPath(): string {
    return join(this.path, 'journal');
  }

  /**
   * The write verifier to use, 8 bytes: the one of the last clean shutdown, else a fresh one. A saved verifier is removed before this resolves, so
   * that after a crash no client is told that its unstable writes are still there.
   */
  async takeWriteVerifier(): Promise<Buffer> {
    const saved = await readFileIfThere(this.#verifierPath);
    if (saved === undefined) return randomBytes(VERIFIER_BYTES);
    await unlink(this.#verifierPath);
    await syncDirectory(this.path);
    return saved.length === VERIFIER_BYTES ? saved : randomBytes(VERIFIER_BYTES);
  }

  /** Keeps the verifier for the next start. Only once nothing unstable is left in memory. */
  async saveWriteVerifier(verifier: Uint8Array): Promise<void> {
    if (verifier.length !== VERIFIER_BYTES) {
      throw new RangeError(`a write verifier has ${VERIFIER_BYTES} bytes, not ${verifier.length}`);
    }
    await replaceFile(this.#verifierPath, verifier);
  }

  /** Lets another daemon have the folder. */
  close(): Promise<void> {
    return this.#lock.release();
  }

  get #verifierPath(): string {
    return join(this.path, 'write-verifier');
  }
}

/**
 * Opens the folder, making what is missing (mode 0700). Fails with StateDirectoryLockedError while another daemon has it,
 * and with an Error that names the file if the layout isn't this version's.
 */
export async function openStateDirectory(path: string): Promise<StateDirectory> {
  const absolute = resolve(path);
  const firstMade = await mkdir(absolute, { recursive: true, mode: 0o700 });
  const lock = await DirectoryLock.take(absolute);
  try {
    await reachVersion(absolute);
    const secret = await loadSecret(join(absolute, 'secret'));
    await mkdir(join(absolute, 'spool'), { recursive: true, mode: 0o700 });
    await syncDirectory(absolute);
    if (firstMade !== undefined) await syncDirectory(dirname(firstMade));
    return new StateDirectory(absolute, secret, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function reachVersion(directory: string): Promise<void> {
  const file = join(directory, 'version');
  let found = (await readFileIfThere(file))?.toString('utf8').trim();
  if (found === undefined) await replaceFile(file, `${SCHEMA_VERSION}\n`);
  while (found !== undefined && found !== SCHEMA_VERSION) {
    if (!MIGRATED_VERSIONS.includes(found)) {
      throw new Error(
        `${file}: expected state of version ${[...MIGRATED_VERSIONS, SCHEMA_VERSION].join(' or ')}, found ${JSON.stringify(found)}; ` +
          'start the version of s3nfsd that wrote it, or name another state directory',
      );
    }
    await migrate(directory, found);
    found = String(Number(found) + 1);
    await replaceFile(file, `${found}\n`);
  }
}

async function loadSecret(file: string): Promise<Buffer> {
  const found = await readFileIfThere(file);
  if (found === undefined) {
    const secret = randomBytes(SECRET_BYTES);
    await replaceFile(file, secret);
    return secret;
  }
  if (found.length !== SECRET_BYTES) {
    throw new Error(`${file}: expected ${SECRET_BYTES} bytes, found ${found.length}`);
  }
  return found;
}
