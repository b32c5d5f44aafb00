/**
 * What was used lately, bounded in number, in two generations: when the young one is half of the bound the old one is dropped for it.
 * An entry that is used stays, as in a list ordered by use; but to find one changes nothing, which costs a third of keeping such a list.
 */
export class Recent<K, V extends NonNullable<unknown>> {
  readonly #youngMax: number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  /** At most `countMax` entries; the half of them used last are there. */
  constructor(countMax: number) {
    this.#youngMax = Math.max(1, Math.floor(countMax / 2));
  }

  get(key: K): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: K, value: V): void {
    if (this.#young.size >= this.#youngMax && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  delete(key: K): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
