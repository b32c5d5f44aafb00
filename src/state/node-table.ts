/**
 * The inode tree: which id a path has, and which path an id has. Ids stay the same across restart and rename and are never given
 * to another file: the first node at a path takes a keyed hash of the volume and the path, so that a lost table heals on the next path walk;
 * where that id is taken (its first owner was moved or removed) a fresh one is drawn. A move changes one record, however
 * much lies below.
 *
 * Reads are synchronous and see every change at once; named(), settled() and flushed() tell when changes survive a kill and a power cut.
 */
import { randomBytes } from 'node:crypto';
import { KeyedHash, WORDS_OF_MANY, type HashedPrefix } from './keyed-hash.js';
import type { NodeRecord, Place } from './node-changes.js';
import { NodeStore } from './node-store.js';

export type { NodeRecord } from './node-changes.js';

/** Ids below are for others: 0 is no node, 1 and 2 are the cookies of `.` and `..`. */
const ID_MIN = 16n;
/** 62 bits: an id is also a readdir cookie, which stays below 2^63 (signed on some clients). */
const ID_SHIFT = 2;
/** Of the ids that come from their path. */
const FIRST = '0';
/** Bytes of a name or a volume: LMDB's longest key is 1978 bytes, and a parent's id takes 8 of them. */
const NAME_BYTES_MAX = 1900;
const CACHED_NODES_MAX = 65_536;
/** A UTF-16 unit is at most so many bytes of UTF-8. */
const UNIT_BYTES_MAX = 3;
/** Names of a listing that are hashed together. */
const HASHED_NAMES = 64;

/** A change that the tree doesn't allow: a defect of the caller. */
export class NodeTableError extends Error {
  override readonly name = 'NodeTableError';
}

export interface NodeTableOptions {
  /** Key of the ids: whoever lacks it can't guess them. */
  readonly secret: Buffer;
  /** Records kept in memory. Default 65,536, about 40 MB at most. */
  readonly cachedNodesMax?: number;
  /** Milliseconds since the epoch. Default the system's clock. */
  readonly nowMs?: () => number;
}

/** Nodes of a page of a listing. */
export interface InternedNames {
  readonly ids: readonly bigint[];
  /** Their records; undefined of those that were made. */
  readonly known: readonly (NodeRecord | undefined)[];
}

export class NodeTable {
  readonly #store: NodeStore;
  readonly #hash: KeyedHash;
  /** The directory whose names were hashed last, with its path hashed: names come directory by directory. */
  #hashed: { readonly parent: bigint; readonly prefix: HashedPrefix } | undefined;
  readonly #nameBytes = Buffer.allocUnsafeSlow(HASHED_NAMES * NAME_BYTES_MAX);
  readonly #nameEnds = new Uint32Array(HASHED_NAMES);
  readonly #idBytes = new DataView(new ArrayBuffer(8));
  readonly #nowMs: () => number;

  private constructor(store: NodeStore, { secret, nowMs = Date.now }: NodeTableOptions) {
    this.#store = store;
    this.#hash = new KeyedHash(secret);
    this.#nowMs = nowMs;
  }

  /** Opens or makes the table in `directory`. Only one NodeTable may have it open. */
  static open(directory: string, options: NodeTableOptions): NodeTable {
    const cachedMax = options.cachedNodesMax ?? CACHED_NODES_MAX;
    return new NodeTable(new NodeStore({ directory, cachedMax }), options);
  }

  /** The root of a volume, made when it is first asked for. */
  root(volume: string): NodeRecord {
    return this.intern(0n, volume);
  }

  /** The record, also of a removed node that isn't collected yet. */
  get(id: bigint): NodeRecord | undefined {
    return this.#store.node(id);
  }

  /** Id of the live node called `name` in `parent`, if it has been seen. */
  childId(parent: bigint, name: string): bigint | undefined {
    return this.#store.childId(parent, name);
  }

  /** The live node called `name` in `parent`, if it has been seen. */
  child(parent: bigint, name: string): NodeRecord | undefined {
    const id = this.#store.childId(parent, name);
    return id === undefined ? undefined : this.#store.node(id);
  }

