/** A directory of names that is listed by pages, as S3 lists: what walks are tried on. Time is counted, and passes when everybody waits. */
import { FsError } from '../../src/fs/errors.js';
import type { Continuation } from '../../src/fs/listed-page.js';
import { firstAfter } from '../../src/fs/listed-page.js';
import {
  ListingWalk,
  type FetchedPage,
  type PageSource,
  type WalkOptions,
} from '../../src/fs/listing-walk.js';
import type { PageMemory } from '../../src/fs/walk-page.js';
import { compareKeys } from '../../src/fs/names.js';
import { sortKeyOf, type ListedEntry } from '../../src/fs/node.js';
import { mayBeShadowed } from '../../src/fs/unordered.js';

export interface ListedNamesOptions {
  /** Directories end with a slash. */
  readonly keys: readonly string[];
  /** Of the LIST of that number. */
  readonly pageEntries?: (list: number) => number;
  readonly listMs?: number;
  /** Is listed by the store and not shown. */
  readonly isHidden?: (entry: ListedEntry) => boolean;
  /** The LIST of that number fails; who waits for it asks again. */
  readonly fails?: (list: number) => boolean;
}

export class ListedNames implements PageSource {
  readonly entries: readonly ListedEntry[];
  readonly #pageEntries: (list: number) => number;
  readonly #listMs: number;
  readonly #isHidden: (entry: ListedEntry) => boolean;
  readonly #fails: (list: number) => boolean;
  /** LISTs so far. */
  lists = 0;
  /** LISTs under way, at most. */
  listsAtOnce = 0;
  #underWay = 0;
  nowMs = 0;
  readonly #waiting: { readonly atMs: number; readonly resume: () => void }[] = [];

  constructor({ keys, pageEntries = () => 1000, listMs = 30, ...others }: ListedNamesOptions) {
    const { isHidden = () => false, fails = () => false } = others;
    this.entries = [...new Set(keys)]
      .sort(compareKeys)
      .map((key): ListedEntry =>
        key.endsWith('/') ? { name: key.slice(0, -1), kind: 'directory' } : { name: key, kind: 'file' },
      );
    this.#pageEntries = pageEntries;
    this.#listMs = listMs;
    this.#isHidden = isHidden;
    this.#fails = fails;
  }

