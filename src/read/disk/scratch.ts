/** A few buffers in turn: who has one may read from the disk, so that reads never take all of libuv's threads (4), which the journal needs, too. */
export class Scratch {
  readonly #free: Buffer[];
  readonly #line: ((buffer: Buffer) => void)[] = [];

  constructor(buffers: readonly Buffer[]) {
    this.#free = [...buffers];
  }

  /** A buffer, in line. */
  async take(): Promise<Buffer> {
    const buffer = this.#free.pop();
    if (buffer !== undefined) return buffer;
    return await new Promise((resolve) => this.#line.push(resolve));
  }

  giveBack(buffer: Buffer): void {
    const next = this.#line.shift();
    if (next === undefined) this.#free.push(buffer);
    else next(buffer);
  }
}
