/** MKDIR and RMDIR. Each resolves only when a crash loses nothing of it. Changes of one entry run one after the other. */
import type { ObjectSummary } from '../store/object-store.js';
import type { EntryChanges, Guard, Made } from './entry-changes.js';
import { FsError } from './errors.js';
import type { AttributeChanges, Caller } from './file-system.js';
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

  /** MKDIR (RFC 1813 3.3.9): writes the marker object. */
  async mkdir(
    directory: DirectoryNode,
    name: string,
    attributes: AttributeChanges,
    owner: Caller,
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
      if (draft.attributesHere) await this.#rememberFirst(directory, name, draft);
      const prefix = `${volume.entryKey(directory, name)}/`;
      const written = await volume.store
        .put(prefix, [], headers, { ifNoneMatch: '*' })
        .catch((error: unknown) => {
          // Somebody else's is there.
          if (draft.attributesHere && isReplaced(error))
            volume.nodes.entry(directory, name, 'directory').attributesHere = false;
          throw this.#entries.notMade(directory, name, error);
        });
      const node = volume.nodes.entry(directory, name, 'directory');
      this.#entries.setNew(node, attributes, owner, nowNs);
      node.marker = { etag: written.etag, lastModifiedMs: written.lastModifiedMs };
      node.markerHeaders = headers;
      node.validatedMs = volume.clock.nowMs();
      node.listing = { takenMs: node.validatedMs, entries: new Map() };
      directory.noteEntry({ name, kind: 'directory' });
      return { node, change: this.#entries.made(directory, node) };
    });
  }

  /** A directory without a marker is in the state directory until something is put into it. */
  async #makeHere(
    directory: DirectoryNode,
    name: string,
    attributes: AttributeChanges,
    owner: Caller,
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

  /** The marker will not tell the attributes: were its answer lost, nobody would. */
  async #rememberFirst(directory: DirectoryNode, name: string, draft: DirectoryNode): Promise<void> {
    const { nodes } = this.#volume;
    const node = nodes.entry(directory, name, 'directory');
    const { mode, uid, gid, mtimeNs, atimeNs, attributesHere } = draft;
    Object.assign(node, { mode, uid, gid, mtimeNs, atimeNs, attributesHere });
    nodes.save(node);
    await nodes.settled();
  }

  /** RMDIR (RFC 1813 3.3.13). ENOTEMPTY while any key lies under it, be it one that the mount hides. */
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

  /** ENOTEMPTY where anything is below; its marker, where there is one. */
  async requireEmpty(directory: DirectoryNode): Promise<ObjectSummary | undefined> {
    const volume = this.#volume;
    const prefix = volume.prefixOf(directory);
    const found = await foundBelow(volume, prefix).catch(rethrowAsFsError);
    const occupied = found !== undefined && found.key !== prefix;
    if (occupied || volume.nodes.hasBusyBelow(directory))
      throw new FsError('ENOTEMPTY', `"${prefix}" is not empty`);
    return found;
  }
}

/** A key that lies below a prefix, its marker where there is no other. Two keys tell, but a page may have fewer and go on. */
async function foundBelow(volume: Volume, prefix: string): Promise<ObjectSummary | undefined> {
  let marker: ObjectSummary | undefined;
  for await (const page of pagesBelow(volume, prefix, 2)) {
    const other = page.find(({ key }) => key !== prefix);
    if (other !== undefined) return other;
    marker ??= page[0];
  }
  return marker;
}
