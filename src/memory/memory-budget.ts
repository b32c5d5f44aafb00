/**
 * One budget for the buffers of reads and writes together. Whoever wants a buffer reserves its bytes first; whoever holds
 * bytes that could be had again (caches, windows, spillable parts) registers a relief and is asked, in the order of
 * registration, before anybody waits.
 *
 * A part of the whole is kept for READs of what isn't published (`keptForReads`): writers never have it, so those READs wait for each
 * other alone, however full everything else is.
 */
import { Blocks } from './blocks.js';

/**
 * Gives back about `bytes` at once, or starts to; returns how many bytes it released before returning. It may call
 * `release`; it isn't asked again while it runs, so a reservation it makes itself comes from what is free.
 */
export type Relief = (bytes: number) => number;

/** Four READs of the size that Linux sends; more would be missed elsewhere. */
const KEPT_FOR_READS_BYTES_MAX = 4 * 1024 * 1024;
/** One such READ, unless that is more than a quarter of the whole. */
const READ_BYTES_MAX = 1024 * 1024;

interface Waiter {
  readonly bytes: number;
  readonly resolve: () => void;
}

export class MemoryBudget {
  /** Bytes that may be reserved at a time. */
  readonly limitBytes: number;
  /** Memory beside these, for replies to READs of what isn't published and for nothing else. Undefined: none is kept. */
  readonly keptForReads: MemoryBudget | undefined;
  /** Buffers for bytes that are reserved here. */
  readonly blocks: Blocks;
  #usedBytes = 0;
  readonly #reliefs: Relief[] = [];
  readonly #waiters: Waiter[] = [];
  readonly #denied: ((bytes: number) => void)[] = [];

  /** A relief is running, or waiters are being admitted: neither may start inside itself. */
  #relieving = false;
  #admitting = false;

  /** For `limitBytes`, and `keptBytes` more for READs of what isn't published. */
  constructor(limitBytes: number, keptBytes = 0, blocks = new Blocks(limitBytes + keptBytes)) {
    if (!Number.isSafeInteger(limitBytes) || limitBytes < 0) {
      throw new RangeError(`a memory budget is a whole number of bytes, not ${limitBytes}`);
    }
    this.limitBytes = limitBytes;
    this.blocks = blocks;
    this.keptForReads = keptBytes === 0 ? undefined : new MemoryBudget(keptBytes, 0, blocks);
  }

  /** A budget of `bytes` in all, some of which are kept for READs of what isn't published. */
  static withKept(bytes: number): MemoryBudget {
    const kept = Math.max(
      Math.min(READ_BYTES_MAX, Math.floor(bytes / 4)),
      Math.min(KEPT_FOR_READS_BYTES_MAX, Math.floor(bytes / 16)),
    );
    return new MemoryBudget(bytes - kept, kept);
  }

  /** With what is kept for READs. */
  get wholeBytes(): number {
    return this.limitBytes + (this.keptForReads?.limitBytes ?? 0);
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Callers that wait for bytes. */
  get waiting(): number {
    return this.#waiters.length;
  }

  /** Asked for bytes whenever a reservation doesn't fit, until the function it returns is called. */
  addRelief(relief: Relief): () => void {
    this.#reliefs.push(relief);
    return () => {
      const at = this.#reliefs.indexOf(relief);
      if (at >= 0) this.#reliefs.splice(at, 1);
    };
  }

  /** Told when `tryReserveFree` found less than `bytes`: who keeps what is also elsewhere may drop it, for the next time. */
  onDenied(listener: (bytes: number) => void): void {
    this.#denied.push(listener);
  }

  /** Reserves at once or not at all. Never passes those who wait. */
  tryReserve(bytes: number): boolean {
    assertBytes(bytes);
    if (this.#waiters.length > 0) return false;
    return this.#take(bytes);
  }

  /** As tryReserve, but only from what is free: nobody is asked to give back. For what is merely nice to have. */
  tryReserveFree(bytes: number): boolean {
    assertBytes(bytes);
    if (this.#waiters.length > 0 || this.#usedBytes + bytes > this.limitBytes) {
      for (const listener of this.#denied) listener(bytes);
      return false;
    }
    this.#usedBytes += bytes;
    return true;
  }

  /**
   * Somebody holds bytes that a relief can give back from now on (a pin went away): asks for them when anybody waits. Without
   * this the waiters would stand until the next release.
   */
  offerRelief(): void {
    this.#admit();
  }

  /**
   * Reserves, waiting in line until the bytes are there. A reservation beyond the whole budget is cut down to it by the caller:
   * here it fails with RangeError. An abort takes the caller out of the line and rejects with the signal's reason; once this
   * has resolved the bytes are the caller's to release, whatever the signal does.
   */
  async reserve(bytes: number, signal?: AbortSignal): Promise<void> {
    assertBytes(bytes);
    if (bytes > this.limitBytes) {
      throw new RangeError(`cannot reserve ${bytes} bytes of a memory budget of ${this.limitBytes}`);
    }
    signal?.throwIfAborted();
    if (this.tryReserve(bytes)) return;
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        resolve: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        const at = this.#waiters.indexOf(waiter);
        if (at >= 0) this.#waiters.splice(at, 1);
        reject(
          signal?.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal?.reason }),
        );
        // Whoever stood behind a large one may fit.
        this.#admit();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
      this.#admit();
    });
  }

  /** Gives bytes back and admits who waits. */
  release(bytes: number): void {
    assertBytes(bytes);
    if (bytes > this.#usedBytes) throw new RangeError(`released ${bytes} bytes of ${this.#usedBytes}`);
    this.#usedBytes -= bytes;
    this.#admit();
  }

  /** Asks the reliefs when the bytes don't fit; true when they were taken. */
  #take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.limitBytes) this.#relieve(bytes);
    if (this.#usedBytes + bytes > this.limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  #relieve(bytes: number): void {
    if (this.#relieving || bytes > this.limitBytes) return;
    this.#relieving = true;
    try {
      // A copy: a relief may be removed while another runs.
      for (const relief of [...this.#reliefs]) {
        const missing = this.#usedBytes + bytes - this.limitBytes;
        if (missing <= 0) return;
        relief(missing);
      }
    } finally {
      this.#relieving = false;
    }
  }

  /** Admits waiters in line. Reliefs release bytes while they run, so it must not run inside itself or inside a relief. */
  #admit(): void {
    if (this.#admitting || this.#relieving) return;
    this.#admitting = true;
    try {
      for (let head = this.#waiters[0]; head !== undefined; head = this.#waiters[0]) {
        if (!this.#take(head.bytes)) return;
        this.#waiters.shift();
        head.resolve();
      }
    } finally {
      this.#admitting = false;
    }
  }
}

function assertBytes(bytes: number): void {
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`not a number of bytes: ${bytes}`);
}
