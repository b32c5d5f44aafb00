/**
 * Changes that the log has, on their way into LMDB: what was appended within some milliseconds goes into one transaction. What could not be
 * committed goes back under the changes that came since, and is tried again.
 */
import { NodeChanges } from './node-changes.js';
import type { NodeDatabase } from './node-database.js';
import type { NodeLog } from './node-log.js';
import type { StagedNames } from './staged-names.js';

/** What was appended to the log meanwhile goes into one transaction. */
const COMMIT_REST_MS = 10;
const COMMIT_RETRY_MS = 1000;
/** Changed nodes beyond which a listing waits: each is 300 bytes here, and mostly a page of 4 KiB in LMDB's transaction. */
const UNCOMMITTED_MAX = 4096;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (cause: Error) => void;
}

export class NodeCommitter {
  readonly #database: NodeDatabase;
  readonly #log: NodeLog;
  #logged = new NodeChanges();
  /** Number of the last changes among the logged ones. */
  #loggedNumber: bigint;
  #committing = new NodeChanges();
  readonly #waiters: Waiter[] = [];
  #running: Promise<void> | undefined;
  /** Number of the last changes that LMDB has. */
  #databaseNumber: bigint;
  /** Number of the last changes of which LMDB has the listed names. */
  #listedNumber: bigint;
  #hurry: (() => void) | undefined;
  #removing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(database: NodeDatabase, log: NodeLog) {
    this.#database = database;
    this.#log = log;
    this.#databaseNumber = database.logNumber;
    this.#listedNumber = database.listedNumber;
    this.#loggedNumber = log.lastNumber;
  }

  get logged(): NodeChanges {
    return this.#logged;
  }

  get committing(): NodeChanges {
    return this.#committing;
  }

  /** What LMDB lacks, the newest first. */
  get layers(): readonly [NodeChanges, NodeChanges] {
    return [this.#logged, this.#committing];
  }

  /** Takes over changes that the log has, and commits them soon. `staged` has the listed names of the log. */
  add(changes: NodeChanges, staged: StagedNames): void {
    // Mostly nothing else is logged: no copying then.
    if (this.#logged.empty) this.#logged = changes;
    else this.#logged.putOver(changes);
    this.#loggedNumber = this.#log.lastNumber;
    if (this.#running !== undefined || this.#logged.empty) return;
    this.#running = this.#commitAll(staged).finally(() => {
      this.#running = undefined;
      // What they wait for may have been listed names alone.
      for (const waiter of this.#waiters.splice(0)) waiter.resolve();
    });
  }

  /** Where many changes wait: resolves when LMDB has taken some, or failed to. */
  room(): Promise<void> | undefined {
    if (this.#logged.nodes.size + this.#committing.nodes.size < UNCOMMITTED_MAX) return undefined;
    this.#hurry?.();
    return new Promise((resolve) => this.#waiters.push({ resolve, reject: () => resolve() }));
  }

  /** Resolves when LMDB has all that the log has, but for listed names. */
  async committed(): Promise<void> {
    const { lastNumber } = this.#log;
    while (this.#running !== undefined && this.#databaseNumber < lastNumber) {
      this.#hurry?.();
      await new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }));
    }
  }

  /** LMDB has the listed names of the changes up to a number: and all of them, where nothing else waits. */
  async listedMerged(number: bigint): Promise<void> {
    const isAll = number > this.#databaseNumber && this.#logged.empty && this.#committing.empty;
    await this.#database.putListedNumber(number, isAll);
    this.#listedNumber = number;
    if (isAll && number > this.#databaseNumber) this.#databaseNumber = number;
    this.#removeLogged();
  }

  /** Resolves when files of the log that LMDB has no need of any more are gone. */
  async removed(): Promise<void> {
    this.#removeLogged();
    await this.#removing;
  }

  /** Begins nothing more. Resolves when what was begun has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#hurry?.();
    await this.#running;
  }

  /** Commits what is in the log until nothing is left. Never rejects. */
  async #commitAll(staged: StagedNames): Promise<void> {
    let restMs = COMMIT_REST_MS;
    while (!this.#logged.empty && !this.#closed) {
      await this.#rest(restMs);
      const number = this.#loggedNumber;
      this.#committing = this.#logged;
      this.#logged = new NodeChanges();
      const withListed = staged.isMerged;
      try {
        await this.#database.write(this.#committing, number, withListed);
      } catch (cause) {
        this.#logged.putUnder(this.#committing);
        this.#committing = new NodeChanges();
        restMs = COMMIT_RETRY_MS;
        const error = new Error('the node table could not be committed', { cause });
        for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
        continue;
      }
      restMs = COMMIT_REST_MS;
      this.#committing = new NodeChanges();
      this.#databaseNumber = number;
      // Who waits for a later one looks again.
      for (const waiter of this.#waiters.splice(0)) waiter.resolve();
      if (withListed) this.#listedNumber = number;
      this.#removeLogged();
    }
  }

  /** Removes files of the log of which LMDB has everything. */
  #removeLogged(): void {
    const number = this.#listedNumber < this.#databaseNumber ? this.#listedNumber : this.#databaseNumber;
    const onDisk = this.#database.flushed;
    this.#removing = this.#removing
      .then(async () => {
        await onDisk;
        await this.#log.removeUpTo(number);
      })
      // What could not be removed is read and passed over by the next life, and removed by it.
      .catch(() => undefined);
  }

  /** Until the time has come, or somebody waits for a commit. */
  async #rest(ms: number): Promise<void> {
    if (this.#waiters.length > 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      timer.unref();
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#hurry = undefined;
  }
}
