/**
 * Records of the inode tree on LMDB, readable the moment they are put. A put lands in an overlay in memory; generations of puts are committed
 * one after the other, each as one LMDB transaction off the main thread:
 *
 *   put -> growing generation -> (the commit before has ended) -> committing generation -> LMDB
 *   get -> LRU -> growing -> committing -> LMDB
 *
 * lmdb's own cache doesn't do this for keys that are buffers. A commit that fails goes back under the growing generation:
 * nothing that was put is forgotten, and the next write tries again.
 */
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { LRUCache } from 'lru-cache';

/** A node of the tree: one file or directory that has been seen, or the root of a volume. */
export interface NodeRecord {
  readonly id: bigint;
  /** 0n for the root of a volume. */
  readonly parent: bigint;
  /** Name in its parent; the volume's name for a root. */
  readonly name: string;
  /** True once nothing has this name any more. The record stays, so that its id is never given to another file. */
  readonly removed: boolean;
  /** A small value of the owner's, of what MessagePack carries (bigint below 2^63, Buffer and Date included). */
  readonly facts?: unknown;
}

type StoredNode = [parent: bigint, name: string, removed: 0 | 1, facts?: unknown];

/** What a generation knows of a directory's children: an id, or 0n for a name that is gone. */
type ChildChanges = Map<string, bigint>;
const GONE = 0n;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (cause: Error) => void;
}

/** Puts that are committed together. */
class Generation {
  readonly nodes = new Map<bigint, NodeRecord>();
  readonly children = new Map<bigint, ChildChanges>();
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
    for (const [id, record] of older.nodes) if (!this.nodes.has(id)) this.nodes.set(id, record);
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
  readonly #nodeCache: LRUCache<bigint, NodeRecord>;
  readonly #childCache: LRUCache<string, bigint>;
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
    this.#nodeCache = new LRUCache({ max: cachedMax });
    this.#childCache = new LRUCache({ max: cachedMax });
  }

  node(id: bigint): NodeRecord | undefined {
    const cached = this.#nodeCache.get(id) ?? this.#growing.nodes.get(id) ?? this.#committing.nodes.get(id);
    if (cached !== undefined) return cached;
    const stored = this.#nodes.get(nodeKey(id));
    if (stored === undefined) return undefined;
    const [parent, name, removed, facts] = stored;
    const record: NodeRecord = {
      id,
      parent,
      name,
      removed: removed === 1,
      ...(facts === undefined ? {} : { facts }),
    };
    this.#nodeCache.set(id, record);
    return record;
  }

  /** The id under which `name` is live in `parent`. */
  childId(parent: bigint, name: string): bigint | undefined {
    const cacheKey = childCacheKey(parent, name);
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

  /** Makes `name` in `parent` mean `id`. */
  putChild(parent: bigint, name: string, id: bigint): void {
    this.#growing.setChild(parent, name, id);
    this.#childCache.set(childCacheKey(parent, name), id);
    this.#schedule();
  }

  deleteChild(parent: bigint, name: string): void {
    this.putChild(parent, name, GONE);
  }

  /** Resolves when all puts so far are committed: a kill of this process loses none of them. */
  settled(): Promise<void> {
    const generation = this.#growing.empty ? this.#committing : this.#growing;
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

  async close(): Promise<void> {
    try {
      await this.flushed();
    } finally {
      this.#closed = true;
      await this.#database.close();
    }
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
  async #commit({ nodes, children }: Generation): Promise<void> {
    let last: Promise<boolean> | undefined;
    for (const [id, { parent, name, removed, facts }] of nodes) {
      const stored: StoredNode = [parent, name, removed ? 1 : 0];
      if (facts !== undefined) stored.push(facts);
      last = this.#nodes.put(nodeKey(id), stored);
    }
    for (const [parent, changes] of children) {
      for (const [name, id] of changes) {
        const key = childKey(parent, name);
        last = id === GONE ? this.#children.remove(key) : this.#children.put(key, nodeKey(id));
      }
    }
    await last;
  }
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

function childCacheKey(parent: bigint, name: string): string {
  return `${parent.toString(36)}/${name}`;
}
