/** The inode tree in LMDB: nodes by id, children by parent and name, removals by time. node-form.ts has the keys and values. */
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import type { ListedNames } from './listed-names.js';
import { GONE, type NodeChange, type NodeChanges, type Removal } from './node-changes.js';
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

/** Key of the number of the last changes of the log that LMDB has. */
const LOG_NUMBER = Buffer.from('log');
/** Key of the number of the last changes of the log of which LMDB has the listed names (staged-names.ts): where there is none, all that it has. */
const LISTED_NUMBER = Buffer.from('listed');
const NOTHING = Buffer.alloc(0);
/** For fewer names than this, a search of the range costs more than looking them up one by one. */
const RANGE_NAMES_MIN = 8;
const SURROGATE = /[\ud800-\udfff]/;

export class NodeDatabase {
  readonly #database: RootDatabase<unknown, Buffer>;
  readonly #nodes: Database<StoredNode, Buffer>;
  readonly #children: Database<Buffer, Buffer>;
  /** Removed nodes in the order of their removal: time and id, 16 bytes, are the key. */
  readonly #removals: Database<Buffer, Buffer>;
  /** Number of the last changes of the log that the database had when it was opened. */
  readonly logNumber: bigint;
  /** Of the last changes of which the names that listings showed are here, when it was opened. */
  readonly listedNumber: bigint;

  constructor(directory: string) {
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
    this.logNumber = BigInt((this.#database.get(LOG_NUMBER) as bigint | number | undefined) ?? 0n);
    const listed = this.#database.get(LISTED_NUMBER) as bigint | number | undefined;
    this.listedNumber = listed === undefined ? this.logNumber : BigInt(listed);
  }

  /** Resolves when what was written is on the disk. */
  get flushed(): Promise<unknown> {
    return this.#database.flushed;
  }

  node(id: bigint): NodeChange | undefined {
    const stored = this.#nodes.get(nodeKey(id));
    if (stored === undefined) return undefined;
    return stored === BURIED ? 'buried' : recordOf(id, stored);
  }

  childId(parent: bigint, name: string): bigint | undefined {
    return this.#children.get(childKey(parent, name))?.readBigUInt64BE(0);
  }

  /**
   * A function that tells the ids of these names. They are looked up by one search of the range that they span: a page of a listing mostly has all names
   * of its range. Names that the search didn't reach, since the range has many others, are looked up one by one.
   */
  childIds(parent: bigint, names: readonly string[]): (name: string) => bigint | undefined {
    const one = (name: string): bigint | undefined => this.childId(parent, name);
    // With surrogates the order of JavaScript's strings isn't that of their UTF-8 bytes, by which LMDB sorts.
    if (names.length < RANGE_NAMES_MIN || names.some((name) => SURROGATE.test(name))) return one;
    let [first = '', last = ''] = names;
    for (const name of names) {
      if (name < first) first = name;
      if (name > last) last = name;
    }
    const found = new Map<string, bigint>();
    const limit = 2 * names.length;
    const end = Buffer.concat([childKey(parent, last), Buffer.alloc(1)]);
    for (const { key, value } of this.#children.getRange({ start: childKey(parent, first), end, limit }))
      found.set(key.toString('utf8', 8), value.readBigUInt64BE(0));
    return found.size < limit ? (name) => found.get(name) : (name) => found.get(name) ?? one(name);
  }

  /** In the order of their names' bytes. */
  *children(parent: bigint): Generator<readonly [name: string, id: bigint]> {
    const start = nodeKey(parent);
    const end = nodeKey(parent + 1n);
    for (const { key, value } of this.#children.getRange({ start, end }))
      yield [key.toString('utf8', 8), value.readBigUInt64BE(0)];
  }

  /** Nodes removed before `beforeMs`, oldest first. */
  *removals(beforeMs: number): Generator<Removal> {
    for (const key of this.#removals.getKeys({ end: removalKey({ id: 0n, atMs: beforeMs }) })) {
      yield { id: key.readBigUInt64BE(8), atMs: Number(key.readBigUInt64BE(0)) };
    }
  }

  /**
   * One event turn's puts are one transaction (lmdb's eventTurnBatching), so a node and its name go together. With them goes the number of the
   * changes, and that it is true of listed names as well where it is.
   */
  async write(
    { nodes, children, removals, burials }: NodeChanges,
    number: bigint,
    withListed: boolean,
  ): Promise<void> {
    let last = this.#database.put(LOG_NUMBER, number);
    if (withListed) last = this.#database.put(LISTED_NUMBER, number);
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

  /** Puts these names, without their nodes: as one transaction. */
  async putNames(listed: ListedNames, places: Uint32Array): Promise<void> {
    let last: Promise<boolean> | undefined;
    for (const at of places) {
      const keys = listed.keysAt(at);
      if (keys !== undefined) last = this.#children.put(keys.child, keys.node);
    }
    await last;
  }

  /** Puts the nodes of these names, as one transaction. */
  async putNodes(listed: ListedNames, places: Uint32Array): Promise<void> {
    let last: Promise<boolean> | undefined;
    for (const at of places) {
      const record = listed.recordAt(at);
      if (record !== undefined) last = this.#nodes.put(nodeKey(record.id), storedForm(record));
    }
    await last;
  }

  /** The listed names of the log's changes up to this number are here, and all else of them where `all`. */
  async putListedNumber(number: bigint, all: boolean): Promise<void> {
    if (all) void this.#database.put(LOG_NUMBER, number);
    await this.#database.put(LISTED_NUMBER, number);
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

  close(): Promise<void> {
    return this.#database.close();
  }
}
