/** The inode tree in LMDB: nodes by id, children by parent and name, removals by time. node-form.ts has the keys and values. */
import { join } from 'node:path';
import { asBinary, open, type Database, type RootDatabase } from 'lmdb';
import type { ListedNames } from './listed-names.js';
import { ListedValues } from './listed-values.js';
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
import { TransactionPuts } from './transaction-puts.js';

/** Key of the number of the last changes of the log that LMDB has. */
const LOG_NUMBER = Buffer.from('log');
/** Key of the number of the last changes of the log of which LMDB has the listed names (staged-names.ts): where there is none, all that it has. */
const LISTED_NUMBER = Buffer.from('listed');
const NOTHING = Buffer.alloc(0);
const ID_BYTES = 8;
/** Before the name in the key of a child. */
const PARENT_BYTES = 8;
/** For fewer names than this, a search of the range costs more than looking them up one by one. */
const RANGE_NAMES_MIN = 8;
const SURROGATE = /[\ud800-\udfff]/;

/** What lmdb's types leave out of a database. */
interface Encoding {
  readonly encoder: { readonly encode: (stored: StoredNode) => Uint8Array };
}

export class NodeDatabase {
  readonly #database: RootDatabase<unknown, Buffer>;
  readonly #nodes: Database<StoredNode, Buffer>;
  readonly #children: Database<Buffer, Buffer>;
  /** Removed nodes in the order of their removal: time and id, 16 bytes, are the key. */
  readonly #removals: Database<Buffer, Buffer>;
  /** Of the node that is asked for: lmdb copies it. */
  readonly #key = Buffer.alloc(ID_BYTES);
  readonly #keyView = new DataView(this.#key.buffer, this.#key.byteOffset, ID_BYTES);
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
    // A view: Buffer's methods make several bigints of each.
    this.#keyView.setBigUint64(0, id);
    const stored = this.#nodes.get(this.#key);
    if (stored === undefined) return undefined;
    return stored === BURIED ? 'buried' : recordOf(id, stored);
  }

  /** The ids of all nodes, be they buried; undefined where there are more than `max`. */
  nodeIds(max: number): bigint[] | undefined {
    const ids: bigint[] = [];
    for (const key of this.#nodes.getKeys({ limit: max + 1 })) ids.push(key.readBigUInt64BE(0));
    return ids.length > max ? undefined : ids;
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
    const puts = new TransactionPuts();
    puts.add(this.#database.put(LOG_NUMBER, number));
    if (withListed) puts.add(this.#database.put(LISTED_NUMBER, number));
    for (const [id, change] of nodes) {
      const key = nodeKey(id);
      puts.add(change === 'dropped' ? this.#nodes.remove(key) : this.#nodes.put(key, storedForm(change)));
    }
    for (const removal of removals) puts.add(this.#removals.put(removalKey(removal), NOTHING));
    for (const burial of burials) puts.add(this.#removals.remove(removalKey(burial)));
    for (const [parent, changes] of children) {
      for (const [name, id] of changes) {
        const key = childKey(parent, name);
        puts.add(id === GONE ? this.#children.remove(key) : this.#children.put(key, nodeKey(id)));
      }
    }
    await puts.committed();
  }

  /** Puts these names, without their nodes: as one transaction. */
  async putNames(listed: ListedNames, places: Uint32Array): Promise<void> {
    const puts = new TransactionPuts();
    // lmdb copies keys at once, and values when they are written.
    let key = Buffer.alloc(0);
    let keyParent: bigint | undefined;
    for (const at of places) {
      const parent = listed.parentAt(at);
      if (parent === undefined) continue;
      const keyBytes = PARENT_BYTES + listed.nameBytesAt(at);
      if (key.length !== keyBytes || keyParent !== parent) {
        key = Buffer.allocUnsafe(keyBytes);
        key.writeBigUInt64BE(parent);
        keyParent = parent;
      }
      listed.copyName(at, key, PARENT_BYTES);
      puts.add(this.#children.put(key, listed.idBytesAt(at)));
    }
    await puts.committed();
  }

  /** Puts the nodes of these names, as one transaction. */
  async putNodes(listed: ListedNames, places: Uint32Array): Promise<void> {
    const puts = new TransactionPuts();
    const { encoder } = this.#nodes as unknown as Encoding;
    const values = new ListedValues(listed, (stored) => encoder.encode(stored));
    const key = Buffer.allocUnsafe(ID_BYTES);
    for (const at of places) {
      const value = values.at(at);
      if (value === undefined) continue;
      listed.copyId(at, key);
      puts.add(this.#nodes.put(key, asBinary(value) as unknown as StoredNode));
    }
    await puts.committed();
  }

  /** The listed names of the log's changes up to this number are here, and all else of them where `all`. */
  async putListedNumber(number: bigint, all: boolean): Promise<void> {
    const puts = new TransactionPuts();
    if (all) puts.add(this.#database.put(LOG_NUMBER, number));
    puts.add(this.#database.put(LISTED_NUMBER, number));
    await puts.committed();
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
