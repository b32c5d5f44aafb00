/**
 * The log in front of the inode tree's database: changes are answered for once they are here, and reach LMDB some milliseconds later. A
 * commit of LMDB waits for the disk; a name that is given away must only survive the death of this process, and what was written to a file
 * does. So the log is written and never synced.
 *
 *   names-<n>.log:  { length u32 | CRC-32 of what follows u32 | number u64 | changes } ...
 *
 * Numbers count up by one through all files and lives. LMDB's transactions carry the number of the last changes in them, and the log
 * goes on from there, as far as it goes without a gap: changes that were lost in a power cut take along all that came after them. A file goes
 * once LMDB has what it holds on the disk.
 */
import { readdirSync, readFileSync, truncateSync, unlinkSync } from 'node:fs';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { decodeChanges, encodeChanges } from './changes-form.js';
import type { NodeChanges } from './node-changes.js';
import type { NameBatch } from './staged-names.js';

const NAME = /^names-(\d+)\.log$/;
/** length and CRC-32. */
const FRAME_BYTES = 8;
const NUMBER_BYTES = 8;
/** Beyond it, the next changes go to another file, and this one goes with the next commit. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** What the log has of changes that LMDB lacks. */
export interface Replayed {
  readonly log: NodeLog;
  /** In their order; the first is the one behind what was committed. */
  readonly changes: readonly NodeChanges[];
  /** Changes before those of which LMDB may lack listed names, and has all else. */
  readonly listed: readonly NodeChanges[];
}

interface LogFile {
  readonly path: string;
  /** None of a file from an earlier life. */
  readonly handle?: FileHandle;
  /** Number of the last changes in it. */
  lastNumber: bigint;
}

export class NodeLog {
  readonly #directory: string;
  readonly #fileBytesMax: number;
  /** Files that nothing is added to any more, oldest first. */
  #full: LogFile[];
  #current: Required<LogFile> | undefined;
  #currentBytes = 0;
  /** A part of changes that failed may stand at the end of the current file. */
  #torn = false;
  #fileNumber: number;
  /** Number of the last changes that were appended. */
  lastNumber: bigint;

  private constructor(directory: string, fileBytesMax: number, full: LogFile[], lastNumber: bigint) {
    this.#directory = directory;
    this.#fileBytesMax = fileBytesMax;
    this.#full = full;
    this.#fileNumber = 1 + Math.max(0, ...full.map(({ path }) => numberOf(path)));
    this.lastNumber = lastNumber;
  }

  /**
   * Reads what an earlier life left behind `committed`, the number of the last changes that LMDB has, and cuts off what is behind a gap. Of
   * listed names LMDB may have those of the changes up to `listedNumber` alone. `fileBytesMax` is for tests.
   */
  static open(
    directory: string,
    committed: bigint,
    fileBytesMax = FILE_BYTES_MAX,
    listedNumber = committed,
  ): Replayed {
    const paths = readdirSync(directory)
      .filter((name) => NAME.test(name))
      .map((name) => join(directory, name))
      .sort((a, b) => numberOf(a) - numberOf(b));
    const changes: NodeChanges[] = [];
    const listed: NodeChanges[] = [];
    const full: LogFile[] = [];
    let last = listedNumber < committed ? listedNumber : committed;
    let gap = false;
    for (const path of paths) {
      if (gap) {
        unlinkSync(path);
        continue;
      }
      const bytes = readFileSync(path);
      let at = 0;
      for (let frame = frameAt(bytes, at); frame !== undefined; frame = frameAt(bytes, at)) {
        // A power cut may have taken some that LMDB has all the same: what they told of listed names is lost with them.
        if (frame.number > (last < committed ? committed : last) + 1n) break;
        if (frame.number > last) {
          (frame.number > committed ? changes : listed).push(decodeChanges(frame.changes));
          last = frame.number;
        }
        at = frame.end;
      }
      gap = at < bytes.length;
      if (gap) truncateSync(path, at);
      full.push({ path, lastNumber: last });
    }
    const lastNumber = last < committed ? committed : last;
    return { log: new NodeLog(directory, fileBytesMax, full, lastNumber), changes, listed };
  }

  /**
   * Resolves when a kill of this process loses none of them. One call at a time. After a failure nothing of them counts, and they may be
   * given again.
   */
  async append(changes: NodeChanges, listed?: NameBatch): Promise<void> {
    const payload = encodeChanges(changes, listed);
    const number = this.lastNumber + 1n;
    const frame = Buffer.allocUnsafe(FRAME_BYTES + NUMBER_BYTES + payload.length);
    frame.writeUInt32BE(NUMBER_BYTES + payload.length, 0);
    frame.writeBigUInt64BE(number, FRAME_BYTES);
    payload.copy(frame, FRAME_BYTES + NUMBER_BYTES);
    frame.writeUInt32BE(crc32(frame.subarray(FRAME_BYTES)), 4);
    const file = (this.#current ??= await this.#openNext());
    const { handle } = file;
    // Else what stands there of changes that failed would be taken for the end.
    if (this.#torn) await handle.truncate(this.#currentBytes);
    this.#torn = true;
    for (let written = 0; written < frame.length;) {
      const at = this.#currentBytes + written;
      const { bytesWritten } = await handle.write(frame, written, frame.length - written, at);
      if (bytesWritten === 0) throw new Error(`${file.path} takes no more bytes`);
      written += bytesWritten;
    }
    this.#torn = false;
    this.#currentBytes += frame.length;
    this.lastNumber = number;
    file.lastNumber = number;
    if (this.#currentBytes >= this.#fileBytesMax) this.turn();
  }

  /** The next changes go to another file. Not while some are being appended. */
  turn(): void {
    if (this.#current !== undefined) this.#full.push(this.#current);
    this.#current = undefined;
    this.#currentBytes = 0;
  }

  /** Removes full files of which LMDB has everything on the disk, up to the changes of that number. */
  async removeUpTo(number: bigint): Promise<void> {
    for (;;) {
      const [oldest] = this.#full;
      if (oldest === undefined || oldest.lastNumber > number) return;
      this.#full.shift();
      await oldest.handle?.close();
      await rm(oldest.path, { force: true });
    }
  }

  /** Closes the files, and leaves them where they are. */
  async close(): Promise<void> {
    this.turn();
    for (const { handle } of this.#full.splice(0)) await handle?.close();
  }

  async #openNext(): Promise<Required<LogFile>> {
    const path = pathOf(this.#directory, this.#fileNumber++);
    return { path, handle: await open(path, 'wx', 0o600), lastNumber: this.lastNumber };
  }
}

const numberOf = (path: string): number => Number(NAME.exec(basename(path))?.[1]);
const pathOf = (directory: string, number: number): string => join(directory, `names-${number}.log`);

/** The whole frame there; undefined at the end, and where it was cut off or changed. */
function frameAt(
  bytes: Buffer,
  at: number,
): { readonly number: bigint; readonly changes: Buffer; readonly end: number } | undefined {
  if (at + FRAME_BYTES + NUMBER_BYTES > bytes.length) return undefined;
  const end = at + FRAME_BYTES + bytes.readUInt32BE(at);
  if (end < at + FRAME_BYTES + NUMBER_BYTES || end > bytes.length) return undefined;
  const content = bytes.subarray(at + FRAME_BYTES, end);
  if (crc32(content) !== bytes.readUInt32BE(at + 4)) return undefined;
  return { number: content.readBigUInt64BE(0), changes: content.subarray(NUMBER_BYTES), end };
}
