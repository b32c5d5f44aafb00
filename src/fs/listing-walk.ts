/**
 * A directory's listing as one client reads it: pages in order, with more of them under way the longer it reads on. The key space ahead is
 * split into runs, each a chain of LISTs of its own, at names that are guessed from how the names so far spread (name-spread.ts):
 *
 *   | run: p p p p . . . .| run: p p p . . . . .| run: p p . . . . . .| frontier: p . . .
 *     ^ the client                                                      up to the end of the directory
 *
 * A guess is never relied on: a run ends where the next one begins, wherever that is, and the last one is bounded by the listing's end alone. What a
 * guess may cost is bounded too: a run that begins behind the last name is a LIST in vain, and where a run ends its last page is not
 * full. No run is begun once that has come to more than a share of the pages. How far ahead pages are asked for doubles with each page
 * that the client takes, and each page ahead is memory that was free.
 */
import { compareKeys } from './names.js';
import { ClientPace } from './client-pace.js';
import { namesAhead, type SeenPage } from './name-spread.js';
import { runEnd } from './run-end.js';
import { sortKeyOf, type ListedEntry } from './node.js';
import { PackedEntries } from './packed-entries.js';
import { letGoOf, openPage, type PageMemory, type WalkPage } from './walk-page.js';
import { firstAfter, type Continuation, type HeldPage, type ListedPage } from './listed-page.js';

/** What a LIST told, as far as it can be told. */
export interface FetchedPage extends ListedPage {
  readonly takenMs: number;
  /** The files that the store didn't have when it was asked. */
  readonly unpublished: readonly string[];
}

/** The directory in the store. All of these fail with FsError. */
export interface PageSource {
  /** The page there. */
  fetch(from: Continuation): Promise<FetchedPage>;
  /** Leaves out entries that a directory behind `last` hides. */
  decide(entries: readonly ListedEntry[], last: string): Promise<readonly ListedEntry[]>;
  /** Adds files that the store doesn't have yet, of those behind `after` up to `last`. */
  complete(
    entries: readonly ListedEntry[],
    unpublished: readonly string[],
    after: string,
    last: string | undefined,
  ): readonly ListedEntry[];
}

export interface WalkOptions {
  /** Several LISTs at a time may be made, of a store that lists in order. */
  readonly splits: boolean;
  /** Pages prove attributes for so many milliseconds: no more are asked for ahead than the client comes to in half of it. Absent: for ever. */
  readonly pace?: { readonly nowMs: () => number; readonly goodMs: number };
  /** In place of the guess, for tests. */
  readonly guess?: typeof namesAhead;
}

interface Run {
  readonly after: string;
  /** Where the next run begins; undefined for the last one. */
  until: string | undefined;
  /** In order, without a gap. */
  pages: WalkPage[];
  /** Where it goes on; undefined when it has come to its end. */
  next: Continuation | undefined;
  asking: Promise<void> | undefined;
  /** Something was found in it. */
  confirmed: boolean;
  /** Its last LIST failed: the client that comes to it asks again. */
  failed: boolean;
  listedPages: number;
  /** As many as it was made for. */
  plannedPages: number;
}

/** Pages ahead of the client, at most: some 200 KiB each. */
const WINDOW_PAGES_MAX = 128;
/** LISTs at a time. */
const LISTS_MAX = 8;
/** Pages that the client took before the listing is split. */
const PAGES_BEFORE_SPLIT = 4;
/** Pages that were listed before runs are made two at a time. */
const MANY_PAGES = 16;
/** Of the pages listed, what guesses may have cost. */
const WASTE_SHARE_MAX = 0.015;
/** Pages that a guess is made from, and names of each. */
const SEEN_PAGES_MAX = 48;
const SEEN_NAMES = 16;
/** Pages that are listed before a split is tried again that the names didn't tell. */
const PAGES_BEFORE_ANOTHER_TRY = 4;
/** Pages that are kept behind the client. */
const KEPT_BEHIND = 1;

