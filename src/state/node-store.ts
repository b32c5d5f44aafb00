/**
 * Records of the inode tree on LMDB, readable the moment they are put. A put lands in an overlay in memory; generations of puts are committed
 * one after the other, each as one LMDB transaction off the main thread:
 *
 *   put -> growing generation -> (the commit before has ended) -> committing generation -> LMDB
 *   get -> recent -> growing -> committing -> LMDB
 *
 * lmdb's own cache doesn't do this for keys that are buffers. A commit that fails goes back under the growing generation:
 * nothing that was put is forgotten, and the next write tries again.
 */
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { Recent } from './recent.js';

/** A node of the tree: one file or directory that has been seen, or the root of a volume. */
export interface NodeRecord {
  readonly id: bigint;
  /** 0n for the root of a volume. */
  readonly parent: bigint;
  /** Name in its parent; the volume's name for a root. */
  readonly name: string;
  /** True once nothing has this name any more. The record stays for a while: scans of the directory may have stopped at it. */
  readonly removed: boolean;
  /** The id was drawn and will not come up again; else it is the hash of a path, which would. */
  readonly drawn: boolean;
  /** A small value of the owner's, of what MessagePack carries (bigint below 2^63, Buffer and Date included). */
  readonly facts?: unknown;
}

/** What is left of a removed node in the end where its id would come up again: its key and this, 9 bytes. */
const BURIED = 0;
const REMOVED_FLAG = 1;
const DRAWN_FLAG = 2;
type StoredNode = [parent: bigint, name: string, flags: number, facts?: unknown] | typeof BURIED;

/** What a generation knows of a node. */
type NodeChange = NodeRecord | 'buried' | 'dropped';

/** What a generation knows of a directory's children: an id, or 0n for a name that is gone. */
type ChildChanges = Map<string, bigint>;
const GONE = 0n;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (cause: Error) => void;
}

interface Removal {
  readonly id: bigint;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** Puts that are committed together. */
class Generation {
  readonly nodes = new Map<bigint, NodeChange>();
  readonly children = new Map<bigint, ChildChanges>();
  /** Removed nodes and when they were removed (milliseconds since the epoch). */
  readonly removals: Removal[] = [];
  /** Removals that were seen to: nothing but the id is left of these nodes. */
  readonly burials: Removal[] = [];
  readonly waiters: Waiter[] = [];

  get empty(): boolean {
    return this.nodes.size === 0 && this.children.size === 0;
  }

  setChild(parent: bigint, name: string, id: bigint): void {
    let changes = this.children.get(parent);
    if (changes === undefined) this.children.set(parent, (changes = new Map<string, bigint>()));
    changes.set(name, id);
  }

