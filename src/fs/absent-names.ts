/**
 * Names known not to exist in a directory, and since when. Bounded: the name longest in it goes first. Costs nothing while it is empty, as it is
 * in most of the many directories held in memory (an LRU cache would reserve its 1,024 places at once, 24 KiB).
 */
const NAMES_MAX = 1024;

export class AbsentNames {
  #foundMs: Map<string, number> | undefined;
  #latestMs = Number.NEGATIVE_INFINITY;

  get size(): number {
    return this.#foundMs?.size ?? 0;
  }

  /** When any name was last found absent, be it there again by now (milliseconds since the epoch). */
  get latestMs(): number {
    return this.#latestMs;
  }

  /** When the name was found absent (milliseconds since the epoch). */
  get(name: string): number | undefined {
    return this.#foundMs?.get(name);
  }

  set(name: string, foundMs: number): void {
    this.#latestMs = Math.max(this.#latestMs, foundMs);
    const names = (this.#foundMs ??= new Map<string, number>());
    names.delete(name);
    names.set(name, foundMs);
    if (names.size <= NAMES_MAX) return;
    const [oldest] = names.keys();
    if (oldest !== undefined) names.delete(oldest);
  }

  delete(name: string): void {
    this.#foundMs?.delete(name);
  }
}
