/**
 * Entries of a page as few pieces: a page ahead of the client waits for it, and a hundred of them as objects and strings would be a hundred
 * thousand of each, a third of the heap and more than that of the collector's work. A page of 1,000 entries takes some 70 KB so, outside of the
 * heap.
 */
import type { Continuation, HeldPage } from './listed-page.js';
import type { ListedEntry } from './node.js';

/** No name has it. */
const SEPARATOR = '\0';
const UNKNOWN = Number.NaN;

export class PackedEntries {
  readonly length: number;
  /** Names and ETags; a directory's name with a slash behind it, which no other name has. */
  readonly #text: Buffer;
  /** Size and LastModified of each file; UNKNOWN where LIST didn't tell. */
  readonly #numbers: Float64Array;
  /** Entries whose version has an ETag that can't be packed. */
  readonly #odd: ReadonlyMap<number, ListedEntry>;

  constructor(entries: readonly ListedEntry[]) {
    this.length = entries.length;
    const names = new Array<string>(entries.length);
    const etags = new Array<string>(entries.length);
    const odd = new Map<number, ListedEntry>();
    const numbers = new Float64Array(2 * entries.length).fill(UNKNOWN);
    for (const [at, entry] of entries.entries()) {
      const { name, kind, version } = entry;
      names[at] = kind === 'directory' ? `${name}/` : name;
      etags[at] = version?.etag ?? '';
      if (version === undefined) continue;
      numbers[2 * at] = version.size;
      if (version.lastModifiedMs !== undefined) numbers[2 * at + 1] = version.lastModifiedMs;
      if (version.etag.includes(SEPARATOR)) odd.set(at, entry);
    }
    for (const at of odd.keys()) etags[at] = '';
    this.#text = Buffer.from([...names, ...etags].join(SEPARATOR));
    this.#numbers = numbers;
    this.#odd = odd;
  }

  /** The entries as they were. */
  unpacked(): ListedEntry[] {
    const count = this.length;
    if (count === 0) return [];
    const texts = this.#text.toString('utf8').split(SEPARATOR);
    return Array.from({ length: count }, (_, at) => this.#odd.get(at) ?? this.#entry(at, texts));
  }

  #entry(at: number, texts: readonly string[]): ListedEntry {
    const name = texts[at] ?? '';
    if (name.endsWith('/')) return { name: name.slice(0, -1), kind: 'directory' };
    const size = this.#numbers[2 * at] ?? UNKNOWN;
    if (Number.isNaN(size)) return { name, kind: 'file' };
    const etag = texts[this.length + at] ?? '';
    const lastModifiedMs = this.#numbers[2 * at + 1] ?? UNKNOWN;
    const version = Number.isNaN(lastModifiedMs) ? { etag, size } : { etag, size, lastModifiedMs };
    return { name, kind: 'file', version };
  }
}

/** A page of a walk (listing-walk.ts). */
export interface WaitingPage {
  /** The sort key that it begins after. */
  readonly after: string;
  /** Packed until the client comes to it. */
  entries: readonly ListedEntry[] | PackedEntries;
  /** Where the listing goes on after it; undefined where it ends with it. */
  readonly more: Continuation | undefined;
  /** When the store was asked for it (milliseconds since the epoch). */
  readonly takenMs: number;
}

/** The page as objects, which it is from now on: a client reads it by several calls. */
export function heldPage(page: WaitingPage): HeldPage {
  const { after, more, takenMs } = page;
  const entries = page.entries instanceof PackedEntries ? page.entries.unpacked() : page.entries;
  page.entries = entries;
  return more === undefined ? { after, entries, takenMs } : { after, entries, takenMs, more };
}
