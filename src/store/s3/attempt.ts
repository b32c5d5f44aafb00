/** One attempt of one call: its abort signal, and the clock that gives it up. */
import { LightSignal } from '../../cancel/light-signal.js';
import type { StoreError } from '../errors.js';

/** Why an attempt was cut off from this side. */
export type CutOff = 'caller' | 'closed' | 'timeout';

export class Attempt {
  /** From 1. */
  readonly number: number;
  /** What ended the attempt before this one. */
  readonly previous: StoreError | undefined;
  readonly #signal = new LightSignal();
  readonly #callerSignal: AbortSignal | undefined;
  readonly #onCallerAbort = (): void => this.cut('caller');
  readonly #onProgress: () => void;
  #timer: NodeJS.Timeout | undefined;
  #wholeTimer: NodeJS.Timeout | undefined;
  #cutOff: CutOff | undefined;
  #held = false;

  constructor(options: {
    readonly number: number;
    readonly previous: StoreError | undefined;
    readonly callerSignal: AbortSignal | undefined;
    readonly onProgress: () => void;
  }) {
    this.number = options.number;
    this.previous = options.previous;
    this.#callerSignal = options.callerSignal;
    this.#onProgress = options.onProgress;
    if (options.callerSignal?.aborted === true) this.cut('caller');
    else options.callerSignal?.addEventListener('abort', this.#onCallerAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#signal;
  }

  get cutOff(): CutOff | undefined {
    return this.#cutOff;
  }

  /** Gives the attempt up unless `alive` or another `limit` comes within `ms`. */
  limit(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.cut('timeout'), ms);
  }

  /** Gives the attempt up after `ms`, whatever arrives. */
  limitWhole(ms: number): void {
    clearTimeout(this.#wholeTimer);
    this.#wholeTimer = setTimeout(() => this.cut('timeout'), ms);
  }

  /** Something arrived: the limit counts from now. */
  alive(): void {
    this.#timer?.refresh();
  }

  /** What has come waits for this process to read it: the store isn't slow meanwhile. */
  get held(): boolean {
    return this.#held;
  }

  hold(waits: boolean): void {
    this.#held = waits;
  }

  /** Part of the result is safe: the retry budgets start anew. */
  progress(): void {
    this.#onProgress();
  }

  cut(reason: CutOff): void {
    if (this.#cutOff !== undefined) return;
    this.#cutOff = reason;
    this.#signal.abort();
  }

  end(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#wholeTimer);
    this.#callerSignal?.removeEventListener('abort', this.#onCallerAbort);
  }
}
