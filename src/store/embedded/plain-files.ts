/**
 * The plain files of a bucket's directory: key `a/b.txt` is file `a/b.txt`. Which keys can be paths, putting a file in its place, taking
 * it away, and finding what was changed there by hand. Its calls are synchronous: nothing comes between a look and the act.
 */
import { lstatSync, mkdirSync, readdirSync, realpathSync, renameSync, rmdirSync, unlinkSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { dirname } from 'node:path';
import type { Fingerprint } from './records.js';

/** The store's own directory inside a bucket's. */
export const STORE_DIRECTORY = '.s3nfsd-store';

/** NAME_MAX of the file systems in use, in bytes. */
const SEGMENT_BYTES_MAX = 255;

/** A directory whose change time is younger than this when it was read may change again within the same clock tick. */
const SETTLED_NS = 50_000_000n;

/**
 * A directory that takes long to read is left as it is known for this many times as long, however it changes: a listing under writes
 * would read all of it otherwise.
 */
const READ_PAUSE_FACTOR = 20;
/** Shorter readings need no pause, in milliseconds. */
const READ_MS_FREE = 5;

/** A plain file that was found, with what identifies its content. */
export interface PlainFile extends Fingerprint {
  readonly inode: bigint;
  readonly mtimeMs: number;
}

function stat(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}

function asPlainFile(found: BigIntStats | undefined): PlainFile | undefined {
  if (found?.isFile() !== true) return undefined;
  return {
    size: Number(found.size),
    mtimeNs: found.mtimeNs,
    inode: found.ino,
    mtimeMs: Number(found.mtimeMs),
  };
}

/** What a rescan found different: keys that were not known, and keys whose file is gone. */
export interface PlainChanges {
  readonly added: string[];
  readonly removed: string[];
}

export class PlainFiles {
  readonly #root: string;
  readonly #caseSensitive: boolean;
  /** Directories below the root by their key prefix ('' or `a/b/`), with the change time under which their names are known. */
  readonly #directories = new Map<string, bigint | undefined>();
  /** Until when directories that are long to read stay as they are known, by performance.now(). */
  readonly #pauses = new Map<string, number>();
  /** Where the next rescan goes on; undefined when a pass over all directories is over. */
  #cursor: Iterator<string> | undefined;

  /** `root` must be there. On a file system that folds case, only keys that can't collide become paths. */
  constructor(root: string, caseSensitive: boolean) {
    this.#root = realpathSync.native(root);
    this.#caseSensitive = caseSensitive;
  }

  /** How many directories are known. */
  get directoryCount(): number {
    return this.#directories.size;
  }

  /** A rescan stopped before it had looked at all directories. */
  get isPassUnderWay(): boolean {
    return this.#cursor !== undefined;
  }

  /** The path of `key`, or undefined when the key can't be one. Never leads out of the root. */
  path(key: string): string | undefined {
    // U+FFFD may stand for bytes that aren't UTF-8 in a name found on disk.
    if (key.includes('\0') || key.includes('\ufffd')) return undefined;
    const segments = key.split('/');
    if (segments[0] === STORE_DIRECTORY) return undefined;
    for (const segment of segments) {
      if (segment === '' || segment === '.' || segment === '..') return undefined;
      if (segment.length > SEGMENT_BYTES_MAX / 3 && Buffer.byteLength(segment) > SEGMENT_BYTES_MAX)
        return undefined;
    }
    return `${this.#root}/${key}`;
  }

  /** The path of a directory, without the slash that would make lstat follow a link. */
  #directoryPath(prefix: string): string {
    return prefix === '' ? this.#root : `${this.#root}/${prefix.slice(0, -1)}`;
  }

  /** The regular file at a key's path, reached through real directories only; undefined when there is none. */
  find(key: string): PlainFile | undefined {
    const path = this.path(key);
    if (path === undefined) return undefined;
    const file = asPlainFile(stat(path));
    if (file === undefined) return undefined;
    // A link that somebody put among the directories isn't followed.
    if (!this.#isReal(dirname(path))) return undefined;
    // Where case is folded, the name on disk must be the key's own.
    return this.#caseSensitive || realpathSync.native(path) === path ? file : undefined;
  }

  /** As `find`, for a file that was found before: skips the look at its directories. */
  recheck(key: string): PlainFile | undefined {
    const path = this.path(key);
    return path === undefined ? undefined : asPlainFile(stat(path));
  }

  #isReal(directory: string): boolean {
    try {
      return realpathSync.native(directory) === directory;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }

  /**
   * Moves the file at `source` to the key's path, over a file that is there. False, with nothing moved, when the key can't be a path
   * or something in the way makes it none (a file where a directory is wanted, or the other way round).
   */
  place(key: string, source: string): boolean {
    const path = this.path(key);
    if (path === undefined) return false;
    if (!this.#caseSensitive && !/^[a-z0-9._/-]*$/.test(key)) return false;
    const noted = this.#noteBefore(key);
    for (const { prefix } of noted) {
      const directory = stat(this.#directoryPath(prefix));
      if (directory === undefined) mkdirSync(this.#directoryPath(prefix));
      else if (!directory.isDirectory()) return false;
    }
    const target = stat(path);
    if (target !== undefined && !target.isFile()) return false;
    renameSync(source, path);
    this.#noteAfter(noted);
    return true;
  }

  /** Removes the file at the key's path, and the directories it leaves empty. */
  remove(key: string): void {
    const path = this.path(key);
    if (path === undefined || stat(path)?.isFile() !== true) return;
    const noted = this.#noteBefore(key);
    unlinkSync(path);
    for (let { prefix } = noted.at(-1) ?? { prefix: '' }; prefix !== ''; prefix = parentPrefix(prefix)) {
      try {
        rmdirSync(this.#directoryPath(prefix));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'ENOTEMPTY' || code === 'EEXIST') break;
        throw error;
      }
      this.#directories.delete(prefix);
      this.#pauses.delete(prefix);
    }
    this.#noteAfter(noted);
  }

  /** The directories above a key, the root first, and whether each is as it was last read: then a change of ours keeps it known. */
  #noteBefore(key: string): { readonly prefix: string; readonly known: boolean }[] {
    const prefixes = [''];
    for (let at = key.indexOf('/'); at >= 0; at = key.indexOf('/', at + 1))
      prefixes.push(key.slice(0, at + 1));
    return prefixes.map((prefix) => {
      const now = stat(this.#directoryPath(prefix))?.mtimeNs;
      return { prefix, known: now === undefined || now === this.#directories.get(prefix) };
    });
  }

  #noteAfter(noted: readonly { readonly prefix: string; readonly known: boolean }[]): void {
    for (const { prefix, known } of noted) {
      const now = stat(this.#directoryPath(prefix))?.mtimeNs;
      if (now === undefined) this.#directories.delete(prefix);
      else this.#directories.set(prefix, known ? now : undefined);
    }
  }

  /** All plain files, by key. Links, devices, and names that aren't UTF-8 are left out. Gives way to others now and then. */
  async walk(visit: (key: string) => void): Promise<void> {
    const waiting = [''];
    for (let turn = 1; ; turn++) {
      const prefix = waiting.pop();
      if (prefix === undefined) return;
      for (const { name, directory } of this.#read(prefix)) {
        if (directory) waiting.push(`${prefix}${name}/`);
        else visit(prefix + name);
      }
      if (turn % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The names of a directory, remembered as read. None when it is gone. */
  #read(prefix: string): { readonly name: string; readonly directory: boolean }[] {
    const path = this.#directoryPath(prefix);
    const before = stat(path);
    if (before?.isDirectory() !== true) {
      this.#directories.delete(prefix);
      this.#pauses.delete(prefix);
      return [];
    }
    const began = performance.now();
    const settled = BigInt(Date.now()) * 1_000_000n - before.mtimeNs > SETTLED_NS;
    const names = readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isFile() || entry.isDirectory())
      .filter((entry) => !entry.name.includes('\ufffd'))
      .filter((entry) => prefix !== '' || entry.name !== STORE_DIRECTORY)
      .map((entry) => ({ name: entry.name, directory: entry.isDirectory() }));
    this.#directories.set(prefix, settled ? before.mtimeNs : undefined);
    const now = performance.now();
    if (now - began > READ_MS_FREE) this.#pauses.set(prefix, now + READ_PAUSE_FACTOR * (now - began));
    else this.#pauses.delete(prefix);
    return names;
  }

  /**
   * Looks again at the directories that changed since they were read, at up to `max` of them: the next call goes on where this one stops.
   * `childrenOf` gives the keys known directly in a directory, and `isKnown` tells whether a key is.
   */
  rescan(
    max: number,
    childrenOf: (prefix: string) => Iterable<string>,
    isKnown: (key: string) => boolean,
  ): PlainChanges {
    const changes: PlainChanges = { added: [], removed: [] };
    // Directories found here join the map, and so come up in this pass.
    this.#cursor ??= this.#directories.keys();
    for (let left = max; left > 0; left--) {
      const next = this.#cursor.next();
      if (next.done === true) {
        this.#cursor = undefined;
        break;
      }
      this.#look(next.value, changes, childrenOf, isKnown);
    }
    return changes;
  }

  #look(
    prefix: string,
    changes: PlainChanges,
    childrenOf: (prefix: string) => Iterable<string>,
    isKnown: (key: string) => boolean,
  ): void {
    const known = this.#directories.get(prefix);
    if (known !== undefined && stat(this.#directoryPath(prefix))?.mtimeNs === known) return;
    if (performance.now() < (this.#pauses.get(prefix) ?? 0)) return;
    const files = new Set<string>();
    for (const { name, directory } of this.#read(prefix)) {
      if (!directory) files.add(prefix + name);
      else if (!this.#directories.has(`${prefix}${name}/`))
        this.#directories.set(`${prefix}${name}/`, undefined);
    }
    for (const key of childrenOf(prefix)) if (!files.has(key)) changes.removed.push(key);
    for (const key of files) if (!isKnown(key)) changes.added.push(key);
  }
}

function parentPrefix(prefix: string): string {
  const at = prefix.lastIndexOf('/', prefix.length - 2);
  return prefix.slice(0, at + 1);
}
