/**
 * Whether files whose start is read are read on. A mount whose clients read files through gets the first MiBs of the next file at
 * its first READ, in parallel; one whose clients look at headers doesn't. Learned by what became of the last dozen files.
 */

/** Weight of the newest file. */
const NEWEST = 1 / 8;

/** Files whose fate is open. Beyond, the oldest counts as not read on: it lies longest. */
const OPEN_MAX = 64;

export class Beginnings {
  #readOn = 0.5;
  readonly #open = new Set<object>();

  /** More files are read on than not. At first nothing is known, and nothing is assumed. */
  get likely(): boolean {
    return this.#readOn > 0.5;
  }

  /** `file` was read at its start. */
  began(file: object): void {
    if (this.#open.has(file)) return;
    this.#open.add(file);
    const [oldest] = this.#open;
    if (this.#open.size > OPEN_MAX && oldest !== undefined) this.ended(oldest);
  }

  /** It was read on, up to half of what would be fetched of it or of itself. */
  wentOn(file: object): void {
    if (this.#open.delete(file)) this.#readOn += (1 - this.#readOn) * NEWEST;
  }

  /** It is forgotten: if nobody went on meanwhile, nobody will. */
  ended(file: object): void {
    if (this.#open.delete(file)) this.#readOn -= this.#readOn * NEWEST;
  }
}
