/**
 * Makes a write session's bytes survive the daemon without publishing them, at a cost that is linear in what was written: full parts that
 * the unfinished upload has are named in the journal; what isn't there goes to the spool, and is synced; the journal is told what changed.
 *
 *   written, truncated -> unsafe bytes
 *   keep: parts on their way arrive -> the rest to the spool -> fdatasync (shared) -> journal (shared) -> COMMIT may be answered
 *   published or discarded: the journal forgets -> the spool's pieces are free
 *
 * A part of an upload can't be read back. So whoever writes over one that a COMMIT was answered for has all of it put into the spool by
 * the next COMMIT, and it is not sent again before that.
 */
import type { ContentSource } from './content-source.js';
import { DurableRecord, type RecordChange, type SafeExtent, type SafePart } from './durable-record.js';
import { ExtentMap } from './extent-map.js';
import type { FileContent } from './file-content.js';
import type { FileUpload } from './file-upload.js';
import type { UploadName } from './part.js';
import { SpoolFullError } from './spool-full.js';
import type { SpooledPiece, SpoolSegments } from './spool-segments.js';

/** Largest piece put into the spool at a time, in bytes: as much is staged where the bytes are not in memory. */
const PIECE_BYTES_MAX = 4 * 1024 * 1024;

/** The journal of one file's unpublished bytes. */
export interface SessionJournal {
  /**
   * Resolves when the record is safe on disk, with the file's attributes. `change` is what came since the last that succeeded, where
   * one did; undefined where the record is to be written as a whole.
   */
  write(record: DurableRecord, change: RecordChange | undefined): Promise<void>;
  /** Only the file's attributes may have changed since. */
  touch(record: DurableRecord): Promise<void>;
  /** The record is no longer needed. Resolves when the disk has that: on a full disk, when there is room again. */
  end(): Promise<void>;
}

export interface DurabilityOptions {
  readonly content: FileContent;
  readonly source: ContentSource;
  readonly upload: () => FileUpload;
  readonly segments: SpoolSegments;
  readonly journal: SessionJournal;
  readonly partBytes: number;
  readonly partsMax: number;
  /** Pieces in the spool. */
  readonly extentsMax: number;
}

/** A change of the record before its bytes are in the spool. */
interface Plan extends Omit<RecordChange, 'extents' | 'keptBytes'> {
  /** Ranges that are to be put into the spool. */
  readonly wanted: ExtentMap;
  /** How many parts the upload has. */
  readonly inUpload: number;
}

export class Durability {
  readonly #options: DurabilityOptions;
  /** Written since it was last made safe. */
  #unsafe = new ExtentMap();
  /** Least size since then. */
  #keptBytes = Infinity;
  #resized = false;
  #record: DurableRecord | undefined;
  /** Parts that the journal on the disk may name, by their starts: the record is ahead of it while it is written, and when that failed. */
  readonly #promised = new Map<number, { readonly end: number; readonly uploadId: string | undefined }>();
  /** The journal has the record but for changes that it is told of. */
  #journaled = false;
  /** Pieces that nothing rests on once the journal has the record as it is. */
  #freed: SpooledPiece[] = [];

  constructor(options: DurabilityOptions) {
    this.#options = options;
  }

  /** A COMMIT was answered for something that isn't published. */
  get hasRecord(): boolean {
    return this.#record !== undefined;
  }

  /** A COMMIT was answered for the part that begins at `start`, and the upload has it, as far as the disk knows. */
  isPromised(start: number): boolean {
    return this.#promised.has(start);
  }

