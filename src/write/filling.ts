/** Fills buffers one after the other. */
export class Filling {
  readonly #targets: readonly Buffer[];
  #at = 0;
  /** Bytes in the buffer at #at. */
  #filled = 0;

  constructor(targets: readonly Buffer[]) {
    this.#targets = targets;
  }

  /** Where the next bytes are to be: the rest of a buffer. Undefined when all are full. */
  get room(): Buffer | undefined {
    return this.#targets[this.#at]?.subarray(this.#filled);
  }

  /** Appends what there is room for; returns how many bytes. Bytes that are in `room` already stay where they are. */
  add(bytes: Buffer): number {
    let done = 0;
    for (let target = this.#targets[this.#at]; target !== undefined && done < bytes.length;) {
      const count = Math.min(bytes.length - done, target.length - this.#filled);
      const isThere =
        bytes.buffer === target.buffer && bytes.byteOffset + done === target.byteOffset + this.#filled;
      if (!isThere) bytes.copy(target, this.#filled, done, done + count);
      done += count;
      this.#filled += count;
      if (this.#filled < target.length) continue;
      target = this.#targets[++this.#at];
      this.#filled = 0;
    }
    return done;
  }
}
