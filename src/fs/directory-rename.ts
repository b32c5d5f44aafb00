/**
 * The rename of a directory. In an ordinary bucket every key below it is copied, then the directory moves, then the sources go:
 *
 *   journaled -> copies -> journaled as copied -> node moved, unpublished files journaled at their new paths -> sources deleted -> done
 *             `-> a failure: the copies are deleted, the directory stays
 *
 * A file is under its old name until the node has moved, and under the new one from then on. After a crash what is journaled is finished. A
 * directory bucket renames key by key (tree-rename.ts).
 */
import { randomUUID } from 'node:crypto';
import { canRename } from '../store/object-store.js';
import { CopiedKeys } from './copied-keys.js';
import { FsError } from './errors.js';
import type { Intent } from './intent-log.js';
import { journal } from './journaling.js';
import {
  bytesBelow,
  copyTree,
  copyTreeOrUndo,
  deleteCopied,
  deleteUnchanged,
  pagesBelow,
} from './key-trees.js';
import { finishMove, movesAlone, type NamedEntry } from './move-node.js';
import { NEVER_MS, type DirectoryNode, type FileNode } from './node.js';
import type { Publishing } from './publishing.js';
import { toFsError } from './store-errors.js';
import { renameTree, renameTreeOrUndo } from './tree-rename.js';
import type { Volume } from './volume.js';

/** Sources that can't be deleted are tried so often. */
const ATTEMPTS_MAX = 3;

type DirectoryIntent = Extract<Intent, { kind: 'rename-directory' }>;

interface DirectoryRenameRules {
  /** The new name is that of an empty directory. */
  readonly isReplacing: boolean;
  /** Bytes; EXDEV where more would be copied. */
  readonly copyBytesMax: number;
  /** Called with the old prefix when only the store can still refuse the rename. */
  readonly depart: (prefix: string) => Promise<void>;
}

/** One whose node has its new name. */
interface MovedDirectory {
  readonly ref: string;
  readonly intent: DirectoryIntent;
  readonly copied: CopiedKeys;
  /** Files that weren't published, and moved along. */
  readonly alone: readonly FileNode[];
}

export class DirectoryRename {
  readonly #volume: Volume;
  readonly #publishing: Publishing;
  /** Those that the journal had no room for. */
  readonly #unended: MovedDirectory[] = [];

  constructor(parts: { readonly volume: Volume; readonly publishing: Publishing }) {
    this.#volume = parts.volume;
    this.#publishing = parts.publishing;
  }

  /**
   * Moves a directory and all below it, to a free name or over an empty directory. The caller holds both prefixes.
   */
  async run(
    source: DirectoryNode,
    to: NamedEntry,
    { isReplacing, copyBytesMax, depart }: DirectoryRenameRules,
  ): Promise<void> {
    const volume = this.#volume;
    const { store } = volume;
    await this.#endEarlier();
    const fromPrefix = volume.prefixOf(source);
    const toPrefix = `${volume.entryKey(to.directory, to.name)}/`;
    const unpublished = this.#publishing.unpublishedBelow(fromPrefix);
    const alone = unpublished.filter((node) => movesAlone(volume, node));
    const failed = await this.#publishing.publishAllHeld(unpublished.filter((node) => !alone.includes(node)));
    if (failed.length > 0) throw toFsError(failed[0]);
    if (!canRename(store)) await this.#requireWithin(copyBytesMax, fromPrefix);
    await depart(fromPrefix);
    // Its own: sources of an earlier rename of this directory may be left, and the intent that tells of them.
    const ref = `rename:${source.id}:${randomUUID()}`;
    const begunMs = canRename(store) ? undefined : await this.#storeMs(source, fromPrefix);
    const intent: DirectoryIntent = {
      kind: 'rename-directory',
      volume: volume.name,
      from: volume.pathOf(source),
      to: toPrefix.slice(0, -1).split('/'),
      nodeId: String(source.id),
      ...(begunMs !== undefined && { begunMs }),
    };
    await volume.intents.put(ref, intent);
    const copied = new CopiedKeys(volume, ref);
    try {
      if (canRename(store)) await renameTreeOrUndo(volume, store, fromPrefix, toPrefix);
      else {
        await copyTreeOrUndo(volume, { fromPrefix, toPrefix, isReplacing }, copied, {
          seal: () => volume.intents.put(ref, { ...intent, copied: true }),
          unseal: () => volume.intents.put(ref, intent),
        });
      }
    } catch (error) {
      // Whoever asked hears of a failure; the intent is for a crash alone.
      volume.intents.end(ref);
      copied.end();
      throw error;
    }
    volume.nodes.move(source, to.directory, to.name);
    this.#distrust(source);
    const moved = { ref, intent, copied, alone };
    try {
      await this.#end(moved);
    } catch (error) {
      const left =
        'a renamed directory is left behind under its old name until the journal has room for its files';
      volume.log.error({ err: error, prefix: fromPrefix }, left);
      this.#unended.push(moved);
    }
  }

