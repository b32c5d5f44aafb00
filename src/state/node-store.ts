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
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import {
  GONE,
  NodeChanges,
  type ChildChanges,
  type NodeChange,
  type NodeRecord,
  type Removal,
} from './node-changes.js';
import { NodeLog } from './node-log.js';
import {
  BURIED,
  childKey,
  isMarkedRemoved,
  nodeKey,
  recordOf,
  removalKey,
  storedForm,
  type StoredNode,
} from './node-form.js';
import { Recent } from './recent.js';

/** Key of the number of the last changes of the log that LMDB has. */
const LOG_NUMBER = Buffer.from('log');
/** What was appended to the log meanwhile goes into one transaction. */
const COMMIT_REST_MS = 10;
const COMMIT_RETRY_MS = 1000;

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
  readonly #database: RootDatabase<unknown, Buffer>;
  readonly #nodes: Database<StoredNode, Buffer>;
  readonly #children: Database<Buffer, Buffer>;
  /** Removed nodes in the order of their removal: time and id, 16 bytes, are the key. */
  readonly #removals: Database<Buffer, Buffer>;
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
    this.#database = open<unknown, Buffer>({
      path: join(directory, 'nodes.lmdb'),
      noSubdir: true,
      keyEncoding: 'binary',
    });
    this.#nodes = this.#database.openDB<StoredNode, Buffer>('nodes', {
      keyEncoding: 'binary',
      encoding: 'msgpack',
    });
    this.#children = this.#database.openDB<Buffer, Buffer>('children', {
      keyEncoding: 'binary',
      encoding: 'binary',
    });
    this.#removals = this.#database.openDB<Buffer, Buffer>('removals', {
      keyEncoding: 'binary',
      encoding: 'binary',
    });
    this.#nodeCache = new Recent(cachedMax);
    this.#childCache = new Recent(cachedMax);
    const committed = (this.#database.get(LOG_NUMBER) as bigint | number | undefined) ?? 0n;
    const { log, changes } = NodeLog.open(directory, BigInt(committed));
    this.#log = log;
    this.#databaseNumber = BigInt(committed);
    this.#loggedNumber = log.lastNumber;
    for (const each of changes) this.#logged.putOver(each);
    this.#commitSoon();
  }

  node(id: bigint): NodeRecord | undefined {
    const found = this.#find(id);
    return typeof found === 'string' ? undefined : found;
  }

  /** Nobody has the id, nor ever had it unless it was drawn. */
  isFree(id: bigint): boolean {
    const found = this.#find(id);
    return found === undefined || found === 'dropped';
  }

  #find(id: bigint): NodeChange | undefined {
    const held =
      this.#nodeCache.get(id) ??
      this.#growing.nodes.get(id) ??
      this.#appending.nodes.get(id) ??
      this.#logged.nodes.get(id) ??
      this.#committing.nodes.get(id);
    if (held !== undefined) return held;
    const stored = this.#nodes.get(nodeKey(id));
    if (stored === undefined) return undefined;
    if (stored === BURIED) return 'buried';
    const record = recordOf(id, stored);
    this.#nodeCache.set(id, record);
    return record;
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
      const stored = this.#children.get(childKey(parent, name));
      if (stored === undefined) return undefined;
      id = stored.readBigUInt64BE(0);
      this.#childCache.set(cacheKey, id);
    }
    return id === GONE ? undefined : id;
  }

  /** Live children of `parent` as they are when the iteration starts. In no promised order. */
  *childIds(parent: bigint): Generator<bigint> {
    const changes: ChildChanges = new Map(this.#committing.children.get(parent));
    for (const newer of [this.#logged, this.#appending, this.#growing])
      for (const [name, id] of newer.children.get(parent) ?? []) changes.set(name, id);
    const start = nodeKey(parent);
    const end = nodeKey(parent + 1n);
    for (const { key, value } of this.#children.getRange({ start, end })) {
      if (!changes.has(key.toString('utf8', 8))) yield value.readBigUInt64BE(0);
    }
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
  *removals(beforeMs: number): Generator<Removal> {
    for (const key of this.#removals.getKeys({ end: removalKey({ id: 0n, atMs: beforeMs }) })) {
      yield { id: key.readBigUInt64BE(8), atMs: Number(key.readBigUInt64BE(0)) };
    }
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
    this.putChild(parent, name, GONE);
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
  async listOldRemovals(atMs: number): Promise<void> {
    await this.#database.transaction(() => {
      for (const { key, value } of this.#nodes.getRange({})) {
        if (!isMarkedRemoved(value)) continue;
        void this.#removals.put(removalKey({ id: key.readBigUInt64BE(0), atMs }), NOTHING);
      }
    });
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
      this.#logged.putOver(changes);
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
        await this.#commit(this.#committing, number);
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

  /** One event turn's puts are one LMDB transaction (lmdb's eventTurnBatching), so a node and its name go together. */
  async #commit({ nodes, children, removals, burials }: NodeChanges, number: bigint): Promise<void> {
    let last = this.#database.put(LOG_NUMBER, number);
    for (const [id, change] of nodes) {
      const key = nodeKey(id);
      last = change === 'dropped' ? this.#nodes.remove(key) : this.#nodes.put(key, storedForm(change));
    }
    for (const removal of removals) last = this.#removals.put(removalKey(removal), NOTHING);
    for (const burial of burials) last = this.#removals.remove(removalKey(burial));
    for (const [parent, changes] of children) {
      for (const [name, id] of changes) {
        const key = childKey(parent, name);
        last = id === GONE ? this.#children.remove(key) : this.#children.put(key, nodeKey(id));
      }
    }
    await last;
  }
}

const NOTHING = Buffer.alloc(0);