export class ListingWalk {
  readonly #source: PageSource;
  readonly #memory: PageMemory;
  readonly #options: WalkOptions;
  /** In order, without a gap; the first one holds where the client is. */
  #runs: Run[];
  /** Where the page begins that the client took last. */
  #current: string;
  #window = 1;
  #takenPages = 0;
  readonly #pace: ClientPace | undefined;
  #listedPages = 0;
  /** Pages that guesses cost. */
  #waste = 0;
  readonly #seen: (SeenPage & { readonly after: string })[] = [];
  /** Pages that are to be listed before a run is made again. */
  #triesAgainAt = 0;
  /** By a client that goes on, and not by who looks ahead of one. */
  #isRead = false;
  #ended = false;

  constructor(source: PageSource, memory: PageMemory, after: string, options: WalkOptions) {
    this.#source = source;
    this.#memory = memory;
    this.#options = options;
    this.#current = after;
    const { pace } = options;
    this.#pace = pace && pace.goodMs > 0 ? new ClientPace(pace) : undefined;
    this.#runs = [newRun(after, undefined, 1)];
  }

  /** Whether the sort key lies in what is held, or at the end of what was listed: elsewhere a LIST of its own is shorter. */
  covers(after: string): boolean {
    const run = this.#runs[this.#runIndex(after)];
    return !this.#ended && run !== undefined && (pageAt(run, after) ?? goesOnAt(run, after)) !== undefined;
  }

  /** The held page in which the sort key stands, whole. */
  around(key: string): HeldPage | undefined {
    for (const run of this.#runs) {
      const found = run.pages.findLast(({ after }) => compareKeys(after, key) < 0);
      if (found === undefined || (found.more !== undefined && compareKeys(key, found.more.after) > 0))
        continue;
      const page = this.#opened(run, found);
      const last = page.entries.at(-1);
      if (last !== undefined && compareKeys(key, sortKeyOf(last)) <= 0) return page;
    }
    return undefined;
  }

