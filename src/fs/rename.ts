/**
 * RENAME (RFC 1813 3.3.14) by the POSIX rules. S3 has no rename of an ordinary bucket's objects: a file is copied inside S3 and its
 * source deleted, a directory is that for every key below it. An intent in the journal finishes what a crash interrupts. Open
 * files follow: handles belong to nodes, and nodes move.
 */
import pLimit from 'p-limit';
import { StoreError } from '../store/errors.js';
import type { ObjectSummary, WriteCondition } from '../store/object-store.js';
import type { Content } from './content.js';
import { FsError } from './errors.js';
import { LIST_KEYS_MAX, type Freshness } from './freshness.js';
import type { Intent } from './intent-log.js';
import type { Guard, Namespace } from './namespace.js';
import { NEVER_MS, type DirectoryNode, type EntryChange, type FileNode, type FsNode } from './node.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** Copies under way at a time during the rename of a directory. */
const COPIES_MAX = 16;
/** A rename of a directory says how far it is every so many keys. */
const PROGRESS_EVERY_KEYS = 1000;

type RenameIntent = Extract<Intent, { kind: 'rename-file' | 'rename-directory' }>;

interface Place {
  readonly directory: DirectoryNode;
  readonly name: string;
}

/** What a rename did to its two directories; nothing, where source and target are one. */
export interface RenameChanges {
  readonly from?: EntryChange;
  readonly to?: EntryChange;
}

export class Rename {
  readonly #volume: Volume;
  readonly #freshness: Freshness;
  readonly #content: Content;
  readonly #namespace: Namespace;

  constructor(volume: Volume, freshness: Freshness, content: Content, namespace: Namespace) {
    this.#volume = volume;
    this.#freshness = freshness;
    this.#content = content;
    this.#namespace = namespace;
  }

  /** Moves an entry, over a target that may be replaced. `guard` judges the source and the target that goes. */
  async run(from: Place, to: Place, guard: Guard): Promise<RenameChanges> {
    const volume = this.#volume;
    await volume.whileMoving(volume.entryKey(from.directory, from.name));
    await volume.whileMoving(volume.entryKey(to.directory, to.name));
    return volume.entries.run([entryLock(from), entryLock(to)], () => this.#renameAlone(from, to, guard));
  }

  async #renameAlone(from: Place, to: Place, guard: Guard): Promise<RenameChanges> {
    if (from.directory.gone || to.directory.gone)
      throw new FsError('ESTALE', 'a directory of the rename was removed');
    const source = await this.#freshness.entry(from.directory, from.name);
    guard(source);
    if (from.directory === to.directory && from.name === to.name) return {};
    const target = await this.#freshness.entryIfAny(to.directory, to.name);
    if (target !== undefined) {
      guard(target);
      await this.#requireReplaceable(source, target);
    }
    try {
      if (source.kind === 'file') await this.#renameFile(source, target, to);
      else await this.#renameDirectory(source, target, to);
    } catch (error) {
      throw toFsError(error);
    }
    const changes = this.#entriesMoved(source, from, to);
    await this.#namespace.keepDirectory(from.directory);
    return changes;
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
    if (
      source.created &&
      source.version === undefined &&
      source.publishing === undefined &&
      target === undefined
    ) {
      if (source.session === undefined) {
        this.#moveNode(source, undefined, to);
        await this.#content.journal(source);
        return;
      }
    }
    await this.#content.publish(source);
    const { version } = source;
    if (version === undefined) throw new FsError('EIO', 'the file to rename has no object');
    const fromKey = volume.keyOf(source);
    const toKey = volume.entryKey(to.directory, to.name);
    if (target?.kind === 'file') await this.#content.abandon(target);
    const ref = `rename:${source.id}`;
    await volume.intents.put(ref, {
      kind: 'rename-file',
      volume: volume.name,
      fromKey,
      toKey,
      etag: version.etag,
      nodeId: String(source.id),
      toPath: toKey.split('/'),
    });
    try {
      const written = await volume.store.copy(fromKey, toKey, {
        sourceEtag: version.etag,
        size: version.size,
      });
      this.#moveNode(source, target, to);
      source.version = { ...written, size: version.size };
      volume.readers.forget(toKey);
      await volume.store.delete(fromKey);
    } finally {
      // Whoever asked hears of a failure; the intent is for a crash alone.
      volume.intents.end(ref);
    }
    volume.nodes.save(source);
  }

