/**
 * Bytes out of a file's content: as the body of a request, or as the answer to a READ. What is in memory is sent uncopied; what is in
 * the spool or the base is fetched into buffers staged for it. Memory is asked for before any part is locked, and asked for again
 * when parts moved meanwhile: so nobody waits for memory while keeping a part's memory from being spilled.
 *
 * A READ's bytes of the base come first, and memory for what is here last: who has of that which is kept for READs waits for the disk
 * and for its client alone, never for the store or for writers.
 */
import type { ByteSlices, ObjectVersion } from '../memory/byte-slices.js';
import type { FileContent, Stretch } from './file-content.js';
import type { Spiller } from './spiller.js';
import type { Body, ObjectStore, StreamedBody } from '../store/object-store.js';
import { fetchBase, type HeldBase, type Wanted } from './base-fetch.js';
import { Filling } from './filling.js';
import { SpoolFullError } from './spool-full.js';

/** Zeros cost no memory: every slice of them is this one. Never written to. */
const ZEROS = Buffer.alloc(256 * 1024);

export type ReadBase = (
  version: ObjectVersion,
  offset: number,
  count: number,
  signal?: AbortSignal,
) => Promise<ByteSlices>;

/** Reserves memory; returns how to give it back. */
type Reserve = (bytes: number) => Promise<() => void>;

/** The bytes of a range, unchanged until released. */
export interface Lease<Bytes = readonly Buffer[]> {
  readonly body: Bytes;
  release(): void;
}

/** Larger ranges are read while they are sent: what is staged for one is not there for others. */
const STREAMED_FROM_BYTES = 64 * 1024 * 1024;
/** Bytes of a streamed range read at a time, and what of them may be on its way. */
const CHUNK_BYTES = 1024 * 1024;
const CHUNKS_UNDER_WAY = 4;

export interface ContentSourceOptions {
  readonly content: FileContent;
  readonly spiller: Spiller;
  readonly readBase: ReadBase;
  readonly heldBase: HeldBase | undefined;
  readonly store: ObjectStore;
}

export class ContentSource {
  readonly #content: FileContent;
  readonly #spiller: Spiller;
  readonly #readBase: ReadBase;
  readonly #heldBase: HeldBase | undefined;
  readonly #store: ObjectStore;

  constructor(options: ContentSourceOptions) {
    this.#content = options.content;
    this.#spiller = options.spiller;
    this.#readBase = options.readBase;
    this.#heldBase = options.heldBase;
    this.#store = options.store;
  }

