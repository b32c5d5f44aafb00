/** Draws that follow from a seed and a name, one after the other: those of one thread don't depend on when another makes its own. */
import { draw } from '../../src/store/faults/random.js';

export class Dice {
  readonly #coordinates: readonly number[];
  readonly #seed: number;
  #draws = 0;

  constructor(seed: number, ...coordinates: readonly number[]) {
    this.#seed = seed;
    this.#coordinates = coordinates;
  }

  /** In [0, 1). */
  next(): number {
    return draw(this.#seed, ...this.#coordinates, this.#draws++);
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** As `between`, small ones as often as large ones. */
  scale(low: number, high: number): number {
    return Math.min(high, Math.floor(low * (high / low) ** this.next() + this.next()));
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.next() * items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  weighted<T>(items: readonly (readonly [number, T])[]): T {
    let left = this.next() * items.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, item] of items) {
      left -= weight;
      if (left < 0) return item;
    }
    throw new Error('nothing to pick from');
  }
}
