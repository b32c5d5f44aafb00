/** All buckets: the directories below the server's own. One that appears or goes by hand while the server runs is noticed at its next use. */
import { lstatSync, mkdirSync, readdirSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../telemetry/log.js';
import { Bucket } from './bucket.js';
import { isDirectoryBucket, zoneOf } from './directory-buckets.js';
import { S3Error } from './errors.js';
import { STORE_DIRECTORY } from './plain-files.js';

/** The rules for names of general purpose buckets (S3 user guide), but for the reserved prefixes and suffixes; and of directory buckets. */
export function isBucketName(name: string): boolean {
  if (isDirectoryBucket(name)) return zoneOf(name) !== undefined;
  return (
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..') && !/^(\d+\.){3}\d+$/.test(name)
  );
}

/** Files or links anywhere below, the store's own directory aside. */
function hasFiles(directory: string, isRoot: boolean): boolean {
  return readdirSync(directory, { withFileTypes: true }).some((entry) => {
    if (isRoot && entry.name === STORE_DIRECTORY) return false;
    return entry.isDirectory() ? hasFiles(join(directory, entry.name), false) : true;
  });
}

export class Buckets {
  readonly #directory: string;
  readonly #log: Logger | undefined;
  readonly #open = new Map<string, Promise<Bucket>>();
  readonly #caseSensitive: boolean;

  private constructor(directory: string, log: Logger | undefined) {
    this.#directory = directory;
    this.#log = log;
    this.#caseSensitive = probeCase(directory);
  }

  /** Opens every bucket of `directory`, which is made if it isn't there. */
  static async open(directory: string, log: Logger | undefined): Promise<Buckets> {
    mkdirSync(directory, { recursive: true });
    const buckets = new Buckets(directory, log);
    for (const name of buckets.names()) await buckets.find(name);
    return buckets;
  }

  /** The names of all buckets, in order. Directories whose names can't be buckets' are left alone. */
  names(): readonly string[] {
    return readdirSync(this.#directory)
      .filter((name) => isBucketName(name) && this.#created(name) !== undefined)
      .sort();
  }

  /** When the bucket's directory came to be, or undefined. */
  #created(name: string): number | undefined {
    const found = statSync(join(this.#directory, name), { throwIfNoEntry: false });
    if (found?.isDirectory() !== true) return undefined;
    return Math.floor((found.birthtimeMs > 0 ? found.birthtimeMs : found.ctimeMs) / 1000) * 1000;
  }

  /** The bucket of that name; undefined when there is none. */
  async find(name: string): Promise<Bucket | undefined> {
    if (!isBucketName(name)) return undefined;
    const createdMs = this.#created(name);
    const known = this.#open.get(name);
    if (createdMs === undefined) {
      this.#open.delete(name);
      if (known !== undefined) await (await known).close();
      return undefined;
    }
    if (known !== undefined) return known;
    const root = join(this.#directory, name);
    const opening = Bucket.open({
      name,
      root,
      createdMs,
      caseSensitive: this.#caseSensitive,
      log: this.#log,
    });
    this.#open.set(name, opening);
    try {
      return await opening;
    } catch (error) {
      this.#open.delete(name);
      throw error;
    }
  }

  /** Makes a bucket; false when it is there already. */
  async create(name: string): Promise<boolean> {
    if (!isBucketName(name)) throw new S3Error('InvalidBucketName', undefined, { BucketName: name });
    if (this.#created(name) !== undefined) return false;
    mkdirSync(join(this.#directory, name));
    await this.find(name);
    return true;
  }

  /** Removes an empty bucket with its directory: BucketNotEmpty when it holds an object, or any file that isn't one. */
  async delete(bucket: Bucket): Promise<void> {
    const root = join(this.#directory, bucket.name);
    await bucket.retire(() => {
      if (hasFiles(root, true)) throw new S3Error('BucketNotEmpty');
      rmSync(root, { recursive: true });
      // At once: a bucket made anew under that name is another.
      this.#open.delete(bucket.name);
    });
  }

  async close(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const bucket of open) await (await bucket).close();
  }
}

/** Whether the file system tells `a` from `A`. */
function probeCase(directory: string): boolean {
  const probe = join(directory, `.s3nfsd-probe-${process.pid}-a`);
  writeFileSync(probe, '');
  const folded = lstatSync(join(directory, `.s3nfsd-probe-${process.pid}-A`), { throwIfNoEntry: false });
  unlinkSync(probe);
  return folded === undefined;
}
