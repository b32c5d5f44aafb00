/**
 * Who mounted what: for people who ask by DUMP, never for access. Clients don't say goodbye when they crash, so it is a hint,
 * bounded, and the oldest entries go first.
 */

export interface MountEntry {
  /** Numeric address of the client. */
  readonly address: string;
  readonly path: string;
}

const ENTRIES_MAX = 1024;

export class MountList {
  /** By address and path, the latest mount last. */
  readonly #entries = new Map<string, MountEntry>();
  readonly #entriesMax: number;

  constructor({ entriesMax = ENTRIES_MAX }: { readonly entriesMax?: number } = {}) {
    this.#entriesMax = entriesMax;
  }

  add(address: string, path: string): void {
    const key = keyOf(address, path);
    this.#entries.delete(key);
    this.#entries.set(key, { address, path });
    if (this.#entries.size <= this.#entriesMax) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }

  remove(address: string, path: string): void {
    this.#entries.delete(keyOf(address, path));
  }

  removeAll(address: string): void {
    for (const [key, entry] of this.#entries) if (entry.address === address) this.#entries.delete(key);
  }

  entries(): readonly MountEntry[] {
    return [...this.#entries.values()];
  }
}

function keyOf(address: string, path: string): string {
  return `${address} ${path}`;
}
