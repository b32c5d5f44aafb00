/** The numbers of the read path, each with its reason. */

/** What a mount's readers do: `adaptive` finds out, the others are told. */
export type ReadPolicy = 'adaptive' | 'sequential' | 'random';

export interface ReadOptions {
  readonly policy: ReadPolicy;
  /**
   * Bytes of a cached block. 64 streams under 256 MiB have 4 MiB each: 16 blocks, so that a stream can be read, wait and
   * be fetched at once, while a READ of 1 MiB is still no more than 5 slices.
   */
  readonly blockBytes: number;
  /** Random READs are fetched in multiples of this: a page, the least that a client's page cache asks for. */
  readonly alignBytes: number;
  /** Readahead a stream begins with, and what a first READ at the file's start fetches: 6 ms at 90 MB/s a connection. */
  readonly windowBytesMin: number;
  /** Readahead of one stream at most: 8 parts in flight, about 1 GB/s at 60 ms a part; more where parts take longer (pace.ts). */
  readonly windowBytesMax: number;
  /** Bytes of one GET at least and at most, when reading ahead. */
  readonly partBytesMin: number;
  readonly partBytesMax: number;
  /** GETs aren't made smaller than this to have more of them in flight: each costs CPU beside its bytes. */
  readonly partBytesEfficient: number;
  /** Files up to this size are fetched whole by a READ at their start: the bytes take no longer than a second request. */
  readonly smallFileBytes: number;
  /** Streams remembered of one object; the one longest unused goes first. */
  readonly streamsMax: number;
  /** GETs in flight, of all objects together. A quarter of them are kept for READs that wait. */
  readonly requestsMax: number;
  /** GETs of readahead in flight for one object: at 8 MB/s each, 250 MB/s. */
  readonly requestsPerObjectMax: number;
  /** A stream or object without READs for so long is forgotten; its cached blocks stay while there is room. */
  readonly idleMs: number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const READ_DEFAULTS: ReadOptions = {
  policy: 'adaptive',
  blockBytes: 256 * KIB,
  alignBytes: 4 * KIB,
  windowBytesMin: 512 * KIB,
  windowBytesMax: 64 * MIB,
  partBytesMin: 512 * KIB,
  partBytesMax: 8 * MIB,
  partBytesEfficient: 2 * MIB,
  smallFileBytes: 2 * MIB,
  streamsMax: 32,
  requestsMax: 64,
  requestsPerObjectMax: 32,
  idleMs: 30_000,
  now: () => performance.now(),
};
