/**
 * Markers: the objects `key/` that keep empty directories and carry the attributes of directories. Where no markers are put
 * (`--directory-markers off`) the state directory keeps both (kept-directories.ts).
 */
import type { WriteCondition } from '../store/object-store.js';
import { applyAttributes } from './apply-attributes.js';
import type { ChangeWitness } from './content.js';
import { FsError } from './errors.js';
import type { AttributeChanges } from './file-system.js';
import { applyMarker } from './marker-news.js';
import { NEVER_MS, type DirectoryNode } from './node.js';
import { LIST_KEYS_MAX, headersOnly } from './store-answers.js';
import { isReplaced, rethrowAsFsError, toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** How often a marker that somebody else keeps rewriting is tried. */
const ATTEMPTS_MAX = 3;

/** Entries of a directory whose objects are about to be deleted. */
interface Leaving {
  /** How many removals and renames are under way. */
  underWay: number;
  /** Keys of files, and prefixes of directories, of all that left since the first of these began. */
  readonly keys: Set<string>;
}

export class Markers {
  readonly #volume: Volume;
  readonly #leaving = new Map<DirectoryNode, Leaving>();

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
    if (differs) directory.attributesInState = volume.keepsAttributesInState('directory');
    if (differs && !directory.attributesInState && volume.prefixOf(directory) !== '')
      await this.#putAttributes(directory, changes);
    volume.nodes.save(directory);
    await volume.attributesFlushed(directory);
  }

  /** Puts the marker with the attributes. Where somebody else rewrote it meanwhile, theirs is read and only `changes` are applied to it. */
  async #putAttributes(directory: DirectoryNode, changes: AttributeChanges): Promise<void> {
    const volume = this.#volume;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#put(directory);
      } catch (error) {
        directory.validatedMs = NEVER_MS;
        if (!isReplaced(error) || attempt >= ATTEMPTS_MAX)
          throw toFsError(error, { 'precondition-failed': 'EJUKEBOX', 'not-found': 'EJUKEBOX' });
        const prefix = volume.prefixOf(directory);
        directory.marker = undefined;
        const theirs = await volume.store.head(prefix).catch(rethrowAsFsError);
        await applyMarker(volume, directory, prefix, theirs);
        applyAttributes(directory, changes, volume.nowNs);
      }
    }
  }

  /**
   * Called before an entry's object, or all below its prefix (`key` ends in a slash), is deleted. A directory that nothing else would keep gets its
   * marker first, so that no crash takes it along. The function returned is to be called as soon as the entry is gone, or its removal has failed: false where
   * `keepIfCan` is to look at the directory again.
   */
  async leave(directory: DirectoryNode, key: string): Promise<() => boolean> {
    const leaving = this.#leaving.get(directory) ?? { underWay: 0, keys: new Set<string>() };
    this.#leaving.set(directory, leaving);
    leaving.underWay++;
    leaving.keys.add(key);
    const isKept = await this.#keepWithout(directory, leaving);
    return () => {
      leaving.underWay--;
      if (leaving.underWay === 0) this.#leaving.delete(directory);
      return isKept;
    };
  }

  /** Whether the directory is kept without the entries that are leaving. Of several removals at the same time, the last one to look sees that nothing stays. */
  async #keepWithout(directory: DirectoryNode, leaving: Leaving): Promise<boolean> {
    const volume = this.#volume;
    const { keys } = leaving;
    if (directory.permanent || directory.marker != null) return true;
    try {
      if (await volume.kept.has(directory)) return true;
      if (directory.listedEntries > leaving.underWay && volume.isFresh(directory)) return true;
      // Asked, and not taken from the listing: keys that the mount hides keep it, too.
      const { objects, prefixes } = await volume.store.list({
        prefix: volume.prefixOf(directory),
        maxKeys: Math.min(LIST_KEYS_MAX, keys.size + 1),
        // A directory that leaves may have any number of keys: delimited, it counts as one.
        ...([...keys].some((key) => key.endsWith('/')) && { delimiter: '/' }),
      });
      const stays = [...objects.map(({ key }) => key), ...prefixes].some((key) => !keys.has(key));
      if (!stays) await this.#hold(directory);
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
    if (directory.gone || directory.permanent || directory.marker != null) return;
    if (await volume.kept.has(directory)) return;
    if (directory.listedEntries > 0 && volume.isFresh(directory)) return;
    const page = await volume.store.list({ prefix: volume.prefixOf(directory), maxKeys: 1 });
    if (page.objects.length === 0) await this.#hold(directory);
  }

  /** Keeps the directory by a marker, or by a record in the journal. A marker that somebody else put meanwhile does as well. */
  async #hold(directory: DirectoryNode): Promise<void> {
    if (!this.#volume.hasMarkers) return await this.#volume.kept.keep(directory);
    try {
      await this.#put(directory);
    } catch (error) {
      if (!isReplaced(error)) throw error;
      directory.marker = undefined;
      directory.validatedMs = NEVER_MS;
    }
  }

  /** Puts the marker over the version that is known, or where none is. Errors: StoreError; `precondition-failed` or `not-found` where somebody else changed it. */
  async #put(node: DirectoryNode): Promise<void> {
    const volume = this.#volume;
    const prefix = volume.prefixOf(node);
    if (node.marker === undefined || (node.marker !== null && node.markerHeaders === undefined)) {
      const head = await volume.store.head(prefix);
      if (node.marker === undefined && head !== undefined)
        node.marker = { etag: head.etag, lastModifiedMs: head.lastModifiedMs };
      node.marker ??= null;
      if (head !== undefined) node.markerHeaders = headersOnly(head);
      node.markerBytes = head?.size ?? 0;
    }
    const headers = volume.headersOf(node);
    const condition: WriteCondition =
      node.marker === null ? { ifNoneMatch: '*' } : { ifMatch: node.marker.etag };
    // What others put into it stays.
    const { marker, markerBytes: size } = node;
    const written = await (marker !== null && size > 0
      ? volume.store.copy(prefix, prefix, { sourceEtag: marker.etag, headers, condition, size })
      : volume.store.put(prefix, [], headers, condition));
    node.marker = { etag: written.etag, lastModifiedMs: written.lastModifiedMs };
    node.markerHeaders = headers;
    node.epoch++;
  }
}
