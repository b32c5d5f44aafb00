/**
 * Whether the disk serves. After a failure it is left alone for a while, then tried again; the log says so once when it begins to fail and
 * once when it serves again.
 */
import type { Logger } from '../../telemetry/log.js';

export interface HealthOptions {
  readonly log: Logger;
  readonly directory: string;
  /** What is done with the disk: "read", "written". */
  readonly done: string;
  /** Failures in a row from which on the disk is left alone. */
  readonly failuresMax: number;
  readonly pauseMs: number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

export class Health {
  readonly #options: HealthOptions;
  #failures = 0;
  #told = false;
  #pausedUntilMs = -Infinity;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** Worth trying now. */
  get good(): boolean {
    return this.#options.now() >= this.#pausedUntilMs;
  }

  failed(error: unknown): void {
    const { log, directory, done, failuresMax, pauseMs, now } = this.#options;
    this.#failures += 1;
    if (this.#failures >= failuresMax) this.#pausedUntilMs = now() + pauseMs;
    const about = { err: error, directory };
    if (this.#told) log.debug(about, `the disk cache cannot be ${done}`);
    else log.warn(about, `the disk cache cannot be ${done}: S3 is asked instead until it can be`);
    this.#told = true;
  }

  succeeded(): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.#told = false;
    const { log, directory, done } = this.#options;
    log.warn({ directory }, `the disk cache is ${done} again`);
  }
}
