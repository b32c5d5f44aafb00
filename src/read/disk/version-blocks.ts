/** The disk cache as those see it who read one volume, and one version of an object in it. */
import type { ObjectVersion } from '../../memory/byte-slices.js';
import type { DiskCache } from './disk-cache.js';
import type { Lent } from './write-queue.js';

export class DiskVolume {
  readonly #cache: DiskCache;
  readonly #name: string;

  /** `name` tells the volume from all others over restarts: endpoint and bucket. */
  constructor(cache: DiskCache, name: string) {
    this.#cache = cache;
    this.#name = name;
  }

  blocksOf(version: ObjectVersion): VersionBlocks {
    return new VersionBlocks(this.#cache, this.#name, version);
  }

  /** Gives back about so many bytes of blocks that aren't being written, of all volumes. */
  dropWaiting(bytes: number): void {
    this.#cache.dropWaiting(bytes);
  }

  /** Resolves when no block of any volume is lent any more. */
  async settled(): Promise<void> {
    await this.#cache.settled();
  }
}

export class VersionBlocks {
  readonly #cache: DiskCache;
  readonly #name: string;
  readonly #version: ObjectVersion;
  #known: Buffer | undefined;

  constructor(cache: DiskCache, name: string, version: ObjectVersion) {
    this.#cache = cache;
    this.#name = name;
    this.#version = version;
  }

  /** All of the range, which lies within a cell, seems to be there. */
  has(offset: number, length: number): boolean {
    return this.#cache.has(this.#id, offset, length);
  }

  /** Fills `target` from `offset` on; false when it isn't there, or not as it was: then any bytes are in it. Never rejects. */
  async read(offset: number, target: Buffer): Promise<boolean> {
    return await this.#cache.read(this.#id, offset, target);
  }

  /** Blocks are taken now. */
  get writable(): boolean {
    return this.#cache.writable;
  }

  /** Whether a block should be offered: it isn't there, or won't be for long. */
  wants(offset: number, length: number): boolean {
    return this.#cache.wants(this.#id, offset, length);
  }

  /** Takes a block until it calls `release`; false when it can't now: then it doesn't. */
  offer(block: Omit<Lent, 'id'>): boolean {
    return this.#cache.offer({ ...block, id: this.#id });
  }

  /** None of it is to be had from the disk any more, until it is offered again. */
  forget(): void {
    void this.#cache.forget(this.#id, this.#version.size);
  }

  get #id(): Buffer {
    this.#known ??= this.#cache.idOf(this.#name, this.#version);
    return this.#known;
  }
}
