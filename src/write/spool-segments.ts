/**
 * The durable side of the spool: bytes that a COMMIT was answered for and that S3 doesn't have yet. Pieces of all files are appended to
 * one file after the other (segments), so that those who wait for the disk at the same time share one fdatasync. Nothing is ever
 * overwritten while something rests on it; a segment that nothing rests on any more is used anew, or removed.
 *
 *   write (page cache, in line) -> sync (fdatasync, shared) -> the journal names the piece -> free
 *
 * A piece carries its length and CRC-32 in the journal: what the disk lost or changed is found out when it is read.
 */
import { mkdir, open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { syncDirectory } from '../state/durable-file.js';
import type { Logger } from '../telemetry/log.js';
import { SpoolFullError } from './spool-full.js';

/** Where bytes are, by segment and position, and what they were. */
export interface SpooledPiece {
  readonly segment: number;
  readonly position: number;
  readonly bytes: number;
  readonly crc32: number;
}

/** A segment that has grown to so many bytes is followed by the next: what one small piece can keep on the disk. */
const SEGMENT_BYTES = 16 * 1024 * 1024;

const FILE_NAME = /^([1-9][0-9]*)\.segment$/;

/** The spool, as seen from here. */
export interface SegmentRoom {
  readonly directory: string;
  /** Takes room for data that is nowhere else; false when there is none. */
  tryReserve(bytes: number): boolean;
  release(bytes: number): void;
  /** The disk failed a write. */
  refuse(error: unknown): void;
}

interface Segment {
  readonly id: number;
  readonly path: string;
  readonly file: FileHandle;
  /** Where the next piece goes. */
  end: number;
  /** Bytes of the spool's room that it has. */
  reserved: number;
  /** Pieces that something rests on, or will. */
  live: number;
  /** Written to since the last sync began. */
  dirty: boolean;
  /** The disk failed a sync: what was written is not known to be there, whatever a later sync says. */
  failed: boolean;
}

export class SpoolSegments {
  readonly #room: SegmentRoom;
  readonly #log: Logger;
  readonly #segmentBytes: number;
  readonly #segments = new Map<number, Segment>();
  #current: Segment | undefined;
  #lastId = 0;
  /** The end of the line of those who write. */
  #line: Promise<unknown> = Promise.resolve();
  #syncing: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;
  #closed = false;
  /** Since the daemon's start: bytes written and fdatasyncs, of segments alone. */
  readonly counts = { bytes: 0, syncs: 0 };

  private constructor(room: SegmentRoom, log: Logger, segmentBytes: number) {
    this.#room = room;
    this.#log = log;
    this.#segmentBytes = segmentBytes;
  }

  /** Opens what an earlier run left: `kept` are the pieces that the journal names; segments without one are removed. */
  static async open(
    room: SegmentRoom,
    log: Logger,
    kept: Iterable<SpooledPiece>,
    segmentBytes: number = SEGMENT_BYTES,
  ): Promise<SpoolSegments> {
    const segments = new SpoolSegments(room, log, segmentBytes);
    await mkdir(room.directory, { recursive: true, mode: 0o700 });
    const live = new Map<number, number>();
    for (const { segment } of kept) {
      live.set(segment, (live.get(segment) ?? 0) + 1);
      // The name of one that is missing is not given again: what is read or freed under it would be somebody else's.
      segments.#lastId = Math.max(segments.#lastId, segment);
    }
    for (const name of await readdir(room.directory)) {
      const id = Number(FILE_NAME.exec(name)?.[1] ?? 0);
      if (id === 0) continue;
      segments.#lastId = Math.max(segments.#lastId, id);
      const path = join(room.directory, name);
      const pieces = live.get(id);
      if (pieces === undefined) {
        await rm(path, { force: true });
        continue;
      }
      const file = await open(path, 'r+');
      const { size } = await file.stat();
      // What is there already needs no permission; it counts where there is room for it.
      const reserved = room.tryReserve(size) ? size : 0;
      segments.#segments.set(id, {
        id,
        path,
        file,
        end: size,
        reserved,
        live: pieces,
        dirty: false,
        failed: false,
      });
    }
    return segments;
  }

  /**
   * Appends bytes that don't change until this resolves; they are safe when a `sync` that began later has ended. Errors: SpoolFullError,
   * when the limit or the disk leaves no room, or the disk fails.
   */
  write(slices: readonly Uint8Array[]): Promise<SpooledPiece> {
    const written = this.#line.then(() => this.#append(slices));
    this.#line = written.catch(() => undefined);
    return written;
  }

  /** Resolves when these pieces are on the disk. Those who ask while a sync runs share the next. Errors: SpoolFullError, when the disk fails. */
  async sync(pieces: readonly SpooledPiece[]): Promise<void> {
    if (pieces.length === 0) return;
    await this.#syncAll();
    for (const { segment } of pieces) {
      if (this.#segments.get(segment)?.failed === false) continue;
      throw new SpoolFullError(`the spool in ${this.#room.directory} could not be synced`);
    }
  }

  #syncAll(): Promise<void> {
    if (this.#nextSync !== undefined) return this.#nextSync;
    const before = this.#syncing ?? Promise.resolve();
    const next = before
      .then(() => {
        this.#syncing = next;
        this.#nextSync = undefined;
        return this.#syncNow();
      })
      .finally(() => {
        if (this.#syncing === next) this.#syncing = undefined;
      });
    this.#nextSync = next;
    return next;
  }

  /** The bytes of a piece, verified. Errors: a message that names the file and what is wrong with it. */
  async read({ segment, position, bytes, crc32: expected }: SpooledPiece): Promise<Buffer> {
    const found = this.#segments.get(segment);
    if (found === undefined) throw new Error(`the spool has lost segment ${segment}`);
    const buffer = Buffer.allocUnsafe(bytes);
    for (let done = 0; done < bytes;) {
      const { bytesRead } = await found.file.read(buffer, done, bytes - done, position + done);
      if (bytesRead === 0)
        throw new Error(`${found.path}: expected ${bytes} bytes at ${position}, found ${done}`);
      done += bytesRead;
    }
    const actual = crc32(buffer);
    if (actual === expected) return buffer;
    throw new Error(`${found.path}: ${bytes} bytes at ${position} have checksum ${actual}, not ${expected}`);
  }

  /** Nothing rests on these pieces any more: neither a file nor the journal on the disk. */
  free(pieces: Iterable<SpooledPiece>): void {
    for (const { segment: id } of pieces) {
      const segment = this.#segments.get(id);
      if (segment === undefined) continue;
      segment.live -= 1;
      if (segment.live > 0) continue;
      this.#room.release(segment.reserved);
      segment.reserved = 0;
      if (segment === this.#current) segment.end = 0;
      else this.#remove(segment);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#line;
    await Promise.all([this.#syncing, this.#nextSync]);
    for (const { file } of this.#segments.values()) await file.close();
  }

  async #append(slices: readonly Uint8Array[]): Promise<SpooledPiece> {
    if (this.#closed) throw new Error('the spool is closed');
    const bytes = slices.reduce((sum, slice) => sum + slice.length, 0);
    if (!this.#room.tryReserve(bytes))
      throw new SpoolFullError(`the spool in ${this.#room.directory} has no room for ${bytes} bytes more`);
    let segment: Segment | undefined;
    try {
      segment = await this.#open();
      const position = segment.end;
      let at = position;
      let sum = 0;
      for (const slice of slices) {
        sum = crc32(slice, sum);
        for (let done = 0; done < slice.length;) {
          const { bytesWritten } = await segment.file.write(slice, done, slice.length - done, at);
          done += bytesWritten;
          at += bytesWritten;
        }
      }
      segment.end = at;
      segment.reserved += bytes;
      segment.live += 1;
      segment.dirty = true;
      this.counts.bytes += bytes;
      return { segment: segment.id, position, bytes, crc32: sum };
    } catch (error) {
      this.#room.release(bytes);
      this.#room.refuse(error);
      throw new SpoolFullError(
        `the spool in ${this.#room.directory} could not be written: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  /** The segment to append to. */
  async #open(): Promise<Segment> {
    const { directory } = this.#room;
    const current = this.#current;
    if (current !== undefined && current.end < this.#segmentBytes) return current;
    this.#lastId += 1;
    const id = this.#lastId;
    const path = join(directory, `${id}.segment`);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const file = await open(path, 'wx+', 0o600);
    await syncDirectory(directory);
    const segment = { id, path, file, end: 0, reserved: 0, live: 0, dirty: false, failed: false };
    this.#segments.set(id, segment);
    this.#current = segment;
    if (current?.live === 0) this.#remove(current);
    return segment;
  }

  async #syncNow(): Promise<void> {
    const dirty = [...this.#segments.values()].filter((segment) => segment.dirty);
    await Promise.all(
      dirty.map(async (segment) => {
        segment.dirty = false;
        try {
          this.counts.syncs += 1;
          await segment.file.datasync();
        } catch (error) {
          segment.failed = true;
          if (this.#current === segment) this.#current = undefined;
          this.#room.refuse(error);
        }
      }),
    );
  }

  #remove(segment: Segment): void {
    this.#segments.delete(segment.id);
    const gone = async (): Promise<void> => {
      await segment.file.close();
      await rm(segment.path, { force: true });
    };
    gone().catch((error: unknown) =>
      this.#log.warn({ err: error, path: segment.path }, 'cannot remove a segment of the spool'),
    );
  }
}
