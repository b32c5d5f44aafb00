/**
 * Blocks on their way to the disk. Each is lent: its buffer stays as it is, and counted where it was counted, until `release`. The queue
 * has a bound, beyond which it takes none, and gives back at once those that aren't being written when memory is short: nobody ever
 * waits for it.
 */
export interface Lent {
  /** 16 bytes: entry.ts. */
  readonly id: Buffer;
  readonly offset: number;
  readonly length: number;
  /** `length` bytes, and up to the next page's end bytes that mean nothing. */
  readonly buffer: Buffer;
  /** Called exactly once. */
  readonly release: () => void;
}

/**
 * What is written at a time: the checksums of so much hold the event loop up for 1 ms, and where that is busy, an answer of the disk may
 * wait 5 ms for its turn.
 */
const BATCH_BYTES = 4 * 1024 * 1024;

export class WriteQueue {
  readonly #bytesMax: number;
  readonly #write: (batch: readonly Lent[]) => Promise<void>;
  readonly #waiting: Lent[] = [];
  #bytes = 0;
  #running: Promise<void> | undefined;

  /** `write` never rejects. */
  constructor(bytesMax: number, write: (batch: readonly Lent[]) => Promise<void>) {
    this.#bytesMax = bytesMax;
    this.#write = write;
  }

  /** Bytes that are lent. */
  get bytes(): number {
    return this.#bytes;
  }

  /** False, and nothing taken, when it is full. */
  tryAdd(block: Lent): boolean {
    if (this.#bytes + block.buffer.length > this.#bytesMax) return false;
    this.#bytes += block.buffer.length;
    this.#waiting.push(block);
    this.#running ??= this.#run();
    return true;
  }

  /** Gives back about so many bytes of what isn't being written, those that came last; the number of blocks. */
  dropWaiting(bytes: number): number {
    let from = this.#waiting.length;
    for (let left = bytes; left > 0 && from > 0; from -= 1)
      left -= this.#waiting[from - 1]?.buffer.length ?? 0;
    const dropped = this.#waiting.splice(from);
    for (const block of dropped) this.#giveBack(block);
    return dropped.length;
  }

  /** Resolves when nothing is lent any more. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // What is added in the same turn goes with it.
    await Promise.resolve();
    for (let batch = this.#next(); batch.length > 0; batch = this.#next()) {
      try {
        await this.#write(batch);
      } finally {
        for (const block of batch) this.#giveBack(block);
      }
    }
    this.#running = undefined;
  }

  #next(): Lent[] {
    let bytes = 0;
    let count = 0;
    for (const { buffer } of this.#waiting) {
      bytes += buffer.length;
      if (count > 0 && bytes > BATCH_BYTES) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  #giveBack({ buffer, release }: Lent): void {
    this.#bytes -= buffer.length;
    release();
  }
}
