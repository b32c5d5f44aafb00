/** What CREATE, MKDIR, SYMLINK, REMOVE and RMDIR have in common: the lock of the entry, and what its directory shows of the change. */
import { applyAttributes } from './apply-attributes.js';
import { FsError } from './errors.js';
import type { AttributeChanges, Caller } from './file-system.js';
import type { Freshness } from './freshness.js';
import type { DirectoryNode, EntryChange, FsNode } from './node.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** Judges a change of an entry before it is made; throws what it refuses. */
export type Guard = (node: FsNode) => void;

/** A node just made; `change` is absent where it was there already. */
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

  /** Attributes of a file or directory that is being made; `nowNs` is one time for the node and for what the store keeps of it. */
  setNew(node: FsNode, attributes: AttributeChanges, owner: Caller, nowNs: bigint): void {
    const volume = this.#volume;
    node.attributesHere = volume.keepsAttributesHere(node.kind);
    const defaultMode = node.kind === 'directory' ? volume.defaults.directoryMode : volume.defaults.fileMode;
    applyAttributes(
      node,
      { mode: defaultMode, uid: owner.uid, gid: owner.gid, atimeNs: nowNs, mtimeNs: nowNs, ...attributes },
      nowNs,
    );
    node.touchCtime(nowNs);
  }

  /** The store may have it all the same: what is known of the name is asked for again. */
  notMade(directory: DirectoryNode, name: string, error: unknown): FsError {
    this.#freshness.distrust(directory, name);
    directory.touchEntries(this.#volume.nowNs);
    return toFsError(error, { 'precondition-failed': 'EEXIST' });
  }

  made(directory: DirectoryNode, node: FsNode): EntryChange {
    const change = directory.touchEntries(this.#volume.nowNs);
    this.#volume.nodes.save(directory);
    this.#volume.nodes.save(node);
    return change;
  }

  gone(directory: DirectoryNode, name: string, node: FsNode): EntryChange {
    const volume = this.#volume;
    volume.nodes.forget(node.id);
    directory.noteAbsent(name, volume.clock.nowMs());
    const change = directory.touchEntries(volume.nowNs);
    volume.nodes.save(directory);
    return change;
  }

  async requireAbsent(directory: DirectoryNode, name: string): Promise<void> {
    const existing = await this.#freshness.entryIfAny(directory, name);
    if (existing !== undefined) throw new FsError('EEXIST', `"${name}" exists`);
  }

  /** Runs alone on the entry, and alone with what lies below it where that must not change. */
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
