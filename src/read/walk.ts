/**
 * The walks of clients through one directory: from the files opened so far, by their position in the order of the listing, how many of
 * the next ones to have fetched. Pure, as window.ts is for the bytes of one object: it knows neither names nor store.
 *
 *   start              next                    ahead       next + window
 *     |-- opened (most) --|== fetched, to come ==|- - wanted - -|
 *
 * A file that is opened belongs to the walk it is nearest to, as long as it could be a neighbour that was overtaken: several readers
 * may go through a directory side by side. A walk is in order once a few files in a row were opened, with hardly any left out. Then its
 * window grows by one with each file opened, so that it doubles each time it was used up. A file that was fetched and passed over
 * halves it, and evidence is wanted anew. Somebody who takes long over each file gets no more than a time to live can make use of.
 */

/** Files that several readers may have under way at a time. */
const REORDERED_FILES = 16;
/** Files opened in a row that make a walk: two may be neighbours by chance. */
const EVIDENCE_FILES = 3;
/** Of the files from a walk's start on, so many were opened, or it isn't in order. */
const OPENED_SHARE = 3 / 4;
/** The order is judged by the latest files. */
const JUDGED_FILES = 64;
/** As many GETs as readahead may have under way, and some that have arrived. */
const WINDOW_FILES_MAX = 64;
/** Walks remembered of one directory; the one longest unused goes first. */
const WALKS_MAX = 8;
/** Weight of the newest pause between two files. */
const NEWEST = 1 / 8;

/** One client's way through a directory. */
export class Walk {
  /** Files opened from `start` on; those before are forgotten. */
  opened = 1;
  start: number;
  /** Behind the last file opened. */
  next: number;
  /** Up to here files were fetched, or it was decided not to. */
  ahead: number;
  /** Fetched and not opened yet, in order. */
  readonly pending = new Set<number>();
  /** Nobody follows it any more. */
  dropped = false;
  usedMs: number;
  msPerFile: number | undefined;
  #window = 0;

  constructor(position: number, nowMs: number) {
    this.start = position;
    this.next = position + 1;
    this.ahead = position + 1;
    this.usedMs = nowMs;
  }

  get inOrder(): boolean {
    return this.opened >= EVIDENCE_FILES && this.opened >= (this.next - this.start) * OPENED_SHARE;
  }

  /** Files to have fetched beyond `next`; those fetched `horizonMs` before they are opened are of no use. */
  window(horizonMs: number): number {
    if (!this.inOrder) return 0;
    const { msPerFile } = this;
    const timely = msPerFile === undefined || msPerFile === 0 ? Infinity : Math.floor(horizonMs / msPerFile);
    return Math.min(this.#window, Math.max(1, timely));
  }

  /** Positions to fetch now, in order. The caller tells `took` of each that it has dealt with. */
  *wanted(horizonMs: number): Generator<number> {
    const end = this.next + this.window(horizonMs);
    for (let at = Math.max(this.ahead, this.next); at < end; at += 1) yield at;
  }

  /** `fetched`, or passed over because there is nothing to fetch. */
  took(position: number, fetched: boolean): void {
    this.ahead = Math.max(this.ahead, position + 1);
    if (fetched) this.pending.add(position);
  }

  /** A file ahead can't be had, or was fetched in vain. */
  missed(position: number): void {
    this.pending.delete(position);
    this.#window = Math.floor(this.#window / 2);
    this.start = this.next;
    this.opened = 0;
  }

  /** Whether a file at that position could be one of this walk. */
  fits(position: number): boolean {
    return (
      position >= this.next - REORDERED_FILES && position <= Math.max(this.ahead, this.next) + REORDERED_FILES
    );
  }

  open(position: number, nowMs: number): void {
    const pauseMs = nowMs - this.usedMs;
    this.msPerFile =
      this.msPerFile === undefined ? pauseMs : this.msPerFile + (pauseMs - this.msPerFile) * NEWEST;
    this.usedMs = nowMs;
    this.pending.delete(position);
    this.start = Math.min(this.start, position);
    this.next = Math.max(this.next, position + 1);
    this.opened = Math.min(this.opened + 1, this.next - this.start);
    if (this.next - this.start > 2 * JUDGED_FILES) {
      this.start = this.next - JUDGED_FILES;
      this.opened /= 2;
    }
    if (!this.inOrder) this.#window = 0;
    else this.#window = Math.min(Math.max(this.#window + 1, EVIDENCE_FILES), WINDOW_FILES_MAX);
  }

  /** Files that were fetched and lie too far behind to be opened by this walk; each counts as missed. */
  takePassed(): number[] {
    const passed = [...this.pending].filter((position) => position < this.next - REORDERED_FILES);
    for (const position of passed) this.missed(position);
    return passed;
  }
}

export interface Opened {
  readonly walk: Walk;
  /** Positions of files that were fetched and that nobody is expected to open any more. */
  readonly missed: readonly number[];
}

export class Walks {
  /** In order of use. */
  readonly #walks: Walk[] = [];

  /** A file was opened. */
  open(position: number, nowMs: number): Opened {
    const near = this.#nearest(position);
    if (near !== undefined) {
      this.#walks.splice(this.#walks.indexOf(near), 1);
      this.#walks.push(near);
      near.open(position, nowMs);
      return { walk: near, missed: near.takePassed() };
    }
    const walk = new Walk(position, nowMs);
    this.#walks.push(walk);
    if (this.#walks.length <= WALKS_MAX) return { walk, missed: [] };
    return { walk, missed: this.#drop(this.#walks[0]) };
  }

  /** The least position that any walk may still come back to. */
  get lowest(): number {
    return Math.min(...this.#walks.map(({ next }) => next - REORDERED_FILES));
  }

  /** Ends all walks; the positions of the files fetched for them. */
  end(): number[] {
    return [...this.#walks].flatMap((walk) => this.#drop(walk));
  }

  #drop(walk: Walk | undefined): number[] {
    if (walk === undefined) return [];
    this.#walks.splice(this.#walks.indexOf(walk), 1);
    walk.dropped = true;
    const left = [...walk.pending];
    walk.pending.clear();
    return left;
  }

  #nearest(position: number): Walk | undefined {
    let best: Walk | undefined;
    for (const walk of this.#walks) {
      if (!walk.fits(position)) continue;
      if (best === undefined || Math.abs(position - walk.next) < Math.abs(position - best.next)) best = walk;
    }
    return best;
  }
}
