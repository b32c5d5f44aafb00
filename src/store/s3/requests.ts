/**
 * Runs calls: a bound on requests in flight, attempts with retries between them, cut-off by caller, clock or `close`.
 * A slot is held during an attempt and given back while backing off.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../telemetry/log.js';
import type { StoreError } from '../errors.js';
import { Attempt } from './attempt.js';
import { type About, afterUnanswered, retryClassOf, storeError, toStoreError } from './error-map.js';
import { RequestSlots } from './request-slots.js';
import { RetryBudget, type RetryPolicy } from './retry.js';

/** Thrown through a call unchanged: the caller's own failure (a sink that throws), never retried. */
export class CallerFailure extends Error {
  override readonly name = 'CallerFailure';
}

export interface RunOptions {
  /** Milliseconds to the head of the answer, where the call wants a limit of its own. */
  readonly firstByteMs?: number;
  /** Milliseconds to the end of the answer, however steadily its bytes come. */
  readonly wholeMs?: number;
  /** In place of the store's. */
  readonly retry?: RetryPolicy;
  /** The store works for seconds before it answers: such calls take half of the slots at most, so that others are never kept waiting by them alone. */
  readonly slow?: true;
}

export class Requests {
  readonly #retry: RetryPolicy;
  readonly #slots: RequestSlots;
  readonly #slowSlots: RequestSlots;
  readonly #log: Logger;
  readonly #attempts = new Set<Attempt>();
  readonly #bucket: string;
  #closed = false;

  constructor(options: {
    readonly bucket: string;
    readonly retry: RetryPolicy;
    readonly maxRequests: number;
    readonly log: Logger;
  }) {
    this.#bucket = options.bucket;
    this.#retry = options.retry;
    this.#slots = new RequestSlots(options.maxRequests);
    this.#slowSlots = new RequestSlots(Math.max(1, Math.floor(options.maxRequests / 2)));
    this.#log = options.log;
  }

  /** What `call` resolves to, after as many attempts as it takes. Throws StoreError, or the cause of a CallerFailure. */
  async run<T>(
    operation: string,
    key: string | undefined,
    callerSignal: AbortSignal | undefined,
    call: (attempt: Attempt) => Promise<T>,
    options: RunOptions = {},
  ): Promise<T> {
    const about: About = { operation, bucket: this.#bucket, key };
    const budget = new RetryBudget(options.retry ?? this.#retry, performance.now());
    let previous: StoreError | undefined;
    let isUnanswered = false;
    let waitMs = 0;
    for (let number = 1; ; number += 1) {
      const attempt = new Attempt({
        number,
        previous,
        callerSignal,
        onProgress: () => budget.progress(performance.now()),
      });
      this.#attempts.add(attempt);
      try {
        if (this.#closed) attempt.cut('closed');
        if (waitMs > 0) await delay(waitMs, undefined, { signal: attempt.signal });
        return await this.#inSlot(attempt, call, options);
      } catch (error) {
        if (error instanceof CallerFailure) throw error.cause;
        const failure = explain(error, attempt, about);
        const nextMs = budget.afterFailure(retryClassOf(failure), performance.now(), Math.random());
        if (nextMs === undefined) throw isUnanswered ? afterUnanswered(failure) : failure;
        isUnanswered ||= failure.kind === 'unavailable';
        this.#log.debug(
          { operation, key, attempt: number, waitMs: nextMs, error: failure.message },
          'retrying',
        );
        previous = failure;
        waitMs = nextMs;
      } finally {
        attempt.end();
        this.#attempts.delete(attempt);
      }
    }
  }

  close(): void {
    this.#closed = true;
    for (const attempt of this.#attempts) attempt.cut('closed');
  }

  /**
   * Waits for a slot, then makes the attempt. A cut-off ends either at once: the SDK heeds no signal while it looks for
   * credentials or a region. The slot stays taken until the SDK has let go.
   */
  #inSlot<T>(
    attempt: Attempt,
    call: (attempt: Attempt) => Promise<T>,
    { firstByteMs, wholeMs, slow }: RunOptions,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { signal } = attempt;
      const onAbort = (): void => reject(new Error('cut off'));
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      const begin = (leave: () => void): boolean => {
        if (signal.aborted) return false;
        if (firstByteMs !== undefined) attempt.limit(firstByteMs);
        if (wholeMs !== undefined) attempt.limitWhole(wholeMs);
        const settled = (): void => {
          signal.removeEventListener('abort', onAbort);
          leave();
        };
        const result = call(attempt);
        result.then(resolve, reject);
        result.then(settled, settled);
        return true;
      };
      if (slow === true) this.#enterSlow(begin);
      else this.#slots.enter(begin);
    });
  }

  /** With a slot of the slow ones', and then one of all. */
  #enterSlow(begin: (leave: () => void) => boolean): void {
    this.#slowSlots.enter((leaveSlow) => {
      this.#slots.enter((leave) => {
        const began = begin(() => {
          leave();
          leaveSlow();
        });
        if (!began) leaveSlow();
        return began;
      });
      return true;
    });
  }
}

function explain(error: unknown, attempt: Attempt, about: About): StoreError {
  switch (attempt.cutOff) {
    case 'caller':
      return storeError('aborted', 'aborted by the caller', about);
    case 'closed':
      return storeError('aborted', 'the store is closed', about);
    case 'timeout':
      return storeError('unavailable', 'no bytes within the time limit', about, 'ETIMEDOUT');
    case undefined:
      return toStoreError(error, about);
  }
}
