/** Changes of the inode tree, collected in memory. changes-form.ts has their binary format. */

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
  /** Where the node was when its id first stood for a place of a directory, if it is elsewhere now: what the id means as a cookie. */
  readonly place?: Place;
  /** The cookie of where it is now, if that isn't its id: the id of a record that has this place as its own. */
  readonly cookie?: bigint;
  /** A small value of the owner's, of what MessagePack carries (bigint below 2^63, Buffer and Date included). */
  readonly facts?: unknown;
}

/** A name in a directory. */
export interface Place {
  readonly parent: bigint;
  readonly name: string;
}

/** What changed of a node. Of a buried one nothing is left but that its id was given, of a dropped one not even that. */
export type NodeChange = NodeRecord | 'buried' | 'dropped';

/** What changed of a directory's children: an id, or GONE for a name that is gone. */
export type ChildChanges = Map<string, bigint>;
export const GONE = 0n;

export interface Removal {
  readonly id: bigint;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

export class NodeChanges {
  readonly nodes = new Map<bigint, NodeChange>();
  readonly children = new Map<bigint, ChildChanges>();
  /** Nodes that were removed, and when. */
  readonly removals: Removal[] = [];
  /** Removals that were seen to. */
  readonly burials: Removal[] = [];

  get empty(): boolean {
    return this.nodes.size === 0 && this.children.size === 0;
  }

  /** What changed of a node. */
  change(id: bigint): NodeChange | undefined {
    return this.nodes.size === 0 ? undefined : this.nodes.get(id);
  }

  changesName(parent: bigint, name: string): boolean {
    // Mostly there are none.
    return this.children.size > 0 && this.children.get(parent)?.has(name) === true;
  }

  setChild(parent: bigint, name: string, id: bigint): void {
    let changes = this.children.get(parent);
    if (changes === undefined) this.children.set(parent, (changes = new Map<string, bigint>()));
    changes.set(name, id);
  }

  /** Takes over what `older` had and these haven't changed since. */
  putUnder(older: NodeChanges): void {
    for (const [id, change] of older.nodes) if (!this.nodes.has(id)) this.nodes.set(id, change);
    this.removals.unshift(...older.removals);
    this.burials.unshift(...older.burials);
    for (const [parent, changes] of older.children) {
      for (const [name, id] of changes) {
        if (this.children.get(parent)?.has(name) !== true) this.setChild(parent, name, id);
      }
    }
  }

  /** Adds what `newer` changed since. */
  putOver(newer: NodeChanges): void {
    for (const [id, change] of newer.nodes) this.nodes.set(id, change);
    for (const [parent, changes] of newer.children)
      for (const [name, id] of changes) this.setChild(parent, name, id);
    this.removals.push(...newer.removals);
    this.burials.push(...newer.burials);
  }
}
