/**
 * Names that listings showed, between the log and LMDB. Ids are spread at random, so that each name changes a page of LMDB of its own when it is put
 * as it comes; of some ten thousand at a time, in the order of their ids, several share each page. Until then the log has them, and they are read
 * from here:
 *
 *   add -> filling -> begin, logged: in the log -> merging, in slices of ids -> LMDB
 *
 * A name is here or among the store's other changes (node-store.ts), never in both: whoever changes anything of it takes it out first. So what
 * is merged is never older than what LMDB has.
 */
import { ListedNames } from './listed-names.js';
import type { NodeRecord } from './node-changes.js';
import type { NodeDatabase } from './node-database.js';

/** Names, and bytes of them, that are merged at a time: some 4 MB here. As many again may come meanwhile. */
const MERGED_NAMES = 65_536;
const MERGED_BYTES = 4 * 1024 * 1024;
/** Names of a transaction: each may be a page of 4 KiB in it. */
const SLICE_NAMES = 4096;
/** Fewer are merged when no more have come for so long. */
const REST_MS = 2000;
const RETRY_MS = 1000;

/** Names that are being appended to the log. */
export interface NameBatch {
  readonly names: ListedNames;
  readonly from: number;
  readonly end: number;
}

/** Is told when all names of the log's changes up to a number are in LMDB. */
export type Merged = (number: bigint) => Promise<void>;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (cause: Error) => void;
}

export class StagedNames {
  readonly #database: NodeDatabase;
  readonly #merged: Merged;
  #filling = new ListedNames();
  /** How many of those are in the log, and how many are or are being appended. */
  #loggedEnd = 0;
  #begunEnd = 0;
  /** Number of the last changes of the log that have any of them. */
  #loggedNumber = 0n;
  #merging: ListedNames | undefined;
  readonly #waiters: Waiter[] = [];
  #timer: NodeJS.Timeout | undefined;
  #retry: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(database: NodeDatabase, merged: Merged) {
    this.#database = database;
    this.#merged = merged;
  }

  /** False where it can't be one of these. Neither the id nor the name is known yet. */
  add(record: NodeRecord): boolean {
    const { id, parent, name, facts } = record;
    return !record.drawn && this.#filling.add(id, parent, name, facts);
  }

  /** As `add`, of one that the log has had since an earlier life, in the changes of that number. */
  addLogged(record: NodeRecord, number: bigint): boolean {
    if (!this.add(record)) return false;
    this.#begunEnd = this.#filling.count;
    this.#loggedEnd = this.#begunEnd;
    this.#loggedNumber = number;
    return true;
  }

  record(id: bigint): NodeRecord | undefined {
    return this.#filling.record(id) ?? this.#merging?.record(id);
  }

  has(id: bigint): boolean {
    return this.#filling.has(id) || this.#merging?.has(id) === true;
  }

  idOf(parent: bigint, name: string): bigint | undefined {
    return this.#filling.idOf(parent, name) ?? this.#merging?.idOf(parent, name);
  }

  *childrenOf(parent: bigint): Generator<readonly [name: string, id: bigint]> {
    if (this.#merging !== undefined) yield* this.#merging.childrenOf(parent);
    yield* this.#filling.childrenOf(parent);
  }

  /** Takes it out, for who changes it. */
  take(id: bigint): NodeRecord | undefined {
    return this.#filling.take(id) ?? this.#merging?.take(id);
  }

  /** Some were added since the last `begin`. */
  get growing(): boolean {
    return this.#filling.count > this.#begunEnd;
  }

  /** Some are being appended. */
  get appending(): boolean {
    return this.#begunEnd > this.#loggedEnd;
  }

  /** How many are not in the log yet. */
  get unlogged(): number {
    return this.#filling.count - this.#loggedEnd;
  }

  /** Those that are to be appended now. */
  begin(): NameBatch {
    const from = this.#loggedEnd;
    this.#begunEnd = this.#filling.count;
    return { names: this.#filling, from, end: this.#begunEnd };
  }

  /** What was begun is in the log, in the changes of that number; or isn't, and is to be begun again. */
  logged(number: bigint): void {
    if (!this.appending) return;
    this.#loggedEnd = this.#begunEnd;
    this.#loggedNumber = number;
    if (this.#isMany || this.#waiters.length > 0) this.#mergeSoon();
    else this.#mergeAfterRest();
  }

  failed(): void {
    this.#begunEnd = this.#loggedEnd;
  }

  /** All that the log has is in LMDB. */
  get isMerged(): boolean {
    return this.#loggedEnd === 0 && this.#merging === undefined;
  }

  /** Where too many are here: resolves when LMDB has taken some, or failed to. */
  room(): Promise<void> | undefined {
    if (this.#merging === undefined || !this.#isMany) return undefined;
    return new Promise((resolve) => this.#waiters.push({ resolve, reject: () => resolve() }));
  }

  /** Resolves when LMDB has what the log has. */
  async flushed(): Promise<void> {
    while (!this.isMerged && !this.#closed) {
      this.#mergeSoon();
      this.#retry?.();
      await new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }));
    }
  }

  /** Resolves when nothing is put any more: what isn't merged stays in the log. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#retry?.();
    await this.#running;
  }

  get #isMany(): boolean {
    return this.#filling.count >= MERGED_NAMES || this.#filling.bytes >= MERGED_BYTES;
  }

  #mergeAfterRest(): void {
    if (this.#timer === undefined) {
      this.#timer = setTimeout(() => this.#mergeSoon(), REST_MS);
      this.#timer.unref();
    } else this.#timer.refresh();
  }

  #mergeSoon(): void {
    if (this.#merging !== undefined || this.#loggedEnd === 0 || this.appending || this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const names = this.#filling;
    const loggedEnd = this.#loggedEnd;
    this.#filling = new ListedNames();
    // What isn't in the log yet waits with what comes.
    for (let at = loggedEnd; at < names.count; at++) {
      const record = names.recordAt(at);
      if (record !== undefined) {
        names.take(record.id);
        this.#filling.add(record.id, record.parent, record.name, record.facts);
      }
    }
    this.#begunEnd = 0;
    this.#loggedEnd = 0;
    this.#merging = names;
    this.#running = this.#merge(names, loggedEnd, this.#loggedNumber);
  }

  /** Never rejects: who waits learns how it went. */
  async #merge(names: ListedNames, end: number, number: bigint): Promise<void> {
    for (;;) {
      try {
        await this.#put(names, end);
        await this.#merged(number);
        break;
      } catch (cause) {
        const error = new Error('names could not be put into the node table', { cause });
        for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
        if (this.#closed) return;
        await new Promise<void>((resolve) => {
          this.#retry = resolve;
          setTimeout(resolve, RETRY_MS).unref();
        });
        this.#retry = undefined;
        if (this.#closed) return;
      }
    }
    this.#merging = undefined;
    for (const waiter of this.#waiters.splice(0)) waiter.resolve();
    if (this.#isMany) this.#mergeSoon();
  }

  /** Names first: of one without a node a listing makes the same node again. */
  async #put(names: ListedNames, end: number): Promise<void> {
    const inTurn = Uint32Array.from({ length: end }, (_, at) => at);
    for (let from = 0; from < end && !this.#closed; from += SLICE_NAMES)
      await this.#database.putNames(names, inTurn.subarray(from, from + SLICE_NAMES));
    const byId = names.byId();
    for (let from = 0; from < byId.length && !this.#closed; from += SLICE_NAMES)
      await this.#database.putNodes(names, byId.subarray(from, from + SLICE_NAMES));
    if (this.#closed) throw new Error('the node table is closed');
  }
}
