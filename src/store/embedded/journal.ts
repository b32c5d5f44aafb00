/**
 * A bucket's journal: an append-only file of lines `crc32 json`. An append resolves once the line is on disk (fdatasync); appends that
 * wait together share one. A torn last line, which a crash can leave, is cut off at the next start.
 */
import { open, readFile, rename, type FileHandle } from 'node:fs/promises';
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

/**
 * Reads a journal, a line at a time. Returns the bytes that are good, and how many lines among them were not (a damaged disk: they
 * are skipped). A missing file is an empty one.
 */
async function replay(
  path: string,
  apply: (line: JournalLine) => void,
): Promise<{ goodBytes: number; badLines: number; lines: number }> {
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { goodBytes: 0, badLines: 0, lines: 0 };
    throw error;
  }
  let goodBytes = 0;
  let badLines = 0;
  let badSinceGood = 0;
  let lines = 0;
  for (let start = 0; start < content.length;) {
    const end = content.indexOf(0x0a, start);
    if (end < 0) break;
    const line = decodeLine(content.toString('utf8', start, end));
    start = end + 1;
    if (line === undefined) {
      badSinceGood++;
    } else {
      badLines += badSinceGood;
      badSinceGood = 0;
      lines++;
      goodBytes = start;
      apply(line);
    }
  }
  return { goodBytes, badLines, lines };
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

  /** Opens the journal at `path`, giving each line it holds to `apply`. `badLines` counts what was damaged. */
  static async open(
    path: string,
    apply: (line: JournalLine) => void,
  ): Promise<{ journal: Journal; badLines: number }> {
    const { goodBytes, badLines } = await replay(path, apply);
    const file = await open(path, 'a+');
    await file.truncate(goodBytes);
    return { journal: new Journal(path, file, goodBytes), badLines };
  }

  /** Bytes of the file now, and after the last rewrite: their ratio says when another is due. */
  get bytes(): { readonly now: number; readonly compact: number } {
    return { now: this.#bytes, compact: this.#compactBytes };
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
    const file = await open(next, 'w');
    let bytes = 0;
    try {
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
    } finally {
      await file.close();
    }
    await rename(next, this.#path);
    // Without this, a loss of power could bring back the old file under lines synced to the new one.
    const directory = await open(dirname(this.#path), 'r');
    await directory.sync().finally(() => directory.close());
    const appendable = await open(this.#path, 'a+');
    await this.#file.close();
    this.#file = appendable;
    this.#bytes = bytes;
    this.#compactBytes = bytes;
  }

  async close(): Promise<void> {
    await this.#flushing;
    await this.#file.close();
  }
}
