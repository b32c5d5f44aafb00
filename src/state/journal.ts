/**
 * Append-only journal: what a promise to a client rests on. An append resolves after fdatasync; the appends that arrive while a sync runs
 * share the next one.
 *
 *   file = records;  record = length of the JSON (u32 BE), crc32 over length and JSON (u32 BE), JSON
 *
 * A crash leaves at most a torn tail of records that nobody was told of: replay stops there and cuts it off. After a
 * write fails nothing is known of the file's end, so every later append fails too: the daemon must stop promising.
 */
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { syncDirectory } from './durable-file.js';

/** What JSON carries: plain objects, arrays, strings, numbers, booleans, null. A bigint goes as a string. */
export type JournalEntry = object | string | number | boolean | null;

/** The journal can't be written any more: nothing that was appended since is safe. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
}

const HEADER_BYTES = 8;
/** Far above any entry: a length beyond it is a torn or foreign record. */
const RECORD_BYTES_MAX = 64 * 1024 * 1024;

interface Pending {
  readonly resolve: () => void;
  readonly reject: (cause: Error) => void;
}

type Step = Pending &
  (
    | { readonly kind: 'append'; readonly record: Buffer }
    | { readonly kind: 'compact'; readonly records: readonly Buffer[] }
  );

export interface OpenedJournal {
  readonly journal: Journal;
  /** Entries in the order of their appends. */
  readonly entries: JournalEntry[];
  /** Bytes of a torn tail that were cut off. More than one batch's worth points to a damaged disk. */
  readonly tornBytes: number;
}

export class Journal {
  readonly #path: string;
  #file: FileHandle;
  #bytes: number;
  readonly #steps: Step[] = [];
  /** Appends that are being written now: not yet acknowledged. */
  #inFlight: readonly Buffer[] = [];
  #running: Promise<void> | undefined;
  #failure: JournalError | undefined;

  private constructor(path: string, file: FileHandle, bytes: number) {
    this.#path = path;
    this.#file = file;
    this.#bytes = bytes;
  }

  /** Opens or makes the journal at `path` and reads what it holds. Only one Journal may have it open. */
  static async open(path: string): Promise<OpenedJournal> {
    const file = await open(path, 'a+', 0o600);
    try {
      const bytes = await file.readFile();
      const { entries, end } = replay(bytes);
      const tornBytes = bytes.length - end;
      if (tornBytes > 0) await file.truncate(end);
      await file.sync();
      await syncDirectory(dirname(path));
      return { journal: new Journal(path, file, end), entries, tornBytes };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes in the journal. */
  size(): number {
    return this.#bytes;
  }

  /** Resolves when the entry is on the disk. Rejects with JournalError once a write has failed. */
  append(entry: JournalEntry): Promise<void> {
    const record = encodeRecord(entry);
    return this.#enqueue((pending) => ({ kind: 'append', record, ...pending }));
  }

  /**
   * Replaces the journal's content by `liveEntries`, atomically. Entries that were appended but not acknowledged when this was called
   * are kept behind them, so one may be there twice: replaying an entry again must change nothing.
   */
  compact(liveEntries: Iterable<JournalEntry>): Promise<void> {
    const records = Array.from(liveEntries, encodeRecord);
    records.push(...this.#inFlight);
    for (const step of this.#steps) if (step.kind === 'append') records.push(step.record);
    return this.#enqueue((pending) => ({ kind: 'compact', records, ...pending }));
  }

  /** Waits for what was appended and closes the file. */
  async close(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    this.#failure ??= new JournalError(`journal ${this.#path} is closed`);
    await this.#file.close();
  }

  #enqueue(makeStep: (pending: Pending) => Step): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#steps.push(makeStep({ resolve, reject }));
      this.#running ??= this.#run();
    });
  }

  /** Works the steps off in order. Never rejects: each step's caller learns how it ended. */
  async #run(): Promise<void> {
    // What is appended in this turn joins the first batch.
    await Promise.resolve();
    for (let head = this.#steps[0]; head !== undefined; head = this.#steps[0]) {
      if (head.kind === 'compact') {
        this.#steps.shift();
        await this.#compactTo(head);
      } else {
        const end = this.#steps.findIndex(({ kind }) => kind === 'compact');
        await this.#appendBatch(this.#steps.splice(0, end < 0 ? this.#steps.length : end));
      }
    }
    this.#running = undefined;
  }

  async #appendBatch(batch: readonly Step[]): Promise<void> {
    const records = batch.flatMap((step) => (step.kind === 'append' ? [step.record] : []));
    this.#inFlight = records;
    try {
      if (this.#failure !== undefined) throw this.#failure;
      const bytes = Buffer.concat(records);
      await writeFully(this.#file, bytes);
      await this.#file.datasync();
      this.#bytes += bytes.length;
    } catch (cause) {
      const failure = this.#fail(cause);
      for (const { reject } of batch) reject(failure);
      return;
    } finally {
      this.#inFlight = [];
    }
    for (const { resolve } of batch) resolve();
  }

  async #compactTo(step: Extract<Step, { kind: 'compact' }>): Promise<void> {
    const temporary = `${this.#path}.new`;
    const bytes = Buffer.concat(step.records);
    let file: FileHandle | undefined;
    try {
      if (this.#failure !== undefined) throw this.#failure;
      await rm(temporary, { force: true });
      file = await open(temporary, 'a+', 0o600);
      await writeFully(file, bytes);
      await file.sync();
    } catch (cause) {
      // The journal itself is as it was, and goes on.
      await file?.close();
      step.reject(new JournalError(`journal ${this.#path} could not be compacted`, { cause }));
      return;
    }
    try {
      await rename(temporary, this.#path);
      await this.#file.close();
      this.#file = file;
      this.#bytes = bytes.length;
      // Until the rename is on the disk, what is appended to the new file could vanish with it.
      await syncDirectory(dirname(this.#path));
    } catch (cause) {
      step.reject(this.#fail(cause));
      return;
    }
    step.resolve();
  }

  #fail(cause: unknown): JournalError {
    this.#failure ??=
      cause instanceof JournalError
        ? cause
        : new JournalError(`journal ${this.#path} could not be written: ${String(cause)}`, { cause });
    return this.#failure;
  }
}

function encodeRecord(entry: JournalEntry): Buffer {
  const json = Buffer.from(JSON.stringify(entry), 'utf8');
  if (json.length > RECORD_BYTES_MAX) throw new RangeError(`a journal entry of ${json.length} bytes`);
  const record = Buffer.allocUnsafe(HEADER_BYTES + json.length);
  record.writeUInt32BE(json.length, 0);
  json.copy(record, HEADER_BYTES);
  record.writeUInt32BE(checksum(record), 4);
  return record;
}

/** Over the length too: a tail of zeros, which a crash can leave, is no record. */
function checksum(record: Buffer): number {
  return crc32(record.subarray(HEADER_BYTES), crc32(record.subarray(0, 4)));
}

/** Entries up to the first record that isn't whole, and the offset where it starts. */
function replay(bytes: Buffer): { entries: JournalEntry[]; end: number } {
  const entries: JournalEntry[] = [];
  let at = 0;
  while (bytes.length - at >= HEADER_BYTES) {
    const end = at + HEADER_BYTES + bytes.readUInt32BE(at);
    if (end > bytes.length) break;
    const record = bytes.subarray(at, end);
    if (record.readUInt32BE(4) !== checksum(record)) break;
    entries.push(JSON.parse(record.toString('utf8', HEADER_BYTES)) as JournalEntry);
    at = end;
  }
  return { entries, end: at };
}

async function writeFully(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
}
