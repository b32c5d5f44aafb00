/** A write session over the store in memory, small parts, and a plain Buffer to compare with. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { MemoryBudget } from '../../src/memory/memory-budget.js';
import type { ByteSlices, ObjectVersion } from '../../src/memory/byte-slices.js';
import type { ObjectHeaders } from '../../src/store/object-store.js';
import { Spool, type SpoolOptions } from '../../src/write/spool.js';
import type { WriteOptions, WriteSessionOptions } from '../../src/write/session-options.js';
import { WriteSession } from '../../src/write/write-session.js';
import { MemoryStore, type MemoryStoreOptions } from '../support/memory-store.js';

export const KIB = 1024;

/** Bytes of a READ. */
const READ_BYTES = 20 * KIB;

export interface SessionBenchOptions {
  readonly budgetBytes?: number;
  readonly spoolBytes?: number;
  readonly spool?: Partial<SpoolOptions>;
  readonly store?: MemoryStoreOptions;
}

/** Parts of 16 KiB over a store whose least part is as small. */
export const SMALL_PARTS: WriteOptions = {
  partBytes: 16 * KIB,
  putBytesMax: 16 * KIB,
  parallelUploads: 4,
  copyPartBytesMax: 1024 ** 3,
  chunkBytesMax: 8 * KIB,
  extentsMax: 65_536,
};

export class SessionBench {
  readonly store: MemoryStore;
  readonly budget: MemoryBudget;
  readonly spool: Spool;
  readonly directory: string;
  /** Upload ids that were journaled and have not ended. */
  readonly journal = new Map<string, string>();
  headers: ObjectHeaders = { metadata: {} };

  private constructor(directory: string, options: SessionBenchOptions) {
    this.directory = directory;
    this.budget = new MemoryBudget(options.budgetBytes ?? 64 * 1024 * KIB);
    this.store = new MemoryStore({ capabilities: { partBytesMin: 16 * KIB }, ...options.store });
    this.spool = new Spool({
      directory: join(directory, 'spool'),
      limitBytes: options.spoolBytes ?? 1024 ** 3,
      log: pino({ level: 'silent' }),
      ...options.spool,
    });
  }

  static async make(options: SessionBenchOptions = {}): Promise<SessionBench> {
    return new SessionBench(await mkdtemp(join(tmpdir(), 's3nfsd-write-')), options);
  }

  session(
    key: string,
    base?: ObjectVersion,
    options: Partial<WriteOptions> = SMALL_PARTS,
    durable?: WriteSessionOptions['durable'],
  ): WriteSession {
    return new WriteSession({
      store: this.store,
      budget: this.budget,
      spool: this.spool,
      log: pino({ level: 'silent' }),
      readBase: (version, offset, count, signal) => this.#readBase(version, offset, count, signal),
      uploads: {
        started: async (key, uploadId) => {
          await Promise.resolve();
          this.journal.set(uploadId, key);
        },
        resumed: () => undefined,
        left: () => undefined,
        ended: (uploadId) => {
          if (!this.journal.delete(uploadId)) throw new Error(`upload ${uploadId} ended twice`);
        },
      },
      target: () => ({ key, headers: this.headers }),
      options,
      ...(base !== undefined && { base }),
      ...(durable !== undefined && { durable }),
    });
  }

  /** Puts an object for a session to begin with, unrecorded. */
  put(key: string, body: Buffer): ObjectVersion {
    return { key, etag: this.store.putNow(key, body).etag, size: body.length };
  }

  body(key: string): Buffer | undefined {
    return this.store.objects.get(key)?.body;
  }

  /** What the store was asked, each as one line: operation, part number and bytes. */
  get requests(): string[] {
    return this.store.calls.map(({ operation, partNumber, bytes, range }) =>
      [operation, partNumber, bytes, range === undefined ? undefined : `${range.offset}+${range.length}`]
        .filter((word) => word !== undefined)
        .join(' '),
    );
  }

  /** Files in the spool, but for those that are kept to be written over. */
  async spooledFiles(): Promise<string[]> {
    await this.spool.close();
    return await readdir(this.spool.directory).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
      throw error;
    });
  }

  async close(): Promise<void> {
    await this.spool.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Reads as the read path would, at most 10 KB at a time: callers must go on. */
  async #readBase(
    version: ObjectVersion,
    offset: number,
    count: number,
    signal?: AbortSignal,
  ): Promise<ByteSlices> {
    const chunks: Buffer[] = [];
    const range = { offset, length: Math.min(count, 10_000) };
    await this.store.get(
      version.key,
      range,
      { ifMatch: version.etag, ...(signal !== undefined && { signal }) },
      (chunk) => chunks.push(Buffer.from(chunk)),
    );
    return {
      slices: chunks,
      count: chunks.reduce((sum, { length }) => sum + length, 0),
      release: () => undefined,
    };
  }
}

/** All of a session's bytes, as READs find them. */
export async function readAll(session: WriteSession): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const { size } = session;
  for (let at = 0; at < size; at += READ_BYTES) {
    const read = await session.read(at, READ_BYTES);
    const bytes = Buffer.concat(read.slices);
    if (bytes.length !== read.count) throw new Error(`expected ${read.count} bytes, got ${bytes.length}`);
    read.release();
    pieces.push(bytes);
  }
  return Buffer.concat(pieces);
}

/** Bytes that differ at every offset and with every seed. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = seed * 2654435761 + 1;
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    bytes[at] = state >>> 16;
  }
  return bytes;
}
