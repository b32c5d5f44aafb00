/** Markers: the objects `key/` that keep directories that nothing lies in, and carry the attributes of directories. */
import { applyAttributes } from './apply-attributes.js';
import type { ChangeWitness } from './content.js';
import { FsError } from './errors.js';
import type { AttributeChanges } from './file-system.js';
import type { DirectoryNode } from './node.js';
import { headersOnly } from './store-answers.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

export class Markers {
  readonly #volume: Volume;

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  /** SETATTR of a directory: attributes live on the marker. The root of a bucket has none, and keeps them in the state directory. */
  async setattr(directory: DirectoryNode, changes: AttributeChanges, witness: ChangeWitness): Promise<void> {
    const volume = this.#volume;
    if (changes.size !== undefined) throw new FsError('EISDIR', 'a directory has no size to set');
    witness.mayBegin();
    witness.before();
    const differs = applyAttributes(directory, changes, volume.nowNs);
    directory.touchCtime(volume.nowNs);
    witness.after();
    if (differs) directory.attributesHere = volume.keepsAttributesHere();
    if (differs && !directory.attributesHere && volume.prefixOf(directory) !== '')
      await this.#put(directory).catch(rethrow);
    volume.nodes.save(directory);
    await volume.keptAttributes(directory);
  }

  /**
   * Called before the object of an entry goes: a directory that nothing else keeps gets its marker first, so that no crash takes it along. What
   * it gives is to be called as soon as the object went: false where the directory is to be looked at again (`keepIfCan`).
   */
  async leave(directory: DirectoryNode, key: string): Promise<() => boolean> {
    directory.leaving++;
    const { entryChanges } = directory;
    const isKept = await this.#keepWithout(directory, key);
    return () => {
      // Of two that leave at the same time each may have seen the other.
      const isAlone = directory.leaving === 1 && directory.entryChanges === entryChanges;
      directory.leaving--;
      return isKept && (isAlone || directory.marker != null);
    };
  }

  async #keepWithout(directory: DirectoryNode, key: string): Promise<boolean> {
    const volume = this.#volume;
    if (directory.permanent || directory.marker != null) return true;
    try {
      if ((directory.listing?.entries.size ?? 0) > 1 && volume.isFresh(directory)) return true;
      // Asked, and not taken from the listing: keys that the mount hides keep it, too.
      const { objects } = await volume.store.list({ prefix: volume.prefixOf(directory), maxKeys: 2 });
      const isLast = objects.every((object) => object.key === key);
      if (isLast) await this.#put(directory);
      return true;
    } catch (error) {
      const which = { err: error, directory: String(directory.id) };
      this.#volume.log.warn(which, 'a directory gets no marker before its last entry goes');
      return false;
    }
  }

  /** Called after an entry left. The entry is gone whether or not its directory can be kept: that is tried again when the next one goes. */
  async keepIfCan(directory: DirectoryNode): Promise<void> {
    try {
      await this.#keep(directory);
    } catch (error) {
      this.#volume.log.warn(
        { err: error, directory: String(directory.id) },
        'an empty directory got no marker',
      );
    }
  }

  /** Removing the last entry keeps the directory, as POSIX users expect. */
  async #keep(directory: DirectoryNode): Promise<void> {
    const volume = this.#volume;
    if (directory.permanent || directory.gone || directory.marker != null) return;
    if ((directory.listing?.entries.size ?? 0) > 0 && volume.isFresh(directory)) return;
    const page = await volume.store.list({ prefix: volume.prefixOf(directory), maxKeys: 1 }).catch(rethrow);
    if (page.objects.length === 0) await this.#put(directory).catch(rethrow);
  }

  async #put(node: DirectoryNode): Promise<void> {
    const volume = this.#volume;
    const prefix = volume.prefixOf(node);
    if (node.marker != null && node.markerHeaders === undefined) {
      const head = await volume.store.head(prefix);
      if (head !== undefined) node.markerHeaders = headersOnly(head);
    }
    const headers = volume.headersOf(node);
    const written = await volume.store.put(prefix, [], headers);
    node.marker = { etag: written.etag, lastModifiedMs: written.lastModifiedMs };
    node.markerHeaders = headers;
    node.epoch++;
  }
}

const rethrow = (error: unknown): never => {
  throw toFsError(error);
};
