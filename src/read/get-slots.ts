/**
 * GETs in flight, counted. READs that wait for bytes stand in line for a slot; readahead takes one only when plenty are
 * free, so that a slot is never far for those who wait.
 */
export class GetSlots {
  readonly #max: number;
  readonly #aheadMax: number;
  #busy = 0;
  readonly #line: (() => void)[] = [];

  /** `max`: slots; a quarter of them are closed to readahead. */
  constructor(max: number) {
    this.#max = max;
    this.#aheadMax = Math.max(1, max - Math.floor(max / 4));
  }

  /** Slots open to readahead. */
  get aheadMax(): number {
    return this.#aheadMax;
  }

  get busy(): number {
    return this.#busy;
  }

  /** A slot for readahead, at once or not at all; `spared` are left to other readahead. */
  tryTakeAhead(spared = 0): boolean {
    if (this.#line.length > 0 || this.#busy >= Math.max(1, this.#aheadMax - spared)) return false;
    this.#busy += 1;
    return true;
  }

  /** A slot, in line; rejects with the signal's reason when aborted before. */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#busy < this.#max && this.#line.length === 0) {
      this.#busy += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#line.splice(this.#line.indexOf(enter), 1);
        reject(
          signal.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal.reason }),
        );
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#line.push(enter);
    });
  }

  /** Gives a slot to the next in line. */
  giveBack(): void {
    const enter = this.#line.shift();
    if (enter === undefined) this.#busy -= 1;
    else enter();
  }
}