  /** Publishing into the current upload would send other bytes over parts that the journal names. */
  get #isInTheWay(): boolean {
    const { content, upload } = this.#options;
    const current = upload().current?.uploadId;
    for (const [start, { end, uploadId }] of this.#promised)
      if (uploadId === current && start < content.size && this.#uploaded(start, end) === undefined)
        return true;
    return false;
  }

  written(start: number, end: number): void {
    this.#unsafe.add(start, end);
  }

  truncated(size: number): void {
    this.#unsafe.remove(size, Infinity);
    this.#keptBytes = Math.min(this.#keptBytes, size);
    this.#resized = true;
  }

  /** What an earlier run made safe: it is the content now. */
  restore(record: DurableRecord): void {
    this.#record = record;
    this.#journaled = true;
    this.#promise(record.parts, record.upload);
    this.#unsafe.clear();
    this.#keptBytes = Infinity;
    this.#resized = false;
  }

  /** Resolves when all that was written before is safe; writes may go on, nothing else. Errors: SpoolFullError; StoreError; the journal's. */
  async keep({ extentsMax }: { readonly extentsMax: number } = this.#options): Promise<void> {
    const { content, upload, segments, journal } = this.#options;
    await upload().inFlight();
    const unsafe = this.#unsafe;
    const keptBytes = this.#keptBytes;
    if (unsafe.bytes === 0 && !this.#resized) {
      if (this.#record !== undefined && this.#journaled) return await journal.touch(this.#record);
      if (!content.dirty) return;
    }
    const extents = (this.#record?.extentCount ?? 0) + unsafe.count;
    if (extents > extentsMax)
      throw new SpoolFullError(`${extents} pieces of a file are more than the journal takes`);
    this.#unsafe = new ExtentMap();
    this.#keptBytes = Infinity;
    this.#resized = false;
    const pieces: SpooledPiece[] = [];
    let isRecorded = false;
    try {
      const change = await this.#change(unsafe, keptBytes, pieces);
      await segments.sync(pieces);
      isRecorded = true;
      await this.#journal(change);
    } catch (error) {
      if (!isRecorded) segments.free(pieces);
      for (const { start, end } of unsafe) this.#unsafe.add(start, end);
      this.#keptBytes = Math.min(this.#keptBytes, keptBytes);
      this.#resized = true;
      throw error;
    }
  }

  /**
   * Called before a publication sends parts again that COMMITs were answered for: makes those bytes safe elsewhere first. Where there is no room for that
   * they stay as they are, an upload that would be sent over makes way, and the error is returned. `isToBeKept`: also where no COMMIT was answered. Errors:
   * as of `keep`, when the upload can't make way because bytes are in it alone.
   */
  async beforePublishing(isToBeKept: boolean): Promise<unknown> {
    if (this.#record === undefined && !isToBeKept) return undefined;
    try {
      // What can't be published without is kept, of however many pieces.
      await this.keep(this.#isInTheWay ? { extentsMax: Infinity } : undefined);
      return undefined;
    } catch (error) {
      if (!this.#isInTheWay) return error;
      const upload = this.#options.upload();
      if (upload.holdsData) throw error;
      await upload.retire();
      return error;
    }
  }

  /** The object has everything: `base` is another one. Not waited for: a crash before finds out that the object is there. */
  async ended(): Promise<void> {
    const pieces = [...this.#freed, ...(this.#record?.extents ?? []).map(({ piece }) => piece)];
    const isKnown = this.#record !== undefined;
    this.#record = undefined;
    this.#promised.clear();
    this.#journaled = false;
    this.#freed = [];
    this.#unsafe.clear();
    this.#keptBytes = Infinity;
    this.#resized = false;
    if (isKnown) await this.#options.journal.end();
    this.#options.segments.free(pieces);
  }

  /** The change for the journal, after its bytes were put into the spool. Errors: SpoolFullError. */
  async #change(unsafe: ExtentMap, keptBytes: number, pieces: SpooledPiece[]): Promise<RecordChange> {
    const { segments } = this.#options;
    for (let plan = this.#plan(unsafe); ;) {
      const { wanted, inUpload, ...safe } = plan;
      // The journal will name them: from now on nobody sends others over them.
      this.#promise(safe.parts, safe.upload);
      try {
        const extents = await this.#spool([...wanted], pieces);
        return { ...safe, ...(keptBytes < Infinity && { keptBytes }), extents };
      } catch (error) {
        plan = this.#plan(unsafe);
        // While other bytes were spooled a part may have filled and been sent: it is safe in the upload and needs no room in the spool.
        if (!(error instanceof SpoolFullError) || plan.inUpload <= inUpload) throw error;
        segments.free(pieces.splice(0));
      }
    }
  }

  /** Where the unsafe bytes are to be safe: full parts in the upload, everything else in the spool. */
  #plan(unsafe: ExtentMap): Plan {
    const { content } = this.#options;
    const sizeBytes = content.size;
    const { baseBytes } = content;
    const current = this.#options.upload().current;
    const parts: SafePart[] = [];
    const wanted = new ExtentMap();
    for (const { start, end } of unsafe) wanted.add(start, Math.min(end, sizeBytes));
    const known = new Set<number>();
    for (const { start, end, part } of this.#record?.parts ?? []) {
      const there = current === undefined ? undefined : this.#uploaded(start, end);
      if (
        there !== undefined &&
        there.etag === part.etag &&
        this.#record?.upload?.uploadId === current?.uploadId
      )
        known.add(start);
      // Written over, cut, or in an upload that is no more: its bytes are here.
      else wanted.add(start, Math.min(end, sizeBytes));
    }
    for (const start of this.#partsTouched(wanted)) {
      const end = content.partMap.end(content.partMap.indexAt(start));
      const part = end <= sizeBytes && current !== undefined ? this.#uploaded(start, end) : undefined;
      if (part === undefined) continue;
      wanted.remove(start, end);
      if (!known.has(start)) parts.push({ start, end, part });
    }
    return {
      sizeBytes,
      baseBytes,
      ...(current !== undefined && {
        upload: { key: current.key, uploadId: current.uploadId, headers: current.headers },
      }),
      parts,
      wanted,
      inUpload: known.size + parts.length,
    };
  }

  /** Starts of the parts with unsafe bytes, and of those with bytes in the spool, which the upload may have by now. */
  #partsTouched(wanted: ExtentMap): Set<number> {
    const { partMap } = this.#options.content;
    const starts = new Set<number>();
    for (const index of this.#record?.spooledParts ?? []) starts.add(partMap.start(index));
    for (const { start, end } of wanted) {
      for (let index = partMap.indexAt(start); partMap.start(index) < end; index += 1)
        starts.add(partMap.start(index));
    }
    return starts;
  }

  /** The part of these bytes as the upload has it, where that is what the file holds. */
  #uploaded(start: number, end: number): SafePart['part'] | undefined {
    const { content } = this.#options;
    const current = this.#options.upload().current;
    const part = content.part(content.partMap.indexAt(start));
    if (current === undefined || part?.complete !== true) return undefined;
    return part.uploadedIn(current, end - start);
  }

  /** Puts ranges into the spool, part by part: what is read is locked meanwhile. */
  async #spool(
    ranges: readonly { start: number; end: number }[],
    pieces: SpooledPiece[],
  ): Promise<SafeExtent[]> {
    const { content, source, segments } = this.#options;
    const { partMap } = content;
    const extents: SafeExtent[] = [];
    for (const range of ranges) {
      for (let start = range.start; start < range.end;) {
        const end = Math.min(range.end, start + PIECE_BYTES_MAX, partMap.end(partMap.indexAt(start)));
        const lease = await source.lease(start, end);
        try {
          const piece = await segments.write(lease.body);
          pieces.push(piece);
          extents.push({ start, end, piece });
        } finally {
          lease.release();
        }
        start = end;
      }
    }
    return extents;
  }

  async #journal(change: RecordChange): Promise<void> {
    const { content, journal, segments, partBytes, partsMax } = this.#options;
    const { base } = content;
    const record = (this.#record ??= new DurableRecord({
      partBytes,
      partsMax,
      ...(base !== undefined && { base }),
    }));
    this.#freed.push(...record.apply(change));
    try {
      await journal.write(record, this.#journaled ? change : undefined);
    } catch (error) {
      // The record is ahead of the journal by now: the next one is written as a whole.
      this.#journaled = false;
      throw error;
    }
    this.#journaled = true;
    this.#promised.clear();
    this.#promise(record.parts, record.upload);
    segments.free(this.#freed.splice(0));
  }

  #promise(parts: Iterable<SafePart>, upload: UploadName | undefined): void {
    for (const { start, end } of parts) this.#promised.set(start, { end, uploadId: upload?.uploadId });
  }
}
