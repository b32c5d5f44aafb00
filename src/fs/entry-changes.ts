/** What CREATE, MKDIR, SYMLINK, REMOVE and RMDIR share: the lock on the entry, and the bookkeeping of the directory that it is in. */
import { applyAttributes } from './apply-attributes.js';
import { FsError } from './errors.js';
import type { AttributeChanges, Caller } from './file-system.js';
import type { Freshness } from './freshness.js';
import type { DirectoryNode, EntryChange, FsNode } from './node.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** Checks a change of an entry before it is made; throws an FsError to refuse it. */
export type Guard = (node: FsNode) => void;

/** The owner of a new file or directory, and its mode where the call gives none: the default of the export it is made through. */
export interface Owner extends Caller {
  readonly newMode: number;
}

/** The node that a call made; without `change` where it existed before. */
export interface Made<N extends FsNode> {
  readonly node: N;
  readonly change?: EntryChange;
}

export class EntryChanges {
  readonly #volume: Volume;
  readonly #freshness: Freshness;

  constructor(volume: Volume, freshness: Freshness) {
    this.#volume = volume;
    this.#freshness = freshness;
  }

  /** Sets the attributes of a node that is being made. `nowNs` is passed in so that the node and the object's metadata have the same times. */
  setNew(node: FsNode, attributes: AttributeChanges, owner: Owner, nowNs: bigint): void {
    node.attributesInState = this.#volume.keepsAttributesInState(node.kind);
    const { newMode: mode, uid, gid } = owner;
    applyAttributes(node, { mode, uid, gid, atimeNs: nowNs, mtimeNs: nowNs, ...attributes }, nowNs);
    node.touchCtime(nowNs);
  }

  /** The error of a create call that failed. The store may have carried it out all the same, so the next look at the name asks it. */
  notMade(directory: DirectoryNode, name: string, error: unknown): FsError {
    this.#freshness.distrust(directory, name);
    directory.touchEntries(this.#volume.nowNs);
    return toFsError(error, { 'precondition-failed': 'EEXIST' });
  }

  /** Saves a node that was made, and moves its directory's times. */
  made(directory: DirectoryNode, node: FsNode): EntryChange {
    const change = directory.touchEntries(this.#volume.nowNs);
    this.#volume.nodes.save(directory);
    this.#volume.nodes.save(node);
    return change;
  }

  /** Forgets a node that was removed, and moves its directory's times. */
  gone(directory: DirectoryNode, name: string, node: FsNode): EntryChange {
    const volume = this.#volume;
    volume.nodes.forget(node.id);
    directory.noteAbsent(name, volume.clock.nowMs());
    const change = directory.touchEntries(volume.nowNs);
    volume.nodes.save(directory);
    return change;
  }

  /** EEXIST where the name is taken. */
  async requireAbsent(directory: DirectoryNode, name: string): Promise<void> {
    const existing = await this.#freshness.entryIfAny(directory, name);
    if (existing !== undefined) throw new FsError('EEXIST', `"${name}" exists`);
  }

  /** Runs `task` while nobody else changes the entry; with 'and below', nor anything below it. `patience` ends the wait for the lock. */
  async alone<T>(
    directory: DirectoryNode,
    name: string,
    task: () => Promise<T>,
    reach: 'entry' | 'and below' = 'entry',
    patience?: AbortSignal,
  ): Promise<T> {
    const volume = this.#volume;
    return volume.locks.run(
      () => {
        const changes = volume.silly.keysOf(directory, name);
        return {
          changes,
          ...(reach === 'and below' && { moves: [`${volume.entryKey(directory, name)}/`] }),
        };
      },
      task,
      patience,
    );
  }
}
