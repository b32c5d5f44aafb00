/**
 * A bucket's journal: an append-only file of lines `crc32 json`. An append resolves once the line is on disk (fdatasync); appends that
 * wait together share one. A torn last line, which a crash can leave, is cut off at the next start.
 */
import { open, rename, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { JournalLine } from './records.js';

interface Waiting {
  readonly text: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

function encodeLine(line: JournalLine): string {
  const json = JSON.stringify(line);
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`;
}

/** A line's record; undefined when its bytes aren't what was written. */
function decodeLine(text: string): JournalLine | undefined {
  const json = text.slice(9);
  if (text[8] !== ' ' || crc32(json) !== parseInt(text.slice(0, 8), 16)) return undefined;
  return JSON.parse(json) as JournalLine;
}

/** A journal is rewritten when it is larger than this and four times what it was after the last rewrite. */
const REWRITE_BYTES_MIN = 32 * 1024 * 1024;

/** Lines of the past that a start leaves alone. */
const LINES_FREE = 1000;

/** A journal is read in pieces of this size: it may be larger than a Buffer, and than memory. */
const READ_BYTES = 4 * 1024 * 1024;

/**
 * Reads a journal, a line at a time. Returns the bytes that are good, how many lines are in them, and how many of others were among them
 * (a damaged disk: they are skipped). A missing file is an empty one.
 */
async function replay(
  path: string,
  apply: (line: JournalLine) => void,
): Promise<{ goodBytes: number; badLines: number; lines: number }> {
  const found = { goodBytes: 0, badLines: 0, lines: 0 };
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return found;
    throw error;
  }
  let badSinceGood = 0;
  let at = 0;
  const take = (text: string, bytes: number): void => {
    at += bytes;
    const line = decodeLine(text);
    if (line === undefined) {
      badSinceGood++;
      return;
    }
    found.badLines += badSinceGood;
    badSinceGood = 0;
    found.lines++;
    found.goodBytes = at;
    apply(line);
  };
  try {
    let rest: Buffer = Buffer.alloc(0);
    for await (const piece of file.createReadStream({ highWaterMark: READ_BYTES, autoClose: false })) {
      const content = Buffer.concat([rest, piece as Buffer]);
      let start = 0;
      for (let end = content.indexOf(0x0a); end >= 0; end = content.indexOf(0x0a, start)) {
        take(content.toString('utf8', start, end), end + 1 - start);
        start = end + 1;
      }
      rest = content.subarray(start);
    }
  } finally {
    await file.close();
  }
  return found;
}

export class Journal {
  readonly #path: string;
  #file: FileHandle;
  #bytes: number;
  /** Size after the last rewrite. */
  #compactBytes: number;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;

  private constructor(path: string, file: FileHandle, bytes: number) {
    this.#path = path;
    this.#file = file;
    this.#bytes = bytes;
    this.#compactBytes = 0;
  }

  /** Opens the journal at `path`, giving each of the `lines` it holds to `apply`. `badLines` counts what was damaged. */
  static async open(
    path: string,
    apply: (line: JournalLine) => void,
  ): Promise<{ journal: Journal; lines: number; badLines: number }> {
    const { goodBytes, badLines, lines } = await replay(path, apply);
    const file = await open(path, 'a+');
    await file.truncate(goodBytes);
    return { journal: new Journal(path, file, goodBytes), lines, badLines };
  }

  /**
   * Rewrites a journal that was just opened where that is worth it: `must` says so, or most of its `lines` are of the past, as `live` would
   * do. Reading all of them and writing none makes the start of a large bucket.
   */
  async tidy(must: boolean, lines: number, live: number, state: () => Iterable<JournalLine>): Promise<void> {
    if (must || lines > 2 * live + LINES_FREE) await this.rewrite(state());
    else this.#compactBytes = Math.floor(this.#bytes * Math.min(1, live / Math.max(lines, 1)));
  }

  /** Most of a long journal is of the past: a rewrite is due. */
  get isLong(): boolean {
    return this.#bytes > REWRITE_BYTES_MIN && this.#bytes > 4 * this.#compactBytes;
  }

  /** Resolves once the line is on disk. Fails with the file system's error; then the line isn't in the journal. */
  append(line: JournalLine): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ text: encodeLine(line), resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  async #flush(): Promise<void> {
    // Let the appends of this turn gather.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        const data = Buffer.from(batch.map((each) => each.text).join(''));
        await this.#file.appendFile(data);
        await this.#file.datasync();
        this.#bytes += data.length;
        for (const each of batch) each.resolve();
      } catch (error) {
        // What was half written must not stand before later lines.
        await this.#file.truncate(this.#bytes).catch((cause: unknown) => {
          for (const each of batch) each.reject(cause);
        });
        for (const each of batch) each.reject(error);
      }
    }
    this.#flushing = undefined;
  }

  /** Replaces the journal by `lines`, atomically. The caller sees to it that nothing is appended meanwhile. */
  async rewrite(lines: Iterable<JournalLine>): Promise<void> {
    await this.#flushing;
    const next = `${this.#path}.next`;
    // The one descriptor from the first line on: once the name is the new file's, nothing may fail before lines go there.
    const file = await open(next, 'a+');
    let bytes = 0;
    try {
      await file.truncate();
      let text = '';
      for (const line of lines) {
        text += encodeLine(line);
        if (text.length >= 1 << 20) {
          bytes += Buffer.byteLength(text);
          await file.appendFile(text);
          text = '';
        }
      }
      bytes += Buffer.byteLength(text);
      await file.appendFile(text);
      await file.sync();
      await rename(next, this.#path);
    } catch (error) {
      await file.close();
      throw error;
    }
    const before = this.#file;
    this.#file = file;
    this.#bytes = bytes;
    this.#compactBytes = bytes;
    await before.close();
    // Without this, a loss of power could bring back the old file under lines synced to the new one.
    const directory = await open(dirname(this.#path), 'r');
    await directory.sync().finally(() => directory.close());
  }

  /** A rewrite failed: the next is due when the journal has grown by as much again. */
  postponeRewrite(): void {
    this.#compactBytes = this.#bytes;
  }

  async close(): Promise<void> {
    await this.#flushing;
    await this.#file.close();
  }
}