  /** Takes over what `older` had and this generation hasn't changed since. */
  putUnder(older: Generation): void {
    for (const [id, change] of older.nodes) if (!this.nodes.has(id)) this.nodes.set(id, change);
    this.removals.unshift(...older.removals);
    this.burials.unshift(...older.burials);
    for (const [parent, changes] of older.children) {
      for (const [name, id] of changes) {
        if (this.children.get(parent)?.has(name) !== true) this.setChild(parent, name, id);
      }
    }
  }
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
  #growing = new Generation();
  #committing = new Generation();
  #draining = false;
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
    const held = this.#nodeCache.get(id) ?? this.#growing.nodes.get(id) ?? this.#committing.nodes.get(id);
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
    for (const [name, id] of this.#growing.children.get(parent) ?? []) changes.set(name, id);
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

  /** Resolves when all puts so far are committed: a kill of this process loses none of them. */
  settled(): Promise<void> {
    return this.#committed(this.#growing.empty ? this.#committing : this.#growing);
  }

  /**
   * Resolves when all names put so far are committed, and the nodes they mean as they were then: facts that were put since may still be on
   * their way.
   */
  named(): Promise<void> {
    const generation = this.#growing.children.size > 0 ? this.#growing : this.#committing;
    return generation.children.size > 0 ? this.#committed(generation) : Promise.resolve();
  }

  #committed(generation: Generation): Promise<void> {
    if (generation.empty) return Promise.resolve();
    return new Promise((resolve, reject) => {
      generation.waiters.push({ resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves when all puts so far are on the disk: a crash of the machine loses none of them. */
  async flushed(): Promise<void> {
    await this.settled();
    await this.#database.flushed;
  }

  /** Lists nodes that were removed before removals were listed (layout 1) as removed at `atMs`. */
  async listOldRemovals(atMs: number): Promise<void> {
    await this.#database.transaction(() => {
      for (const { key, value } of this.#nodes.getRange({})) {
        if (value === BURIED || (value[2] & REMOVED_FLAG) === 0) continue;
        void this.#removals.put(removalKey({ id: key.readBigUInt64BE(0), atMs }), NOTHING);
      }
    });
  }

  async close(): Promise<void> {
    try {
      await this.flushed();
    } finally {
      this.#closed = true;
      await this.#database.close();
    }
  }

  #childCacheKey(parent: bigint, name: string): string {
    if (parent !== this.#cachePrefix.parent) this.#cachePrefix = { parent, text: `${parent.toString(36)}/` };
    return this.#cachePrefix.text + name;
  }

  #schedule(): void {
    if (this.#closed) throw new Error('the node table is closed');
    if (this.#draining) return;
    this.#draining = true;
    // The rest of this turn's puts join the same transaction.
    setImmediate(() => void this.#drain());
  }

  /** Commits generations until none is left. Never rejects: who waits for a generation learns how it ended. */
  async #drain(): Promise<void> {
    while (!this.#growing.empty) {
      const generation = this.#growing;
      this.#committing = generation;
      this.#growing = new Generation();
      try {
        await this.#commit(generation);
      } catch (cause) {
        this.#takeBack(generation, new Error('the node table could not be written', { cause }));
        return;
      }
      this.#committing = new Generation();
      for (const waiter of generation.waiters) waiter.resolve();
    }
    this.#draining = false;
  }

  #takeBack(failed: Generation, error: Error): void {
    const waiters = [...failed.waiters, ...this.#growing.waiters.splice(0)];
    this.#growing.putUnder(failed);
    this.#committing = new Generation();
    this.#draining = false;
    for (const waiter of waiters) waiter.reject(error);
  }

  /** One event turn's puts are one LMDB transaction (lmdb's eventTurnBatching), so a node and its name go together. */
  async #commit({ nodes, children, removals, burials }: Generation): Promise<void> {
    let last: Promise<boolean> | undefined;
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

function recordOf(id: bigint, stored: Exclude<StoredNode, typeof BURIED>): NodeRecord {
  const [parent, name, flags, facts] = stored;
  const removed = (flags & REMOVED_FLAG) !== 0;
  const drawn = (flags & DRAWN_FLAG) !== 0;
  return { id, parent, name, removed, drawn, ...(facts === undefined ? {} : { facts }) };
}

function storedForm(change: NodeRecord | 'buried'): StoredNode {
  if (change === 'buried') return BURIED;
  const { parent, name, removed, drawn, facts } = change;
  const flags = (removed ? REMOVED_FLAG : 0) | (drawn ? DRAWN_FLAG : 0);
  return facts === undefined ? [parent, name, flags] : [parent, name, flags, facts];
}

function removalKey({ id, atMs }: Removal): Buffer {
  const key = Buffer.allocUnsafe(16);
  key.writeBigUInt64BE(BigInt(Math.trunc(atMs)));
  key.writeBigUInt64BE(id, 8);
  return key;
}

/** Big-endian, so that keys sort by id and a directory's children lie together. */
function nodeKey(id: bigint): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeBigUInt64BE(id);
  return key;
}

function childKey(parent: bigint, name: string): Buffer {
  const key = Buffer.allocUnsafe(8 + Buffer.byteLength(name));
  key.writeBigUInt64BE(parent);
  key.write(name, 8);
  return key;
}
