/**
 * One ranged GET, or blocks that are on disk, and the blocks it fills. READs wait for an offset, not for its end: bytes are served as they arrive.
 *
 *   queued --slot--> started --> over: finished, failed or cancelled
 *
 * Bytes that have arrived are given out by `publish`, most of them at once; some wait until they were checked (verification.ts). Until it has
 * started it may still grow at its ends. Once over it takes no more bytes: its buffers may hold other bytes by then.
 */
import { LightSignal } from '../cancel/light-signal.js';
import type { Span } from './span.js';
import type { Stream } from './stream.js';

/**
 * A block: contiguous bytes of one object version in one buffer, at most `blockBytes` long or four times that. Bytes arrive in order.
 *
 *   filling --all bytes there--> full --evicted or forgotten--> detached --last pin gone--> buffer given back
 *      \------------- fetch failed, cancelled or forgotten ------->/
 *
 * Pins keep the buffer: one of the fetch that fills it, one of each READ that waits for its bytes or has them on the wire.
 */
export interface Block {
  /** First byte in the object. */
  readonly offset: number;
  /** Bytes it is to hold. */
  readonly length: number;
  /** `length` bytes or more; all of it is reserved in the budget. */
  readonly buffer: Buffer;
  /** Who fills it, or filled it. */
  readonly fetch: Fetch;
  /** Bytes that have arrived and may be read. */
  filled: number;
  pins: number;
  /** It was read to its end, or nobody is expected to: the first to go when memory is asked for. */
  consumed: boolean;
  /** Bytes that READs have had; those that were read twice are counted twice. */
  readBytes: number;
  /** Nobody is expected to come by again for as long as it could be kept: when memory is short it goes as soon as it was read. */
  passing: boolean;
  /** No index leads to it any more. */
  detached: boolean;
  /** For the disk cache: a READ had all it wanted of it; then it was offered. */
  use: 'none' | 'served' | 'offered';
}