  async fetch({ after, read }: Continuation): Promise<FetchedPage> {
    const list = this.lists++;
    const max = this.#pageEntries(list);
    this.#underWay++;
    this.listsAtOnce = Math.max(this.listsAtOnce, this.#underWay);
    const takenMs = this.nowMs;
    await this.wait(this.#listMs);
    this.#underWay--;
    if (this.#fails(list)) throw new FsError('EJUKEBOX', 'the store is down');
    const from = read === undefined ? firstAfter(this.entries, after) : Number(read.token);
    const listed = this.entries.slice(from, from + max);
    const entries = listed.filter((entry) => !this.#isHidden(entry));
    const last = listed.at(-1);
    const told = { entries, takenMs, unpublished: [] };
    if (last === undefined || from + max >= this.entries.length)
      return { ...told, entries: withHeld(read, entries) };
    const end = sortKeyOf(last);
    // As of S3: whether a directory behind it hides it is told by the next page.
    const all = withHeld(read, entries);
    const cut = all.findIndex((entry) => mayBeShadowed(entry, end));
    const undecided = cut === -1 ? [] : all.slice(cut);
    const decided = cut === -1 ? all : all.slice(0, cut);
    const lastDecided = decided.at(-1);
    return {
      ...told,
      entries: decided,
      more: {
        after: undecided.length === 0 ? end : lastDecided === undefined ? after : sortKeyOf(lastDecided),
        read: { prefix: '', last: end, token: String(from + max), undecided },
      },
    };
  }

  /** One LIST for each of them. */
  async decide(entries: readonly ListedEntry[]): Promise<readonly ListedEntry[]> {
    this.lists += entries.length;
    await this.wait(this.#listMs);
    return entries;
  }

  complete(entries: readonly ListedEntry[]): readonly ListedEntry[] {
    return entries;
  }

  wait(ms: number): Promise<void> {
    return new Promise((resume) => this.#waiting.push({ atMs: this.nowMs + ms, resume }));
  }

  /** Runs `task`, and lets time pass whenever nothing else is to be done. */
  async run<T>(task: Promise<T>): Promise<T> {
    let done = false;
    const ended = task.finally(() => {
      done = true;
    });
    ended.catch(() => undefined);
    for (;;) {
      await new Promise(setImmediate);
      if (done) return ended;
      const next = this.#waiting.sort((a, b) => a.atMs - b.atMs).shift();
      if (next === undefined) throw new Error('everybody waits for nothing');
      this.nowMs = next.atMs;
      next.resume();
    }
  }
}

/** With what the page before left to this one. */
const withHeld = (read: Continuation['read'], entries: readonly ListedEntry[]): readonly ListedEntry[] => [
  ...(read?.undecided ?? []),
  ...entries,
];

/** Counts the pages that a walk has memory for. */
export class CountedMemory implements PageMemory {
  readonly #limit: number;
  readonly #holds: boolean;
  /** For pages that are read. */
  heldBytes = 0;
  /** Taken and not given back. */
  pages = 0;
  /** The most at a time. */
  pagesMax = 0;

  constructor(limit = Infinity, holds = true) {
    this.#limit = limit;
    this.#holds = holds;
  }

  take(): boolean {
    if (this.pages >= this.#limit) return false;
    this.pagesMax = Math.max(this.pagesMax, ++this.pages);
    return true;
  }

  give(): void {
    this.pages--;
  }

  hold(bytes: number): boolean {
    if (this.#holds) this.heldBytes += bytes;
    return this.#holds;
  }

  release(bytes: number): void {
    this.heldBytes -= bytes;
  }
}

export interface WalkedThrough {
  readonly keys: readonly string[];
  /** Pages held or under way, at most. */
  readonly pagesMax: number;
}

/** Reads it from its start, so many entries at a time. */
export async function walkThrough(
  names: ListedNames,
  options: WalkOptions,
  client: {
    readonly entriesAtATime?: number;
    readonly msAPage?: number;
    readonly memoryPages?: number;
    /** Pages that are read are kept for the next call. */
    readonly holds?: boolean;
  } = {},
): Promise<WalkedThrough> {
  const { entriesAtATime = 500, msAPage = 0, memoryPages = Infinity, holds = true } = client;
  const memory = new CountedMemory(memoryPages, holds);
  let walk = new ListingWalk(names, memory, '', options);
  const keys: string[] = [];
  for (let after = ''; ;) {
    const found = await walk.take(after, true).catch((error: unknown) => {
      if (error instanceof FsError && error.code === 'EJUKEBOX') return 'again' as const;
      throw error;
    });
    if (found === 'again') continue;
    if (found === undefined) {
      if (walk.covers(after)) throw new Error(`the walk covers "${after}" and doesn't lead on from it`);
      walk.end();
      walk = new ListingWalk(names, memory, after, options);
      continue;
    }
    const { page, from } = found;
    const taken = page.entries.slice(from, from + entriesAtATime);
    for (const entry of taken) keys.push(sortKeyOf(entry));
    const last = taken.at(-1);
    if (page.more === undefined && from + entriesAtATime >= page.entries.length) break;
    if (last !== undefined) after = sortKeyOf(last);
    if (msAPage > 0) await names.wait((msAPage * taken.length) / 1000);
  }
  walk.end();
  if (memory.pages !== 0) throw new Error(`${memory.pages} pages of memory were not given back`);
  if (memory.heldBytes !== 0) throw new Error(`${memory.heldBytes} bytes were not given back`);
  return { keys, pagesMax: memory.pagesMax };
}
