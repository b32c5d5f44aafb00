/**
 * RENAME (RFC 1813 3.3.14) by the POSIX rules. S3 has no rename of an ordinary bucket's objects: a file is copied inside S3 and its
 * source deleted, a directory is that for every key below it. A directory bucket renames each key at once. An intent in the journal finishes what a crash interrupts. Open
 * files follow: handles belong to nodes, and nodes move.
 */
import { canRename } from '../store/object-store.js';
import { FsError } from './errors.js';
import type { Freshness } from './freshness.js';
import type { Intent } from './intent-log.js';
import { createRef, dropUnpublished, journal } from './journaling.js';
import { copyTree, copyTreeOrUndo, deleteCopied, deleteUnchanged, type Copied } from './key-trees.js';
import { moveObject } from './move-object.js';
import type { Guard, Namespace } from './namespace.js';
import { NEVER_MS, type DirectoryNode, type EntryChange, type FileNode, type FsNode } from './node.js';
import type { Claim } from './path-locks.js';
import type { Publishing } from './publishing.js';
import { isReplaced, toFsError } from './store-errors.js';
import { renameTree, renameTreeOrUndo } from './tree-rename.js';
import type { Volume } from './volume.js';

/** Somebody else writes at the source or the target: looked at again this often. */
const ATTEMPTS_MAX = 3;

type RenameIntent = Extract<Intent, { kind: 'rename-file' | 'rename-directory' }>;

interface Place {
  readonly directory: DirectoryNode;
  readonly name: string;
}

/** Judge what leaves its name, and what is replaced: each by the rules of the directory that it lies in. */
export interface RenameGuards {
  readonly source: Guard;
  readonly target: Guard;
}

/** What a rename did to its two directories; nothing, where source and target are one. */
export interface RenameChanges {
  readonly from?: EntryChange;
  readonly to?: EntryChange;
}

export class Rename {
  readonly #volume: Volume;
  readonly #freshness: Freshness;
  readonly #publishing: Publishing;
  readonly #namespace: Namespace;

  constructor(parts: {
    readonly volume: Volume;
    readonly freshness: Freshness;
    readonly publishing: Publishing;
    readonly namespace: Namespace;
  }) {
    this.#volume = parts.volume;
    this.#freshness = parts.freshness;
    this.#publishing = parts.publishing;
    this.#namespace = parts.namespace;
  }

  /** Moves an entry, over a target that may be replaced. */
  async run(from: Place, to: Place, guards: RenameGuards): Promise<RenameChanges> {
    const volume = this.#volume;
    for (let attempt = 1; ; attempt++) {
      const { kind } = await this.#freshness.entry(from.directory, from.name);
      const claimOf = (): Claim => {
        const changes = [from, to].map(({ directory, name }) => volume.entryKey(directory, name));
        return kind === 'file' ? { changes } : { changes, moves: changes.map((key) => `${key}/`) };
      };
      try {
        const changes = await volume.locks.run(claimOf, () => this.#renameAlone(from, to, guards, kind));
        if (changes !== undefined) return changes;
      } catch (error) {
        if (!isReplaced(error) || attempt >= ATTEMPTS_MAX) throw toFsError(error);
        for (const place of [from, to]) this.#freshness.distrust(place.directory, place.name);
      }
    }
  }

  /** Undefined where the source is of another kind by now. */
  async #renameAlone(
    from: Place,
    to: Place,
    guards: RenameGuards,
    kind: FsNode['kind'],
  ): Promise<RenameChanges | undefined> {
    const source = await this.#freshness.entry(from.directory, from.name);
    if (source.kind !== kind) return undefined;
    guards.source(source);
    if (from.directory === to.directory && from.name === to.name) return {};
    if (source.kind === 'directory') this.#requireOutside(source, to);
    const target = await this.#freshness.entryIfAny(to.directory, to.name);
    if (target !== undefined) {
      guards.target(target);
      await this.#requireReplaceable(source, target);
    }
    if (source.kind === 'file') await this.#renameFile(source, target, to);
    else await this.#renameDirectory(source, to);
    const changes = this.#entriesMoved(source, from, to);
    if (target?.kind === 'file') await this.#publishing.abandon(target);
    await this.#namespace.keepDirectoryIfCan(from.directory);
    return changes;
  }