  /** The live node called `name` in `parent`, made with these facts, if there is none. The parent must be there; whether it is removed isn't looked at. */
  intern(parent: bigint, name: string, facts?: unknown): NodeRecord {
    const known = this.child(parent, name);
    if (known !== undefined) return known;
    checkName(name);
    const record = this.#newRecord(parent, name, facts);
    this.#store.putNode(record);
    this.#store.putChild(parent, name, record.id);
    return record;
  }

  /**
   * The live nodes with these names in `parent`, in their order; where there is none it is made, as `intern` does, with the facts at the same index. For
   * pages of listings: nothing is put into the cache. A name may come twice.
   */
  internListed(parent: bigint, names: readonly string[], facts: readonly unknown[]): InternedNames {
    const found = this.#store.childIdsOf(parent, names);
    const firstIds = this.#firstIds(parent, names, found);
    // In order none comes twice.
    const isInOrder = names.every((name, at) => at === 0 || name > (names[at - 1] ?? ''));
    const known: (NodeRecord | undefined)[] = [];
    const ids = names.map((name, at) => {
      const id = found[at] ?? (isInOrder ? undefined : this.#store.growingChildId(parent, name));
      const record = id === undefined ? undefined : this.#store.nodeUnkept(id);
      known.push(record);
      if (record !== undefined) return record.id;
      checkName(name);
      const made = this.#newRecord(parent, name, facts[at], firstIds[at]);
      this.#store.putListed(made);
      return made.id;
    });
    return { ids, known };
  }

  #newRecord(parent: bigint, name: string, facts: unknown, first = this.#firstId(parent, name)): NodeRecord {
    const isFree = first >= ID_MIN && this.#store.isFree(first);
    const id = isFree ? first : this.#drawId();
    // Written out, so that all records have one of two hidden classes.
    return facts === undefined
      ? { id, drawn: !isFree, parent, name, removed: false }
      : { id, drawn: !isFree, parent, name, removed: false, facts };
  }

