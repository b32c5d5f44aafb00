/**
 * Nodes in memory, by id. There is one object a node for as long as anybody holds it: state that two objects disagreed on
 * would be lost. Idle nodes leave by age of use; the state database remembers them.
 */
import type { InternedNames, NodeRecord, NodeTable } from '../state/node-table.js';
import { Recent } from '../state/recent.js';
import { toNs } from './clock.js';
import { FsError } from './errors.js';
import { bareFacts, factsOf, hasProof, kindOf, nodeFromFacts } from './facts.js';
import { ListedVersions, type ListedVersion } from './listed-versions.js';
import { DirectoryNode, FileNode, type FsNode, type ListedEntry } from './node.js';
import { rethrowAsFsError } from './store-errors.js';

/** About 1 KiB each, and as much again for the collector. */
const NODES_KEPT_MAX = 50_000;

/** A listed name. */
export interface ListedNode {
  readonly id: bigint;
  readonly cookie: bigint;
  readonly node: FsNode | undefined;
  /** The page is older than what has the name now, which was made here and is of the other kind: what the page tells of it is over. */
  readonly isOutdated?: true;
}

/** Versions that scans showed of files without nodes. */
const LISTED_MAX = 16_384;

/**
 * Names that are given out while the state directory's disk has no room to write them down, some 300 bytes each: a kill would make their handles
 * STALE until they are looked up again. Beyond it they aren't given out.
 */
const UNWRITTEN_MAX = 16_384;

