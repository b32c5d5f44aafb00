/**
 * What has been promised and isn't in the store yet, in the journal: each entry is synced before the promise is given and
 * ended once the store has it. After a crash what is live here is carried out (recovery.ts).
 */
import type { Journal } from '../state/journal.js';

/** Attributes of an unpublished change. Times are decimal nanoseconds. */
export interface JournaledAttributes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtimeNs: string;
  readonly atimeNs: string;
}

export type Intent =
  /** A file that was created and isn't published. */
  | {
      readonly kind: 'create';
      readonly volume: string;
      readonly path: readonly string[];
      readonly attributes: JournaledAttributes;
      /** A file that was lengthened; its bytes so far are zeros. */
      readonly sizeBytes?: number;
      readonly exclusiveVerifier?: string;
    }
  /** Attributes, or a new size, of a published file. Carried out only while the object is the version it was. */
  | {
      readonly kind: 'change';
      readonly volume: string;
      readonly path: readonly string[];
      readonly etag: string;
      readonly attributes: JournaledAttributes;
      readonly sizeBytes?: number;
      /** The least size that it had on the way to `sizeBytes`: what the object has beyond it is gone. */
      readonly keptBytes?: number;
    }
  /** A multipart upload of ours. */
  | { readonly kind: 'upload'; readonly volume: string; readonly key: string; readonly uploadId: string }
  /** A file being renamed: once the copy is made, the source goes. */
  | {
      readonly kind: 'rename-file';
      readonly volume: string;
      readonly fromKey: string;
      readonly toKey: string;
      readonly etag: string;
      readonly nodeId: string;
      readonly toPath: readonly string[];
    }
  /** A directory being renamed. */
  | {
      readonly kind: 'rename-directory';
      readonly volume: string;
      readonly from: readonly string[];
      readonly to: readonly string[];
      readonly nodeId: string;
      /** Every key has its copy: what is left is to delete the sources. */
      readonly copied?: boolean;
    };

interface Entry {
  readonly ref: string;
  /** Absent: the intent of this ref has ended. */
  readonly intent?: Intent;
}

/** The journal is rewritten when it is larger than this and mostly dead. */
const COMPACT_BYTES_MIN = 4 * 1024 * 1024;

export class IntentLog {
  readonly #journal: Journal;
  readonly #live = new Map<string, Intent>();
  /** Ends on their way to the disk. */
  readonly #ending = new Map<string, Promise<void>>();
  readonly #onFailure: (error: unknown) => void;
  #appended = 0;
  #compacting = false;

  /** `entries` is what the journal held when it was opened. */
  constructor(journal: Journal, entries: readonly unknown[], onFailure: (error: unknown) => void) {
    this.#journal = journal;
    this.#onFailure = onFailure;
    for (const entry of entries as readonly Entry[]) this.#apply(entry);
  }

  /** What isn't carried out yet. */
  live(): ReadonlyMap<string, Intent> {
    return this.#live;
  }

  /** Resolves when the intent is safe on disk; it replaces an earlier one under the same ref. */
  async put(ref: string, intent: Intent): Promise<void> {
    this.#apply({ ref, intent });
    await this.#journal.append({ ref, intent });
    await this.#compactIfDue();
  }

  /** The intent is carried out. Not waited for: carrying it out again after a crash does no harm. */
  end(ref: string): void {
    this.drop(ref).catch(this.#onFailure);
  }

  /** The intent is no longer wanted. Resolves when that is safe on disk: a crash must not carry it out. */
  async drop(ref: string): Promise<void> {
    if (this.#live.has(ref)) {
      this.#apply({ ref });
      const ending = this.#journal.append({ ref }).finally(() => {
        if (this.#ending.get(ref) === ending) this.#ending.delete(ref);
      });
      this.#ending.set(ref, ending);
    }
    await this.#ending.get(ref);
  }

  #apply(entry: Entry): void {
    this.#appended++;
    if (entry.intent === undefined) this.#live.delete(entry.ref);
    else this.#live.set(entry.ref, entry.intent);
  }

  async #compactIfDue(): Promise<void> {
    if (this.#compacting || this.#journal.size() < COMPACT_BYTES_MIN || this.#appended < 4 * this.#live.size)
      return;
    this.#compacting = true;
    try {
      await this.#journal.compact([...this.#live].map(([ref, intent]) => ({ ref, intent })));
      this.#appended = this.#live.size;
    } finally {
      this.#compacting = false;
    }
  }
}
