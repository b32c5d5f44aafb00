/** Requests in flight, counted: those beyond the bound stand in line. Nothing is made for one that finds a slot free. */

/** Takes the slot, to call `leave` once when it is done with it; or returns false, and has no use for it any more. Doesn't throw. */
type Begin = (leave: () => void) => boolean;

export class RequestSlots {
  #free: number;
  readonly #line: Begin[] = [];
  readonly #leave = (): void => {
    for (let next = this.#line.shift(); next !== undefined; next = this.#line.shift())
      if (next(this.#leave)) return;
    this.#free += 1;
  };

  constructor(max: number) {
    this.#free = max;
  }

  /** Gives `begin` a slot, at once or in line. */
  enter(begin: Begin): void {
    if (this.#free === 0) {
      this.#line.push(begin);
      return;
    }
    this.#free -= 1;
    if (!begin(this.#leave)) this.#leave();
  }
}
