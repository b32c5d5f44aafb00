/**
 * What is safe of a file's unpublished bytes, and where: full parts in an unfinished upload, other bytes in the spool's segments. It is
 * what the journal keeps, first whole and then by changes, so that a COMMIT journals what came since the one before and no more. Pure.
 */
import type { ObjectVersion } from '../memory/byte-slices.js';
import type { ObjectHeaders, UploadedPart } from '../store/object-store.js';
import type { UploadName } from './part.js';
import { createPartMap, type PartMap } from './part-map.js';
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

/** Later ones win where they overlap. */
interface OrderedExtent {
  readonly extent: SafeExtent;
  readonly order: number;
}

/** Most pieces of a file in the spool: what a record of them takes of the journal and of memory, some 8 MiB each. */
export const EXTENTS_MAX = 65_536;

export class DurableRecord {
  readonly state: RecordState;
  readonly #partMap: PartMap;
  readonly #parts = new Map<number, SafePart>();
  /** By their starts: random writes to a large file make tens of thousands. */
  #extents: OrderedExtent[] = [];
  #lastOrder = 0;
  #sizeBytes: number;
  #baseBytes: number;
  #upload: OpenedUpload | undefined;

  constructor(state: RecordState) {
    this.state = state;
    this.#partMap = createPartMap(state.partBytes, state.partsMax);
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

  /** In the order in which they were written. */
  get extents(): readonly SafeExtent[] {
    return [...this.#extents].sort((a, b) => a.order - b.order).map(({ extent }) => extent);
  }

  get extentCount(): number {
    return this.#extents.length;
  }

  /** Parts with bytes in the spool, by their indices. */
  get spooledParts(): ReadonlySet<number> {
    const indices = new Set<number>();
    for (const { extent } of this.#extents) indices.add(this.#partMap.indexAt(extent.start));
    return indices;
  }

  /** Takes a change over; pieces of the spool that nothing rests on any more. */
  apply(change: RecordChange): SpooledPiece[] {
    const freed: SpooledPiece[] = [];
    if (change.upload?.uploadId !== this.#upload?.uploadId) this.#parts.clear();
    this.#upload = change.upload;
    this.#sizeBytes = change.sizeBytes;
    this.#baseBytes = change.baseBytes;
    if (change.keptBytes !== undefined) this.#cut(change.keptBytes, freed);
    for (const safe of change.parts) {
      this.#forget(safe.start, safe.end, freed);
      this.#parts.set(safe.start, safe);
    }
    for (const extent of change.extents) {
      this.#forget(extent.start, extent.end, freed);
      this.#lastOrder += 1;
      this.#extents.splice(this.#firstFrom(extent.start), 0, { extent, order: this.#lastOrder });
      // Whoever puts bytes of an uploaded part into the spool puts all of them there: the upload's are old.
      this.#parts.delete(this.#partMap.start(this.#partMap.indexAt(extent.start)));
    }
    return freed;
  }

  /** A change that changes nothing: for the journal, when something else about the file did. */
  get noChange(): RecordChange {
    return {
      ...this.state,
      sizeBytes: this.#sizeBytes,
      baseBytes: this.#baseBytes,
      ...(this.#upload !== undefined && { upload: this.#upload }),
      parts: [],
      extents: [],
    };
  }

  toJSON(): RecordJson {
    return {
      ...this.state,
      sizeBytes: this.#sizeBytes,
      baseBytes: this.#baseBytes,
      ...(this.#upload !== undefined && { upload: this.#upload }),
      parts: [...this.#parts.values()],
      extents: this.extents,
    };
  }

  #cut(size: number, freed: SpooledPiece[]): void {
    for (const [start, { end }] of this.#parts) if (end > size) this.#parts.delete(start);
    const gone = this.#extents.splice(this.#firstFrom(size));
    freed.push(...gone.map(({ extent }) => extent.piece));
    this.#extents = this.#extents.map(({ extent, order }) => ({
      extent: extent.end > size ? { ...extent, end: size } : extent,
      order,
    }));
  }

  /** What lies inside the range was written over. */
  #forget(from: number, to: number, freed: SpooledPiece[]): void {
    const first = this.#firstFrom(from);
    const left: OrderedExtent[] = [];
    let at = first;
    for (
      let each = this.#extents[at];
      each !== undefined && each.extent.start < to;
      each = this.#extents[++at]
    ) {
      if (each.extent.end > to) left.push(each);
      else freed.push(each.extent.piece);
    }
    if (at > first) this.#extents.splice(first, at - first, ...left);
  }

  /** Index of the first extent that starts at or after `offset`. */
  #firstFrom(offset: number): number {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const each = this.#extents[middle];
      if (each !== undefined && each.extent.start < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
