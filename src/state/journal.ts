/**
 * Append-only journal: what a promise to a client rests on. An append resolves after fdatasync; the appends that arrive while a sync runs
 * share the next one.
 *
 *   file = records;  record = length of the JSON (u32 BE), crc32 over length and JSON (u32 BE), JSON: the entries of one sync, in an array
 *
 * A crash leaves at most one torn record, the last, whose entries nobody was told of: replay stops there and cuts it off. A whole record
 * behind a broken one is another matter: the disk changed what was promised, and the journal doesn't open. A write that finds no room
 * is taken back, and the next append may succeed; what tells that something is over finds room in a reserve (reserve-file.ts). After a failed sync nothing is known of the file's end, so every later append fails
 * too: the daemon must stop promising.
 */
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { isErrorCode, syncDirectory } from './durable-file.js';
import { ReserveFile } from './reserve-file.js';

/** What JSON carries: plain objects, arrays, strings, numbers, booleans, null. A bigint goes as a string. */
export type JournalEntry = object | string | number | boolean | null;

/** The journal couldn't be written, or not be read: what was appended is not safe. */
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

type Append = Pending & { readonly kind: 'append'; readonly entry: string; readonly endsSomething: boolean };

type Step = Append | (Pending & { readonly kind: 'compact'; readonly entries: readonly string[] });

export interface OpenedJournal {
  readonly journal: Journal;
  /** Entries in the order of their appends. */
  readonly entries: JournalEntry[];
  /** Bytes of a torn tail that were cut off. More than one batch's worth points to a damaged disk. */
  readonly tornBytes: number;
}

export class Journal {
  readonly #path: string;
  readonly #reserve: ReserveFile;
  #file: FileHandle;
  #bytes: number;
  readonly #steps: Step[] = [];
  /** Appends that are being written now: not yet acknowledged. */
  #inFlight: readonly string[] = [];
  #running: Promise<void> | undefined;
  #failure: JournalError | undefined;

  private constructor(path: string, file: FileHandle, bytes: number) {
    this.#path = path;
    this.#reserve = new ReserveFile(`${path}.reserve`);
    this.#file = file;
    this.#bytes = bytes;
  }

