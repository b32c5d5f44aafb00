/** Finds READs of one length at equal distances among those that belong to no stream. */
import type { Span } from './span.js';
import type { Stride } from './stream.js';

/** READs remembered. The pieces of a run may be this far apart in the order of arrival. */
const REMEMBERED = 16;

/**
 * So many READs at equal distances are a run. With 16 remembered, random READs of 4 KiB in a file of 1 MiB look like one in less than
 * half a percent of the cases, in larger files hardly ever.
 */
const PIECES_MIN = 5;

export class Strides {
  /** Start and bytes of the latest READs, the oldest first. Two rows of numbers: going through a map makes an array for each entry. */
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];

  /** The run that this READ makes whole, and where it lies; the READ is remembered otherwise. */
  find(read: Span): (Stride & Span) | undefined {
    const bytes = read.end - read.start;
    for (let at = 0; at < this.#starts.length; at++) {
      const every = Math.abs(read.start - (this.#starts[at] ?? 0));
      // Closer together they are a sequential run with small gaps.
      if (this.#lengths[at] !== bytes || every < 2 * bytes) continue;
      const below = this.#piecesFrom(read.start, -every, bytes);
      const above = this.#piecesFrom(read.start, every, bytes);
      if (below + 1 + above < PIECES_MIN) continue;
      const lowest = read.start - below * every;
      for (let piece = 0; piece <= below + above; piece++) this.#forget(lowest + piece * every);
      return { every, bytes, start: lowest, end: lowest + (below + above) * every + bytes };
    }
    this.#forget(read.start);
    this.#starts.push(read.start);
    this.#lengths.push(bytes);
    if (this.#starts.length > REMEMBERED) {
      this.#starts.shift();
      this.#lengths.shift();
    }
    return undefined;
  }

  /** Remembered READs of that length behind `start`, at each `step`, without a gap. */
  #piecesFrom(start: number, step: number, bytes: number): number {
    let pieces = 0;
    while (pieces < REMEMBERED) {
      const at = this.#starts.indexOf(start + (pieces + 1) * step);
      if (at === -1 || this.#lengths[at] !== bytes) break;
      pieces++;
    }
    return pieces;
  }

  #forget(start: number): void {
    const at = this.#starts.indexOf(start);
    if (at === -1) return;
    this.#starts.splice(at, 1);
    this.#lengths.splice(at, 1);
  }
}
