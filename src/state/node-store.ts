/**
 * Records of the inode tree on LMDB, readable the moment they are put. A put lands in an overlay in memory, goes to the log, which survives a
 * kill, and from there into LMDB, some milliseconds' puts in one transaction off the main thread:
 *
 *   put -> growing -> appending -> logged -> committing -> LMDB
 *                        log: settled()                    flushed()
 *   get -> recent, then the layers from the newest to the oldest
 *
 * lmdb's own cache doesn't do this for keys that are buffers. What could not be appended goes back under the growing changes, and what could not be
 * committed under the logged ones: nothing that was put is forgotten, and it is tried again.
 */
import {
  GONE,
  NodeChanges,
  type ChildChanges,
  type NodeChange,
  type NodeRecord,
  type Removal,
} from './node-changes.js';
import { NodeDatabase } from './node-database.js';
import { NodeLog } from './node-log.js';
import { Recent } from './recent.js';

/** What was appended to the log meanwhile goes into one transaction. */
const COMMIT_REST_MS = 10;
const COMMIT_RETRY_MS = 1000;
/** Changed nodes beyond which a listing waits: each is 300 bytes here, and mostly a page of 4 KiB in LMDB's transaction. */
const UNCOMMITTED_MAX = 4096;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (cause: Error) => void;
}

export interface NodeStoreOptions {
  /** Folder that holds the database. */
  readonly directory: string;
  /** Records and names kept in memory, each. A record is about 300 bytes. */
  readonly cachedMax: number;
}