  /** A range to send, of at most `stagingBytesMax`; its parts are locked until it is released. */
  async lease(start: number, end: number, signal?: AbortSignal): Promise<Lease> {
    const content = this.#content;
    let staged = 0;
    let stretches: Stretch[] = [];
    try {
      for (;;) {
        const busy = content.partsWithin(start, end).find((part) => part.lock !== undefined);
        if (busy !== undefined) {
          await busy.lock;
          continue;
        }
        stretches = content.stretches(start, end);
        const needed = fetchedBytes(stretches);
        if (needed <= staged) break;
        this.#spiller.unstage(staged);
        staged = 0;
        await this.#spiller.stage(needed, signal);
        staged = needed;
      }
      signal?.throwIfAborted();
    } catch (error) {
      this.#spiller.unstage(staged);
      throw error;
    }
    const unlocks = content.partsWithin(start, end).map((part) => part.acquire());
    const taken: Buffer[] = [];
    const release = (): void => {
      for (const unlock of unlocks) unlock();
      // First the blocks, so that whoever is admitted by unstaging finds them.
      for (const buffer of taken.splice(0)) this.#spiller.blocks.giveBack(buffer);
      this.#spiller.unstage(staged);
      this.#spiller.poke();
    };
    try {
      const body = await this.#spiller.fetching(async () => {
        const slices: Buffer[] = [];
        const wanted: Wanted[] = [];
        for (const stretch of stretches) {
          const { place, start, end } = stretch;
          const bytes =
            place === 'base' ? this.#take(end - start, taken) : await this.#bytes(stretch, place, taken);
          if (place === 'base') wanted.push({ start, end, targets: bytes });
          slices.push(...bytes);
        }
        await this.#fetchBase(wanted, signal);
        return slices;
      });
      return { body, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** A range to send, of any size: whole where it can be staged, else a piece at a time. Its parts are locked until it is released. */
  async leaseToSend(start: number, end: number, signal?: AbortSignal): Promise<Lease<Body | StreamedBody>> {
    const { stagingBytesMax } = this.#spiller;
    if (end - start <= Math.min(stagingBytesMax, STREAMED_FROM_BYTES))
      return await this.lease(start, end, signal);
    const window = Math.min(stagingBytesMax, CHUNK_BYTES * CHUNKS_UNDER_WAY);
    await this.#spiller.stage(window, signal);
    const content = this.#content;
    for (;;) {
      const busy = content.partsWithin(start, end).find((part) => part.lock !== undefined);
      if (busy === undefined) break;
      await busy.lock;
    }
    const unlocks = content.partsWithin(start, end).map((part) => part.acquire());
    const release = (): void => {
      for (const unlock of unlocks) unlock();
      this.#spiller.unstage(window);
      this.#spiller.poke();
    };
    const chunkBytes = Math.ceil(window / CHUNKS_UNDER_WAY);
    return {
      body: { bytes: end - start, open: () => this.#chunks(start, end, chunkBytes, signal) },
      release,
    };
  }

  /** The bytes of a range whose parts are locked. What isn't in memory gets buffers of its own: nobody tells when one was sent. */
  async *#chunks(
    start: number,
    end: number,
    chunkBytes: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Buffer> {
    for (let from = start; from < end; from += chunkBytes) {
      signal?.throwIfAborted();
      for (const stretch of this.#content.stretches(from, Math.min(end, from + chunkBytes))) {
        const { place, part } = stretch;
        if (place === 'memory') yield* memorySlices(stretch);
        else if (place === 'zeros') yield* zeros(stretch.end - stretch.start);
        else if (place === 'upload') throw new SpoolFullError(part?.uploadOnlyMessage);
        else {
          const buffer = Buffer.allocUnsafe(stretch.end - stretch.start);
          if (place === 'spool') await part?.readSpooled([buffer], stretch.start);
          else await this.#fetchBase([{ start: stretch.start, end: stretch.end, targets: [buffer] }], signal);
          yield buffer;
        }
      }
    }
  }

  /** The answer to a READ inside the file: of fewer bytes where so many are more than is kept for such. Errors: as of `read`. */
  async answer(start: number, end: number, signal?: AbortSignal): Promise<ByteSlices> {
    const most = Math.min(end, start + this.#spiller.answerBytesMax);
    return await this.#read(start, most, (bytes) => this.#spiller.reserveToAnswer(bytes, signal), signal);
  }

  /** A range to read, inside the file. Waits in line for memory. Errors: StoreError; SpoolFullError; the reason of the signal. */
  async read(start: number, end: number, signal?: AbortSignal): Promise<ByteSlices> {
    const reserve = async (bytes: number): Promise<() => void> => {
      await this.#spiller.reserve(bytes, signal);
      return () => this.#spiller.release(bytes);
    };
    return await this.#read(start, end, reserve, signal);
  }

  /** Starts over when bytes moved while it looked for them. */
  async #read(
    start: number,
    end: number,
    reserve: Reserve,
    signal: AbortSignal | undefined,
  ): Promise<ByteSlices> {
    for (;;) {
      const moves = this.#content.moves(start, end);
      try {
        const read = await this.#readOnce(start, end, reserve, signal);
        if (read !== undefined && moves === this.#content.moves(start, end)) return read;
        read?.release();
      } catch (error) {
        if (moves === this.#content.moves(start, end)) throw error;
      }
      signal?.throwIfAborted();
    }
  }

  /** Undefined when more memory was needed in the end than in the beginning, or other bytes of the base. */
  async #readOnce(
    start: number,
    end: number,
    reserve: Reserve,
    signal: AbortSignal | undefined,
  ): Promise<ByteSlices | undefined> {
    const before = this.#content.stretches(start, end);
    const local = localBytes(before);
    const held: (() => void)[] = [];
    const taken: Buffer[] = [];
    const release = (): void => {
      for (const buffer of taken.splice(0)) this.#spiller.blocks.giveBack(buffer);
      for (const give of held.splice(0)) give();
    };
    try {
      const base = new Map<string, Buffer[]>();
      for (const stretch of before)
        if (stretch.place === 'base')
          base.set(rangeOf(stretch), await this.#baseSlices(stretch, held, signal));
      if (local > 0) held.push(await reserve(local));
      const stretches = this.#content.stretches(start, end);
      const isOther = stretches.some((stretch) => stretch.place === 'base' && !base.has(rangeOf(stretch)));
      if (isOther || localBytes(stretches) > local) {
        release();
        return undefined;
      }
      // What is in memory is copied before anything is waited for.
      const copies = new Map(
        stretches
          .filter(({ place }) => place === 'memory')
          .map((stretch) => [stretch, this.#copyOf(stretch, taken)] as const),
      );
      const slices: Buffer[] = [];
      for (const stretch of stretches) {
        const copy = copies.get(stretch);
        if (copy !== undefined) slices.push(...copy);
        else if (stretch.place === 'base') slices.push(...(base.get(rangeOf(stretch)) ?? []));
        else slices.push(...(await this.#bytes(stretch, stretch.place, taken)));
      }
      return { slices, count: end - start, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** The base's bytes as its reader gives them, held until released. */
  async #baseSlices(
    stretch: Stretch,
    held: (() => void)[],
    signal: AbortSignal | undefined,
  ): Promise<Buffer[]> {
    const slices: Buffer[] = [];
    for (let from = stretch.start; from < stretch.end;) {
      const read = await this.#fromBase(from, stretch.end - from, signal);
      held.push(() => read.release());
      slices.push(...read.slices);
      from += read.count;
    }
    return slices;
  }

  /** Buffers for `bytes` that the caller reserved, noted in `taken`: what is dropped instead of given back stays until the collector comes. */
  #take(bytes: number, taken: Buffer[]): Buffer[] {
    const buffers = this.#spiller.blocks.takeFor(bytes);
    taken.push(...buffers);
    return buffers;
  }

  /** A copy of what is in memory. */
  #copyOf(stretch: Stretch, taken: Buffer[]): Buffer[] {
    const buffers = this.#take(stretch.end - stretch.start, taken);
    const filling = new Filling(buffers);
    for (const slice of memorySlices(stretch)) filling.add(slice);
    return buffers;
  }

  /** The bytes of one stretch; memory's own buffers, zeros, or buffers taken, which the caller reserved. */
  async #bytes(
    stretch: Stretch,
    place: Exclude<Stretch['place'], 'base'>,
    taken: Buffer[],
  ): Promise<Buffer[]> {
    const { start, end, part } = stretch;
    switch (place) {
      case 'zeros':
        return zeros(end - start);
      case 'memory':
        return memorySlices(stretch);
      case 'spool': {
        const buffers = this.#take(end - start, taken);
        await part?.readSpooled(buffers, start);
        return buffers;
      }
      case 'upload':
        throw new SpoolFullError(part?.uploadOnlyMessage);
    }
  }

  async #fetchBase(wanted: readonly Wanted[], signal: AbortSignal | undefined): Promise<void> {
    if (wanted.length > 0) await fetchBase(this.#store, this.#base, wanted, this.#heldBase, signal);
  }

  async #fromBase(offset: number, count: number, signal: AbortSignal | undefined): Promise<ByteSlices> {
    const base = this.#base;
    const read = await this.#readBase(base, offset, count, signal);
    if (read.count > 0) return read;
    read.release();
    throw new Error(`expected ${count} bytes at ${offset} of ${base.key} (${base.etag}), got none`);
  }

  get #base(): ObjectVersion {
    const { base } = this.#content;
    if (base === undefined) throw new Error('a file without a base has no bytes of it');
    return base;
  }
}

function memorySlices({ part, start, end }: Stretch): Buffer[] {
  return part?.memory.slices(start, end) ?? [];
}

const rangeOf = ({ start, end }: Stretch): string => `${start}-${end}`;

function zeros(count: number): Buffer[] {
  const slices: Buffer[] = [];
  for (let left = count; left > 0; left -= ZEROS.length)
    slices.push(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
  return slices;
}

/** Bytes that need a buffer to be sent. */
function fetchedBytes(stretches: readonly Stretch[]): number {
  return sum(stretches, ({ place }) => place === 'spool' || place === 'base');
}

/** Bytes that need a buffer to be read. */
function localBytes(stretches: readonly Stretch[]): number {
  return sum(stretches, ({ place }) => place === 'spool' || place === 'memory');
}

function sum(stretches: readonly Stretch[], counts: (stretch: Stretch) => boolean): number {
  return stretches.reduce(
    (bytes, stretch) => (counts(stretch) ? bytes + stretch.end - stretch.start : bytes),
    0,
  );
}
