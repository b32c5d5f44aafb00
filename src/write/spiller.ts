/**
 * Memory under pressure: one of these stands between all write sessions and the budget. It keeps the parts that hold memory by last
 * write; when the budget needs bytes it moves the oldest to the spool, or drops what an upload holds already when the spool has
 * no room. Nobody waits for memory that can't come: when nothing is under way and nothing can be moved, the waiting fail with
 * SpoolFullError.
 *
 * Nobody looks for memory by the clock: whatever may help those who wait tells of it. The budget asks for relief when bytes come back; calls to
 * the store, spills and leases poke when they end; the spool tells when it has room (`onRoom`).
 *
 * What can't deadlock, and why: a part's memory is never pinned by somebody who waits for memory (see content-source.ts);
 * buffers for putting parts together (staging) take at most half the budget, one taker at a time in line, so that
 * the base's reader and the writers always have the other half.
 */
import { setImmediate } from 'node:timers';
import pLimit from 'p-limit';
import { anyOf, LightSignal } from '../cancel/light-signal.js';
import type { Blocks } from '../memory/blocks.js';
import type { MemoryBudget } from '../memory/memory-budget.js';
import type { Logger } from '../telemetry/log.js';
import { SpoolFullError } from './spool-full.js';

/** A part, as seen from here. */
export interface Spillable {
  readonly memory: { readonly capacity: number };
  /** Somebody uses its memory. */
  readonly lock: Promise<void> | undefined;
  /** It stands in line to be uploaded, which will free its memory without the spool. */
  readonly queued: boolean;
  /** Its bytes are in an upload, complete. */
  readonly droppable: boolean;
  /** Bytes of the spool that its memory would take more. */
  readonly unspooledBytes: number;
  /** Moves its memory to the spool, where `unspooledBytes` are reserved for it, and gives it back to the budget. */
  spill(): Promise<void>;
  /** Forgets the bytes here; returns the memory that the caller gives back. */
  drop(): number;
}

/** The spool, as seen from here. */
export interface SpoolRoom {
  readonly limitBytes: number;
  hasRoom(bytes: number): boolean;
  /** Told, in its own time, whenever there is more room than before. */
  onRoom(listener: () => void): void;
  tryReserve(bytes: number): boolean;
  refuse(error: unknown): void;
}

export class Spiller {
  readonly #budget: MemoryBudget;
  readonly #spool: SpoolRoom;
  readonly #log: Logger;
  /** Parts with memory, least recently written first. */
  readonly #parts = new Set<Spillable>();
  /** Who waits for memory, in line, and for how many bytes. */
  readonly #waiting = new Map<LightSignal, number>();
  #spillingBytes = 0;
  /** Calls to the store that will free memory by ending. */
  #underWay = 0;
  /** Parts being put together: they will free memory too, if the base's reader gets the memory it needs. */
  #fetching = 0;
  #stagedBytes = 0;
  readonly #stagingLine = pLimit(1);
  #stagingFreed: (() => void) | undefined;
  #checkScheduled = false;
  #checking = false;

