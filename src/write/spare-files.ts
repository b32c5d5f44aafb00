/**
 * Spool files of whole parts that nothing rests on any more, kept for the next parts to be written over them: what is written to pages that the
 * page cache has costs less than half of what new pages cost, and removing those again (docs/decisions/0033-write-cpu.md). Only
 * files without holes, and only for parts of their size: so they take on the disk what they say. Soon after the last use they go.
 */

/** Bytes of all that are kept. A file of twice the default memory limit finds as much as it moves. */
const KEPT_BYTES_MAX = 512 * 1024 * 1024;

/** They are kept for so long after one was kept or taken: between a file and the next. */
const REST_MS = 10_000;

interface Spare {
  readonly path: string;
  readonly bytes: number;
}

export class SpareFiles {
  readonly #remove: (path: string) => void;
  readonly #restMs: number;
  /** The one that was used last is the last: its pages are the likeliest to be in the processor's cache. */
  readonly #files: Spare[] = [];
  #bytes = 0;
  #rest: NodeJS.Timeout | undefined;

  /** `remove` takes a file off the disk. */
  constructor(remove: (path: string) => void, restMs = REST_MS) {
    this.#remove = remove;
    this.#restMs = restMs;
  }

  /** What they take on the disk. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A file of exactly so many bytes, of whatever content; the caller's from now on. */
  take(bytes: number): string | undefined {
    const at = this.#files.findLastIndex((file) => file.bytes === bytes);
    const [file] = at < 0 ? [] : this.#files.splice(at, 1);
    if (file === undefined) return undefined;
    this.#bytes -= file.bytes;
    this.#startRest();
    return file.path;
  }

  /** Keeps a file, unless that makes more than `roomBytes` on the disk; it is removed then. */
  keep(path: string, bytes: number, roomBytes: number): void {
    if (this.#bytes + bytes > Math.min(KEPT_BYTES_MAX, roomBytes)) {
      this.#remove(path);
      return;
    }
    this.#files.push({ path, bytes });
    this.#bytes += bytes;
    this.#startRest();
  }

  /** Removes files until the others take no more than `roomBytes`, those first that were used last the longest ago. */
  shrink(roomBytes: number): void {
    while (this.#bytes > Math.max(0, roomBytes)) {
      const file = this.#files.shift();
      if (file === undefined) break;
      this.#bytes -= file.bytes;
      this.#remove(file.path);
    }
    if (this.#files.length === 0) clearTimeout(this.#rest);
  }

  /** No process lives for it: the next one removes what is left. */
  #startRest(): void {
    clearTimeout(this.#rest);
    if (this.#files.length > 0) this.#rest = setTimeout(() => this.shrink(0), this.#restMs).unref();
  }
}