export class NodeCache {
  readonly #table: NodeTable;
  readonly #kept: Recent<bigint, FsNode>;
  readonly #held = new Map<bigint, WeakRef<FsNode>>();
  readonly #listed = new ListedVersions(LISTED_MAX);
  readonly #collected = new FinalizationRegistry<bigint>((id) => {
    if (this.#held.get(id)?.deref() === undefined) this.#held.delete(id);
  });
  /** Nodes with something unpublished: never forgotten. */
  readonly #busy = new Set<FileNode>();
  /** Empty directories without markers (kept-directories.ts): never forgotten, either. */
  readonly #heldDirectories = new Set<DirectoryNode>();
  /** Nodes made, moved or removed so far, and how many of those are certain to be so after the death of this process. */
  #changes = 0;
  #settledChanges = 0;
  #namedChanges = 0;
  /** Nodes made in memory so far. */
  #made = 0;

  /** Keeps at most `keptMax` nodes that nobody else holds. */
  constructor(table: NodeTable, keptMax = NODES_KEPT_MAX) {
    this.#table = table;
    this.#kept = new Recent(keptMax);
  }

  /** The node in memory, without asking the database. */
  peek(id: bigint): FsNode | undefined {
    return this.#kept.get(id) ?? this.#held.get(id)?.deref();
  }

  /** The node, from the database if need be; undefined where it was removed or never known by kind. */
  get(id: bigint): FsNode | undefined {
    const kept = this.#kept.get(id);
    if (kept !== undefined) return kept.gone ? undefined : kept;
    const held = this.#held.get(id)?.deref();
    if (held !== undefined) {
      this.#kept.set(id, held);
      return held.gone ? undefined : held;
    }
    const record = this.#table.get(id);
    if (record === undefined || record.removed || kindOf(record.facts) === undefined) return undefined;
    return this.#keep(nodeFromFacts(id, record.facts));
  }

  /** The node of a name that the store has, or that is being made: a name whose kind changed gets another node. */
  entry(parent: DirectoryNode, name: string, kind: 'file'): FileNode;
  entry(parent: DirectoryNode, name: string, kind: 'directory'): DirectoryNode;
  entry(parent: DirectoryNode, name: string, kind: 'file' | 'directory'): FsNode;
  entry(parent: DirectoryNode, name: string, kind: 'file' | 'directory'): FsNode {
    const known = this.#table.child(parent.id, name);
    if (known !== undefined) {
      const node = this.get(known.id);
      if (node?.kind === kind) return node;
      if (node !== undefined || kindOf(known.facts) !== undefined) this.forget(known.id);
    }
    if (this.#table.get(parent.id) === undefined)
      throw new FsError('ESTALE', `directory ${parent.id} was removed`);
    const { id } = this.#table.intern(parent.id, name);
    this.#changes++;
    this.#table.setFacts(id, bareFacts(kind));
    return this.#keep(kind === 'directory' ? new DirectoryNode(id) : new FileNode(id));
  }

  /**
   * Ids and cookies of names that a page of `takenMs` lists, in their order. A node comes with those that have one in memory, or whose attributes a listing may
   * confirm. For the others none is made: a listing may have a million names. ESTALE when the directory was removed.
   */
  listed(
    parent: DirectoryNode,
    entries: readonly Pick<ListedEntry, 'name' | 'kind'>[],
    takenMs: number,
  ): ListedNode[] {
    const { ids, known } = this.#interned(parent, entries);
    return ids.map((id, at) => {
      const record = known[at];
      if (record === undefined) return { id, cookie: id, node: undefined };
      const { name = '', kind = 'file' } = entries[at] ?? {};
      return this.#known(parent, record, { name, kind }, takenMs);
    });
  }

  /**
   * The ids of names, as `listed` has them, where it would tell nothing else of any of them: undefined where one has a node, or facts that a listing may confirm,
   * or another cookie. They are good until `changes` is another number.
   */
  bareIds(
    parent: DirectoryNode,
    entries: readonly Pick<ListedEntry, 'name' | 'kind'>[],
  ): BigUint64Array | undefined {
    const { ids, known } = this.#interned(parent, entries);
    const isBare = known.every((record, at) => {
      if (record === undefined) return true;
      const { id, place, facts } = record;
      const isSame = place === undefined && kindOf(facts) === entries[at]?.kind;
      return isSame && !hasProof(facts) && this.peek(id) === undefined;
    });
    return isBare ? BigUint64Array.from(ids) : undefined;
  }

  /** Another number once a node was made in memory or anything in the table has changed, but for names that a listing showed for the first time. */
  get changes(): number {
    return this.#made + this.#table.changes;
  }

  /** ESTALE when the directory was removed. */
  #interned(parent: DirectoryNode, entries: readonly Pick<ListedEntry, 'name' | 'kind'>[]): InternedNames {
    if (this.#table.get(parent.id) === undefined)
      throw new FsError('ESTALE', `directory ${parent.id} was removed`);
    const interned = this.#table.internListed(
      parent.id,
      entries.map(({ name }) => name),
      entries.map(({ kind }) => bareFacts(kind)),
    );
    for (const record of interned.known) if (record === undefined) this.#changes++;
    return interned;
  }

  #known(
    parent: DirectoryNode,
    known: NodeRecord,
    { name, kind }: Pick<ListedEntry, 'name' | 'kind'>,
    takenMs: number,
  ): ListedNode {
    const present = this.peek(known.id);
    if (kindOf(known.facts) === kind) {
      const node = present ?? (hasProof(known.facts) ? this.get(known.id) : undefined);
      return {
        id: known.id,
        cookie: this.#cookieOf(known, kind),
        node: node?.gone === true ? undefined : node,
      };
    }
    // Somebody made a directory of a file that isn't published yet, or the other way round: it stands where the store has the name.
    if (present !== undefined && !present.gone && this.isHeld(present))
      return { id: present.id, cookie: this.#cookieOf(known, kind), node: present };
    const since = this.get(known.id);
    if (since !== undefined && isChangedSince(parent, takenMs) && isChangedSince(since, takenMs))
      return { id: known.id, cookie: known.id, node: undefined, isOutdated: true };
    const node = this.entry(parent, name, kind);
    return { id: node.id, cookie: node.id, node };
  }

  /** What a scan showed of a file that has no node: it is there when the node is made. */
  noteListed(id: bigint, listed: ListedVersion): void {
    this.#listed.set(id, listed);
  }

  #cookieOf(record: NodeRecord, kind: 'file' | 'directory'): bigint {
    if (record.place === undefined && kindOf(record.facts) === kind) return record.id;
    const { cookie } = record;
    const given = this.#table.cookieOf(record, (facts) => kindOf(facts) === kind, bareFacts(kind));
    if (given !== cookie) this.#changes++;
    return given;
  }

  /** The root of a volume. */
  root(volume: string): DirectoryNode {
    const { id, facts } = this.#table.root(volume);
    if (kindOf(facts) === undefined) this.#table.setFacts(id, bareFacts('directory'));
    const node = this.get(id);
    if (node?.kind !== 'directory') throw new FsError('EFAULT', `the root of ${volume} is not a directory`);
    node.permanent = true;
    return node;
  }

  /** What the store says of its name doesn't end the node: it, or something below it, isn't published, or an export begins at it. */
  isHeld(node: FsNode): boolean {
    if (node.kind === 'file') return node.unpublished || node.relocating || node.silly?.withheld === true;
    return node.permanent || this.#heldDirectories.has(node) || this.hasBusyBelow(node);
  }

  /** Keeps the directory, whatever the store says, until it is released. */
  hold(directory: DirectoryNode): void {
    this.#heldDirectories.add(directory);
  }

  release(directory: DirectoryNode): void {
    this.#heldDirectories.delete(directory);
  }

  /** Something below the directory isn't published, or is a held directory. */
  hasBusyBelow(directory: DirectoryNode): boolean {
    for (const node of [...this.#busy, ...this.#heldDirectories]) {
      let record = this.#table.get(node.id);
      while (record !== undefined && !record.removed && record.parent !== 0n) {
        if (record.parent === directory.id) return true;
        record = this.#table.get(record.parent);
      }
    }
    return false;
  }

  /** Remembers what is known of a node over a restart. */
  save(node: FsNode): void {
    if (!node.gone && this.#table.get(node.id) !== undefined) this.#table.setFacts(node.id, factsOf(node));
  }

  /** The file is gone: its handles are stale from now on and its id is not used again. */
  forget(id: bigint): void {
    const node = this.peek(id);
    if (node !== undefined) {
      node.gone = true;
      if (node.kind === 'file') this.#busy.delete(node);
    }
    this.#kept.delete(id);
    this.#table.remove(id);
    this.#changes++;
  }

  /**
   * Takes out of the database what is left of files and directories that were removed before `beforeMs`, and of all that lay below them, at
   * most `max` at once. Resolves to false when there was nothing to do. Files with something unpublished stay: whoever publishes them tells what
   * became of them.
   */
  collectRemoved(beforeMs: number, max: number): Promise<boolean> {
    return this.#table.collect(beforeMs, max, (id) => {
      const node = this.peek(id);
      if (node?.kind === 'file' && node.unpublished) return true;
      if (node !== undefined) node.gone = true;
      this.#kept.delete(id);
      return false;
    });
  }

  /** Gives the node another name or directory; whatever had that name is gone. */
  move(node: FsNode, directory: DirectoryNode, name: string): void {
    const there = this.#table.child(directory.id, name);
    if (there !== undefined && there.id !== node.id) this.forget(there.id);
    this.#table.move(node.id, directory.id, name);
    this.#changes++;
  }

  /**
   * Resolves when every node that was made, moved or removed so far is so after the death of this process: before its handle is
   * given away, or the call answered. Undefined when they all are. Errors: ENOSPC, EIO.
   */
  settled(): Promise<void> | undefined {
    return this.#settledChanges === this.#changes ? undefined : this.#settle(this.#changes);
  }

  async #settle(changes: number): Promise<void> {
    await this.#table.settled().catch(rethrowAsFsError);
    this.#settledChanges = Math.max(this.#settledChanges, changes);
  }

  /**
   * As `named`, for a page of a listing: waits also where the database is behind, so that a scan of a million names doesn't outrun it.
   */
  async listedSettled(): Promise<void> {
    await this.settled()?.catch((error: unknown) => this.#unlessFull(error));
    await this.#table.room();
  }

  /**
   * As `settled`, but for what was saved of nodes since: enough for a handle to be good after the death of this process, and a commit
   * sooner where what the store says of a file was saved behind its making. A full disk keeps nobody from finding and reading files. Errors: EIO;
   * ENOSPC where thousands of names wait for room.
   */
  named(): Promise<void> | undefined {
    const known = Math.max(this.#namedChanges, this.#settledChanges);
    return known === this.#changes ? undefined : this.#name(this.#changes);
  }

  async #name(changes: number): Promise<void> {
    try {
      await this.#table.named().catch(rethrowAsFsError);
    } catch (error) {
      return this.#unlessFull(error);
    }
    this.#namedChanges = Math.max(this.#namedChanges, changes);
  }

  /** Throws the error again, unless it says that the disk is full and not too much waits for it. */
  #unlessFull(error: unknown): void {
    const isFull = error instanceof FsError && error.code === 'ENOSPC';
    if (!isFull || this.#table.unloggedNodes > UNWRITTEN_MAX) throw error;
  }

  /** Keeps a file in memory for as long as something of it is unpublished. */
  trackBusy(node: FileNode): void {
    if (node.unpublished) this.#busy.add(node);
    else this.#busy.delete(node);
  }

  /** Every node in memory. */
  *present(): Generator<FsNode> {
    for (const reference of this.#held.values()) {
      const node = reference.deref();
      if (node !== undefined && !node.gone) yield node;
    }
  }

  /** Files with something unpublished. */
  busy(): FileNode[] {
    return [...this.#busy];
  }

  #keep(node: FsNode): FsNode {
    this.#made++;
    if (node.kind === 'file') {
      node.listed = this.#listed.take(node.id);
    }
    this.#kept.set(node.id, node);
    this.#held.set(node.id, new WeakRef(node));
    this.#collected.register(node, node.id);
    return node;
  }
}

/** Each change made here moves ctime. So may what others change, by the store's clock: where it matters, a directory and its entry are both asked. */
function isChangedSince({ ctimeNs }: FsNode, takenMs: number): boolean {
  return ctimeNs >= toNs(takenMs);
}