  /** A directory that has moved: its unpublished files are journaled at their new paths, and its sources go. Fails with what the journal says. */
  async #end({ ref, intent, copied, alone }: MovedDirectory): Promise<void> {
    const volume = this.#volume;
    const unpublished = alone.filter((node) => !node.gone && movesAlone(volume, node));
    await Promise.all(unpublished.map((node) => journal(volume, node)));
    await volume.nodes.settled();
    if (canRename(volume.store)) volume.intents.end(ref);
    else await this.#deleteSources(ref, intent, copied);
  }

  /** Before another rename: what the next start would find of two is not what was done. */
  async #endEarlier(): Promise<void> {
    for (let moved = this.#unended[0]; moved !== undefined; moved = this.#unended[0]) {
      try {
        await this.#end(moved);
      } catch (error) {
        throw toFsError(error);
      }
      this.#unended.splice(this.#unended.indexOf(moved), 1);
    }
  }

  /** Finishes a rename that a crash interrupted. Copies that were made already are left alone. */
  async finish(ref: string, intent: DirectoryIntent): Promise<void> {
    const volume = this.#volume;
    const { store } = volume;
    const source = volume.nodes.get(BigInt(intent.nodeId));
    const tree = { fromPrefix: `${intent.from.join('/')}/`, toPrefix: `${intent.to.join('/')}/` };
    const copied = CopiedKeys.of(volume, ref);
    const isCopying = !canRename(store) && intent.copied !== true;
    if (canRename(store)) await renameTree(volume, store, tree.fromPrefix, tree.toPrefix);
    else if (isCopying) await copyTree(volume, tree, copied, 'again');
    const { begunMs, wasServed = false } = intent;
    if (!wasServed) {
      finishMove(volume, source, intent.to);
      await this.#takeAlong(intent);
    }
    if (isCopying) await deleteUnchanged(volume, tree.fromPrefix, copied);
    else if (intent.copied === true) await deleteCopied(volume, tree, copied, { begunMs, wasServed });
  }

  async #requireWithin(copyBytesMax: number, fromPrefix: string): Promise<void> {
    if (copyBytesMax === Infinity) return;
    const bytes = await bytesBelow(this.#volume, fromPrefix, copyBytesMax);
    if (bytes > copyBytesMax) throw copiesTooMuch(this.#volume, fromPrefix, copyBytesMax);
  }

  /** The store's clock, from before anything is copied; undefined where there is no object to ask about. */
  async #storeMs(source: DirectoryNode, fromPrefix: string): Promise<number | undefined> {
    const { store } = this.#volume;
    const marker = source.marker == null ? undefined : await store.head(fromPrefix);
    if (marker !== undefined) return marker.dateMs;
    for await (const [first] of pagesBelow(this.#volume, fromPrefix, 1))
      return first === undefined ? undefined : (await store.head(first.key))?.dateMs;
    return undefined;
  }

  /** Copies may carry other ETags: what is held of files below a renamed directory is asked for again. */
  #distrust(directory: DirectoryNode): void {
    const volume = this.#volume;
    directory.forgetListing();
    directory.marker = undefined;
    directory.validatedMs = NEVER_MS;
    const path = volume.pathOf(directory);
    for (const node of volume.nodes.present()) {
      if (volume.table.volumeOf(node.id) !== volume.name) continue;
      const names = volume.table.path(node.id) ?? [];
      if (names.length <= path.length || !isBelow(names, path)) continue;
      node.validatedMs = NEVER_MS;
      node.epoch++;
      if (node.kind === 'directory') {
        node.forgetListing();
        node.marker = undefined;
      }
    }
  }

  /** Files that weren't published moved along: what the journal has of them is carried out at their new paths. */
  async #takeAlong({ from, to }: DirectoryIntent): Promise<void> {
    const { name, intents, table } = this.#volume;
    for (const [ref, intent] of [...intents.live()]) {
      const isOfFile = intent.kind === 'create' || intent.kind === 'change' || intent.kind === 'written';
      if (!isOfFile || intent.volume !== name || !isBelow(intent.path, from)) continue;
      const id = /^(?:create|change|written):(\d+)$/.exec(ref)?.[1];
      // The loser of a conflict stays with the winner's key.
      if (id === undefined) continue;
      const path = table.path(BigInt(id));
      // Made under the old name since it became free.
      if (path !== undefined && !isBelow(path, to)) continue;
      await intents.put(ref, { ...intent, path: [...to, ...intent.path.slice(from.length)] });
    }
  }

  /** The directory is at its new name: sources that can't be deleted now go at the next start. */
  async #deleteSources(ref: string, intent: DirectoryIntent, copied: CopiedKeys): Promise<void> {
    const volume = this.#volume;
    const fromPrefix = `${intent.from.join('/')}/`;
    for (let attempt = 1; ; attempt++) {
      try {
        await deleteUnchanged(volume, fromPrefix, copied);
        volume.intents.end(ref);
        copied.end();
        return;
      } catch (error) {
        if (attempt < ATTEMPTS_MAX) continue;
        const left = { err: error, prefix: fromPrefix };
        volume.log.error(left, 'a renamed directory is left behind under its old name until the next start');
        await volume.intents.put(ref, { ...intent, copied: true, wasServed: true }).catch((why: unknown) => {
          volume.log.error({ err: why, prefix: fromPrefix }, 'that it is left behind was not journaled');
        });
        return;
      }
    }
  }
}

/** For a rename of what is at `from`: told to the log, since the client only knows that it is to copy by itself. */
export function copiesTooMuch(volume: Volume, from: string, copyBytesMax: number): FsError {
  const what = 'a rename would copy more than --rename-copy-limit';
  volume.log.warn({ from, limitBytes: copyBytesMax }, what);
  return new FsError(
    'EXDEV',
    `the rename of "${from}" in ${volume.name} would copy more than ${copyBytesMax} bytes`,
  );
}

const isBelow = (names: readonly string[], directory: readonly string[]): boolean =>
  names.length > directory.length && directory.every((name, at) => names[at] === name);
