/** MKDIR and RMDIR. Each resolves when a crash can't undo it any more. Changes of one entry run one after the other. */
import type { ObjectSummary } from '../store/object-store.js';
import type { EntryChanges, Guard, Made, Owner } from './entry-changes.js';
import { FsError } from './errors.js';
import type { AttributeChanges } from './file-system.js';
import type { Freshness } from './freshness.js';
import { pagesBelow } from './key-trees.js';
import { deleteVersion } from './lost-condition.js';
import type { Markers } from './markers.js';
import { KEY_BYTES_MAX } from './names.js';
import { DirectoryNode, type EntryChange } from './node.js';
import { isReplaced, rethrowAsFsError, toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

export class Directories {
  readonly #volume: Volume;
  readonly #freshness: Freshness;
  readonly #markers: Markers;
  readonly #entries: EntryChanges;

  constructor(
    volume: Volume,
    parts: { readonly freshness: Freshness; readonly markers: Markers; readonly entries: EntryChanges },
  ) {
    this.#volume = volume;
    this.#freshness = parts.freshness;
    this.#markers = parts.markers;
    this.#entries = parts.entries;
  }

  /** MKDIR (RFC 1813 3.3.9): puts the marker object, or, where no markers are put, records the directory in the journal. EEXIST; ENAMETOOLONG. */
  async mkdir(
    directory: DirectoryNode,
    name: string,
    attributes: AttributeChanges,
    owner: Owner,
  ): Promise<Made<DirectoryNode>> {
    return this.#entries.alone(directory, name, async () => {
      await this.#entries.requireAbsent(directory, name);
      const volume = this.#volume;
      if (Buffer.byteLength(volume.entryKey(directory, name)) >= KEY_BYTES_MAX) {
        throw new FsError(
          'ENAMETOOLONG',
          `the marker of "${name}" would pass S3's ${KEY_BYTES_MAX} bytes of a key`,
        );
      }
      if (!volume.hasMarkers) return await this.#makeHere(directory, name, attributes, owner);
      // The node is made once the store has the marker: one without would be taken for removed.
      const draft = new DirectoryNode(0n);
      const { nowNs } = volume;
      this.#entries.setNew(draft, attributes, owner, nowNs);
      const headers = volume.headersOf(draft);
      if (draft.attributesInState) await this.#rememberFirst(directory, name, draft);
      const prefix = `${volume.entryKey(directory, name)}/`;
      const written = await volume.store
        .put(prefix, [], headers, { ifNoneMatch: '*' })
        .catch((error: unknown) => {
          // The attributes remembered for our directory aren't those of somebody else's.
          if (draft.attributesInState && isReplaced(error))
            volume.nodes.entry(directory, name, 'directory').attributesInState = false;
          throw this.#entries.notMade(directory, name, error);
        });
      const node = volume.nodes.entry(directory, name, 'directory');
      this.#entries.setNew(node, attributes, owner, nowNs);
      node.marker = { etag: written.etag, lastModifiedMs: written.lastModifiedMs };
      node.markerHeaders = headers;
      node.markerBytes = 0;
      node.validatedMs = volume.clock.nowMs();
      node.listing = { takenMs: node.validatedMs, entries: new Map() };
      directory.noteEntry({ name, kind: 'directory' });
      return { node, change: this.#entries.made(directory, node) };
    });
  }

  /** Where no markers are put, an empty directory is in the state directory only, until something is put into it. */
  async #makeHere(
    directory: DirectoryNode,
    name: string,
    attributes: AttributeChanges,
    owner: Owner,
  ): Promise<Made<DirectoryNode>> {
    const volume = this.#volume;
    const node = volume.nodes.entry(directory, name, 'directory');
    this.#entries.setNew(node, attributes, owner, volume.nowNs);
    node.marker = null;
    node.validatedMs = volume.clock.nowMs();
    node.listing = { takenMs: node.validatedMs, entries: new Map() };
    try {
      await volume.kept.keep(node);
    } catch (error) {
      volume.nodes.forget(node.id);
      throw this.#entries.notMade(directory, name, error);
    }
    directory.noteEntry({ name, kind: 'directory' });
    return { node, change: this.#entries.made(directory, node) };
  }

  /** The marker won't carry the attributes: they are saved before it is put, so that they are known also where the answer of the PUT is lost. */
  async #rememberFirst(directory: DirectoryNode, name: string, draft: DirectoryNode): Promise<void> {
    const { nodes } = this.#volume;
    const node = nodes.entry(directory, name, 'directory');
    const { mode, uid, gid, mtimeNs, atimeNs, attributesInState } = draft;
    Object.assign(node, { mode, uid, gid, mtimeNs, atimeNs, attributesInState });
    nodes.save(node);
    await nodes.settled();
  }

  /** RMDIR (RFC 1813 3.3.13). ENOTEMPTY while any key lies under it, also one that the mount hides; ENOTDIR. */
  async rmdir(directory: DirectoryNode, name: string, guard: Guard): Promise<EntryChange> {
    const task = async (): Promise<EntryChange> => {
      const volume = this.#volume;
      const node = await this.#freshness.entry(directory, name);
      guard(node);
      if (node.kind !== 'directory') throw new FsError('ENOTDIR', `"${name}" is not a directory`);
      const marker = await this.requireEmpty(node);
      const prefix = volume.prefixOf(node);
      const leave = await this.#markers.leave(directory, prefix);
      let isKept = false;
      try {
        if (marker !== undefined) await deleteVersion(volume, prefix, marker);
        await volume.kept.drop(node);
      } catch (error) {
        this.#freshness.distrust(directory, name);
        throw toFsError(error);
      } finally {
        isKept = leave();
      }
      const change = this.#entries.gone(directory, name, node);
      if (!isKept) await this.#markers.keepIfCan(directory);
      return change;
    };
    return this.#entries.alone(directory, name, task, 'and below');
  }

  /** The directory's marker, if it has one. ENOTEMPTY where anything else is below, or the marker has bytes. */
  async requireEmpty(directory: DirectoryNode): Promise<ObjectSummary | undefined> {
    const volume = this.#volume;
    const prefix = volume.prefixOf(directory);
    const found = await foundBelow(volume, prefix).catch(rethrowAsFsError);
    const occupied = found !== undefined && (found.key !== prefix || found.size > 0);
    if (occupied || volume.nodes.hasBusyBelow(directory))
      throw new FsError('ENOTEMPTY', `"${prefix}" is not empty`);
    return found;
  }
}

/** Some object below a prefix; the prefix's own marker only where there is no other key. Two keys are enough to tell, but a page may have fewer and go on. */
async function foundBelow(volume: Volume, prefix: string): Promise<ObjectSummary | undefined> {
  let marker: ObjectSummary | undefined;
  for await (const page of pagesBelow(volume, prefix, 2)) {
    const other = page.find(({ key }) => key !== prefix);
    if (other !== undefined) return other;
    marker ??= page[0];
  }
  return marker;
}
