/**
 * Requests to the store that several callers want at the same time are made once (request coalescing, "single flight"). An answer is as old as its
 * request: who comes later than a time to live after that is served by the next request instead.
 */
import type { Clock } from './clock.js';

/** A request on its way. */
interface Running {
  readonly askedMs: number;
  readonly answer: Promise<unknown>;
  /** The same request once more, for those who came too late for this answer. */
  next?: Promise<unknown>;
}

export class SharedRequests {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #running = new Map<string, Running>();

  constructor(clock: Clock, ttlMs: number) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
  }

  /** What `ask` answers, asked once for all who share `key`; all requests of one key answer with the same type. Rejects as `ask` does. */
  share<T>(key: string, ask: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key);
    if (running === undefined) return this.#begin(key, ask);
    if (this.#clock.nowMs() - running.askedMs < this.#ttlMs) return running.answer as Promise<T>;
    const askAgain = (): Promise<T> =>
      (this.#running.get(key)?.answer as Promise<T> | undefined) ?? this.#begin(key, ask);
    running.next ??= running.answer.then(askAgain, askAgain);
    return running.next as Promise<T>;
  }

  #begin<T>(key: string, ask: () => Promise<T>): Promise<T> {
    const askedMs = this.#clock.nowMs();
    const answer = ask().finally(() => this.#running.delete(key));
    this.#running.set(key, { askedMs, answer });
    return answer;
  }
}
