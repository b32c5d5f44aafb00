/**
 * What has been promised and isn't in the store yet, in the journal: each entry is synced before the promise is given and
 * ended once the store has it. After a crash what is live here is carried out (recovery.ts).
 */
import type { Journal } from '../state/journal.js';
import { DurableRecord, type RecordChange, type RecordJson } from '../write/durable-record.js';
import type { ConflictRecord } from './conflict-news.js';

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
      /** A client gave the file its times. */
      readonly timesGiven?: true;
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
      /** A client gave the file its times. */
      readonly timesGiven?: true;
    }
  /** Bytes that COMMITs were answered for and that aren't published; with them, all there is to say of the file. */
  | {
      readonly kind: 'written';
      readonly volume: string;
      readonly path: readonly string[];
      readonly attributes: JournaledAttributes;
      readonly exclusiveVerifier?: string;
      /** The object's version that this follows: carried out over no other. Absent: there was none. */
      readonly etag?: string;
      /** Somebody else's object is at the key: it stays as long as it is there. */
      readonly isLoser?: true;
      /** When it lost, where losers are removed by age (milliseconds since the epoch). */
      readonly keptMs?: number;
      /** A client gave the file its times. */
      readonly timesGiven?: true;
      /** Addresses of the clients whose bytes are in the record, where that is known. */
      readonly writers?: readonly string[];
      readonly record: DurableRecord;
    }
  /** Clients are to hear that bytes of a file lost (conflict-records.ts). */
  | ({ readonly kind: 'conflict'; readonly volume: string; readonly nodeId: string } & ConflictRecord)
  /** The loser of a conflict, kept as an object: removed by age while it is that version. */
  | {
      readonly kind: 'sibling';
      readonly volume: string;
      readonly key: string;
      readonly etag: string;
      readonly keptMs: number;
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
      /** ETag of what was at the new key when the rename began; null where nothing was. Absent in journals of earlier versions. */
      readonly replacedEtag?: string | null;
      /** The file that had the name: what the journal has of it goes with it. */
      readonly replacedId?: string;
    }
  /** A file that a client removed and has open: its name, the last of `path`, is no object (silly-names.ts). */
  | {
      readonly kind: 'silly-name';
      readonly volume: string;
      readonly path: readonly string[];
      readonly nodeId: string;
      /** The object is still at the key of this name, beside `path`. Absent: there is none, or it is at the key of `path`. */
      readonly heldName?: string;
      /** That object. */
      readonly version?: { readonly etag: string; readonly size: number; readonly lastModifiedMs?: number };
      readonly withheld: boolean;
      /** When a client last used it (milliseconds since the epoch). */
      readonly usedMs: number;
    }
  /** An empty directory that has no marker in the bucket (kept-directories.ts). */
  | {
      readonly kind: 'kept-directory';
      readonly volume: string;
      /** Its path when it was journaled: it may have been renamed since. */
      readonly path: readonly string[];
      readonly nodeId: string;
    }
  /** A file being removed of which the journal has more than the store: all of it goes. */
  | {
      readonly kind: 'remove-file';
      readonly volume: string;
      readonly key: string;
      readonly etag: string;
      readonly nodeId: string;
    }
  /** A directory being renamed. */
  | {
      readonly kind: 'rename-directory';
      readonly volume: string;
      readonly from: readonly string[];
      readonly to: readonly string[];
      readonly nodeId: string;
      /** When it began, by the store's clock (milliseconds since the epoch), where that is known: before anything was copied. */
      readonly begunMs?: number;
      /** Every key has its copy: what is left is to delete the sources. */
      readonly copied?: boolean;
      /** The daemon could not delete some sources and went on serving: by now some of those keys may hold new files. */
      readonly wasServed?: true;
    }
  /** Keys that the rename of a directory has copied (copied-keys.ts). */
  | {
      readonly kind: 'copied-keys';
      readonly volume: string;
      /** The ref of the rename. */
      readonly rename: string;
      /** Below the directory. */
      readonly names: readonly string[];
      /** Of the versions that were copied. */
      readonly etags: readonly string[];
      /** Of the copies; empty where it is the same. */
      readonly copies: readonly string[];
    };

type Written = Extract<Intent, { kind: 'written' }>;

/** As an entry has it: the record as a whole, or what changed in it since the entry of this ref before. */
type JournaledIntent =
  | Exclude<Intent, Written>
  | (Omit<Written, 'record'> & { readonly record: RecordJson | DurableRecord; readonly change?: never })
  | (Omit<Written, 'record'> & { readonly change: RecordChange; readonly record?: never });

interface Entry {
  readonly ref: string;
  /** Absent: the intent of this ref has ended. */
  readonly intent?: JournaledIntent;
}

/** What is told so that something can be published or removed, which gives room back: that is told on a full disk, too. */
const GIVES_ROOM: ReadonlySet<Intent['kind']> = new Set(['upload', 'remove-file', 'conflict']);

/** The journal is rewritten when it is larger than this, twice what it was then, and mostly dead. */
const COMPACT_BYTES_MIN = 4 * 1024 * 1024;

