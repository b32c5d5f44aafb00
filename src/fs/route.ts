/**
 * A stretch of a directory in the order of its listing: the files with bytes, numbered. Pages are added at its end while somebody walks
 * there, and what all have passed is let go; the numbers stay. Directories and empty files are left out: nobody reads those.
 */
import { compareKeys } from './names.js';
import type { Continuation } from './listed-page.js';
import type { ListedEntry, PublishedVersion } from './node.js';

/** A page of a listing, and where it stands in it. */
export interface RoutePage {
  /** Sort key that it begins after. */
  readonly after: string;
  readonly entries: readonly ListedEntry[];
  /** Where the listing goes on; undefined where the directory ends with it. */
  readonly next: Continuation | undefined;
  readonly takenMs: number;
}

export interface RouteFile {
  readonly name: string;
  /** Unknown of files that weren't published when the page was taken. */
  readonly version: PublishedVersion | undefined;
  /** When the store was asked (milliseconds since the epoch). */
  readonly takenMs: number;
}

export class Route {
  readonly #after: string;
  #files: RouteFile[] = [];
  /** Number of the first file. */
  #base = 0;
  #next: Continuation | undefined;

  constructor(page: RoutePage) {
    this.#after = page.after;
    this.append(page);
  }

  /** Where the listing goes on; undefined where no files follow. */
  get next(): Continuation | undefined {
    return this.#next;
  }

  /** Number behind the last file. */
  get end(): number {
    return this.#base + this.#files.length;
  }

  /** Whether a file of that name would have its number here. */
  covers(name: string): boolean {
    const { after } = this.#next ?? {};
    return compareKeys(name, this.#after) > 0 && (after === undefined || compareKeys(name, after) <= 0);
  }

  /** The file's number; undefined where it isn't listed, or was let go. */
  position(name: string): number | undefined {
    let low = 0;
    let high = this.#files.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const file = this.#files[middle];
      if (file !== undefined && compareKeys(file.name, name) < 0) low = middle + 1;
      else high = middle;
    }
    return this.#files[low]?.name === name ? this.#base + low : undefined;
  }

  at(position: number): RouteFile | undefined {
    return this.#files[position - this.#base];
  }

  /** The page that follows. */
  append({ entries, next, takenMs }: RoutePage): void {
    const { end } = this;
    for (const { name, kind, version } of entries) {
      if (kind === 'file' && version?.size !== 0) this.#files.push({ name, version, takenMs });
    }
    // Somebody who walks files doesn't go on through pages without any.
    this.#next = this.end === end ? undefined : next;
  }

  /** Nobody comes back to files before this one. */
  letGoBefore(position: number): void {
    const gone = Math.min(position - this.#base, this.#files.length);
    if (gone <= 0) return;
    this.#files = this.#files.slice(gone);
    this.#base += gone;
  }
}
