/**
 * The directory of a disk cache: our folder in the one that was given, which may be a mount point whose mode and other files aren't ours.
 * Mode 0700, one daemon at a time, with a key that the blocks in it are named and checked by.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DirectoryLock } from '../../state/directory-lock.js';
import { isErrorCode, readFileIfThere, replaceFile } from '../../state/durable-file.js';
import type { CacheFiles } from './files.js';

const FOLDER = 'blocks';
/** Its first line names the layout of the folder, the second has the secret in hexadecimal digits. */
const KEY_FILE = 'key';
const LAYOUT = 's3nfsd-blocks-1';
const SECRET_BYTES = 32;

export class CacheDirectory {
  /** Absolute. */
  readonly path: string;
  /** What versions are named with; another one makes everything in the folder meaningless. */
  readonly secret: Buffer;
  readonly #files: CacheFiles;
  readonly #lock: DirectoryLock;
  readonly #identity: string;

  private constructor(
    path: string,
    secret: Buffer,
    parts: { readonly files: CacheFiles; readonly lock: DirectoryLock; readonly identity: string },
  ) {
    this.path = path;
    this.secret = secret;
    this.#files = parts.files;
    this.#lock = parts.lock;
    this.#identity = parts.identity;
  }

  /** Makes what is missing. Fails with StateDirectoryLockedError while another daemon has it. */
  static async open(given: string, files: CacheFiles): Promise<CacheDirectory> {
    const path = join(resolve(given), FOLDER);
    await mkdir(path, { recursive: true, mode: 0o700 });
    await chmod(path, 0o700);
    const lock = await DirectoryLock.take(path);
    try {
      const secret = await loadSecret(files, path);
      return new CacheDirectory(path, secret, { files, lock, identity: await files.identify(path) });
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Names of the files in it; undefined when it isn't there any more. */
  async names(): Promise<readonly string[] | undefined> {
    try {
      const names = await this.#files.list(this.path);
      return (await this.#files.identify(this.path)) === this.#identity ? names : undefined;
    } catch (error) {
      if (isErrorCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  /** Lets another daemon have it. */
  async close(): Promise<void> {
    await this.#lock.release();
  }
}

/** The secret of the blocks that are there; a new one where none is, and then no blocks. */
async function loadSecret(files: CacheFiles, directory: string): Promise<Buffer> {
  const path = join(directory, KEY_FILE);
  const text = (await readFileIfThere(path))?.toString('latin1') ?? '';
  const [, layout, digits = ''] = /^(.+)\n([0-9a-f]{64})\n$/.exec(text) ?? [];
  if (layout === LAYOUT) return Buffer.from(digits, 'hex');
  for (const name of await files.list(directory)) {
    if (/\.(blocks|index)$/.test(name)) await files.remove(join(directory, name));
  }
  const secret = randomBytes(SECRET_BYTES);
  await replaceFile(path, `${LAYOUT}\n${secret.toString('hex')}\n`);
  return secret;
}
