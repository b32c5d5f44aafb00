/**
 * Turns of the connections that read bodies. libuv reads a socket on for as long as it has bytes: one that has read its share is paused and stands in
 * line. Few large reads cost much less than many small ones, so the share is as large as the largest block, and where there are many connections they
 * wait longer, while the kernel gathers their bytes, instead of reading less at a time.
 *
 *   reading --its share was read--> in line --its turn--> reading
 *
 * Who waits for bytes from the store isn't in line, and keeps nobody else from reading.
 */

/** Read in one turn of the event loop by those from the line: some milliseconds' work. More makes many streams cheaper, and each of them wait longer. */
const TURN_BYTES = 16 * 1024 * 1024;
/** Read by one connection before others are looked at; half of it in a turn that has read more than its bytes. */
const SHARE_BYTES = 1024 * 1024;

export class ReadTurns {
  readonly #endsTurn: (ended: () => void) => void;
  readonly #line: (() => void)[] = [];
  #turnBytes = 0;
  #turnEnds = false;

  /** `endsTurn` calls back when all other callbacks of this turn of the event loop were called. */
  constructor(endsTurn: (ended: () => void) => void = (ended) => void setImmediate(ended)) {
    this.#endsTurn = endsTurn;
  }

  /** The most that a connection may read at a time. */
  get shareBytes(): number {
    return SHARE_BYTES;
  }

  /** A connection has read `bytes`, and `sinceBytes` since it last stood in line: true when it is to enter the line. */
  isOver(bytes: number, sinceBytes: number): boolean {
    this.#turnBytes += bytes;
    this.#endTurn();
    return sinceBytes >= (this.#turnBytes > TURN_BYTES ? SHARE_BYTES / 2 : SHARE_BYTES);
  }

  /** Calls `read` when its turn comes, not in this turn of the event loop. */
  enter(read: () => void): void {
    this.#line.push(read);
    this.#endTurn();
  }

  #endTurn(): void {
    if (this.#turnEnds) return;
    this.#turnEnds = true;
    this.#endsTurn(() => {
      this.#turnEnds = false;
      this.#turnBytes = 0;
      for (const read of this.#line.splice(0, TURN_BYTES / SHARE_BYTES)) read();
      if (this.#line.length > 0) this.#endTurn();
    });
  }
}
