/**
 * Empty directories where no markers are put (`--directory-markers off`): those that clients made and have put nothing into yet, and those whose last
 * entry was removed. Nothing in the bucket shows them. They are in the journal, so that a restart finds them again, and only this daemon has them
 * (docs/decisions/0041-directories-without-markers.md).
 */
import type { NodeTable } from '../state/node-table.js';
import type { Intent, IntentLog } from './intent-log.js';
import type { NodeCache } from './node-cache.js';
import type { DirectoryNode } from './node.js';

export type KeptIntent = Extract<Intent, { kind: 'kept-directory' }>;

const keptRef = (id: bigint): string => `kept:${id}`;

/** The part of a volume that is used here. */
interface DirectoryTree {
  readonly name: string;
  readonly table: NodeTable;
  readonly nodes: NodeCache;
  readonly intents: IntentLog;
  readonly root: DirectoryNode;
  pathOf(directory: DirectoryNode): string[];
  parentOf(directory: DirectoryNode): DirectoryNode;
  nameOf(directory: DirectoryNode): string;
}

export class KeptDirectories {
  readonly #volume: DirectoryTree;
  /** Each with the promise that resolves when the journal has it. */
  readonly #kept = new Map<DirectoryNode, Promise<void>>();

  constructor(volume: DirectoryTree) {
    this.#volume = volume;
  }

  /** How many there are. */
  get size(): number {
    return this.#kept.size;
  }

  /** Resolves when it is safe on disk that the directory is there. */
  async keep(directory: DirectoryNode): Promise<void> {
    const known = this.#kept.get(directory);
    if (known !== undefined) return await known;
    const { name, nodes, intents } = this.#volume;
    const journaled = intents.put(keptRef(directory.id), {
      kind: 'kept-directory',
      volume: name,
      path: this.#volume.pathOf(directory),
      nodeId: String(directory.id),
    });
    this.#kept.set(directory, journaled);
    nodes.hold(directory);
    try {
      await journaled;
    } catch (error) {
      this.#letGo(directory);
      throw error;
    }
  }

  /** Whether the directory is kept here; resolves when that is on the disk. */
  async has(directory: DirectoryNode): Promise<boolean> {
    await this.#kept.get(directory);
    return this.#kept.has(directory);
  }

  /** Called when the directory is removed. Resolves when a crash can't bring it back. */
  async drop(directory: DirectoryNode): Promise<void> {
    if (!this.#kept.has(directory)) return;
    this.#letGo(directory);
    await this.#volume.intents.drop(keptRef(directory.id));
  }

  /** Called when another directory has taken its name. Doesn't wait for the disk. */
  replaced(directory: DirectoryNode): void {
    if (!this.#kept.has(directory)) return;
    this.#letGo(directory);
    this.#volume.intents.end(keptRef(directory.id));
  }

  /** Called when the bucket has something in the directory: from now on that keeps it, and the directories above. */
  filled(directory: DirectoryNode): void {
    if (this.#kept.size === 0) return;
    let isNews = false;
    for (let each = directory; each !== this.#volume.root; each = this.#volume.parentOf(each)) {
      isNews ||= this.#kept.has(each);
      this.replaced(each);
      // No listing had it: in the next one it would be taken for what somebody else made.
      if (isNews)
        this.#volume.parentOf(each).noteEntry({ name: this.#volume.nameOf(each), kind: 'directory' });
    }
  }

  /** Names of those entries of `directory` that are kept directories, or have one below. */
  namesIn(directory: DirectoryNode): ReadonlySet<string> {
    if (this.#kept.size === 0) return NONE;
    const { table } = this.#volume;
    const above = table.path(directory.id) ?? [];
    const paths = [...this.#kept.keys()].map(({ id }) => table.path(id) ?? []);
    const below = paths.filter(
      (path) => path.length > above.length && above.every((name, at) => path[at] === name),
    );
    return new Set(below.map((path) => path[above.length] ?? ''));
  }

  /** Takes over a directory that an earlier run kept. */
  async restore(ref: string, intent: KeptIntent): Promise<void> {
    const { table, nodes, intents } = this.#volume;
    const id = BigInt(intent.nodeId);
    const directory = table.get(id) === undefined ? this.#at(intent.path) : nodes.get(id);
    if (directory?.kind !== 'directory') return intents.end(ref);
    if (directory.id !== id) {
      // A loss of power took its record from the node table: it is kept under a new id.
      await this.keep(directory);
      return intents.end(ref);
    }
    this.#kept.set(directory, Promise.resolve());
    nodes.hold(directory);
  }

  #at(path: readonly string[]): DirectoryNode {
    let directory = this.#volume.root;
    for (const name of path) directory = this.#volume.nodes.entry(directory, name, 'directory');
    return directory;
  }

  #letGo(directory: DirectoryNode): void {
    this.#kept.delete(directory);
    this.#volume.nodes.release(directory);
  }
}

const NONE: ReadonlySet<string> = new Set();
