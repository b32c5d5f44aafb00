/** What a write session is given: what it works with, its sizes, and what a publication is asked for. */
import type { MemoryBudget } from '../memory/memory-budget.js';
import type { ByteSlices, ObjectVersion } from '../memory/byte-slices.js';
import type { ObjectHeaders, ObjectStore, WriteCondition, WrittenObject } from '../store/object-store.js';
import type { Logger } from '../telemetry/log.js';
import type { HeldBase } from './base-fetch.js';
import type { SessionJournal } from './durability.js';
import { EXTENTS_MAX } from './durable-record.js';
import type { UploadJournal } from './multipart-upload.js';
import { PART_BYTES_DEFAULT } from './part-map.js';
import type { Spool } from './spool.js';
import type { SpoolSegments } from './spool-segments.js';

export interface WriteOptions {
  /** Size of a file's first parts, in bytes; larger ones follow (part-map.ts). 8 MiB; raised to the store's least part. */
  readonly partBytes: number;
  /** Files up to this many bytes are one PUT. 8 MiB. */
  readonly putBytesMax: number;
  /** Parts of one file on their way at a time, at most. 32, or what memory has room for (`partsUnderWay`). */
  readonly parallelUploads: number;
  /** Largest range copied inside the store in one request, in bytes: smaller ones run in parallel. 512 MiB. */
  readonly copyPartBytesMax: number;
  /** Largest chunk of memory that small sequential writes grow to, in bytes. 256 KiB. */
  readonly chunkBytesMax: number;
  /** Pieces of a file that COMMITs are answered for from the spool; with more, they publish. 65,536. */
  readonly extentsMax: number;
}

export const WRITE_OPTIONS_DEFAULT: WriteOptions = {
  partBytes: PART_BYTES_DEFAULT,
  putBytesMax: PART_BYTES_DEFAULT,
  parallelUploads: 32,
  copyPartBytesMax: 512 * 1024 * 1024,
  chunkBytesMax: 256 * 1024,
  extentsMax: EXTENTS_MAX,
};

/** As many parts are on their way whatever the memory: those that it has no room for go out of the spool. */
const PARTS_UNDER_WAY_MIN = 8;

/**
 * Parts of one file that may be on their way at a time. How many are, latency and the client's pace decide: a part goes out when it is full. They
 * keep their memory until they have arrived, and leave a quarter of it to those who read and to what comes in.
 */
export function partsUnderWay(
  { parallelUploads }: WriteOptions,
  memoryBytes: number,
  partBytes: number,
): number {
  const room = Math.floor((memoryBytes * 3) / 4 / partBytes);
  return Math.min(parallelUploads, Math.max(PARTS_UNDER_WAY_MIN, room));
}

export interface WriteSessionOptions {
  readonly store: ObjectStore;
  readonly budget: MemoryBudget;
  /** Shared by all sessions. */
  readonly spool: Spool;
  readonly log: Logger;
  /** Reads a range of the base version for a client. */
  readonly readBase: (
    version: ObjectVersion,
    offset: number,
    count: number,
    signal?: AbortSignal,
  ) => Promise<ByteSlices>;
  /** Bytes of the base version that are in memory: these a publication doesn't fetch. */
  readonly heldBase?: HeldBase;
  /** Told of what a PUT made the object, before anybody changes `body`. */
  readonly onPut?: (version: ObjectVersion, body: readonly Buffer[]) => void;
  /** Told before an upload id is used and after it ended, so that a crash leaves no orphan; awaited. */
  readonly uploads: UploadJournal;
  /** The key and headers the streaming upload is opened with; asked when the first part goes out. */
  readonly target: () => { key: string; headers: ObjectHeaders };
  /** The object whose bytes are under the changes; none for a new file. */
  readonly base?: ObjectVersion;
  readonly options?: Partial<WriteOptions>;
  /** Where `keep` makes bytes safe. Without it there is no `keep`. */
  readonly durable?: { readonly segments: SpoolSegments; readonly journal: SessionJournal };
}

/** Sees bytes or the size change while nothing is being published: what it notes of a change is there when that is. */
export interface ChangeWitness {
  /** A publication under way has ended. Throws where nothing is to be changed. */
  mayBegin(): void;
  /** Something was changed, be it that the rest failed. */
  changed(): void;
}

export interface PublishRequest {
  readonly key: string;
  readonly headers: ObjectHeaders;
  readonly condition?: WriteCondition;
  readonly signal?: AbortSignal;
  /** Headers that the object has and may keep where it is only added to. */
  readonly objectHeaders?: ObjectHeaders;
  /**
   * Whether the headers that an upload was opened with will do instead of `headers`: a multipart upload can't change them. Default: only where they
   * are equal. Where they won't do, the session is made safe in the journal before the upload is completed.
   */
  readonly acceptHeaders?: (opened: ObjectHeaders) => boolean;
  /** Called when an object was published whose headers won't do, before the journal's record of its bytes ends. Doesn't reject. */
  readonly onLacking?: (version: ObjectVersion) => Promise<void>;
  /** Called on failure, before the session takes another change. */
  readonly onFailed?: (error: unknown) => void;
}

/** The object as it is now, with the headers that it has; `lastModifiedMs` in milliseconds since the epoch. */
export type PublishedVersion = ObjectVersion & {
  readonly lastModifiedMs?: number;
  readonly headers: ObjectHeaders;
};

export function published(
  version: ObjectVersion,
  { lastModifiedMs }: WrittenObject,
  headers: ObjectHeaders,
): PublishedVersion {
  return { ...version, ...(lastModifiedMs !== undefined && { lastModifiedMs }), headers };
}
