/**
 * The rename of a directory. In an ordinary bucket every key below it is copied, then the directory moves, then the sources go:
 *
 *   journaled -> copies -> journaled as copied -> node moved, unpublished files journaled at their new paths -> sources deleted -> done
 *             `-> a failure: the copies are deleted, the directory stays
 *
 * A file is under its old name until the node has moved, and under the new one from then on. After a crash what is journaled is finished. A
 * directory bucket renames key by key (tree-rename.ts).
 */
import { canRename } from '../store/object-store.js';
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
  type Copied,
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

export class DirectoryRename {
  readonly #volume: Volume;
  readonly #publishing: Publishing;

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
    const fromPrefix = volume.prefixOf(source);
    const toPrefix = `${volume.entryKey(to.directory, to.name)}/`;
    const unpublished = this.#publishing.unpublishedBelow(fromPrefix);
    const alone = unpublished.filter((node) => movesAlone(volume, node));
    const failed = await this.#publishing.publishAllHeld(unpublished.filter((node) => !alone.includes(node)));
    if (failed.length > 0) throw toFsError(failed[0]);
    if (!canRename(store)) await this.#requireWithin(copyBytesMax, fromPrefix);
    await depart(fromPrefix);
    const ref = `rename:${source.id}`;
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
    let copied: Copied | undefined;
    try {
      if (canRename(store)) await renameTreeOrUndo(volume, store, fromPrefix, toPrefix);
      else {
        copied = await copyTreeOrUndo(
          volume,
          { fromPrefix, toPrefix, isReplacing },
          {
            seal: () => volume.intents.put(ref, { ...intent, copied: true }),
            unseal: () => volume.intents.put(ref, intent),
          },
        );
      }
    } catch (error) {
      // Whoever asked hears of a failure; the intent is for a crash alone.
      volume.intents.end(ref);
      throw error;
    }
    volume.nodes.move(source, to.directory, to.name);
    this.#distrust(source);
    if (!(await this.#journalMoved(alone))) return;
    await volume.nodes.settled();
    if (copied === undefined) volume.intents.end(ref);
    else await this.#deleteSources(ref, intent, copied);
  }

  /** Finishes a rename that a crash interrupted. Copies that were made already are left alone. */
  async finish(intent: DirectoryIntent): Promise<void> {
    const volume = this.#volume;
    const { store } = volume;
    const source = volume.nodes.get(BigInt(intent.nodeId));
    const fromPrefix = `${intent.from.join('/')}/`;
    const toPrefix = `${intent.to.join('/')}/`;
    let copied: Copied | undefined;
    if (canRename(store)) await renameTree(volume, store, fromPrefix, toPrefix);
    else if (intent.copied !== true) copied = await copyTree(volume, fromPrefix, toPrefix, { again: true });
    const { begunMs, wasServed = false } = intent;
    if (!wasServed) {
      finishMove(volume, source, intent.to);
      await this.#takeAlong(intent);
    }
    if (copied !== undefined) await deleteUnchanged(volume, fromPrefix, copied);
    else if (intent.copied === true) await deleteCopied(volume, fromPrefix, toPrefix, { begunMs, wasServed });
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

  /** False where the journal takes nothing: the next start finishes the rename, and finds these files by their old paths. */
  async #journalMoved(nodes: readonly FileNode[]): Promise<boolean> {
    try {
      await Promise.all(nodes.map((node) => journal(this.#volume, node)));
      return true;
    } catch (error) {
      const left = 'a renamed directory is left behind under its old name until the next start';
      this.#volume.log.error({ err: error }, left);
      return false;
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
  async #deleteSources(ref: string, intent: DirectoryIntent, copied: Copied): Promise<void> {
    const volume = this.#volume;
    const fromPrefix = `${intent.from.join('/')}/`;
    for (let attempt = 1; ; attempt++) {
      try {
        await deleteUnchanged(volume, fromPrefix, copied);
        volume.intents.end(ref);
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