export class IntentLog {
  readonly #journal: Journal;
  readonly #live = new Map<string, Intent>();
  /** Ends on their way to the disk. */
  readonly #ending = new Map<string, Promise<void>>();
  readonly #onFailure: (error: unknown) => void;
  /** Intents whose end the journal had no room for: it is appended again when there is room. */
  readonly #unended = new Set<string>();
  /** Waiting in `dropInTime` for such an end, by ref. */
  readonly #whenGone = new Map<string, (() => void)[]>();
  #appended = 0;
  #compacting = false;
  /** Least size of the journal, in bytes, before it is rewritten again. */
  #compactFromBytes = COMPACT_BYTES_MIN;

  /** `entries` is what the journal held when it was opened. */
  constructor(journal: Journal, entries: readonly unknown[], onFailure: (error: unknown) => void) {
    this.#journal = journal;
    this.#onFailure = onFailure;
    for (const { ref, intent } of entries as readonly Entry[])
      this.#apply(ref, intent === undefined ? undefined : this.#intentOf(ref, intent));
  }

  /** What isn't carried out yet. */
  live(): ReadonlyMap<string, Intent> {
    return this.#live;
  }

  /** Resolves when the intent is safe on disk; it replaces an earlier one under the same ref. */
  async put(ref: string, intent: Intent): Promise<void> {
    await this.#put(ref, intent, intent);
  }

  /** As `put`, for an intent whose record differs by `change` from the one that is live: the journal is told of that alone. */
  async change(ref: string, intent: Written, change: RecordChange): Promise<void> {
    const { record: _whole, ...rest } = intent;
    await this.#put(ref, intent, { ...rest, change });
  }

  async #put(ref: string, intent: Intent, journaled: JournaledIntent): Promise<void> {
    const before = this.#live.get(ref);
    // An earlier one that was ended may be on the disk still.
    const isEndOwed = this.#unended.has(ref) || this.#ending.has(ref);
    this.#apply(ref, intent);
    try {
      await this.#journal.append({ ref, intent: journaled }, GIVES_ROOM.has(intent.kind));
    } catch (error) {
      // Not promised: nothing is to be carried out, nor to be ended.
      if (this.#live.get(ref) === intent) {
        this.#apply(ref, before);
        if (before === undefined && isEndOwed) this.#unended.add(ref);
      }
      throw error;
    }
    this.#gone(ref);
    for (const ended of this.#unended) this.end(ended);
    await this.#compactIfDue();
  }

  /** The intent is carried out. Not waited for: carrying it out again after a crash does no harm. */
  end(ref: string): void {
    this.drop(ref).catch(this.#onFailure);
  }

  /** The intent is no longer wanted. Resolves when that is safe on disk: a crash must not carry it out. */
  async drop(ref: string): Promise<void> {
    if (this.#live.has(ref) || this.#unended.has(ref)) {
      this.#apply(ref, undefined);
      const ending = this.#appendEnd(ref).finally(() => {
        if (this.#ending.get(ref) === ending) this.#ending.delete(ref);
      });
      this.#ending.set(ref, ending);
    }
    await this.#ending.get(ref);
  }

  /** As `drop`, but never rejects: where the journal has no room now, it resolves once the end is on the disk. */
  async dropInTime(ref: string): Promise<void> {
    try {
      await this.drop(ref);
    } catch (error) {
      this.#onFailure(error);
      await new Promise<void>((resolve) =>
        this.#whenGone.set(ref, [...(this.#whenGone.get(ref) ?? []), resolve]),
      );
    }
  }

  /** The disk no longer has the intent that the ref had: resolves who waits for that. */
  #gone(ref: string): void {
    for (const resolve of this.#whenGone.get(ref) ?? []) resolve();
    this.#whenGone.delete(ref);
  }

  async #appendEnd(ref: string): Promise<void> {
    this.#unended.delete(ref);
    try {
      await this.#journal.append({ ref }, true);
      this.#gone(ref);
    } catch (error) {
      if (!this.#live.has(ref)) this.#unended.add(ref);
      throw error;
    }
  }

  #apply(ref: string, intent: Intent | undefined): void {
    this.#appended++;
    if (intent === undefined) this.#live.delete(ref);
    else {
      this.#live.set(ref, intent);
      this.#unended.delete(ref);
    }
  }

  #intentOf(ref: string, journaled: JournaledIntent): Intent {
    if (journaled.kind !== 'written') return journaled;
    const { change, record, ...rest } = journaled;
    if (change === undefined) return { ...rest, record: DurableRecord.from(record as RecordJson) };
    const live = this.#live.get(ref);
    if (live?.kind !== 'written')
      throw new Error(`the journal changes the record of ${ref}, which it doesn't have`);
    live.record.apply(change);
    return { ...rest, record: live.record };
  }

  async #compactIfDue(): Promise<void> {
    if (
      this.#compacting ||
      this.#journal.size() < this.#compactFromBytes ||
      this.#appended < 4 * this.#live.size
    )
      return;
    this.#compacting = true;
    try {
      await this.#journal.compact([...this.#live].map(([ref, intent]) => ({ ref, intent })));
      this.#appended = this.#live.size;
    } catch (error) {
      // What was appended is safe all the same, and whoever waits for that isn't to be told otherwise.
      this.#onFailure(error);
    } finally {
      this.#compacting = false;
      this.#compactFromBytes = Math.max(COMPACT_BYTES_MIN, 2 * this.#journal.size());
    }
  }
}