  /** Gives a live node another name or parent. A live node at the target must have been removed before. */
  move(id: bigint, newParent: bigint, newName: string): void {
    const record = this.#live(id);
    if (record.parent === 0n) throw new NodeTableError(`cannot move the root ${id}`);
    const target = this.#store.childId(newParent, newName);
    if (target === id) return;
    if (target !== undefined) throw new NodeTableError(`cannot move ${id}: ${target} is at the target`);
    checkName(newName);
    for (let at = newParent; at !== 0n; at = this.#known(at).parent) {
      if (at === id) throw new NodeTableError(`cannot move ${id} below itself`);
    }
    // It may be, or lie above, the directory whose path was hashed.
    this.#hashed = undefined;
    this.#store.deleteChild(record.parent, record.name);
    this.#retireCookie(record);
    const { facts, drawn, place = { parent: record.parent, name: record.name } } = record;
    const isBack = place.parent === newParent && place.name === newName;
    this.#store.putNode({
      id,
      parent: newParent,
      name: newName,
      removed: false,
      drawn,
      ...(facts !== undefined && { facts }),
      ...(!isBack && { place }),
    });
    this.#store.putChild(newParent, newName, id);
  }

  /** The place that a cookie was given out for, and the facts of who was there: also when it is elsewhere or gone. */
  placeOf(cookie: bigint): (Place & { readonly facts?: unknown }) | undefined {
    const record = this.#store.node(cookie);
    if (record === undefined) return undefined;
    const { facts } = record;
    return { ...(record.place ?? record), ...(facts !== undefined && { facts }) };
  }

  /**
   * A cookie for where a live node is. Its id is one from the start, and stands for that place for ever. In another place, or where the owner
   * sees another kind of thing there, it gets an id that was drawn for it, with a record that stays, as those of removed nodes do, when the node
   * leaves the place or goes. `fits` tells whether the facts of a cookie's place are right; `facts` are those of a new one.
   */
  cookieOf(record: NodeRecord, fits: (facts: unknown) => boolean, facts: unknown): bigint {
    const { id, parent, name, place, cookie } = record;
    if (place === undefined && fits(record.facts)) return id;
    const known = cookie === undefined ? undefined : this.#store.node(cookie);
    if (known !== undefined && fits(known.facts)) return known.id;
    this.#retireCookie(record);
    const drawn = this.#drawId();
    this.#store.putNode({ id: drawn, parent, name, removed: true, drawn: true, facts });
    this.#store.putNode({ ...record, cookie: drawn });
    return drawn;
  }

  /** Nobody is given the node's cookie any more: its record is collected with those that are removed now. */
  #retireCookie({ cookie }: NodeRecord): void {
    const record = cookie === undefined ? undefined : this.#store.node(cookie);
    if (record !== undefined) this.#store.putRemoved(record, this.#nowMs());
  }

  /**
   * Marks a node removed. Its record stays as it is until it is collected. What lies below it stays as it is, without a path.
   */
  remove(id: bigint): void {
    const record = this.#known(id);
    if (record.removed) return;
    if (record.parent === 0n) throw new NodeTableError(`cannot remove the root ${id}`);
    this.#store.deleteChild(record.parent, record.name);
    this.#retireCookie(record);
    this.#store.putRemoved(record, this.#nowMs());
  }

  /**
   * Takes away what is left of nodes that were removed before `beforeMs` (milliseconds since the epoch) and of all that lies below
   * them, at most `max` nodes of it, but for those that are `inUse`. Their ids are never given again. Resolves to false when it found nothing to do.
   */
  async collect(beforeMs: number, max: number, inUse: (id: bigint) => boolean): Promise<boolean> {
    let done = 0;
    await this.#store.committed();
    this.#hashed = undefined;
    for (const removal of this.#store.removals(beforeMs)) {
      let left = inUse(removal.id);
      for (const child of this.children(removal.id)) {
        if (done >= max) break;
        if (inUse(child.id)) left = true;
        else {
          // No scan will come back to it: it is collected at once.
          this.#store.deleteChild(child.parent, child.name);
          this.#retireCookie(child);
          this.#store.putRemoved(child, 0);
          done++;
        }
      }
      if (done >= max) break;
      if (left) continue;
      this.#store.bury(removal);
      done++;
    }
    await this.#store.committed();
    return done > 0;
  }

  /** Replaces the owner's value; `undefined` takes it away. */
  setFacts(id: bigint, facts: unknown): void {
    const { parent, name, removed, drawn, place, cookie } = this.#known(id);
    this.#store.putNode({
      id,
      parent,
      name,
      removed,
      drawn,
      ...(facts !== undefined && { facts }),
      ...(place !== undefined && { place }),
      ...(cookie !== undefined && { cookie }),
    });
  }

  /** Names from the root of the volume down to the node; undefined if it or a node above is removed or unknown. */
  path(id: bigint): string[] | undefined {
    const names: string[] = [];
    for (let record = this.#store.node(id); record !== undefined; record = this.#store.node(record.parent)) {
      if (record.removed) return undefined;
      if (record.parent === 0n) return names.reverse();
      names.push(record.name);
    }
    return undefined;
  }

  /** The volume that a node belongs to, also of a removed one. */
  volumeOf(id: bigint): string | undefined {
    let record = this.#store.node(id);
    while (record !== undefined && record.parent !== 0n) record = this.#store.node(record.parent);
    return record?.name;
  }

  /** Live nodes seen in `parent`, as they are when the iteration starts, without those that go meanwhile. In no promised order. */
  *children(parent: bigint): Generator<NodeRecord> {
    for (const id of this.#store.childIds(parent)) {
      const record = this.#store.node(id);
      if (record !== undefined && !record.removed && record.parent === parent) yield record;
    }
  }

  /** Resolves when all changes so far are committed: they survive a kill of this process. Errors: NodeLogError. */
  settled(): Promise<void> {
    return this.#store.settled();
  }

  /** Another number once anything has changed but for new names that `internListed` made. */
  get changes(): number {
    return this.#store.changes;
  }

  /** Nodes with changes that a kill of this process would lose. */
  get unloggedNodes(): number {
    return this.#store.unloggedNodes;
  }

  /** Undefined, unless many changes wait for the database: then resolves when it has taken some. Never rejects. */
  room(): Promise<void> | undefined {
    return this.#store.room();
  }

  /** As settled(), but for facts that were set since: the path of every node is safe. */
  named(): Promise<void> {
    return this.#store.named();
  }

  /** Resolves when all changes so far are on the disk. */
  flushed(): Promise<void> {
    return this.#store.flushed();
  }

  /** Writes what is left and closes. The table is not used again. */
  close(): Promise<void> {
    return this.#store.close();
  }

  #known(id: bigint): NodeRecord {
    const record = this.#store.node(id);
    if (record === undefined) throw new NodeTableError(`no node ${id}`);
    return record;
  }

  #live(id: bigint): NodeRecord {
    const record = this.#known(id);
    if (record.removed) throw new NodeTableError(`node ${id} is removed`);
    return record;
  }

  /**
   * The id of the first node at a place: a hash of the path, so that it can be found again. Later nodes at the place get random ids: counting would take
   * longer with every one.
   */
  #firstId(parent: bigint, name: string): bigint {
    const prefix = this.#prefixOf(parent);
    const bytes = this.#nameBytes.write(name);
    const [high = 0, low = 0] = this.#hash.words(this.#nameBytes, prefix, bytes);
    return this.#idOf(high, low);
  }

  /** As `#firstId`, of many names: undefined of those whose id is known, and of names that are too long to be hashed with others. */
  #firstIds(
    parent: bigint,
    names: readonly string[],
    known: readonly (bigint | undefined)[],
  ): (bigint | undefined)[] {
    const ids: (bigint | undefined)[] = Array.from({ length: names.length });
    const places: number[] = [];
    let end = 0;
    const hash = (): void => {
      const words = this.#hash.many(this.#nameBytes, this.#nameEnds, places.length, this.#prefixOf(parent));
      for (const [index, at] of places.entries())
        ids[at] = this.#idOf(words[WORDS_OF_MANY * index] ?? 0, words[WORDS_OF_MANY * index + 1] ?? 0);
      places.length = 0;
      end = 0;
    };
    for (const [at, name] of names.entries()) {
      if (known[at] !== undefined || name.length > NAME_BYTES_MAX / UNIT_BYTES_MAX) continue;
      end += this.#nameBytes.write(name, end);
      this.#nameEnds[places.length] = end;
      if (places.push(at) === HASHED_NAMES) hash();
    }
    if (places.length > 0) hash();
    return ids;
  }

  #prefixOf(parent: bigint): HashedPrefix {
    if (this.#hashed?.parent !== parent)
      this.#hashed = { parent, prefix: this.#hash.prefix(this.#pathOf(parent)) };
    return this.#hashed.prefix;
  }

  #idOf(high: number, low: number): bigint {
    this.#idBytes.setUint32(0, high >>> ID_SHIFT);
    this.#idBytes.setUint32(4, (high << (32 - ID_SHIFT)) | (low >>> ID_SHIFT));
    return this.#idBytes.getBigUint64(0);
  }

  /** What the hashed path of each name in `parent` begins with: volume and names from the root down. Names hold no NUL, so no two paths give the same bytes. */
  #pathOf(parent: bigint): Buffer {
    const names: string[] = [];
    for (let at = parent; at !== 0n;) {
      const record = this.#known(at);
      names.push(record.name);
      at = record.parent;
    }
    return Buffer.from(['s3nfsd node', FIRST, ...names.reverse(), ''].join('\0'));
  }

  #drawId(): bigint {
    for (;;) {
      const id = randomBytes(8).readBigUInt64BE(0) >> BigInt(ID_SHIFT);
      if (id >= ID_MIN && this.#store.isFree(id)) return id;
    }
  }
}

function checkName(name: string): void {
  if (name === '' || name.includes('\0') || Buffer.byteLength(name) > NAME_BYTES_MAX) {
    throw new NodeTableError(`not a name for a node: ${JSON.stringify(name.slice(0, 100))}`);
  }
}
