/** A disk cache in a directory of its own, file operations that fail or wait on request, and versions whose bytes tell their place. */
import { copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { ObjectVersion } from '../../../src/memory/byte-slices.js';
import { MemoryBudget } from '../../../src/memory/memory-budget.js';
import { DiskCache } from '../../../src/read/disk/disk-cache.js';
import { nodeFiles, type CacheFile, type CacheFiles } from '../../../src/read/disk/files.js';
import { DiskVolume, type VersionBlocks } from '../../../src/read/disk/version-blocks.js';
import { collectLog } from '../../support/collected-log.js';
import { KIB, MIB, pattern } from '../read-rig.js';

type FileOperation = 'list' | 'identify' | 'create' | 'open' | 'remove' | 'read' | 'write' | 'size' | 'empty';

/** What happens before an operation on a path: it may throw or wait. */
export type Before = (operation: FileOperation, path: string) => Promise<void> | void;

/** The machine's files, with something before each operation. */
export class FaultyFiles implements CacheFiles {
  before: Before = () => undefined;

  async list(path: string): Promise<string[]> {
    await this.before('list', path);
    return await nodeFiles.list(path);
  }

  async identify(path: string): Promise<string> {
    await this.before('identify', path);
    return await nodeFiles.identify(path);
  }

  async create(path: string): Promise<CacheFile> {
    await this.before('create', path);
    return this.#faulty(path, await nodeFiles.create(path));
  }

  async open(path: string): Promise<CacheFile> {
    await this.before('open', path);
    return this.#faulty(path, await nodeFiles.open(path));
  }

  async remove(path: string): Promise<void> {
    await this.before('remove', path);
    await nodeFiles.remove(path);
  }

  #faulty(path: string, file: CacheFile): CacheFile {
    const first = async <T>(operation: FileOperation, then: () => Promise<T>): Promise<T> => {
      await this.before(operation, path);
      return await then();
    };
    return {
      read: (buffer, position) => first('read', () => file.read(buffer, position)),
      write: (buffers, position) => first('write', () => file.write(buffers, position)),
      size: () => first('size', () => file.size()),
      empty: () => first('empty', () => file.empty()),
      close: () => file.close(),
    };
  }
}

export function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: injected`), { code });
}

export interface RigOptions {
  readonly limitBytes?: number;
  readonly segmentBytes?: number;
  readonly budgetBytes?: number;
}

export class DiskRig {
  readonly files = new FaultyFiles();
  readonly collected = collectLog();
  readonly budget: MemoryBudget;
  readonly #root = mkdtempSync(join(tmpdir(), 's3nfsd-disk-cache-'));
  readonly #options: Required<RigOptions>;
  #directories = 1;
  nowMs = 0;
  /** How long a disk that doesn't answer is waited for when the next cache ends: for good, lest a slow disk be taken for a dead one. */
  endMs = 3_600_000;
  #cache: DiskCache | undefined;

  constructor(options: RigOptions = {}) {
    this.#options = {
      limitBytes: 4 * MIB,
      segmentBytes: 256 * KIB,
      budgetBytes: 64 * MIB,
      ...options,
    };
    this.budget = new MemoryBudget(this.#options.budgetBytes);
  }

  static async open(t: Pick<Test, 'teardown'>, options: RigOptions = {}): Promise<DiskRig> {
    const rig = new DiskRig(options);
    t.teardown(() => rig.end());
    await rig.start();
    return rig;
  }

  /** What is given to the cache. */
  get directory(): string {
    return join(this.#root, `cache${this.#directories}`);
  }

  /** Where its files are. */
  get folder(): string {
    return join(this.directory, 'blocks');
  }

  get cache(): DiskCache {
    if (this.#cache === undefined) throw new Error('no cache is open');
    return this.#cache;
  }

  /** What was logged at warn or above. */
  get warnings(): string[] {
    return this.collected.lines.filter(({ level }) => Number(level) >= 40).map(({ msg }) => String(msg));
  }

  async start(): Promise<void> {
    const { limitBytes, segmentBytes } = this.#options;
    this.#cache = await DiskCache.open({
      directory: this.directory,
      limitBytes,
      segmentBytes,
      endMs: this.endMs,
      budget: this.budget,
      log: this.collected.log,
      files: this.files,
      now: () => this.nowMs,
    });
    await this.#cache.loaded;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** The next cache finds what is on disk now, as after a crash; what this one still writes is lost. */
  async crash(): Promise<void> {
    const before = this.folder;
    const names = [...this.segmentFiles(), 'key'].filter((name) => existsSync(join(before, name)));
    this.#directories += 1;
    mkdirSync(this.folder, { recursive: true });
    for (const name of names) copyFileSync(join(before, name), join(this.folder, name));
    await this.restart();
  }

  async stop(): Promise<void> {
    await this.#cache?.close();
    this.#cache = undefined;
  }

  async end(): Promise<void> {
    this.files.before = () => undefined;
    await this.stop();
    rmSync(this.#root, { recursive: true, force: true });
  }

  /** Names of the files of segments, in order; none where the folder is gone. */
  segmentFiles(): string[] {
    const names = existsSync(this.folder) ? readdirSync(this.folder) : [];
    return names.filter((name) => /\.(blocks|index)$/.test(name)).sort();
  }

  /** Bytes of disk that the folder takes. */
  diskBytes(): number {
    return readdirSync(this.folder).reduce(
      (sum, name) => sum + lstatSync(join(this.folder, name)).blocks * 512,
      0,
    );
  }

  blocksOf(version: ObjectVersion, volume = 'aws/bucket'): VersionBlocks {
    return new DiskVolume(this.cache, volume).blocksOf(version);
  }

  /** Offers a block; whether it was taken. Its buffer is overwritten once it is given back, as a pool would have it. */
  offer(version: TestVersion, offset: number, length: number, volume?: string): boolean {
    const buffer = Buffer.alloc(Math.ceil(length / 4096) * 4096, 0xaa);
    version.bytes.copy(buffer, 0, offset, offset + length);
    return this.blocksOf(version, volume).offer({ offset, length, buffer, release: () => buffer.fill(0xee) });
  }

  /** Offers and waits until it is written. */
  async keep(version: TestVersion, offset: number, length: number, volume?: string): Promise<void> {
    if (!this.offer(version, offset, length, volume)) throw new Error('not taken');
    await this.cache.settled();
  }

  /** Whether the range was read; throws when it was read wrong. */
  async reads(version: TestVersion, offset: number, length: number, volume?: string): Promise<boolean> {
    const target = Buffer.alloc(length, 0xbb);
    const blocks = this.blocksOf(version, volume);
    const seemed = blocks.has(offset, length);
    const found = await blocks.read(offset, target);
    if (found && !seemed) throw new Error(`read at ${offset} what was not there`);
    if (found && !target.equals(version.bytes.subarray(offset, offset + length)))
      throw new Error(`wrong bytes of ${version.key} ${version.etag} at ${offset}, ${length} of them`);
    return found;
  }
}

export interface TestVersion extends ObjectVersion {
  readonly bytes: Buffer;
}

export function versionOf(key: string, etag: string, size: number, seed: number): TestVersion {
  return { key, etag: `"${etag}"`, size, bytes: pattern(size, seed) };
}