  /** Opens or makes the journal at `path` and reads what it holds. Only one Journal may have it open. */
  static async open(path: string): Promise<OpenedJournal> {
    const file = await open(path, 'a+', 0o600);
    try {
      const bytes = await file.readFile();
      const { entries, end } = replay(bytes);
      const whole = recordBehind(bytes, end);
      if (whole !== undefined) {
        throw new JournalError(
          `journal ${path} is damaged at byte ${end}: a whole record follows at ${whole}. What it promised can't be known; without the file the daemon starts without it`,
        );
      }
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

  /**
   * Resolves when the entry is on the disk. Rejects with JournalError where it finds no room, and once a sync has failed. `endsSomething`: room is given
   * back for it, on this disk or soon; the reserve is for such entries.
   */
  append(entry: JournalEntry, endsSomething = false): Promise<void> {
    const encoded = encodeEntry(entry);
    return this.#enqueue((pending) => ({ kind: 'append', entry: encoded, endsSomething, ...pending }));
  }

  /**
   * Replaces the journal's content by `liveEntries`, atomically. Entries that were appended but not acknowledged when this was called
   * are kept behind them, so one may be there twice: replaying an entry again must change nothing.
   */
  compact(liveEntries: Iterable<JournalEntry>): Promise<void> {
    const entries = Array.from(liveEntries, encodeEntry);
    entries.push(...this.#inFlight);
    for (const step of this.#steps) if (step.kind === 'append') entries.push(step.entry);
    return this.#enqueue((pending) => ({ kind: 'compact', entries, ...pending }));
  }

  /** Waits for what was appended and closes the file. */
  async close(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    this.#failure ??= new JournalError(`journal ${this.#path} is closed`);
    await this.#file.close();
    await this.#reserve.close();
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
        const batch = this.#steps.splice(0, batchLength(this.#steps));
        await this.#appendBatch(batch.filter((step) => step.kind === 'append'));
      }
    }
    this.#running = undefined;
  }

  async #appendBatch(batch: readonly Append[]): Promise<void> {
    let written: readonly Append[];
    try {
      if (this.#failure !== undefined) throw this.#failure;
      written = await this.#write(batch);
      if (written.length > 0) await this.#file.datasync();
    } catch (cause) {
      const failure = this.#fail(cause);
      for (const { reject } of batch) reject(failure);
      return;
    } finally {
      this.#inFlight = [];
    }
    for (const { resolve } of written) resolve();
    // Nobody waits; and there is room, for something that needs more of it was written.
    if (this.#steps.length === 0 && written.some(({ endsSomething }) => !endsSomething))
      await this.#reserve.fill();
  }

  /** Those that were written: all, or where the disk is full those for which there is the reserve. The others are rejected. */
  async #write(batch: readonly Append[]): Promise<readonly Append[]> {
    for (let left = batch; left.length > 0;) {
      this.#inFlight = left.map(({ entry }) => entry);
      const bytes = encodeRecords(this.#inFlight);
      try {
        await writeFully(this.#file, bytes);
        this.#bytes += bytes.length;
        return left;
      } catch (cause) {
        const error = await this.#takeBack(cause);
        const isFull = this.#failure === undefined && isErrorCode(cause, 'ENOSPC', 'EDQUOT');
        const hasRoom =
          isFull && left.some(({ endsSomething }) => endsSomething) && (await this.#reserve.cut());
        for (const { reject, endsSomething } of left) if (!hasRoom || !endsSomething) reject(error);
        left = hasRoom ? left.filter(({ endsSomething }) => endsSomething) : [];
      }
    }
    return [];
  }

  async #compactTo(step: Extract<Step, { kind: 'compact' }>): Promise<void> {
    const temporary = `${this.#path}.new`;
    const bytes = encodeRecords(step.entries);
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

  /** A write failed, with no room as a rule: the file is what it was before, or can't be written any more. */
  async #takeBack(cause: unknown): Promise<JournalError> {
    try {
      await this.#file.truncate(this.#bytes);
      await this.#file.datasync();
    } catch (error) {
      return this.#fail(error);
    }
    return new JournalError(`journal ${this.#path} could not be written: ${String(cause)}`, { cause });
  }

  #fail(cause: unknown): JournalError {
    this.#failure ??=
      cause instanceof JournalError
        ? cause
        : new JournalError(`journal ${this.#path} could not be written: ${String(cause)}`, { cause });
    return this.#failure;
  }
}

/** Appends that go into one record. Never two records in a sync: the disk may have the second alone after a crash. */
function batchLength(steps: readonly Step[]): number {
  let length = 0;
  for (const [at, step] of steps.entries()) {
    if (step.kind === 'compact') return at;
    length += step.entry.length + 1;
    if (at > 0 && length > RECORD_BYTES_MAX / 4) return at;
  }
  return steps.length;
}

function encodeEntry(entry: JournalEntry): string {
  const json = JSON.stringify(entry);
  if (json.length > RECORD_BYTES_MAX / 4)
    throw new RangeError(`a journal entry of ${json.length} characters`);
  return json;
}

/** One record, or as many as the largest allows. */
function encodeRecords(entries: readonly string[]): Buffer {
  const records: Buffer[] = [];
  for (let from = 0; from < entries.length;) {
    let to = from;
    for (let length = 0; to < entries.length; to += 1) {
      length += (entries[to]?.length ?? 0) + 1;
      if (to > from && length > RECORD_BYTES_MAX / 4) break;
    }
    records.push(encodeRecord(`[${entries.slice(from, to).join(',')}]`));
    from = to;
  }
  return Buffer.concat(records);
}

function encodeRecord(text: string): Buffer {
  const json = Buffer.from(text, 'utf8');
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
    const record = recordAt(bytes, at);
    if (record === undefined) break;
    const value = JSON.parse(record.toString('utf8', HEADER_BYTES)) as JournalEntry;
    // One entry a record: what an earlier version wrote.
    if (Array.isArray(value)) entries.push(...(value as JournalEntry[]));
    else entries.push(value);
    at += record.length;
  }
  return { entries, end: at };
}

/** The whole record at an offset, if there is one. */
function recordAt(bytes: Buffer, at: number): Buffer | undefined {
  if (bytes.length - at < HEADER_BYTES) return undefined;
  const length = bytes.readUInt32BE(at);
  if (length === 0 || length > bytes.length - at - HEADER_BYTES) return undefined;
  const record = bytes.subarray(at, at + HEADER_BYTES + length);
  return record.readUInt32BE(4) === checksum(record) ? record : undefined;
}

/** Where a whole record begins behind `from`, if one does. */
function recordBehind(bytes: Buffer, from: number): number | undefined {
  for (let at = from + 1; bytes.length - at >= HEADER_BYTES; at += 1)
    if (recordAt(bytes, at) !== undefined) return at;
  return undefined;
}

async function writeFully(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
}