  #requireOutside(source: DirectoryNode, to: Place): void {
    const volume = this.#volume;
    const toPrefix = `${volume.entryKey(to.directory, to.name)}/`;
    const fromPrefix = volume.prefixOf(source);
    if (toPrefix !== fromPrefix && toPrefix.startsWith(fromPrefix)) {
      throw new FsError('EINVAL', 'a directory does not move into itself');
    }
  }

  async #requireReplaceable(source: FsNode, target: FsNode): Promise<void> {
    if (source.kind === 'file') {
      if (target.kind === 'directory') throw new FsError('EISDIR', 'a file does not replace a directory');
      return;
    }
    if (target.kind === 'file') throw new FsError('ENOTDIR', 'a directory does not replace a file');
    await this.#namespace.requireEmpty(target);
  }

  async #renameFile(source: FileNode, target: FsNode | undefined, to: Place): Promise<void> {
    const volume = this.#volume;
    // A file that the store has never seen has nothing to copy: it is published at its new name.
    const unseen = source.version === undefined && source.attempted === undefined;
    // Bytes go with it where COMMITs don't wait for S3. An upload would be bound to the old name.
    const movable =
      source.session === undefined || (volume.commit.policy === 'journal' && source.session.isOnePut);
    if (source.created && unseen && movable) {
      if (target === undefined) {
        volume.nodes.move(source, to.directory, to.name);
        await journal(volume, source);
        return;
      }
      if (target.kind === 'file' && (await this.#replaceUnpublished(source, target, to))) return;
    }
    await this.#publishing.publishHeld(source);
    const { version } = source;
    if (version === undefined) throw new FsError('EIO', 'the file to rename has no object');
    const fromKey = volume.keyOf(source);
    const toKey = volume.entryKey(to.directory, to.name);
    const ref = `rename:${source.id}`;
    await volume.intents.put(ref, {
      kind: 'rename-file',
      volume: volume.name,
      fromKey,
      toKey,
      etag: version.etag,
      nodeId: String(source.id),
      toPath: toKey.split('/'),
      ...(target !== undefined && { replacedId: String(target.id) }),
    });
    source.relocating = true;
    try {
      const moved = await moveObject(volume, fromKey, toKey, version, target !== undefined);
      volume.nodes.move(source, to.directory, to.name);
      source.version = moved;
      source.epoch++;
      volume.readers.forget(toKey);
      await volume.nodes.settled();
      // Before the intent ends, which says that it is to go: a crash in between would take its bytes for somebody's.
      if (target?.kind === 'file') await this.#publishing.abandon(target);
    } finally {
      source.relocating = false;
      // Whoever asked hears of a failure; the intent is for a crash alone.
      volume.intents.end(ref);
    }
    volume.readers.forget(fromKey);
    volume.nodes.save(source);
  }

  /**
   * A file that the store has never seen takes the place of one that it has: with the policy `journal` it is published over that, under
   * its version, as any change of it would be. Its bytes are safe before the other's are given up. False where it can't be.
   */
  async #replaceUnpublished(source: FileNode, target: FileNode, to: Place): Promise<boolean> {
    const volume = this.#volume;
    const { version } = target;
    const isClean = !target.unpublished && target.attempted === undefined && version !== undefined;
    if (volume.commit.isStateEphemeral || source.session === undefined || !isClean) return false;
    try {
      await source.session.keep();
    } catch (error) {
      volume.log.warn(
        { err: error, key: volume.keyOf(source) },
        'bytes of a file to rename could not be kept',
      );
      return false;
    }
    // Nothing was written to it: its session was let go.
    if (source.session?.dirty !== true) return false;
    volume.nodes.move(source, to.directory, to.name);
    source.version = version;
    // Of the file that is replaced nothing is inherited, as with a copy over it.
    source.headers = { metadata: {} };
    source.created = false;
    source.epoch++;
    await journal(volume, source);
    volume.intents.end(createRef(source));
    await volume.nodes.settled();
    return true;
  }

  async #renameDirectory(source: DirectoryNode, to: Place): Promise<void> {
    const volume = this.#volume;
    const fromPrefix = volume.prefixOf(source);
    const toPrefix = `${volume.entryKey(to.directory, to.name)}/`;
    const failed = await this.#publishing.publishBelow(fromPrefix);
    if (failed.length > 0) throw toFsError(failed[0]);
    const ref = `rename:${source.id}`;
    const intent: RenameIntent = {
      kind: 'rename-directory',
      volume: volume.name,
      from: volume.pathOf(source),
      to: toPrefix.slice(0, -1).split('/'),
      nodeId: String(source.id),
    };
    await volume.intents.put(ref, intent);
    const { store } = volume;
    if (canRename(store)) {
      await renameTreeOrUndo(volume, store, fromPrefix, toPrefix).catch((error: unknown) => {
        volume.intents.end(ref);
        throw error;
      });
      volume.nodes.move(source, to.directory, to.name);
      this.#distrust(source);
      await volume.nodes.settled();
      volume.intents.end(ref);
      return;
    }
    let copied: Copied;
    try {
      copied = await copyTreeOrUndo(volume, fromPrefix, toPrefix);
    } catch (error) {
      // Whoever asked hears of a failure; the intent is for a crash alone.
      volume.intents.end(ref);
      throw error;
    }
    await volume.intents.put(ref, { ...intent, copied: true });
    volume.nodes.move(source, to.directory, to.name);
    this.#distrust(source);
    await volume.nodes.settled();
    await this.#deleteSources(ref, fromPrefix, copied);
  }

  /** The directory is at its new name: sources that can't be deleted now go at the next start. */
  async #deleteSources(ref: string, fromPrefix: string, copied: Copied): Promise<void> {
    const volume = this.#volume;
    for (let attempt = 1; ; attempt++) {
      try {
        await deleteUnchanged(volume, fromPrefix, copied);
        volume.intents.end(ref);
        return;
      } catch (error) {
        if (attempt < ATTEMPTS_MAX) continue;
        const left = { err: error, prefix: fromPrefix };
        volume.log.error(left, 'a renamed directory is left behind under its old name until the next start');
        return;
      }
    }
  }

  /** Finishes a rename that a crash interrupted. Copies that were made already are left alone. */
  async finish(intent: RenameIntent): Promise<void> {
    const volume = this.#volume;
    const source = volume.nodes.get(BigInt(intent.nodeId));
    const { store } = volume;
    if (intent.kind === 'rename-file') {
      const head = await store.head(intent.fromKey);
      if (head?.etag === intent.etag && canRename(store)) {
        await store.rename(intent.fromKey, intent.toKey, { sourceEtag: intent.etag });
        if (intent.replacedId !== undefined) await dropUnpublished(volume, intent.replacedId);
        this.#finishMove(source, intent.toPath);
        return;
      }
      if (head?.etag === intent.etag) {
        const copied = await store.head(intent.toKey);
        if (copied?.etag !== intent.etag) {
          await store.copy(intent.fromKey, intent.toKey, { sourceEtag: intent.etag, size: head.size });
        }
        await store.delete(intent.fromKey, { ifMatch: intent.etag });
      }
      // Somebody else's object under the old name tells nothing of the new one.
      const isDone = head === undefined || head.etag === intent.etag;
      if (isDone && intent.replacedId !== undefined) await dropUnpublished(volume, intent.replacedId);
      this.#finishMove(source, intent.toPath);
      return;
    }
    const fromPrefix = `${intent.from.join('/')}/`;
    const toPrefix = `${intent.to.join('/')}/`;
    if (canRename(store)) {
      await renameTree(volume, store, fromPrefix, toPrefix);
      this.#finishMove(source, intent.to);
      return;
    }
    if (intent.copied === true) {
      this.#finishMove(source, intent.to);
      await deleteCopied(volume, fromPrefix, toPrefix);
      return;
    }
    const copied = await copyTree(volume, fromPrefix, toPrefix, { condition: { ifNoneMatch: '*' } });
    this.#finishMove(source, intent.to);
    await deleteUnchanged(volume, fromPrefix, copied);
  }

  /** Moves the node of an interrupted rename, unless it was moved before the crash. */
  #finishMove(source: FsNode | undefined, toPath: readonly string[]): void {
    const volume = this.#volume;
    const name = toPath.at(-1);
    if (source === undefined || name === undefined) return;
    source.validatedMs = NEVER_MS;
    if (volume.pathOf(source).join('/') === toPath.join('/')) return;
    let directory = volume.root;
    for (const segment of toPath.slice(0, -1))
      directory = volume.nodes.entry(directory, segment, 'directory');
    volume.nodes.move(source, directory, name);
  }

  /** Copies may carry other ETags: what is held of files below a renamed directory is asked for again. */
  #distrust(directory: DirectoryNode): void {
    const volume = this.#volume;
    directory.listing = undefined;
    directory.marker = undefined;
    directory.validatedMs = NEVER_MS;
    const path = volume.pathOf(directory);
    for (const node of volume.nodes.present()) {
      if (volume.table.volumeOf(node.id) !== volume.name) continue;
      const names = volume.table.path(node.id) ?? [];
      if (names.length <= path.length || !path.every((name, at) => names[at] === name)) continue;
      node.validatedMs = NEVER_MS;
      node.epoch++;
      if (node.kind === 'directory') {
        node.listing = undefined;
        node.marker = undefined;
      }
    }
  }

  #entriesMoved(source: FsNode, from: Place, to: Place): RenameChanges {
    const volume = this.#volume;
    const nowNs = volume.nowNs;
    source.touchCtime(nowNs);
    from.directory.noteAbsent(from.name, volume.clock.nowMs());
    if (source.kind === 'directory') to.directory.noteEntry({ name: to.name, kind: 'directory' });
    else if (source.version === undefined) {
      to.directory.negatives.delete(to.name);
      to.directory.unpublishedFiles.set(to.name, source);
    } else to.directory.noteEntry({ name: to.name, kind: 'file', version: source.version });
    const left = from.directory.touchEntries(nowNs);
    const entered = to.directory === from.directory ? left : to.directory.touchEntries(nowNs);
    for (const node of new Set<FsNode>([source, from.directory, to.directory])) volume.nodes.save(node);
    return { from: left, to: entered };
  }
}
