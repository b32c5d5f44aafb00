/**
 * One budget for the buffers of reads and writes together. Whoever wants a buffer reserves its bytes first; whoever holds
 * bytes that could be had again (caches, windows, spillable parts) registers a relief and is asked, in the order of
 * registration, before anybody waits.
 */

/** Gives back up to `bytes` at once, or starts to; returns how many bytes it released before returning. */
export type Relief = (bytes: number) => number;

interface Waiter {
  readonly bytes: number;
  readonly resolve: () => void;
}

export class MemoryBudget {
  /** Bytes that may be reserved at a time. */
  readonly limitBytes: number;
  #usedBytes = 0;
  readonly #reliefs: Relief[] = [];
  readonly #waiters: Waiter[] = [];

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Callers that wait for bytes. */
  get waiting(): number {
    return this.#waiters.length;
  }

  /** Asked for bytes whenever a reservation doesn't fit. */
  addRelief(relief: Relief): void {
    this.#reliefs.push(relief);
  }

  /** Reserves at once or not at all. Never passes those who wait. */
  tryReserve(bytes: number): boolean {
    if (this.#waiters.length > 0) return false;
    return this.#take(bytes);
  }

  /**
   * Reserves, waiting in line until the bytes are there. A reservation beyond the whole budget is cut down to it by the caller:
   * here it fails with RangeError.
   */
  async reserve(bytes: number, signal?: AbortSignal): Promise<void> {
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
        reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
        this.#admit();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
      this.#admit();
    });
  }

  /** Gives bytes back and admits who waits. */
  release(bytes: number): void {
    if (bytes > this.#usedBytes) throw new RangeError(`released ${bytes} bytes of ${this.#usedBytes}`);
    this.#usedBytes -= bytes;
    this.#admit();
  }

  /** Asks the reliefs when the bytes don't fit; true when they were taken. */
  #take(bytes: number): boolean {
    for (const relief of this.#reliefs) {
      const missing = this.#usedBytes + bytes - this.limitBytes;
      if (missing <= 0) break;
      relief(missing);
    }
    if (this.#usedBytes + bytes > this.limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  #admitting = false;

  /** Admits waiters in line. Reliefs release bytes while they run, so it must not run inside itself. */
  #admit(): void {
    if (this.#admitting) return;
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
