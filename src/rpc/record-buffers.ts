/**
 * Buffers for large records (WRITEs): a fixed number of equal ones for all connections, used again. A megabyte dropped for each WRITE
 * would be in memory until the garbage collector comes, and would make it come for little else. When all are in use, the sockets
 * with large records are not read.
 */

export class RecordBuffers {
  /** Bytes of each: any record fits. */
  readonly #bytes: number;
  readonly #countMax: number;
  readonly #free: Buffer[] = [];
  /** Those in use, by what any view of them leads to. */
  readonly #used = new Map<ArrayBufferLike, Buffer>();
  readonly #waiting = new Set<() => void>();

  /** `countMax` buffers of `recordBytes` at a time. */
  constructor(recordBytes: number, countMax: number) {
    this.#bytes = recordBytes;
    this.#countMax = countMax;
  }

  /** A buffer, or undefined while all are in use. */
  take(): Buffer | undefined {
    if (this.exhausted) return undefined;
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#bytes);
    this.#used.set(buffer.buffer, buffer);
    return buffer;
  }

  /** True while all are in use. */
  get exhausted(): boolean {
    return this.#used.size >= this.#countMax;
  }

  /** True while somebody waits for one. */
  get wanted(): boolean {
    return this.#waiting.size > 0;
  }

  /** True when the record lies in one of these. */
  owns(record: Buffer): boolean {
    return this.#used.has(record.buffer);
  }

  /** Takes back the buffer that the record lies in, if it does; nobody looks at the record any more. */
  giveBack(record: Buffer): void {
    const buffer = this.#used.get(record.buffer);
    if (buffer === undefined) return;
    this.#used.delete(record.buffer);
    this.#free.push(buffer);
    // In line, so that no connection starves; one that finds nothing left comes back to the end of the line.
    const [first] = this.#waiting;
    if (first === undefined) return;
    this.#waiting.delete(first);
    first();
  }

  /** Calls `resume` once when there may be a buffer again. The same function is kept once. */
  onRoom(resume: () => void): void {
    this.#waiting.add(resume);
  }

  /** Forgets a function given to `onRoom`. */
  offRoom(resume: () => void): void {
    this.#waiting.delete(resume);
  }

  /** Somebody who was called by `onRoom` has no use for the buffer now: the next one may. */
  pass(): void {
    if (this.exhausted) return;
    const [first] = this.#waiting;
    if (first === undefined) return;
    this.#waiting.delete(first);
    first();
  }
}
