/** Readers over a store in memory, with small sizes so that little data shows much; checks that nothing leaks. */
import { pino } from 'pino';
import { MemoryBudget } from '../../src/memory/memory-budget.js';
import type { ByteSlices, ObjectVersion } from '../../src/memory/byte-slices.js';
import type { ReadOptions } from '../../src/read/options.js';
import { Readers } from '../../src/read/readers.js';
import type { Logger } from '../../src/telemetry/log.js';
import { MemoryStore } from '../support/memory-store.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** Bytes that tell their place: no two pages are alike. */
export function pattern(size: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = seed * 2654435761;
  for (let at = 0; at < size; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

export class ReadRig {
  readonly store: MemoryStore;
  readonly budget: MemoryBudget;
  readonly readers: Readers;
  nowMs = 0;

  constructor(
    options: Partial<ReadOptions> & {
      budgetBytes?: number;
      chunkBytes?: number;
      fillsRooms?: boolean;
      /** In place of the rig's own. */
      store?: MemoryStore;
      log?: Logger;
    } = {},
  ) {
    const { budgetBytes = 256 * MIB, chunkBytes = 64 * KIB, fillsRooms = false, ...others } = options;
    const { store, log = pino({ level: 'silent' }), ...readOptions } = others;
    this.store = store ?? new MemoryStore({ chunkBytes, fillsRooms });
    this.budget = new MemoryBudget(budgetBytes);
    this.readers = new Readers({
      store: this.store,
      budget: this.budget,
      log,
      options: { now: () => this.nowMs, ...readOptions },
    });
  }

  put(key: string, body: Buffer): ObjectVersion {
    const { etag } = this.store.putNow(key, body);
    return { key, etag, size: body.length };
  }

  /** Reads, copies the bytes and gives the slices back. */
  async bytes(version: ObjectVersion, offset: number, count: number, signal?: AbortSignal): Promise<Buffer> {
    return taken(await this.readers.read(version, offset, count, signal));
  }

  get gets(): number {
    return this.store.countOf('GetObject');
  }

  /** Ranges of the GETs so far. */
  get ranges(): { start: number; end: number }[] {
    return this.store.calls
      .filter((call) => call.operation === 'GetObject')
      .map(({ range }) => ({ start: range?.offset ?? 0, end: (range?.offset ?? 0) + (range?.length ?? 0) }));
  }

  /** Bytes asked for by GETs, each counted as often as it was. */
  get bytesFetched(): number {
    return this.ranges.reduce((sum, range) => sum + range.end - range.start, 0);
  }

  /** Closes; bytes still reserved then have leaked. */
  async leaked(): Promise<number> {
    await this.readers.close();
    return this.budget.usedBytes + this.store.getsUnderWay + this.budget.waiting;
  }
}

export function taken(read: ByteSlices): Buffer {
  const bytes = Buffer.concat(read.slices);
  if (bytes.length !== read.count) throw new Error(`${read.count} bytes told, ${bytes.length} in slices`);
  read.release();
  return bytes;
}

/** Lets the continuations of settled promises run. */
export async function settle(turns = 3): Promise<void> {
  for (let at = 0; at < turns; at += 1) await new Promise((resolve) => setImmediate(resolve));
}
