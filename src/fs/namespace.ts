/**
 * CREATE, MKDIR, SYMLINK, REMOVE and RMDIR. Each resolves only when a crash loses nothing of it: the store has it, or, for a new
 * file, the journal. Changes of one entry run one after the other.
 */
import type { AttributeChanges, Caller, CreateMode } from './file-system.js';
import { applyAttributes, type Content } from './content.js';
import { FsError } from './errors.js';
import { headersOnly, type Freshness } from './freshness.js';
import { KEY_BYTES_MAX } from './names.js';
import type { DirectoryNode, EntryChange, FileNode, FsNode } from './node.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** Judges a change of an entry before it is made; throws what it refuses. */
export type Guard = (node: FsNode) => void;

/** A node just made; `change` is absent where it was there already. */
export interface Made<N extends FsNode> {
  readonly node: N;
  readonly change?: EntryChange;
}

export class Namespace {
  readonly #volume: Volume;
  readonly #freshness: Freshness;
  readonly #content: Content;

  constructor(volume: Volume, freshness: Freshness, content: Content) {
    this.#volume = volume;
    this.#freshness = freshness;
    this.#content = content;
  }

  /** CREATE (RFC 1813 3.3.8). `mayTruncate` judges an UNCHECKED create of an existing file with size 0. */
  async create(
    directory: DirectoryNode,
    name: string,
    mode: CreateMode,
    owner: Caller,
    mayTruncate: Guard,
  ): Promise<Made<FileNode>> {
    return this.#alone(directory, name, async () => {
      const existing = await this.#freshness.entryIfAny(directory, name);
      if (existing !== undefined) return { node: await this.#createOver(existing, name, mode, mayTruncate) };
      const volume = this.#volume;
      const node = volume.nodes.entry(directory, name, 'file');
      const attributes = mode.how === 'exclusive' ? {} : mode.attributes;
      this.#setNew(node, attributes, owner);
      node.created = true;
      if (mode.how === 'exclusive') node.exclusiveVerifier = mode.verifier.toString('hex');
      directory.negatives.delete(name);
      directory.unpublishedFiles.set(name, node);
      volume.nodes.trackBusy(node);
      try {
        if ((attributes.size ?? 0) > 0) await this.#content.setattr(node, { size: attributes.size ?? 0 });
        await this.#content.journal(node);
      } catch (error) {
        directory.unpublishedFiles.delete(name);
        await this.#content.abandon(node);
        volume.nodes.forget(node.id);
        throw toFsError(error);
      }
      const change = this.#entryMade(directory, node);
      this.#content.publishAfterRest(node);
      return { node, change };
    });
  }

  async #createOver(existing: FsNode, name: string, mode: CreateMode, mayTruncate: Guard): Promise<FileNode> {
    const taken = new FsError('EEXIST', `"${name}" exists`);
    if (existing.kind !== 'file' || existing.type !== 'file') throw taken;
    switch (mode.how) {
      case 'guarded':
        throw taken;
      case 'exclusive':
        // A retransmission of the call that made the file carries its verifier.
        if (existing.exclusiveVerifier === mode.verifier.toString('hex')) return existing;
        throw taken;
      case 'unchecked': {
        const { size } = mode.attributes;
        if (size !== undefined) {
          mayTruncate(existing);
          await this.#content.setattr(existing, { size });
        }
        return existing;
      }
    }
  }

  /** MKDIR (RFC 1813 3.3.9): writes the marker object. */
  async mkdir(
    directory: DirectoryNode,
    name: string,
    attributes: AttributeChanges,
    owner: Caller,
  ): Promise<Made<DirectoryNode>> {
    return this.#alone(directory, name, async () => {
      await this.#requireAbsent(directory, name);
      const volume = this.#volume;
      if (Buffer.byteLength(volume.entryKey(directory, name)) >= KEY_BYTES_MAX) {
        throw new FsError(
          'ENAMETOOLONG',
          `the marker of "${name}" would pass S3's ${KEY_BYTES_MAX} bytes of a key`,
        );
      }
      const node = volume.nodes.entry(directory, name, 'directory');
      this.#setNew(node, attributes, owner);
      try {
        await this.#putMarker(node, true);
      } catch (error) {
        volume.nodes.forget(node.id);
        throw toFsError(error, { 'precondition-failed': 'EEXIST' });
      }
      node.validatedMs = volume.clock.nowMs();
      node.listing = { takenMs: node.validatedMs, entries: new Map() };
      directory.noteEntry({ name, kind: 'directory' });
      return { node, change: this.#entryMade(directory, node) };
    });
  }

  /** SYMLINK (RFC 1813 3.3.10): the target is the object's body. */
  async symlink(
    directory: DirectoryNode,
    name: string,
    target: Buffer,
    attributes: AttributeChanges,
    owner: Caller,
  ): Promise<Made<FileNode>> {
    return this.#alone(directory, name, async () => {
      await this.#requireAbsent(directory, name);
      const volume = this.#volume;
      const node = volume.nodes.entry(directory, name, 'file');
      node.type = 'symlink';
      this.#setNew(node, { mode: 0o777, ...attributes }, owner);
      node.size = target.length;
      const headers = volume.headersOf(node);
      try {
        const written = await volume.store.put(volume.keyOf(node), [target], headers, { ifNoneMatch: '*' });
        node.version = { ...written, size: target.length };
      } catch (error) {
        volume.nodes.forget(node.id);
        throw toFsError(error, { 'precondition-failed': 'EEXIST' });
      }
      node.headers = headers;
      node.proven = true;
      node.validatedMs = volume.clock.nowMs();
      directory.noteEntry({ name, kind: 'file', version: node.version });
      return { node, change: this.#entryMade(directory, node) };
    });
  }

  /** REMOVE (RFC 1813 3.3.12). EISDIR for a directory. */
  async remove(directory: DirectoryNode, name: string, guard: Guard): Promise<EntryChange> {
    return this.#alone(directory, name, async () => {
      const volume = this.#volume;
      const node = await this.#freshness.entry(directory, name);
      guard(node);
      if (node.kind === 'directory') throw new FsError('EISDIR', `"${name}" is a directory`);
      const key = volume.keyOf(node);
      await this.#content.abandon(node);
      if (node.version !== undefined) await volume.store.delete(key).catch(rethrow);
      volume.readers.forget(key);
      return this.#entryGone(directory, name, node);
    });
  }

  /** RMDIR (RFC 1813 3.3.13). ENOTEMPTY while any key lies under it, be it one that the mount hides. */
  async rmdir(directory: DirectoryNode, name: string, guard: Guard): Promise<EntryChange> {
    return this.#alone(directory, name, async () => {
      const volume = this.#volume;
      const node = await this.#freshness.entry(directory, name);
      guard(node);
      if (node.kind !== 'directory') throw new FsError('ENOTDIR', `"${name}" is not a directory`);
      await this.requireEmpty(node);
      await volume.store.delete(volume.prefixOf(node)).catch(rethrow);
      return this.#entryGone(directory, name, node);
    });
  }

  async requireEmpty(directory: DirectoryNode): Promise<void> {
    const volume = this.#volume;
    const prefix = volume.prefixOf(directory);
    const page = await volume.store.list({ prefix, maxKeys: 2 }).catch(rethrow);
    const occupied = page.objects.some(({ key }) => key !== prefix);
    if (occupied || directory.unpublishedFiles.size > 0)
      throw new FsError('ENOTEMPTY', `"${prefix}" is not empty`);
  }

  /** SETATTR of a directory: attributes live on the marker. The root of a bucket has none, and keeps them in the state directory. */
  async setattrDirectory(directory: DirectoryNode, changes: AttributeChanges): Promise<void> {
    const volume = this.#volume;
    if (changes.size !== undefined) throw new FsError('EISDIR', 'a directory has no size to set');
    const differs = applyAttributes(directory, changes, volume.nowNs);
    directory.touchCtime(volume.nowNs);
    if (differs && volume.prefixOf(directory) !== '') await this.#putMarker(directory, false).catch(rethrow);
    volume.nodes.save(directory);
  }

  /** Called after an entry left: removing the last one keeps the directory, as POSIX users expect. */
  async keepDirectory(directory: DirectoryNode): Promise<void> {
    const volume = this.#volume;
    if (directory.permanent || directory.gone || directory.marker != null) return;
    if ((directory.listing?.entries.size ?? 0) > 0 && volume.isFresh(directory)) return;
    const page = await volume.store.list({ prefix: volume.prefixOf(directory), maxKeys: 1 }).catch(rethrow);
    if (page.objects.length === 0) await this.#putMarker(directory, false).catch(rethrow);
  }

  async #putMarker(node: DirectoryNode, isNew: boolean): Promise<void> {
    const volume = this.#volume;
    const prefix = volume.prefixOf(node);
    if (!isNew && node.marker != null && node.markerHeaders === undefined) {
      const head = await volume.store.head(prefix);
      if (head !== undefined) node.markerHeaders = headersOnly(head);
    }
    const headers = volume.headersOf(node);
    const written = await volume.store.put(prefix, [], headers, isNew ? { ifNoneMatch: '*' } : undefined);
    node.marker = { etag: written.etag, lastModifiedMs: written.lastModifiedMs };
    node.markerHeaders = headers;
    node.epoch++;
  }

  /** Attributes of a file or directory that is being made. */
  #setNew(node: FsNode, attributes: AttributeChanges, owner: Caller): void {
    const volume = this.#volume;
    const nowNs = volume.nowNs;
    const defaultMode = node.kind === 'directory' ? volume.defaults.directoryMode : volume.defaults.fileMode;
    applyAttributes(
      node,
      { mode: defaultMode, uid: owner.uid, gid: owner.gid, atimeNs: nowNs, mtimeNs: nowNs, ...attributes },
      nowNs,
    );
    node.touchCtime(nowNs);
  }

  #entryMade(directory: DirectoryNode, node: FsNode): EntryChange {
    const change = directory.touchEntries(this.#volume.nowNs);
    this.#volume.nodes.save(directory);
    this.#volume.nodes.save(node);
    return change;
  }

  async #entryGone(directory: DirectoryNode, name: string, node: FsNode): Promise<EntryChange> {
    const volume = this.#volume;
    volume.nodes.forget(node.id);
    directory.noteAbsent(name, volume.clock.nowMs());
    const change = directory.touchEntries(volume.nowNs);
    volume.nodes.save(directory);
    await this.keepDirectory(directory);
    return change;
  }

  async #requireAbsent(directory: DirectoryNode, name: string): Promise<void> {
    const existing = await this.#freshness.entryIfAny(directory, name);
    if (existing !== undefined) throw new FsError('EEXIST', `"${name}" exists`);
  }

  /** Runs alone on the entry, outside of any directory rename. */
  async #alone<T>(directory: DirectoryNode, name: string, task: () => Promise<T>): Promise<T> {
    const volume = this.#volume;
    await volume.whileMoving(volume.entryKey(directory, name));
    return volume.entries.run([`${directory.id}/${name}`], async () => {
      if (directory.gone) throw new FsError('ESTALE', `the directory of "${name}" was removed`);
      return task();
    });
  }
}

const rethrow = (error: unknown): never => {
  throw toFsError(error);
};
