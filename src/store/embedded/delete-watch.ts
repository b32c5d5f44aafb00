/**
 * Deletes that happen while a conditional write is under way: S3 answers such a write with If-None-Match by 409, as the DELETE was
 * asked for after the write began and wins over it (user guide, "How to prevent object overwrites with conditional writes").
 */

/** One write under way. */
export interface Watch {
  /** True once a DELETE of the key succeeded. */
  readonly deleted: () => boolean;
  /** The write is over. */
  readonly end: () => void;
}

export class DeleteWatches {
  readonly #watched = new Map<string, Set<{ deleted: boolean }>>();

  /** A write of `key` begins. */
  begin(key: string): Watch {
    const state = { deleted: false };
    const states = this.#watched.get(key) ?? new Set();
    this.#watched.set(key, states.add(state));
    return {
      deleted: () => state.deleted,
      end: () => {
        states.delete(state);
        if (states.size === 0 && this.#watched.get(key) === states) this.#watched.delete(key);
      },
    };
  }

  /** A DELETE of `key` succeeded, whether or not there was anything to delete. */
  note(key: string): void {
    for (const state of this.#watched.get(key) ?? []) state.deleted = true;
  }
}
