/** The numbers of the read path, each with its reason. */

/**
 * What readers do. `adaptive` finds out. `sequential`: every READ begins a read to the end, and the whole window is fetched at once.
 * `random`: what is asked for is fetched, in pages, and nothing else.
 */
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
  /**
   * Where files are read on as a rule, a READ at a file's start begins with so much readahead. A file of this size is fetched at once then,
   * in as many GETs as the store's pace asks for.
   */
  readonly beginningBytes: number;
  /** Readahead of one stream at most: 8 parts in flight, about 1 GB/s at 60 ms a part; more where parts take longer (pace.ts). */
  readonly windowBytesMax: number;
  /** Bytes of one GET at least and at most, when reading ahead. */
  readonly partBytesMin: number;
  readonly partBytesMax: number;
  /** Once a window is as large as it may be, its GETs aren't made smaller than this to have more of them: each costs CPU beside its bytes. */
  readonly partBytesEfficient: number;
  /** READs that wait for a slot together become one GET when no more than this lies between them: it arrives sooner than another answer. */
  readonly joinGapBytes: number;
  /** Files up to this size are fetched whole by a READ at their start: the bytes take no longer than a second request. */
  readonly smallFileBytes: number;
  /** Streams remembered of one object; the one longest unused goes first. */
  readonly streamsMax: number;
  /** GETs in flight, of all objects together. A quarter of them are kept for READs that wait. */
  readonly requestsMax: number;
  /** GETs of readahead that bring bytes for one object at a time (succession.ts): at 8 MB/s each, 250 MB/s. */
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
  beginningBytes: 8 * MIB,
  windowBytesMax: 64 * MIB,
  partBytesMin: 512 * KIB,
  partBytesMax: 8 * MIB,
  partBytesEfficient: 2 * MIB,
  joinGapBytes: 16 * KIB,
  smallFileBytes: 2 * MIB,
  streamsMax: 32,
  requestsMax: 64,
  requestsPerObjectMax: 32,
  idleMs: 30_000,
  now: () => performance.now(),
};