  async #renameDirectory(source: DirectoryNode, target: FsNode | undefined, to: Place): Promise<void> {
    const volume = this.#volume;
    const fromPrefix = volume.prefixOf(source);
    const toPrefix = `${volume.entryKey(to.directory, to.name)}/`;
    if (toPrefix.startsWith(fromPrefix)) throw new FsError('EINVAL', 'a directory does not move into itself');
    await volume.moving([fromPrefix, toPrefix], async () => {
      const failed = await this.#content.publishAll(fromPrefix);
      if (failed.length > 0) throw toFsError(failed[0]);
      const ref = `rename:${source.id}`;
      await volume.intents.put(ref, {
        kind: 'rename-directory',
        volume: volume.name,
        from: volume.pathOf(source),
        to: toPrefix.slice(0, -1).split('/'),
        nodeId: String(source.id),
      });
      try {
        const keys = await this.#copyOrUndo(fromPrefix, toPrefix);
        this.#moveNode(source, target, to);
        this.#distrust(source);
        await deleteKeys(volume, keys);
      } finally {
        // Whoever asked hears of a failure; the intent is for a crash alone.
        volume.intents.end(ref);
      }
    });
  }

  /** A directory that can't be copied whole stays where it is, and leaves nothing at the target. */
  async #copyOrUndo(fromPrefix: string, toPrefix: string): Promise<string[]> {
    const volume = this.#volume;
    try {
      return await this.#copyTree(fromPrefix, toPrefix);
    } catch (error) {
      try {
        for await (const page of pagesBelow(volume, toPrefix)) {
          await deleteKeys(
            volume,
            page.map(({ key }) => key),
          );
        }
      } catch (undoError) {
        volume.log.error(
          { err: undoError, prefix: toPrefix },
          'copies of a failed directory rename are left behind',
        );
      }
      throw error;
    }
  }

  /** Finishes a rename that a crash interrupted. Copies that were made already are left alone. */
  async finish(intent: RenameIntent): Promise<void> {
    const volume = this.#volume;
    const source = volume.nodes.get(BigInt(intent.nodeId));
    if (intent.kind === 'rename-file') {
      const head = await volume.store.head(intent.fromKey);
      if (head?.etag === intent.etag) {
        const copied = await volume.store.head(intent.toKey);
        if (copied?.etag !== intent.etag) {
          await volume.store.copy(intent.fromKey, intent.toKey, { sourceEtag: intent.etag, size: head.size });
        }
        await volume.store.delete(intent.fromKey, { ifMatch: intent.etag });
      }
      this.#finishMove(source, intent.toPath);
      return;
    }
    const fromPrefix = `${intent.from.join('/')}/`;
    const toPrefix = `${intent.to.join('/')}/`;
    const keys = await this.#copyTree(fromPrefix, toPrefix, { ifNoneMatch: '*' });
    this.#finishMove(source, intent.to);
    await deleteKeys(volume, keys);
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
    this.#moveNode(source, undefined, { directory, name });
  }

  /** Copies every key below a prefix to another; the keys. With `condition` those that are there already are left alone. */
  async #copyTree(fromPrefix: string, toPrefix: string, condition?: WriteCondition): Promise<string[]> {
    const volume = this.#volume;
    const limit = pLimit(COPIES_MAX);
    const keys: string[] = [];
    let copied = 0;
    for await (const page of pagesBelow(volume, fromPrefix)) {
      await Promise.all(
        page.map(({ key, etag, size }) =>
          limit(async () => {
            const target = toPrefix + key.slice(fromPrefix.length);
            const options = { sourceEtag: etag, size, ...(condition !== undefined && { condition }) };
            await volume.store.copy(key, target, options).catch((error: unknown) => {
              if (condition === undefined || !isPresent(error)) throw error;
            });
            copied++;
            if (copied % PROGRESS_EVERY_KEYS === 0) {
              volume.log.info({ from: fromPrefix, to: toPrefix, copied }, 'renaming a directory');
            }
          }),
        ),
      );
      keys.push(...page.map(({ key }) => key));
    }
    return keys;
  }

  #moveNode(source: FsNode, target: FsNode | undefined, to: Place): void {
    const volume = this.#volume;
    const known = volume.table.child(to.directory.id, to.name);
    if (target !== undefined) volume.nodes.forget(target.id);
    else if (known !== undefined && known.id !== source.id) volume.nodes.forget(known.id);
    volume.table.move(source.id, to.directory.id, to.name);
  }

  /** Copies may carry other ETags: what is held of files below a renamed directory is asked for again. */
  #distrust(directory: DirectoryNode): void {
    const volume = this.#volume;
    directory.listing = undefined;
    directory.marker = undefined;
    directory.validatedMs = NEVER_MS;
    for (const { id } of volume.table.children(directory.id)) {
      const child = volume.nodes.peek(id);
      if (child?.kind === 'directory') this.#distrust(child);
      else if (child !== undefined) child.validatedMs = NEVER_MS;
    }
  }

  #entriesMoved(source: FsNode, from: Place, to: Place): RenameChanges {
    const volume = this.#volume;
    const nowNs = volume.nowNs;
    source.touchCtime(nowNs);
    from.directory.noteAbsent(from.name, volume.clock.nowMs());
    if (source.kind === 'directory') to.directory.noteEntry({ name: to.name, kind: 'directory' });
    else if (source.version === undefined) to.directory.unpublishedFiles.set(to.name, source);
    else to.directory.noteEntry({ name: to.name, kind: 'file', version: source.version });
    const left = from.directory.touchEntries(nowNs);
    const entered = to.directory === from.directory ? left : to.directory.touchEntries(nowNs);
    for (const node of new Set<FsNode>([source, from.directory, to.directory])) volume.nodes.save(node);
    return { from: left, to: entered };
  }
}

const isPresent = (error: unknown): boolean =>
  error instanceof StoreError && error.kind === 'precondition-failed';

const entryLock = ({ directory, name }: Place): string => `${directory.id}/${name}`;

/** Pages of every key below a prefix, markers included. */
export async function* pagesBelow(volume: Volume, prefix: string): AsyncGenerator<readonly ObjectSummary[]> {
  let continuationToken: string | undefined;
  do {
    const page = await volume.store.list({
      prefix,
      maxKeys: LIST_KEYS_MAX,
      ...(continuationToken !== undefined && { continuationToken }),
    });
    yield page.objects;
    continuationToken = page.continuationToken;
  } while (continuationToken !== undefined);
}

/** Deletes keys; fails with the first error. */
export async function deleteKeys(volume: Volume, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  const failed = await volume.store.deleteMany(keys);
  for (const error of failed.values()) throw error;
}
