/**
 * Records of the inode tree on LMDB, readable the moment they are put. A put lands in an overlay in memory, goes to the log, which survives a
 * kill, and from there into LMDB, some milliseconds' puts in one transaction off the main thread:
 *
 *   put -> growing -> appending -> logged -> committing -> LMDB
 *                        log: settled()                    flushed()
 *   get -> recent, then the layers from the newest to the oldest
 *
 * Names that a listing shows go to LMDB another way, from the log on (staged-names.ts).
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
import { IdFilter } from './id-filter.js';
import { NodeCommitter } from './node-committer.js';
import { NodeDatabase } from './node-database.js';
import { NodeLog } from './node-log.js';
import { Recent } from './recent.js';
import { replayListed, replayed } from './replayed-names.js';
import { StagedNames } from './staged-names.js';

/** The log in front of the database could not be written: what was put is in memory alone, and is tried again with the next that waits. */
export class NodeLogError extends Error {
  override readonly name = 'NodeLogError';
}

/** Ids that are read at the start, at most: some 10 ms. */
const KNOWN_IDS_MAX = 16_384;

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
  readonly #directory: string;
  readonly #database: NodeDatabase;
  readonly #nodeCache: Recent<bigint, NodeRecord>;
  readonly #childCache: Recent<string, bigint>;
  /** The directory that was last asked about, as its children's keys in the cache begin: names are asked for directory by directory. */
  #cachePrefix = { parent: 0n, text: '0/' };
  readonly #log: NodeLog;
  readonly #committer: NodeCommitter;
  readonly #staged: StagedNames;
  /** All ids that anybody has or had, where so few were there at the start that they could be read. */
  readonly #ids = new IdFilter();
  /** Changes of anything but new names that listings showed. */
  #changes = 0;
  #growing = new NodeChanges();
  #growingWaiters: Waiter[] = [];
  #appending = new NodeChanges();
  #appendingWaiters: Waiter[] = [];
  #appendScheduled = false;
  #closed = false;

  constructor({ directory, cachedMax }: NodeStoreOptions) {
    this.#directory = directory;
    this.#database = new NodeDatabase(directory);
    this.#nodeCache = new Recent(cachedMax);
    this.#childCache = new Recent(cachedMax);
    const { logNumber, listedNumber } = this.#database;
    const { log, changes, listed } = NodeLog.open(directory, logNumber, undefined, listedNumber);
    this.#log = log;
    this.#committer = new NodeCommitter(this.#database, log);
    this.#staged = new StagedNames(this.#database, (number) => this.#committer.listedMerged(number));
    this.#noteIds([...changes, ...listed]);
    replayListed(listed, logNumber, this.#staged, (id) => this.#database.node(id) !== undefined);
    this.#committer.add(replayed(changes, logNumber, this.#staged), this.#staged);
  }

  #noteIds(logged: readonly NodeChanges[]): void {
    const known = this.#database.nodeIds(KNOWN_IDS_MAX);
    if (known === undefined) this.#ids.forget();
    for (const id of known ?? []) this.#ids.add(id);
    for (const { nodes } of logged) for (const id of nodes.keys()) this.#ids.add(id);
  }

  /** Another number once anything has changed but for new names that `putListed` put. */
  get changes(): number {
    return this.#changes;
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
    if (this.#ids.isNew(id)) return true;
    // Mostly it is: what is in the cache is found behind it, too.
    const found = this.#findUnkept(id);
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
    const { logged, committing } = this.#committer;
    const held =
      this.#growing.change(id) ??
      this.#appending.change(id) ??
      logged.change(id) ??
      committing.change(id) ??
      this.#staged.record(id);
    if (held !== undefined) return held;
    return this.#database.node(id);
  }

  /**
   * The ids under which these names are live in `parent`, in their order, as `childId` tells each. For a page of a listing: the names are looked up
   * together, and nothing is put into the cache.
   */
  childIdsOf(parent: bigint, names: readonly string[]): (bigint | undefined)[] {
    const newer = [this.#growing, this.#appending, ...this.#committer.layers]
      .map(({ children }) => children.get(parent))
      .filter((changes) => changes !== undefined);
    const stored = this.#database.childIds(parent, names);
    return names.map((name) => {
      for (const changes of newer) {
        const id = changes.get(name);
        if (id !== undefined) return id === GONE ? undefined : id;
      }
      return this.#staged.idOf(parent, name) ?? stored(name);
    });
  }

  /** As `childId`, of names that are not on their way to the log yet. For a name that comes twice in one page of a listing. */
  growingChildId(parent: bigint, name: string): bigint | undefined {
    const id = this.#growing.children.get(parent)?.get(name);
    return id === GONE ? undefined : (id ?? this.#staged.idOf(parent, name));
  }

  /** Puts a new node and its name without the cache: a listing showed it, and nobody asked for it by name. */
  putListed(record: NodeRecord): void {
    this.#ids.add(record.id);
    // Where the name was another node's, that it is gone may be on its way.
    if (this.#hasChange(record.parent, record.name) || !this.#staged.add(record)) {
      this.#growing.nodes.set(record.id, record);
      this.#growing.setChild(record.parent, record.name, record.id);
    }
    this.#schedule();
  }

  #hasChange(parent: bigint, name: string): boolean {
    const { logged, committing } = this.#committer;
    return (
      this.#growing.changesName(parent, name) ||
      this.#appending.changesName(parent, name) ||
      logged.changesName(parent, name) ||
      committing.changesName(parent, name)
    );
  }

  /** What is changed of a listed name that isn't in the database yet goes there with the other changes. */
  #unstage(id: bigint): void {
    const record = this.#staged.take(id);
    if (record === undefined) return;
    this.#growing.nodes.set(id, record);
    if (this.#growing.children.get(record.parent)?.has(record.name) !== true)
      this.#growing.setChild(record.parent, record.name, id);
  }

  /** The id under which `name` is live in `parent`. */
  childId(parent: bigint, name: string): bigint | undefined {
    const cacheKey = this.#childCacheKey(parent, name);
    const [logged, committing] = this.#committer.layers;
    let id =
      this.#childCache.get(cacheKey) ??
      this.#growing.children.get(parent)?.get(name) ??
      this.#appending.children.get(parent)?.get(name) ??
      logged.children.get(parent)?.get(name) ??
      committing.children.get(parent)?.get(name);
    if (id === undefined) {
      id = this.#staged.idOf(parent, name) ?? this.#database.childId(parent, name);
      if (id === undefined) return undefined;
      this.#childCache.set(cacheKey, id);
    }
    return id === GONE ? undefined : id;
  }

  /** Live children of `parent` as they are when the iteration starts. In no promised order. */
  *childIds(parent: bigint): Generator<bigint> {
    const [logged, committing] = this.#committer.layers;
    const changes: ChildChanges = new Map(committing.children.get(parent));
    for (const newer of [logged, this.#appending, this.#growing])
      for (const [name, id] of newer.children.get(parent) ?? []) changes.set(name, id);
    for (const [name, id] of this.#staged.childrenOf(parent)) if (!changes.has(name)) changes.set(name, id);
    for (const [name, id] of this.#database.children(parent)) if (!changes.has(name)) yield id;
    for (const id of changes.values()) if (id !== GONE) yield id;
  }

  putNode(record: NodeRecord): void {
    this.#changes++;
    this.#ids.add(record.id);
    this.#unstage(record.id);
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
    this.#changes++;
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
    this.#changes++;
    this.#unstageName(parent, name);
    this.#growing.setChild(parent, name, id);
    this.#childCache.set(this.#childCacheKey(parent, name), id);
    this.#schedule();
  }

  deleteChild(parent: bigint, name: string): void {
    this.#changes++;
    this.#unstageName(parent, name);
    this.#growing.setChild(parent, name, GONE);
    // Dropped rather than set to GONE: `putListed` doesn't touch the cache, and GONE would hide what it puts.
    this.#childCache.delete(this.#childCacheKey(parent, name));
    this.#schedule();
  }

  #unstageName(parent: bigint, name: string): void {
    const id = this.#staged.idOf(parent, name);
    if (id !== undefined) this.#unstage(id);
  }

  /** Resolves when all puts so far are in the log: a kill of this process loses none of them. */
  settled(): Promise<void> {
    if (!this.#growing.empty || this.#staged.growing) return this.#appended(this.#growingWaiters);
    const isAppending = !this.#appending.empty || this.#staged.appending;
    return isAppending ? this.#appended(this.#appendingWaiters) : Promise.resolve();
  }

  /**
   * Resolves when all names put so far are in the log, and the nodes they mean as they were then: facts that were put since may still be on
   * their way.
   */
  named(): Promise<void> {
    if (this.#growing.children.size > 0 || this.#staged.growing) return this.#appended(this.#growingWaiters);
    const isAppending = this.#appending.children.size > 0 || this.#staged.appending;
    return isAppending ? this.#appended(this.#appendingWaiters) : Promise.resolve();
  }

  /** Nodes with changes that a kill of this process would lose. */
  get unloggedNodes(): number {
    return this.#growing.nodes.size + this.#appending.nodes.size + this.#staged.unlogged;
  }

  /** Where many changes wait for LMDB, resolves when it has taken some or has failed to; undefined otherwise. For callers that make changes faster than it takes them. */
  room(): Promise<void> | undefined {
    return this.#committer.room() ?? this.#staged.room();
  }

  #appended(waiters: Waiter[]): Promise<void> {
    return new Promise((resolve, reject) => {
      waiters.push({ resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves when all puts so far are in LMDB, but for names of listings. */
  async committed(): Promise<void> {
    await this.settled();
    await this.#committer.committed();
  }

  /** Resolves when all puts so far are on the disk: a crash of the machine loses none of them. */
  async flushed(): Promise<void> {
    await this.committed();
    await this.#staged.flushed();
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
      await this.#committer.removed();
    } finally {
      this.#closed = true;
      await this.#committer.close();
      await this.#staged.close();
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
    while (!this.#growing.empty || this.#staged.growing) {
      const changes = this.#growing;
      const listed = this.#staged.begin();
      const waiters = this.#growingWaiters;
      this.#appending = changes;
      this.#appendingWaiters = waiters;
      this.#growing = new NodeChanges();
      this.#growingWaiters = [];
      try {
        await this.#log.append(changes, listed);
      } catch (cause) {
        this.#staged.failed();
        const failed = [...waiters, ...this.#growingWaiters.splice(0)];
        this.#growing.putUnder(changes);
        this.#appending = new NodeChanges();
        this.#appendScheduled = false;
        const why = `the names in ${this.#directory} could not be written: ${String(cause)}`;
        const error = new NodeLogError(why, { cause });
        for (const waiter of failed) waiter.reject(error);
        return;
      }
      this.#appending = new NodeChanges();
      this.#staged.logged(this.#log.lastNumber);
      this.#committer.add(changes, this.#staged);
      for (const waiter of waiters) waiter.resolve();
    }
    this.#appendScheduled = false;
  }
}