export class NodeStore {
  readonly #database: NodeDatabase;
  readonly #nodeCache: Recent<bigint, NodeRecord>;
  readonly #childCache: Recent<string, bigint>;
  /** The directory that was last asked about, as its children's keys in the cache begin: names are asked for directory by directory. */
  #cachePrefix = { parent: 0n, text: '0/' };
  readonly #log: NodeLog;
  #growing = new NodeChanges();
  #growingWaiters: Waiter[] = [];
  #appending = new NodeChanges();
  #appendingWaiters: Waiter[] = [];
  #appendScheduled = false;
  #logged = new NodeChanges();
  /** Number of the last changes among the logged ones. */
  #loggedNumber: bigint;
  #committing = new NodeChanges();
  readonly #commitWaiters: Waiter[] = [];
  #committer: Promise<void> | undefined;
  /** Number of the last changes that LMDB has. */
  #databaseNumber: bigint;
  #hurry: (() => void) | undefined;
  #removing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor({ directory, cachedMax }: NodeStoreOptions) {
    this.#database = new NodeDatabase(directory);
    this.#nodeCache = new Recent(cachedMax);
    this.#childCache = new Recent(cachedMax);
    const { logNumber } = this.#database;
    const { log, changes } = NodeLog.open(directory, logNumber);
    this.#log = log;
    this.#databaseNumber = logNumber;
    this.#loggedNumber = log.lastNumber;
    for (const each of changes) this.#logged.putOver(each);
    this.#commitSoon();
  }

  node(id: bigint): NodeRecord | undefined {
    const found = this.#find(id);
    return typeof found === 'string' ? undefined : found;
  }

  /** As `node`, but not put into the cache: for listings, which ask for many nodes once. */
  nodeUnkept(id: bigint): NodeRecord | undefined {
    const found = this.#nodeCache.get(id) ?? this.#findUnkept(id);
    return typeof found === 'string' ? undefined : found;
  }

  /** Nobody has the id, nor ever had it unless it was drawn. */
  isFree(id: bigint): boolean {
    const found = this.#nodeCache.get(id) ?? this.#findUnkept(id);
    return found === undefined || found === 'dropped';
  }

  #find(id: bigint): NodeChange | undefined {
    const held = this.#nodeCache.get(id);
    if (held !== undefined) return held;
    const found = this.#findUnkept(id);
    if (typeof found === 'object') this.#nodeCache.set(id, found);
    return found;
  }

  /** Not put into the cache. */
  #findUnkept(id: bigint): NodeChange | undefined {
    const held =
      this.#growing.nodes.get(id) ??
      this.#appending.nodes.get(id) ??
      this.#logged.nodes.get(id) ??
      this.#committing.nodes.get(id);
    if (held !== undefined) return held;
    return this.#database.node(id);
  }

  /**
   * The ids under which these names are live in `parent`, in their order, as `childId` tells each. For a page of a listing: the names are looked up
   * together, and nothing is put into the cache.
   */
  childIdsOf(parent: bigint, names: readonly string[]): (bigint | undefined)[] {
    const newer = [this.#growing, this.#appending, this.#logged, this.#committing]
      .map(({ children }) => children.get(parent))
      .filter((changes) => changes !== undefined);
    const stored = this.#database.childIds(parent, names);
    return names.map((name) => {
      for (const changes of newer) {
        const id = changes.get(name);
        if (id !== undefined) return id === GONE ? undefined : id;
      }
      return stored(name);
    });
  }

  /** As `childId`, of names that are not on their way to the log yet. For a name that comes twice in one page of a listing. */
  growingChildId(parent: bigint, name: string): bigint | undefined {
    const id = this.#growing.children.get(parent)?.get(name);
    return id === GONE ? undefined : id;
  }

  /** Puts a node and its name, as `putNode` and `putChild`, without the cache: a listing showed it, and nobody asked for it by name. */
  putListed(record: NodeRecord): void {
    this.#growing.nodes.set(record.id, record);
    this.#growing.setChild(record.parent, record.name, record.id);
    this.#schedule();
  }

  /** The id under which `name` is live in `parent`. */
  childId(parent: bigint, name: string): bigint | undefined {
    const cacheKey = this.#childCacheKey(parent, name);
    let id =
      this.#childCache.get(cacheKey) ??
      this.#growing.children.get(parent)?.get(name) ??
      this.#appending.children.get(parent)?.get(name) ??
      this.#logged.children.get(parent)?.get(name) ??
      this.#committing.children.get(parent)?.get(name);
    if (id === undefined) {
      id = this.#database.childId(parent, name);
      if (id === undefined) return undefined;
      this.#childCache.set(cacheKey, id);
    }
    return id === GONE ? undefined : id;
  }

  /** Live children of `parent` as they are when the iteration starts. In no promised order. */
  *childIds(parent: bigint): Generator<bigint> {
    const changes: ChildChanges = new Map(this.#committing.children.get(parent));
    for (const newer of [this.#logged, this.#appending, this.#growing])
      for (const [name, id] of newer.children.get(parent) ?? []) changes.set(name, id);
    for (const [name, id] of this.#database.children(parent)) if (!changes.has(name)) yield id;
    for (const id of changes.values()) if (id !== GONE) yield id;
  }

  putNode(record: NodeRecord): void {
    this.#growing.nodes.set(record.id, record);
    this.#nodeCache.set(record.id, record);
    this.#schedule();
  }

  /** Marks a node as removed at `atMs` (milliseconds since the epoch). */
  putRemoved(record: NodeRecord, atMs: number): void {
    this.putNode({ ...record, removed: true });
    this.#growing.removals.push({ id: record.id, atMs });
  }

  /** Nodes removed before `beforeMs`, oldest first, of what is committed. */
  removals(beforeMs: number): Generator<Removal> {
    return this.#database.removals(beforeMs);
  }

  /**
   * Forgets a removed node, but that its id was given; a drawn id needs no remembering. Not for one that is being removed in the
   * same turn.
   */
  bury(removal: Removal): void {
    const { id } = removal;
    this.#growing.nodes.set(id, this.node(id)?.drawn === true ? 'dropped' : 'buried');
    this.#nodeCache.delete(id);
    this.#growing.burials.push(removal);
    this.#schedule();
  }

  hasChildren(parent: bigint): boolean {
    const ids = this.childIds(parent);
    const { done } = ids.next();
    ids.return(undefined);
    return done !== true;
  }

  /** Makes `name` in `parent` mean `id`. */
  putChild(parent: bigint, name: string, id: bigint): void {
    this.#growing.setChild(parent, name, id);
    this.#childCache.set(this.#childCacheKey(parent, name), id);
    this.#schedule();
  }

  deleteChild(parent: bigint, name: string): void {
    this.#growing.setChild(parent, name, GONE);
    // Dropped rather than set to GONE: `putListed` doesn't touch the cache, and GONE would hide what it puts.
    this.#childCache.delete(this.#childCacheKey(parent, name));
    this.#schedule();
  }

  /** Resolves when all puts so far are in the log: a kill of this process loses none of them. */
  settled(): Promise<void> {
    if (!this.#growing.empty) return this.#appended(this.#growingWaiters);
    return this.#appending.empty ? Promise.resolve() : this.#appended(this.#appendingWaiters);
  }

  /**
   * Resolves when all names put so far are in the log, and the nodes they mean as they were then: facts that were put since may still be on
   * their way.
   */
  named(): Promise<void> {
    if (this.#growing.children.size > 0) return this.#appended(this.#growingWaiters);
    return this.#appending.children.size > 0 ? this.#appended(this.#appendingWaiters) : Promise.resolve();
  }

  /** Where many changes wait for LMDB, resolves when it has taken some or has failed to; undefined otherwise. For callers that make changes faster than it takes them. */
  room(): Promise<void> | undefined {
    if (this.#logged.nodes.size + this.#committing.nodes.size < UNCOMMITTED_MAX) return undefined;
    this.#hurry?.();
    return new Promise((resolve) => this.#commitWaiters.push({ resolve, reject: () => resolve() }));
  }

  #appended(waiters: Waiter[]): Promise<void> {
    return new Promise((resolve, reject) => {
      waiters.push({ resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves when all puts so far are in LMDB. */
  async committed(): Promise<void> {
    await this.settled();
    const { lastNumber } = this.#log;
    while (this.#committer !== undefined && this.#databaseNumber < lastNumber) {
      this.#hurry?.();
      await new Promise<void>((resolve, reject) => this.#commitWaiters.push({ resolve, reject }));
    }
  }

  /** Resolves when all puts so far are on the disk: a crash of the machine loses none of them. */
  async flushed(): Promise<void> {
    await this.committed();
    await this.#database.flushed;
  }

  /** Lists nodes that were removed before removals were listed (layout 1) as removed at `atMs`. */
  listOldRemovals(atMs: number): Promise<void> {
    return this.#database.listOldRemovals(atMs);
  }

  async close(): Promise<void> {
    try {
      await this.flushed();
      this.#log.turn();
      await this.#removing;
      await this.#log.removeUpTo(this.#databaseNumber);
    } finally {
      this.#closed = true;
      this.#hurry?.();
      await this.#committer;
      await this.#removing;
      await this.#log.close();
      await this.#database.close();
    }
  }

  #childCacheKey(parent: bigint, name: string): string {
    if (parent !== this.#cachePrefix.parent) this.#cachePrefix = { parent, text: `${parent.toString(36)}/` };
    return this.#cachePrefix.text + name;
  }

  #schedule(): void {
    if (this.#closed) throw new Error('the node table is closed');
    if (this.#appendScheduled) return;
    this.#appendScheduled = true;
    // The rest of this turn's puts go along.
    setImmediate(() => void this.#append());
  }

  /** Appends to the log until nothing is left. Never rejects: who waits learns how it ended. */
  async #append(): Promise<void> {
    while (!this.#growing.empty) {
      const changes = this.#growing;
      const waiters = this.#growingWaiters;
      this.#appending = changes;
      this.#appendingWaiters = waiters;
      this.#growing = new NodeChanges();
      this.#growingWaiters = [];
      try {
        await this.#log.append(changes);
      } catch (cause) {
        const failed = [...waiters, ...this.#growingWaiters.splice(0)];
        this.#growing.putUnder(changes);
        this.#appending = new NodeChanges();
        this.#appendScheduled = false;
        const error = new Error('the node table could not be written', { cause });
        for (const waiter of failed) waiter.reject(error);
        return;
      }
      // Mostly nothing else is logged: no copying then.
      if (this.#logged.empty) this.#logged = changes;
      else this.#logged.putOver(changes);
      this.#loggedNumber = this.#log.lastNumber;
      this.#appending = new NodeChanges();
      this.#commitSoon();
      for (const waiter of waiters) waiter.resolve();
    }
    this.#appendScheduled = false;
  }

  #commitSoon(): void {
    if (this.#committer !== undefined || this.#logged.empty) return;
    this.#committer = this.#commitAll().finally(() => {
      this.#committer = undefined;
    });
  }

  /** Commits what is in the log until nothing is left. Never rejects. */
  async #commitAll(): Promise<void> {
    let restMs = COMMIT_REST_MS;
    while (!this.#logged.empty && !this.#closed) {
      await this.#rest(restMs);
      const number = this.#loggedNumber;
      this.#committing = this.#logged;
      this.#logged = new NodeChanges();
      try {
        await this.#database.write(this.#committing, number);
      } catch (cause) {
        this.#logged.putUnder(this.#committing);
        this.#committing = new NodeChanges();
        restMs = COMMIT_RETRY_MS;
        const error = new Error('the node table could not be committed', { cause });
        for (const waiter of this.#commitWaiters.splice(0)) waiter.reject(error);
        continue;
      }
      restMs = COMMIT_REST_MS;
      this.#committing = new NodeChanges();
      this.#databaseNumber = number;
      // Who waits for a later one looks again.
      for (const waiter of this.#commitWaiters.splice(0)) waiter.resolve();
      const onDisk = this.#database.flushed;
      this.#removing = this.#removing
        .then(async () => {
          await onDisk;
          await this.#log.removeUpTo(number);
        })
        // What could not be removed is read and passed over by the next life, and removed by it.
        .catch(() => undefined);
    }
  }

  /** Until the time has come, or somebody waits for a commit. */
  async #rest(ms: number): Promise<void> {
    if (this.#commitWaiters.length > 0) return;
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
