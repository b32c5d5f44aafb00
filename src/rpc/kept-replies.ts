/**
 * Replies that are kept for retransmissions: for a time, and within bounds of count and bytes. Past a bound the oldest reply of a client
 * with at least its share goes, so that a busy client pushes out its own replies and not those of one that was cut off meanwhile.
 */

/** Cost of an entry besides its bytes: key, object and maps, roughly. */
const ENTRY_BYTES = 200;

/** How often all clients are looked through for replies that are too old, as a part of the age. */
const SWEEPS_PER_AGE = 16;

export interface KeptRepliesOptions {
  readonly bytesMax: number;
  readonly entriesMax: number;
  readonly ageMs: number;
  /** Milliseconds, monotonic. */
  readonly now?: (() => number) | undefined;
}

interface Kept {
  /** Latin-1. */
  readonly bytes: string;
  readonly sinceMs: number;
}

/** Of one client; the oldest first. */
interface Own {
  readonly replies: Map<string, Kept>;
  bytes: number;
}

export class KeptReplies {
  readonly #options: KeptRepliesOptions;
  readonly #now: () => number;
  readonly #clients = new Map<string, Own>();
  #size = 0;
  #bytes = 0;
  #sweptAtMs: number;

  constructor(options: KeptRepliesOptions) {
    this.#options = options;
    this.#now = options.now ?? ((): number => performance.now());
    this.#sweptAtMs = this.#now();
  }

  get size(): number {
    return this.#size;
  }

  /** Undefined where none is kept, or not any more. */
  get(client: string, key: string): string | undefined {
    const kept = this.#clients.get(client)?.replies.get(key);
    return kept === undefined || this.#isOld(kept, this.#now()) ? undefined : kept.bytes;
  }

  set(client: string, key: string, bytes: string): void {
    const { bytesMax, entriesMax, ageMs } = this.#options;
    const nowMs = this.#now();
    if (nowMs - this.#sweptAtMs >= ageMs / SWEEPS_PER_AGE) this.#sweep(nowMs);
    let own = this.#clients.get(client);
    if (own === undefined) this.#clients.set(client, (own = { replies: new Map(), bytes: 0 }));
    else if (own.replies.has(key)) this.#forget(own, key);
    own.replies.set(key, { bytes, sinceMs: nowMs });
    own.bytes += costOf(bytes);
    this.#bytes += costOf(bytes);
    this.#size++;
    while (this.#size > entriesMax || this.#bytes > bytesMax) this.#forgetOne();
  }

  #isOld({ sinceMs }: Kept, nowMs: number): boolean {
    return nowMs - sinceMs > this.#options.ageMs;
  }

  #sweep(nowMs: number): void {
    this.#sweptAtMs = nowMs;
    for (const [client, own] of this.#clients) {
      for (const [key, kept] of own.replies) {
        if (!this.#isOld(kept, nowMs)) break;
        this.#forget(own, key);
      }
      if (own.replies.size === 0) this.#clients.delete(client);
    }
  }

  /** There is always a client with no less than the mean. */
  #forgetOne(): void {
    const share = this.#bytes / this.#clients.size;
    for (const [client, own] of this.#clients) {
      if (own.bytes < share) continue;
      const [oldest] = own.replies.keys();
      if (oldest !== undefined) this.#forget(own, oldest);
      // To the end, where the next search comes last.
      this.#clients.delete(client);
      if (own.replies.size > 0) this.#clients.set(client, own);
      return;
    }
    throw new Error(`${this.#size} replies of ${this.#bytes} bytes belong to no client`);
  }

  #forget(own: Own, key: string): void {
    const kept = own.replies.get(key);
    if (kept === undefined) return;
    own.replies.delete(key);
    own.bytes -= costOf(kept.bytes);
    this.#bytes -= costOf(kept.bytes);
    this.#size--;
  }
}

function costOf(bytes: string): number {
  return bytes.length + ENTRY_BYTES;
}
