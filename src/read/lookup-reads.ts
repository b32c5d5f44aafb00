/**
 * Whether clients read the files whose attributes they ask for. Where the last few were all read, the next one is expected to be: a GET
 * then serves both, where a HEAD and a GET were two requests one after the other. Pure.
 */

/** Files asked for and read, one after the other, that make a habit. */
const EVIDENCE_FILES = 4;
/** A file that wasn't read while so many others were asked for isn't going to be. */
const UNREAD_MAX = 16;

export class LookupReads {
  /** Asked for and not read yet, the oldest first. */
  readonly #unread = new Set<bigint>();
  #read = 0;

  /** The next file that is asked for is expected to be read. */
  get expected(): boolean {
    return this.#read >= EVIDENCE_FILES;
  }

  /** The store is asked for attributes of a file. */
  asked(file: bigint): void {
    this.#unread.add(file);
    if (this.#unread.size <= UNREAD_MAX) return;
    this.#read = 0;
    const [oldest] = this.#unread;
    if (oldest !== undefined) this.#unread.delete(oldest);
  }

  /** A client begins to read a file. */
  read(file: bigint): void {
    if (this.#unread.delete(file)) this.#read += 1;
  }
}
