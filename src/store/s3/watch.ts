/**
 * Watches one attempt of a GET: when its bytes are far behind the usual (patience.ts), it is cut off, and the retry asks for what is missing, over
 * another connection and under the same ETag. An attempt that is itself a retry is given all the time there is.
 */
import type { Attempt } from './attempt.js';
import type { Patience, Waits } from './patience.js';

export class Watch {
  readonly #attempt: Attempt;
  readonly #patience: Patience;
  readonly #waits: Waits | undefined;
  readonly #beganMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  /** Counts what was heard. */
  #heard = 0;

  constructor(attempt: Attempt, patience: Patience) {
    this.#attempt = attempt;
    this.#patience = patience;
    this.#waits = attempt.number === 1 ? patience.waits : undefined;
    if (this.#waits !== undefined) this.#wait(this.#waits.firstByteMs);
  }

  /** The head of a success has come. */
  answered(): void {
    this.#patience.observe(performance.now() - this.#beganMs);
    this.#heard += 1;
    clearTimeout(this.#timer);
    if (this.#waits !== undefined) this.#wait(this.#waits.stallMs);
  }

  /** Bytes of the body have come. */
  alive(): void {
    this.#heard += 1;
    this.#timer?.refresh();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wait(ms: number): void {
    const timer = setTimeout(() => {
      // What has come stands in line for this process, however long the others take.
      if (this.#attempt.held) {
        timer.refresh();
        return;
      }
      const heard = this.#heard;
      // What has come while this process was busy is read first.
      setImmediate(() => {
        if (this.#timer === timer && this.#heard === heard && this.#patience.tryAskAgain())
          this.#attempt.cut('timeout');
      });
    }, ms);
    this.#timer = timer;
  }
}