  constructor(budget: MemoryBudget, spool: SpoolRoom, log: Logger) {
    this.#budget = budget;
    this.#spool = spool;
    this.#log = log;
    budget.addRelief((bytes) => this.#relieve(bytes));
    budget.onDenied((bytes) => this.trim(bytes));
    // Not at once: whoever gives room back is in the middle of it.
    spool.onRoom(() => {
      if (budget.waiting > 0) this.#scheduleCheck();
    });
  }

  /** Buffers for bytes that are reserved here. */
  get blocks(): Blocks {
    return this.#budget.blocks;
  }

  /** Most bytes anybody may stage, hence of the largest part. */
  get stagingBytesMax(): number {
    return Math.floor(this.#budget.limitBytes / 2);
  }

  /** The part was written to. */
  touch(part: Spillable): void {
    this.#parts.delete(part);
    this.#parts.add(part);
    this.poke();
  }

  /** The part is no more. */
  forget(part: Spillable): void {
    this.#parts.delete(part);
  }

  /** Reserves memory for written data. Errors: SpoolFullError; the reason of the first signal that is aborted. */
  async reserve(bytes: number, ...signals: readonly (AbortSignal | undefined)[]): Promise<void> {
    if (bytes === 0 || this.#budget.tryReserve(bytes)) return;
    const stuck = new LightSignal();
    const until = anyOf([stuck, ...signals.filter((signal) => signal !== undefined)]);
    this.#waiting.set(stuck, bytes);
    try {
      const reserved = this.#budget.reserve(bytes, until.signal);
      this.#scheduleCheck();
      await reserved;
    } finally {
      until.end();
      this.#waiting.delete(stuck);
    }
  }

  /** Most bytes of one answer to a READ of what isn't published. */
  get answerBytesMax(): number {
    return this.#budget.keptForReads?.limitBytes ?? Infinity;
  }

  /**
   * Reserves memory for such an answer: out of what is kept for them where nothing else is free. So it waits for other answers to be on their
   * way, and for no writer. Returns how to give it back. Errors: the reason of the signal; SpoolFullError where nothing is kept.
   */
  async reserveToAnswer(bytes: number, signal?: AbortSignal): Promise<() => void> {
    const { keptForReads } = this.#budget;
    if (keptForReads === undefined || this.#budget.tryReserve(bytes)) {
      if (keptForReads === undefined) await this.reserve(bytes, signal);
      return () => this.release(bytes);
    }
    await keptForReads.reserve(bytes, signal);
    return () => keptForReads.release(bytes);
  }

  release(bytes: number): void {
    if (bytes > 0) this.#budget.release(bytes);
  }

  /** Reserves memory to put a part together in; at most `stagingBytesMax`. Errors as of `reserve`. */
  async stage(bytes: number, signal?: AbortSignal): Promise<void> {
    if (bytes === 0) return;
    await this.#stagingLine(async () => {
      while (this.#stagedBytes > 0 && this.#stagedBytes + bytes > this.stagingBytesMax) {
        await new Promise<void>((resolve) => {
          this.#stagingFreed = resolve;
        });
      }
      await this.reserve(bytes, signal);
      this.#stagedBytes += bytes;
    });
  }

  unstage(bytes: number): void {
    this.#stagedBytes -= bytes;
    this.release(bytes);
    this.#stagingFreed?.();
    this.#stagingFreed = undefined;
  }

  /** Runs a call to the store whose end may free memory. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#underWay += 1;
    try {
      return await work();
    } finally {
      this.#underWay -= 1;
      this.poke();
    }
  }

  /**
   * A part was uploaded, or a reader found less than `wantedBytes` free. The memory of uploaded parts is kept for those who read what they
   * write, and because moving it to the spool costs a fifth of a write's CPU. But while the spool can take them, such parts leave as
   * much free as is wanted, and always a quarter of the budget; unless they hold no more than a quarter themselves.
   */
  trim(wantedBytes = 0): void {
    const { limitBytes, usedBytes } = this.#budget;
    const quarter = Math.floor(limitBytes / 4);
    const missing = Math.max(quarter, wantedBytes) - (limitBytes - usedBytes) - this.#spillingBytes;
    if (missing <= 0) return;
    let uploaded = 0;
    for (const part of this.#parts) {
      if (part.memory.capacity === 0) this.#parts.delete(part);
      else if (part.droppable) uploaded += part.memory.capacity;
    }
    let excess = Math.min(missing, uploaded - quarter);
    for (const part of this.#parts) {
      if (excess <= 0) break;
      const { capacity } = part.memory;
      const bytes = part.unspooledBytes;
      if (!part.droppable || !this.#spool.hasRoom(bytes) || !this.#spool.tryReserve(bytes)) continue;
      this.#spill(part);
      excess -= capacity;
    }
  }

  /** Runs what puts a part together from spool and base. */
  async fetching<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#fetching += 1;
    try {
      return await work();
    } finally {
      this.#fetching -= 1;
      this.poke();
    }
  }

  /** A part may have become movable: looks again whether those who wait can be helped. */
  poke(): void {
    if (this.#budget.waiting === 0) return;
    this.#budget.offerRelief();
    this.#scheduleCheck();
  }

  /** The relief: starts moving parts until `bytes` will be free; what it freed before it returns. */
  #relieve(bytes: number): number {
    let wanted = bytes - this.#spillingBytes;
    let freed = 0;
    const queuedLeaveSoon = this.#underWay > 0 || this.#spillingBytes > 0;
    for (const part of this.#parts) {
      if (wanted <= 0) break;
      const { capacity } = part.memory;
      if (capacity === 0) this.#parts.delete(part);
      if (capacity === 0 || part.lock !== undefined || (part.queued && queuedLeaveSoon)) continue;
      const dropped = this.#move(part);
      freed += dropped ?? 0;
      if (dropped !== undefined) wanted -= capacity;
    }
    if (freed > 0) this.#budget.release(freed);
    if (this.#waiting.size > 0) this.#scheduleCheck();
    return freed;
  }

  /** Moves a part out of memory: bytes freed at once, undefined when it can't be moved. */
  #move(part: Spillable): number | undefined {
    const bytes = part.unspooledBytes;
    // For data that is in the upload besides, nothing else is thrown out of the spool.
    if (!part.droppable || this.#spool.hasRoom(bytes)) {
      if (this.#spool.tryReserve(bytes)) {
        this.#spill(part);
        return 0;
      }
    }
    if (!part.droppable) return undefined;
    this.#parts.delete(part);
    return part.drop();
  }

  #spill(part: Spillable): void {
    const bytes = part.memory.capacity;
    this.#spillingBytes += bytes;
    const ended = (): void => {
      this.#spillingBytes -= bytes;
      this.poke();
    };
    part.spill().then(ended, (error: unknown) => {
      this.#spool.refuse(error);
      this.#log.warn({ err: error, bytes }, 'unpublished data stays in memory');
      ended();
    });
  }

  /** After what is running now has had its turn, sees to it that nobody waits for ever. */
  #scheduleCheck(): void {
    // The check's own search for memory asks for no other: the process would do nothing else until somebody gives memory back.
    if (this.#checkScheduled || this.#checking) return;
    this.#checkScheduled = true;
    setImmediate(() => {
      this.#checkScheduled = false;
      this.#checking = true;
      try {
        this.#budget.offerRelief();
        this.#failStuck();
      } finally {
        this.#checking = false;
      }
    });
  }

  #failStuck(): void {
    const [firstBytes] = this.#waiting.values();
    if (firstBytes === undefined || this.#underWay > 0 || this.#spillingBytes > 0) return;
    const othersWait = this.#budget.waiting > this.#waiting.size;
    if (this.#fetching > 0 && !othersWait) return;
    let held = this.#stagedBytes;
    for (const part of this.#parts) held += part.memory.capacity;
    // Others hold what is missing: they will give it back.
    if (othersWait ? held < this.#budget.limitBytes / 2 : held + firstBytes <= this.#budget.limitBytes)
      return;
    const error = new SpoolFullError(
      `unpublished data fills the memory budget of ${this.#budget.limitBytes} bytes and the spool of ${this.#spool.limitBytes}`,
    );
    for (const stuck of this.#waiting.keys()) stuck.abort(error);
  }
}
