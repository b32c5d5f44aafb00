/**
 * RENAME (RFC 1813 3.3.14) by the POSIX rules. S3 has no rename of an ordinary bucket's objects: a file is copied inside S3 and its
 * source deleted, a directory is that for every key below it (directory-rename.ts). A directory bucket renames each key at once. An intent in
 * the journal finishes what a crash interrupts. Open files follow: handles belong to nodes, and nodes move.
 */
import { canRename } from '../store/object-store.js';
import type { Directories } from './directories.js';
import { DirectoryRename, copiesTooMuch } from './directory-rename.js';
import type { Guard } from './entry-changes.js';
import { FsError } from './errors.js';
import { finishObjectMove } from './finish-move.js';
import type { Freshness } from './freshness.js';
import type { Intent } from './intent-log.js';
import { createRef, dropUnpublished, journal } from './journaling.js';
import { finishMove, movesAlone, type NamedEntry } from './move-node.js';
import { moveObject } from './move-object.js';
import type { Markers } from './markers.js';
import type { DirectoryNode, EntryChange, FileNode, FsNode, PublishedVersion } from './node.js';
import type { Claim } from './path-locks.js';
import type { Publishing } from './publishing.js';
import { isSillyName } from './names.js';
import type { SillyNames } from './silly-names.js';
import { isReplaced, toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** How often a rename is tried while somebody else keeps writing at the source or the target. */
const ATTEMPTS_MAX = 3;

type RenameIntent = Extract<Intent, { kind: 'rename-file' | 'rename-directory' }>;

type Place = NamedEntry;

export interface RenameRules {
  /** Judge what leaves its name, and what is replaced: each by the rules of the directory that it lies in. */
  readonly source: Guard;
  readonly target: Guard;
  /** A rename that would copy more is EXDEV. */
  readonly copyBytesMax: number;
}

interface FileRenameRules {
  readonly to: Place;
  /** Bytes; EXDEV where more would be copied. */
  readonly copyBytesMax: number;
  /** Called with the old key when only the store can still refuse the rename. */
  readonly depart: (key: string) => Promise<void>;
}

interface FileMove {
  readonly source: FileNode;
  /** Of the source's object. */
  readonly version: PublishedVersion;
  readonly target: FsNode | undefined;
  readonly to: Place;
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
  readonly #directories: Directories;
  readonly #markers: Markers;
  readonly #silly: SillyNames;
  readonly #directoryRename: DirectoryRename;

  constructor(parts: {
    readonly volume: Volume;
    readonly freshness: Freshness;
    readonly publishing: Publishing;
    readonly directories: Directories;
    readonly markers: Markers;
    readonly silly: SillyNames;
  }) {
    this.#volume = parts.volume;
    this.#freshness = parts.freshness;
    this.#publishing = parts.publishing;
    this.#directories = parts.directories;
    this.#markers = parts.markers;
    this.#silly = parts.silly;
    this.#directoryRename = new DirectoryRename(parts);
  }

  /** Moves an entry, over a target that may be replaced. */
  async run(from: Place, to: Place, rules: RenameRules): Promise<RenameChanges> {
    const volume = this.#volume;
    for (let attempt = 1; ; attempt++) {
      const { kind } = await this.#freshness.entry(from.directory, from.name);
      const claimOf = (): Claim => {
        const changes = [from, to].flatMap(({ directory, name }) => volume.silly.keysOf(directory, name));
        if (kind === 'file') return { changes };
        const moves = [from, to].map(({ directory, name }) => `${volume.entryKey(directory, name)}/`);
        return { changes, moves };
      };
      try {
        const changes = await volume.locks.run(claimOf, () => this.#renameAlone(from, to, rules, kind));
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
    rules: RenameRules,
    kind: FsNode['kind'],
  ): Promise<RenameChanges | undefined> {
    const source = await this.#freshness.entry(from.directory, from.name);
    if (source.kind !== kind) return undefined;
    rules.source(source);
    if (from.directory === to.directory && from.name === to.name) return {};
    if (source.kind === 'directory') this.#requireOutside(source, to);
    const target = await this.#freshness.entryIfAny(to.directory, to.name);
    if (target !== undefined) {
      rules.target(target);
      await this.#requireReplaceable(source, target);
    }
    const { copyBytesMax } = rules;
    let left: (() => boolean) | undefined;
    const isWithin = this.#isWithin(from, to);
    const depart = async (key: string): Promise<void> => {
      if (!isWithin) left = await this.#markers.leave(from.directory, key);
    };
    if (source.kind === 'file' && target === undefined && (await this.#takeSillyName(source, from, to)))
      return this.#entriesMoved(source, from, to);
    let isKept = isWithin;
    try {
      if (source.kind === 'file') {
        await this.#makeRoom(source, target, to);
        await this.#renameFile(source, target, { to, copyBytesMax, depart });
      } else {
        await this.#silly.settleBelow(this.#volume.prefixOf(source));
        const directoryRules = { isReplacing: target !== undefined, copyBytesMax, depart };
        await this.#directoryRename.run(source, to, directoryRules).catch(async (error: unknown) => {
          await this.#lost(error, undefined, to);
          throw error;
        });
      }
    } finally {
      if (left !== undefined) isKept = left();
    }
    const changes = this.#entriesMoved(source, from, to);
    if (target?.kind === 'file') await this.#publishing.abandon(target);
    else if (target !== undefined) this.#volume.kept.replaced(target);
    if (!isKept) await this.#markers.keepIfCan(from.directory);
    return changes;
  }

  /** A client removes a file that it has open. */
  async #takeSillyName(source: FileNode, from: Place, to: Place): Promise<boolean> {
    if (from.directory !== to.directory || !isSillyName(to.name)) return false;
    const move = (): void => this.#volume.nodes.move(source, to.directory, to.name);
    return this.#silly.take(source, to.directory, to.name, move);
  }

  /** Where a removed file's object is at the new name, or at another than the old one. */
  async #makeRoom(source: FileNode, target: FsNode | undefined, to: Place): Promise<void> {
    const volume = this.#volume;
    await this.#silly.makeRoom(volume.entryKey(to.directory, to.name));
    for (const file of [source, target]) {
      if (file?.kind !== 'file' || file.silly === undefined) continue;
      await this.#silly.settle(file);
      volume.silly.end(file);
    }
  }

  /** Whether the entry stays below the directory that it leaves: then that is kept by it. */
  #isWithin(from: Place, to: Place): boolean {
    const volume = this.#volume;
    return volume.prefixOf(to.directory).startsWith(volume.prefixOf(from.directory));
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
    await this.#directories.requireEmpty(target);
  }

  async #renameFile(
    source: FileNode,
    target: FsNode | undefined,
    { to, copyBytesMax, depart }: FileRenameRules,
  ): Promise<void> {
    const volume = this.#volume;
    if (await this.#moveUnpublished(source, target, to)) return;
    await this.#publishing.publishHeld(source);
    const { version } = source;
    if (version === undefined) throw new FsError('EIO', 'the file to rename has no object');
    const fromKey = volume.keyOf(source);
    if (version.size > copyBytesMax && !canRename(volume.store))
      throw copiesTooMuch(volume, fromKey, copyBytesMax);
    if (target?.kind === 'file') await this.#publishing.settleAttempt(target);
    await depart(fromKey);
    await this.#moveUnderIntent({ source, version, target, to });
    volume.readers.forget(fromKey);
    volume.nodes.save(source);
  }

  /** A file that the store doesn't have is published at its new name: there is nothing to copy. False where that can't be. */
  async #moveUnpublished(source: FileNode, target: FsNode | undefined, to: Place): Promise<boolean> {
    const volume = this.#volume;
    if (!movesAlone(volume, source)) return false;
    if (target !== undefined)
      return target.kind === 'file' && (await this.#replaceUnpublished(source, target, to));
    await this.#journalMove(source, to);
    volume.nodes.move(source, to.directory, to.name);
    return true;
  }

  /** Moves the object of a published file, under an intent in the journal. */
  async #moveUnderIntent({ source, version, target, to }: FileMove): Promise<void> {
    const volume = this.#volume;
    const fromKey = volume.keyOf(source);
    const toKey = volume.entryKey(to.directory, to.name);
    const replaced = target?.kind === 'file' ? target.version : undefined;
    const ref = `rename:${source.id}`;
    await volume.intents.put(ref, {
      kind: 'rename-file',
      volume: volume.name,
      fromKey,
      toKey,
      etag: version.etag,
      nodeId: String(source.id),
      toPath: toKey.split('/'),
      replacedEtag: replaced?.etag ?? null,
      ...(target !== undefined && { replacedId: String(target.id) }),
    });
    source.relocating = true;
    try {
      const moved = await moveObject(volume, fromKey, toKey, version, replaced);
      volume.nodes.move(source, to.directory, to.name);
      source.version = moved;
      source.validatedMs = volume.clock.nowMs();
      source.epoch++;
      volume.readers.forget(toKey);
      await volume.nodes.settled();
      // Before the intent ends, which says that it is to go: a crash in between would take its bytes for somebody's.
      if (target?.kind === 'file') await this.#publishing.abandon(target);
    } catch (error) {
      await this.#lost(error, target, to);
      throw error;
    } finally {
      source.relocating = false;
      // Whoever asked hears of a failure; the intent is for a crash alone.
      volume.intents.end(ref);
    }
  }

  /** Somebody else's object is at the target: the next call finds it, and what isn't published of the file there before is kept beside it. */
  async #lost(error: unknown, target: FsNode | undefined, to: Place): Promise<void> {
    if (!(error instanceof FsError && error.code === 'EIO')) return;
    this.#freshness.distrust(to.directory, to.name);
    if (target?.kind === 'file') await this.#publishing.publishHeld(target);
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
    const { headers } = source;
    source.version = version;
    // Of the file that is replaced nothing is inherited, as with a copy over it.
    source.headers = { metadata: {} };
    source.created = false;
    source.epoch++;
    try {
      await this.#journalMove(source, to);
    } catch (error) {
      source.version = undefined;
      source.headers = headers;
      source.created = true;
      throw error;
    }
    volume.nodes.move(source, to.directory, to.name);
    volume.intents.end(createRef(source));
    await volume.nodes.settled();
    return true;
  }

  /**
   * The journal says first where a file is that it alone has: what a kill leaves of the rename is carried out in the tree by the next start
   * (placed-files.ts).
   */
  async #journalMove(source: FileNode, to: Place): Promise<void> {
    source.movingTo = [...this.#volume.pathOf(to.directory), to.name];
    try {
      await journal(this.#volume, source);
    } finally {
      source.movingTo = undefined;
    }
  }

  /** Finishes a rename that a crash interrupted. */
  async finish(ref: string, intent: RenameIntent): Promise<void> {
    if (intent.kind === 'rename-directory') await this.#directoryRename.finish(ref, intent);
    else {
      await this.#finishFile(intent);
      const source = this.#volume.nodes.get(BigInt(intent.nodeId));
      if (source?.kind === 'file' && source.silly !== undefined) await this.#silly.restoreMoved(source);
    }
  }

  async #finishFile(intent: Extract<Intent, { kind: 'rename-file' }>): Promise<void> {
    const volume = this.#volume;
    const source = volume.nodes.get(BigInt(intent.nodeId));
    const finished = await finishObjectMove(volume, intent);
    if (finished === 'theirs') {
      const { fromKey: from, toKey: key } = intent;
      const what =
        'somebody else wrote this object while a rename to it was interrupted: it stays, and what was to be renamed keeps its name';
      volume.log.error({ key, from }, what);
      return;
    }
    if (finished === 'moved' && intent.replacedId !== undefined)
      await dropUnpublished(volume, intent.replacedId);
    finishMove(volume, source, intent.toPath);
  }

  #entriesMoved(source: FsNode, from: Place, to: Place): RenameChanges {
    const volume = this.#volume;
    const nowNs = volume.nowNs;
    source.touchCtime(nowNs);
    // While sources were deleted somebody may have found them, and made another node of the old name.
    const found = volume.table.childId(from.directory.id, from.name);
    if (found !== undefined && found !== source.id) volume.nodes.forget(found);
    from.directory.noteAbsent(from.name, volume.clock.nowMs());
    if (source.kind === 'directory') to.directory.noteEntry({ name: to.name, kind: 'directory' });
    else if (source.version === undefined || source.silly?.withheld === true) {
      to.directory.noteCreated(to.name, source);
    } else to.directory.noteEntry({ name: to.name, kind: 'file', version: source.version });
    const left = from.directory.touchEntries(nowNs);
    const entered = to.directory === from.directory ? left : to.directory.touchEntries(nowNs);
    for (const node of new Set<FsNode>([source, from.directory, to.directory])) volume.nodes.save(node);
    return { from: left, to: entered };
  }
}