interface Waiter {
  /** Offset in the object up to which it needs bytes. */
  readonly until: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Fetch {
  /** The stream it was begun for. */
  readonly stream: Stream;
  /** Its blocks were on disk when it was made; what isn't any more comes by a GET. */
  readonly fromDisk: boolean;
  #start: number;
  readonly #blocks: Block[] = [];
  // Both are made when they are needed and dropped at the end: blocks keep their fetch, and it would keep them.
  #cutOff: LightSignal | undefined;
  #waiters: Set<Waiter> | undefined;
  #end: number;
  #position: number;
  /** The block that gets the next byte. */
  #filling = 0;
  /** The first block that hasn't been published to its end, and up to where bytes were. */
  #publishing = 0;
  #published: number;
  /** The block last lent by `room`. */
  #lent: Block | undefined;
  #started = false;
  #over = false;
  #error: unknown;

  constructor(start: number, stream: Stream, fromDisk = false) {
    this.stream = stream;
    this.fromDisk = fromDisk;
    this.#start = start;
    this.#end = start;
    this.#position = start;
    this.#published = start;
  }

  get span(): Span {
    return { start: this.#start, end: this.#end };
  }

  get signal(): AbortSignal {
    return (this.#cutOff ??= new LightSignal());
  }

  get started(): boolean {
    return this.#started;
  }

  get over(): boolean {
    return this.#over;
  }

  get blocks(): readonly Block[] {
    return this.#blocks;
  }

  /** Bytes that haven't arrived. */
  get rest(): Span {
    return { start: this.#position, end: this.#end };
  }

  /** It ended, and every byte is as the store said. */
  get finished(): boolean {
    return this.#over && this.#error === undefined;
  }

  /** Bytes of it have arrived. */
  get arriving(): boolean {
    return this.#position > this.#start;
  }

  /** Every byte asked for has arrived. */
  get complete(): boolean {
    return this.#position === this.#end;
  }

  /** Blocks of which bytes are to arrive or to be published, each with one pin of this fetch. */
  get unfilled(): readonly Block[] {
    return this.#blocks.slice(this.#publishing);
  }

  /** A READ waits for bytes of it. */
  get wanted(): boolean {
    return this.unfilled.some((block) => block.pins > 1);
  }

  /** A block to fill, following the last one. */
  append(block: Block): void {
    if (this.#started || this.#over || block.offset !== this.#end) {
      throw new Error(`block at ${block.offset} cannot follow a fetch up to ${this.#end}`);
    }
    this.#blocks.push(block);
    this.#end += block.length;
  }

  /** A block to fill, in front of the first one. */
  prepend(block: Block): void {
    if (this.#started || this.#over || block.offset + block.length !== this.#start) {
      throw new Error(`block at ${block.offset} cannot precede a fetch from ${this.#start}`);
    }
    this.#blocks.unshift(block);
    this.#start = block.offset;
    this.#position = block.offset;
    this.#published = block.offset;
  }

  /** Its range is fixed from now on. */
  start(): void {
    this.#started = true;
  }

  /** The part of a block that gets the next bytes; undefined when none does. Lent until the GET has settled. */
  room(): Buffer | undefined {
    const block = this.#over ? undefined : this.#blocks[this.#filling];
    if (block === undefined) return undefined;
    this.#lent = block;
    const { buffer, length } = block;
    const filled = this.#position - block.offset;
    return filled === 0 && length === buffer.length ? buffer : buffer.subarray(filled, length);
  }

  /** The block that somebody may still write to after the fetch has ended, until its GET has settled. */
  get lent(): Block | undefined {
    return this.#lent === this.#blocks[this.#filling] ? this.#lent : undefined;
  }

  /** Copies bytes into the blocks, unless they lie there already; returns those that became full, to be published. Bytes beyond the range are an error of the store. */
  deliver(chunk: Buffer): readonly Block[] {
    const full: Block[] = [];
    if (this.#over) return full;
    if (this.#position + chunk.length > this.#end) {
      throw new Error(`got bytes up to ${this.#position + chunk.length} for a GET up to ${this.#end}`);
    }
    for (let at = 0; at < chunk.length;) {
      const block = this.#blocks[this.#filling];
      if (block === undefined) throw new Error(`no block for the byte at ${this.#position}`);
      const filled = this.#position - block.offset;
      const count = Math.min(block.length - filled, chunk.length - at);
      if (!isThere(chunk, at, block, filled)) chunk.copy(block.buffer, filled, at, at + count);
      at += count;
      this.#position += count;
      if (filled + count === block.length) {
        full.push(block);
        this.#filling += 1;
      }
    }
    return full;
  }

  /** The next block has got all of its bytes in another way. */
  filled(block: Block): void {
    if (this.#over) return;
    if (this.#blocks[this.#filling] !== block || this.#position > block.offset)
      throw new Error(`the block at ${block.offset} is not the next of a fetch at ${this.#position}`);
    this.#position += block.length;
    this.#filling += 1;
  }

  /** What has arrived may be read from now on: all of it, or the blocks that are full. Returns those that became full by it. */
  publish(what: 'all' | 'full blocks'): readonly Block[] {
    const full: Block[] = [];
    if (this.#over) return full;
    const until = what === 'all' ? this.#position : (this.#blocks[this.#filling]?.offset ?? this.#position);
    if (until <= this.#published) return full;
    for (;;) {
      const block = this.#blocks[this.#publishing];
      if (block === undefined || block.offset >= until) break;
      block.filled = Math.min(until - block.offset, block.length);
      if (block.filled < block.length) break;
      full.push(block);
      this.#publishing += 1;
    }
    this.#published = until;
    this.#wake();
    return full;
  }

  /** What has arrived and wasn't published is to come again, from the start of a block: none was published in part. */
  rewind(): void {
    const block = this.#blocks[this.#publishing];
    if (block === undefined || block.filled > 0) throw new Error('nothing to fetch again');
    this.#filling = this.#publishing;
    this.#position = block.offset;
    this.#lent = undefined;
  }

  /** Resolves when the bytes up to `until` are there; rejects with the fetch's error or the signal's reason. */
  async waitFor(until: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (until <= this.#published) return;
    if (this.#over) throw this.#error;
    let waiter: Waiter | undefined;
    let onAbort: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        waiter = { until, resolve, reject };
        (this.#waiters ??= new Set()).add(waiter);
        onAbort = (): void => {
          reject(
            signal?.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal?.reason }),
          );
        };
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    } finally {
      if (waiter !== undefined) this.#waiters?.delete(waiter);
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
    }
  }

  #wake(): void {
    for (const waiter of this.#waiters ?? []) if (waiter.until <= this.#published) waiter.resolve();
  }

  finish(): void {
    this.#over = true;
    this.#cutOff = undefined;
    this.#waiters = undefined;
  }

  /** Ends it: those who wait get the error, and the GET is aborted if it still runs, unless it may run out: its bytes are dropped then. */
  fail(error: unknown, mayRunOut = false): void {
    this.#over = true;
    this.#error = error;
    for (const waiter of this.#waiters ?? []) waiter.reject(error);
    if (!mayRunOut) this.abort();
  }

  /** Cuts the GET off. */
  abort(): void {
    (this.#cutOff ??= new LightSignal()).abort();
  }
}

/** The chunk's bytes from `at` on are already where the block's bytes from `filled` on belong. */
function isThere(chunk: Buffer, at: number, { buffer }: Block, filled: number): boolean {
  return chunk.buffer === buffer.buffer && chunk.byteOffset + at === buffer.byteOffset + filled;
}
