/**
 * Questions to the store that several callers ask at the same time: they share one request. An answer may be as old as its question: who comes when
 * a time to live has passed since is served by the next one.
 */
import type { Clock } from './clock.js';

/** A question on its way. */
interface Asked {
  readonly askedMs: number;
  readonly answer: Promise<unknown>;
  /** The same question once more, for those who came too late to be served by this answer. */
  next?: Promise<unknown>;
}

export class SharedQuestions {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #running = new Map<string, Asked>();

  constructor(clock: Clock, ttlMs: number) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
  }

  /** What `ask` answers; all that have one key give answers of one type. */
  ask<T>(key: string, ask: () => Promise<T>): Promise<T> {
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
