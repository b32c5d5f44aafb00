/**
 * What is safe of a file's unpublished bytes, and where: full parts in an unfinished upload, other bytes in the spool's segments. It is
 * what the journal keeps, first whole and then by changes, so that a COMMIT journals what came since the one before and no more. Pure.
 */
import type { ObjectVersion } from '../memory/byte-slices.js';
import type { ObjectHeaders, UploadedPart } from '../store/object-store.js';
import type { UploadName } from './part.js';
import type { SpooledPiece } from './spool-segments.js';

/** Bytes `start` to `end` of the file are the first ones of a piece in the spool. */
export interface SafeExtent {
  readonly start: number;
  readonly end: number;
  readonly piece: SpooledPiece;
}

/** Bytes `start` to `end` of the file, a whole part, are in the upload. */
export interface SafePart {
  readonly start: number;
  readonly end: number;
  readonly part: UploadedPart;
}

export interface OpenedUpload extends UploadName {
  readonly headers: ObjectHeaders;
}

/** What became safe since the change before. Applying one twice is applying it once. */
export interface RecordChange {
  readonly sizeBytes: number;
  /** Bytes of the base that show where nothing was written. */
  readonly baseBytes: number;
  /** Least size since the change before: what was safe beyond it is gone. Absent where the file never shrank. */
  readonly keptBytes?: number;
  /** Absent: no upload holds anything of the file. Parts of another upload count no longer. */
  readonly upload?: OpenedUpload;
  readonly parts: readonly SafePart[];
  /** In the order in which they were written: later ones win. */
  readonly extents: readonly SafeExtent[];
}

export interface RecordState {
  /** What the file's parts are cut by. */
  readonly partBytes: number;
  readonly partsMax: number;
  /** The published object under the changes; absent for a new file. */
  readonly base?: ObjectVersion;
}

export type RecordJson = RecordState & RecordChange;

export class DurableRecord {
  readonly state: RecordState;
  readonly #parts = new Map<number, SafePart>();
  #extents: SafeExtent[] = [];
  #sizeBytes: number;
  #baseBytes: number;
  #upload: OpenedUpload | undefined;

  constructor(state: RecordState) {
    this.state = state;
    this.#baseBytes = state.base?.size ?? 0;
    this.#sizeBytes = this.#baseBytes;
  }

  static from(json: RecordJson): DurableRecord {
    const { partBytes, partsMax, base } = json;
    const record = new DurableRecord({ partBytes, partsMax, ...(base !== undefined && { base }) });
    record.apply(json);
    return record;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get baseBytes(): number {
    return this.#baseBytes;
  }

  get upload(): OpenedUpload | undefined {
    return this.#upload;
  }

  get parts(): Iterable<SafePart> {
    return this.#parts.values();
  }

  get extents(): readonly SafeExtent[] {
    return this.#extents;
  }

  /** Takes a change over; pieces of the spool that nothing rests on any more. */
  apply(change: RecordChange): SpooledPiece[] {
    const before = this.#extents;
    if (change.upload?.uploadId !== this.#upload?.uploadId) this.#parts.clear();
    this.#upload = change.upload;
    this.#sizeBytes = change.sizeBytes;
    this.#baseBytes = change.baseBytes;
    if (change.keptBytes !== undefined) this.#cut(change.keptBytes);
    for (const safe of change.parts) {
      this.#forget(safe.start, safe.end);
      this.#parts.set(safe.start, safe);
    }
    for (const extent of change.extents) {
      this.#forget(extent.start, extent.end);
      this.#extents.push(extent);
      // Whoever puts bytes of an uploaded part into the spool puts all of them there: the upload's are old.
      for (const [start, { end }] of this.#parts)
        if (start < extent.end && end > extent.start) this.#parts.delete(start);
    }
    const kept = new Set(this.#extents.map(({ piece }) => piece));
    return before.map(({ piece }) => piece).filter((piece) => !kept.has(piece));
  }

  /** A change that changes nothing: for the journal, when something else about the file did. */
  get noChange(): RecordChange {
    return { ...this.toJSON(), parts: [], extents: [] };
  }

  toJSON(): RecordJson {
    return {
      ...this.state,
      sizeBytes: this.#sizeBytes,
      baseBytes: this.#baseBytes,
      ...(this.#upload !== undefined && { upload: this.#upload }),
      parts: [...this.#parts.values()],
      extents: this.#extents,
    };
  }

  #cut(size: number): void {
    for (const [start, { end }] of this.#parts) if (end > size) this.#parts.delete(start);
    this.#extents = this.#extents
      .filter(({ start }) => start < size)
      .map((extent) => (extent.end > size ? { ...extent, end: size } : extent));
  }

  /** What lies inside the range was written over. */
  #forget(from: number, to: number): void {
    this.#extents = this.#extents.filter(({ start, end }) => start < from || end > to);
  }
}
