/**
 * When to try again, as arithmetic: exponential backoff with full jitter, one budget for throttling and one for the rest,
 * and a deadline after which no attempt begins. An attempt that makes progress (bytes of a GET) starts the budgets anew.
 */

export interface RetryPolicy {
  /** Attempts in all after errors, resets and timeouts. */
  readonly attemptsMax: number;
  /** Attempts in all after SlowDown. */
  readonly throttledAttemptsMax: number;
  /** Ceiling of the first wait after an error, ms; doubles with each. */
  readonly backoffMs: number;
  /** The same after SlowDown. */
  readonly throttledBackoffMs: number;
  /** Longest wait, ms. */
  readonly backoffMsMax: number;
  /** No attempt begins later than this after the first, or after the last progress, ms. */
  readonly deadlineMs: number;
}

/** Why an attempt failed, as far as retrying goes. `once`: worth one more attempt at once. `never`: final. */
export type RetryClass = 'throttled' | 'transient' | 'once' | 'never';

/** Full jitter: anything between 0 and the ceiling. `failures` counts from 1; `random` is in [0, 1). */
export function backoffMs(failures: number, firstMs: number, maxMs: number, random: number): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30)) * random;
}

/** The budgets of one call. Times are milliseconds on any monotonic clock. */
export class RetryBudget {
  readonly #policy: RetryPolicy;
  #sinceMs: number;
  #transient = 0;
  #throttled = 0;
  #once = 0;

  constructor(policy: RetryPolicy, nowMs: number) {
    this.#policy = policy;
    this.#sinceMs = nowMs;
  }

  progress(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#transient = 0;
    this.#throttled = 0;
  }

  /** Milliseconds to wait before the next attempt; undefined when there is none. */
  afterFailure(retryClass: RetryClass, nowMs: number, random: number): number | undefined {
    const policy = this.#policy;
    let waitMs: number;
    switch (retryClass) {
      case 'never':
        return undefined;
      case 'once':
        this.#once += 1;
        if (this.#once > 1) return undefined;
        waitMs = 0;
        break;
      case 'throttled':
        this.#throttled += 1;
        if (this.#throttled >= policy.throttledAttemptsMax) return undefined;
        waitMs = backoffMs(this.#throttled, policy.throttledBackoffMs, policy.backoffMsMax, random);
        break;
      case 'transient':
        this.#transient += 1;
        if (this.#transient >= policy.attemptsMax) return undefined;
        waitMs = backoffMs(this.#transient, policy.backoffMs, policy.backoffMsMax, random);
        break;
    }
    return nowMs + waitMs - this.#sinceMs > policy.deadlineMs ? undefined : waitMs;
  }
}
