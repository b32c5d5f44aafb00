/** A clock that moves only when a test says so. */
import type { Clock } from '../../src/fs/clock.js';

interface Task {
  readonly delayMs: number;
  readonly dueMs: number;
  readonly run: () => void;
}

export class FakeClock implements Clock {
  #nowMs: number;
  readonly #tasks = new Set<Task>();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  /** Tasks that wait for their time. */
  get size(): number {
    return this.#tasks.size;
  }

  /** How long each of them was to wait, in milliseconds. */
  get delays(): number[] {
    return [...this.#tasks].map(({ delayMs }) => delayMs);
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const task = { delayMs, dueMs: this.#nowMs + delayMs, run };
    this.#tasks.add(task);
    return () => this.#tasks.delete(task);
  }

  /** Moves time forward, running what falls due in order. */
  advance(ms: number): void {
    const until = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#tasks].filter((task) => task.dueMs <= until).sort((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      this.#tasks.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.run();
    }
    this.#nowMs = until;
  }
}