  /**
   * The page that holds the entries behind the sort key, and the index of the first of them; more pages are asked for ahead where a client
   * `reads` on. The page without such entries ends the directory. Undefined where the walk doesn't cover the sort key. Fails with FsError.
   */
  async take(after: string, reads: boolean): Promise<{ page: HeldPage; from: number } | undefined> {
    for (let position = after; ;) {
      const run = this.#runs[this.#runIndex(position)];
      if (run === undefined) return undefined;
      const found = pageAt(run, position);
      const next = goesOnAt(run, position);
      if (found !== undefined) {
        const page = this.#opened(run, found);
        const from = firstAfter(page.entries, position);
        if (from < page.entries.length || page.more === undefined) {
          this.#taken(page, reads, after);
          return { page, from };
        }
        position = page.more.after;
      } else if (next !== undefined) {
        run.failed = false;
        const asking = run.asking ?? this.#ask(run, false);
        await (this.#pace?.waiting(asking) ?? asking);
      } else return undefined;
    }
  }

  /** Lets go of all pages. A LIST that is under way still answers those who wait for it, and nobody else. */
  end(): void {
    this.#ended = true;
    for (const run of this.#runs) this.#letGo(run, run.pages);
  }

  #opened(run: Run, page: WalkPage): HeldPage {
    const { held, isKept } = openPage(page, this.#memory, () => this.#ended);
    if (!isKept) this.#letGo(run, [page]);
    return held;
  }

  /** Where the run is in which the sort key lies: the entries behind it are there or later. */
  #runIndex(after: string): number {
    let at = this.#runs.length - 1;
    while (at >= 0 && compareKeys(this.#runs[at]?.after ?? '', after) > 0) at--;
    return at;
  }

  #taken(page: HeldPage, reads: boolean, after: string): void {
    // Who only looks doesn't take away what a client goes on with.
    if (!reads && this.#isRead) return;
    this.#isRead = reads;
    if (reads && compareKeys(page.after, this.#current) > 0) {
      this.#takenPages++;
      const most = this.#pace?.came() ?? WINDOW_PAGES_MAX;
      this.#window = Math.min(WINDOW_PAGES_MAX, most, this.#window * 2);
    }
    this.#current = page.after;
    this.#letGoBehind();
    // Many a listing is begun and not gone on with.
    if (after !== '') this.#askAhead();
  }

  #letGoBehind(): void {
    let behind = 0;
    for (const run of this.#runs) {
      for (const page of run.pages) if (compareKeys(page.after, this.#current) < 0) behind++;
    }
    for (const run of this.#runs) {
      const count = Math.min(run.pages.length, behind - KEPT_BEHIND);
      if (count <= 0) break;
      this.#letGo(run, run.pages.slice(0, count));
      behind -= count;
    }
    for (;;) {
      const [run, following] = this.#runs;
      const isPast = following !== undefined && compareKeys(following.after, this.#current) <= 0;
      if (!isPast || run === undefined || run.next !== undefined || run.pages.length > 0) return;
      this.#runs.shift();
    }
  }

  #letGo(run: Run, pages: readonly WalkPage[]): void {
    for (const page of pages) letGoOf(page, this.#memory);
    run.pages = run.pages.filter((page) => !pages.includes(page));
  }

  /** Asks for pages ahead of the client, up to the window: of the runs that are there, the nearest first, then of new ones. */
  #askAhead(): void {
    if (!this.#isRead) return;
    while (!this.#ended) {
      const asking = this.#runs.filter((run) => run.asking !== undefined).length;
      if (this.#heldAhead() + asking >= this.#window || asking >= LISTS_MAX) return;
      const run =
        this.#runs.find((each) => each.next !== undefined && each.asking === undefined && !each.failed) ??
        this.#split();
      if (run === undefined || !this.#memory.take()) return;
      // Who comes to it asks again, and is told.
      this.#ask(run, true).catch(leftToTheClient);
    }
  }

  /** Pages held ahead of the client's. */
  #heldAhead(): number {
    let count = 0;
    for (const run of this.#runs)
      for (const page of run.pages) if (compareKeys(page.after, this.#current) > 0) count++;
    return count;
  }

  /** Makes a run of what lies far ahead in another. */
  #split(): Run | undefined {
    if (!this.#options.splits || this.#takenPages < PAGES_BEFORE_SPLIT) return undefined;
    // Where the client doesn't wait nothing is to be won by guesses.
    if (this.#pace?.isStoreSlower === false) return undefined;
    if (this.#waste > this.#listedPages * WASTE_SHARE_MAX + 1 || this.#listedPages < this.#triesAgainAt)
      return undefined;
    const open = this.#runs.filter((run) => run.next !== undefined);
    // Slow at first: the end of the directory may be near.
    const unconfirmed = open.filter((run) => !run.confirmed).length;
    if (unconfirmed >= (this.#listedPages < MANY_PAGES ? 1 : 2)) return undefined;
    const planned = open.reduce((sum, run) => sum + Math.max(1, run.plannedPages - run.listedPages), 0);
    if (this.#heldAhead() + planned > this.#window) return undefined;
    const last = open.at(-1);
    // Those that are longer than was meant, where the client comes first; then the last one, which has no end yet.
    const overlong = open.filter(
      (run) => run !== last && run.confirmed && run.listedPages >= run.plannedPages,
    );
    for (const run of last === undefined ? overlong : [...overlong, last]) {
      const made = this.#splitRun(run);
      if (made !== undefined) return made;
    }
    // What was seen doesn't tell how to go on.
    this.#triesAgainAt = this.#listedPages + PAGES_BEFORE_ANOTHER_TRY;
    return undefined;
  }

  /** Ends the run some pages behind where it has come to; a new one goes on from there. */
  #splitRun(run: Run): Run | undefined {
    const from = run.next?.after;
    if (from === undefined) return undefined;
    const name = nameOfKey(from);
    const seen = this.#seen.filter((page) => compareKeys(page.after, from) < 0);
    const ahead = (this.#options.guess ?? namesAhead)(seen, name);
    const at = ahead && runEnd(ahead, this.#listedPages);
    if (at === undefined || compareKeys(at.name, from) <= 0) return undefined;
    if (run.until !== undefined && compareKeys(at.name, run.until) >= 0) return undefined;
    const made = newRun(at.name, run.until, at.pages);
    run.until = at.name;
    run.plannedPages = run.listedPages + at.pages;
    this.#runs.splice(this.#runs.indexOf(run) + 1, 0, made);
    return made;
  }

  /** One LIST more of the run. */
  #ask(run: Run, isAccounted: boolean): Promise<void> {
    const asking = this.#list(run, isAccounted)
      .catch((error: unknown) => {
        run.failed = true;
        this.#window = 1;
        if (isAccounted) this.#memory.give();
        throw error;
      })
      .finally(() => {
        run.asking = undefined;
        this.#askAhead();
      });
    run.asking = asking;
    return asking;
  }

  async #list(run: Run, isAccounted: boolean): Promise<void> {
    const { next } = run;
    if (next === undefined) throw new Error('the run has come to its end');
    const fetched = await this.#source.fetch(next);
    this.#listedPages++;
    run.listedPages++;
    const page = await this.#within(run, next.after, fetched);
    const entries = this.#source.complete(page.entries, fetched.unpublished, next.after, page.more?.after);
    run.next = page.isLast ? undefined : page.more;
    if (fetched.entries.length > 0) run.confirmed = true;
    this.#noteSeen(next.after, fetched.entries);
    if (page.isLast && run.until !== undefined && fetched.entries.length > 0)
      this.#waste += Math.max(0, 1 - page.entries.length / fetched.entries.length);
    else if (fetched.entries.length === 0 && run.listedPages === 1 && this.#listedPages > 1) this.#waste++;
    const { takenMs } = fetched;
    const { more } = page;
    const isHeld = isAccounted && !this.#ended && entries.length > 0;
    if (isAccounted && !isHeld) this.#memory.give();
    // A page that leaves all of its entries to the next one covers nothing. Any other page without entries is kept, to lead on to what is behind it.
    if (more !== undefined && compareKeys(more.after, next.after) <= 0) return;
    const held = isHeld ? new PackedEntries(entries) : entries;
    run.pages.push({ after: next.after, entries: held, more, takenMs, isAccounted: isHeld, heldBytes: 0 });
  }

  /** What of a page belongs to the run. */
  async #within(
    run: Run,
    after: string,
    { entries, more }: ListedPage,
  ): Promise<ListedPage & { readonly isLast: boolean }> {
    const { until } = run;
    const reached = more?.read?.last ?? more?.after;
    if (until === undefined || (reached !== undefined && compareKeys(reached, until) < 0))
      return { entries, ...(more !== undefined && { more }), isLast: more === undefined };
    const undecided = (more?.read?.undecided ?? []).filter(
      (entry) => compareKeys(sortKeyOf(entry), until) <= 0,
    );
    const last = reached ?? until;
    const decided = undecided.length === 0 ? [] : await this.#source.decide(undecided, last);
    // It was split meanwhile.
    if (run.until !== until)
      return this.#within(run, after, { entries, ...(more !== undefined && { more }) });
    const own = entries.slice(0, firstAfter(entries, until));
    return {
      entries: decided.length === 0 ? own : [...own, ...decided],
      more: { after: until },
      isLast: true,
    };
  }

  #noteSeen(after: string, entries: readonly ListedEntry[]): void {
    if (entries.length < 2 || !this.#options.splits) return;
    const step = Math.max(1, Math.floor(entries.length / SEEN_NAMES));
    const names = entries.filter((_, at) => at % step === 0).map(({ name }) => name);
    const first = entries[0]?.name ?? '';
    const last = entries.at(-1)?.name ?? '';
    let at = this.#seen.length;
    while (at > 0 && compareKeys(this.#seen[at - 1]?.after ?? '', after) > 0) at--;
    this.#seen.splice(at, 0, { after, first, last, count: entries.length, names: [...names, last] });
    if (this.#seen.length > SEEN_PAGES_MAX) this.#seen.shift();
  }
}

const newRun = (after: string, until: string | undefined, plannedPages: number): Run => ({
  after,
  until,
  pages: [],
  next: { after },
  asking: undefined,
  confirmed: false,
  failed: false,
  listedPages: 0,
  plannedPages,
});

/** The page that the entries behind the sort key begin in. */
function pageAt(run: Run, position: string): WalkPage | undefined {
  return run.pages.findLast((page) => compareKeys(page.after, position) <= 0 && reaches(page, position));
}

const reaches = ({ more }: WalkPage, position: string): boolean =>
  more === undefined || compareKeys(position, more.after) < 0;

/** Where the run goes on, if it does so at the sort key. */
const goesOnAt = ({ next }: Run, position: string): Continuation | undefined =>
  next?.after === position ? next : undefined;

const nameOfKey = (key: string): string => (key.endsWith('/') ? key.slice(0, -1) : key);

/** The call that comes to a page which couldn't be had ahead asks for it again, and is told. */
const leftToTheClient = (): void => undefined;
