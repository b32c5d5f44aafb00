/**
 * Files that are removed while a client has them open. NFSv3 has no open files: a client renames what it is to remove to `.nfs…` in the
 * same directory, and removes that at the last close. Such a rename changes names here and nothing in the bucket:
 *
 *                      RENAME to .nfs…                             REMOVE, or unused for long
 *   file at its key -------------------> withheld, object at its key --------------------------> object deleted
 *                                          |
 *                                          | its old name is made anew, a directory above it is renamed, no room to keep what is written
 *                                          v
 *                                        object at the key of .nfs… (one copy) ----------------> object deleted
 *
 * What is withheld isn't published: bytes that are written to it are kept in spool and journal, and go with it. The object is known by
 * its version; another that somebody puts at its key is theirs, and is shown. docs/decisions/0036-silly-names.md.
 */
import { dropUnpublished, journal, unpublishedRefs } from './journaling.js';
import { moveObject } from './move-object.js';
import {
  NEVER_MS,
  type DirectoryNode,
  type FileNode,
  type PublishedVersion,
  type SillyState,
} from './node.js';
import type { Publishing } from './publishing.js';
import type { SillyIntent } from './silly-records.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

export class SillyNames {
  readonly #volume: Volume;
  readonly #publishing: Publishing;

  constructor(volume: Volume, publishing: Publishing) {
    this.#volume = volume;
    this.#publishing = publishing;
  }

  /**
   * Gives a file the name, free in its directory, under which it waits for its removal. Resolves when that survives a crash. False where it
   * takes an ordinary rename; nothing was done then. The caller holds both keys. `move` gives the node its name.
   */
  async take(node: FileNode, directory: DirectoryNode, name: string, move: () => void): Promise<boolean> {
    const volume = this.#volume;
    // Without a journal it would have its old name again after a restart.
    if (volume.commit.isStateEphemeral || node.silly !== undefined) return false;
    await this.#publishing.settleAttempt(node);
    const { version } = node;
    if (node.attempted !== undefined || (version === undefined && !node.created)) return false;
    const usedMs = volume.clock.nowMs();
    const heldName = version === undefined ? undefined : volume.nameOf(node);
    const path = [...volume.pathOf(directory), name];
    await volume.silly.journal(node, path, {
      ...(version !== undefined && {
        heldName: volume.nameOf(node),
        version: { etag: version.etag, size: version.size, ...modifiedOf(version) },
      }),
      withheld: true,
      usedMs,
    });
    move();
    volume.silly.add(node, { heldName, withheld: true, usedMs, taken: takenOf(version) });
    await this.#journalAgain(node);
    return true;
  }

  /** Makes room for a file that is about to be made at a key: a removed one's object goes to a key of its own. The caller holds the key. */
  async makeRoom(key: string): Promise<void> {
    const held = this.#volume.silly.heldAt(key);
    if (held !== undefined) await this.settle(held);
  }

  /** Makes ordinary files of those below a prefix that the caller holds: what copies keys copies their objects then. */
  async settleBelow(prefix: string): Promise<void> {
    const volume = this.#volume;
    for (const node of volume.silly.files())
      if (volume.table.path(node.id)?.join('/').startsWith(prefix) === true) await this.settle(node);
  }

  /**
   * Gives a removed file an object of its own, at the key of its name, with everything that was written to it. The caller holds its key.
   * Errors: as `Publishing.publish`, and the store's.
   */
  async settle(node: FileNode): Promise<void> {
    const volume = this.#volume;
    const { silly } = node;
    if (silly?.withheld !== true) return;
    node.silly = { ...silly, withheld: false };
    try {
      await this.#publishing.publishHeld(node);
      if (silly.heldName !== undefined && node.version !== undefined)
        await this.#move(node, volume.keyOf(node));
    } catch (error) {
      volume.silly.add(node, silly);
      throw toFsError(error);
    }
    await this.#moved(node);
  }

  async #move(node: FileNode, fromKey: string): Promise<void> {
    const volume = this.#volume;
    const { version } = node;
    if (version === undefined) return;
    const path = volume.pathOf(node);
    const toKey = path.join('/');
    const ref = `rename:${node.id}`;
    await volume.intents.put(ref, {
      kind: 'rename-file',
      volume: volume.name,
      fromKey,
      toKey,
      etag: version.etag,
      nodeId: String(node.id),
      toPath: path,
      replacedEtag: null,
    });
    node.relocating = true;
    try {
      node.version = await moveObject(volume, fromKey, toKey, version, undefined);
      node.epoch++;
    } finally {
      node.relocating = false;
      volume.intents.end(ref);
    }
    volume.readers.forget(fromKey);
    volume.readers.forget(toKey);
  }

  /** Its object is at its own key. */
  async #moved(node: FileNode): Promise<void> {
    const volume = this.#volume;
    const usedMs = node.silly?.usedMs ?? volume.clock.nowMs();
    volume.silly.add(node, { heldName: undefined, withheld: false, usedMs });
    if (node.version !== undefined)
      volume.parentOf(node).noteEntry({ name: volume.nameOf(node), kind: 'file', version: node.version });
    volume.nodes.save(node);
    await volume.silly.journal(node, volume.pathOf(node), { withheld: false, usedMs });
  }

  /** What a crash left of it, from the journal. */
  async restore(ref: string, intent: SillyIntent): Promise<void> {
    const volume = this.#volume;
    const node = volume.nodes.get(BigInt(intent.nodeId));
    const name = intent.path.at(-1);
    // The file was removed and the daemon died before the journal had that; or somebody else removed the whole directory.
    const isThere = node?.kind === 'file' && volume.table.path(node.id) !== undefined;
    if (!isThere || name === undefined) {
      if (node !== undefined) await dropUnpublished(volume, intent.nodeId);
      await volume.intents.drop(ref);
      return;
    }
    if (volume.nameOf(node) !== name) volume.nodes.move(node, volume.parentOf(node), name);
    node.validatedMs = NEVER_MS;
    const { heldName, withheld, usedMs, version } = intent;
    volume.silly.add(node, { heldName, withheld, usedMs, taken: takenOf(version) });
    if (version !== undefined) {
      if (!(await this.#isPublished(node, version))) node.version = version;
      if (node.type === 'file') node.size = node.version?.size ?? 0;
    }
    await this.#journalAgain(node);
  }

  /** Whether the node's version is right: the journaled one, or one that `settle` has published since. */
  async #isPublished({ version, silly, id }: FileNode, journaled: PublishedVersion): Promise<boolean> {
    const volume = this.#volume;
    if (version === undefined || version.etag === journaled.etag) return version !== undefined;
    const directory = volume.table.path(id)?.slice(0, -1) ?? [];
    const head = await volume.store.head([...directory, silly?.heldName ?? ''].join('/'));
    return head?.etag === version.etag;
  }

  /** After a crash in `settle` its object is at its own key. */
  async restoreMoved(node: FileNode): Promise<void> {
    node.validatedMs = NEVER_MS;
    await this.#moved(node);
  }

  /** What the journal has of its bytes and attributes is under its name. */
  async #journalAgain(node: FileNode): Promise<void> {
    const volume = this.#volume;
    const path = volume.pathOf(node);
    const live = volume.intents.live();
    for (const ref of unpublishedRefs(node.id)) {
      const intent = live.get(ref);
      if (intent === undefined || !('path' in intent) || intent.path.join('/') === path.join('/')) continue;
      if (intent.kind === 'written' && node.session !== undefined) await journal(volume, node);
      else await volume.intents.put(ref, { ...intent, path });
    }
  }
}

const modifiedOf = ({ lastModifiedMs }: PublishedVersion): { readonly lastModifiedMs?: number } =>
  lastModifiedMs === undefined ? {} : { lastModifiedMs };

function takenOf(version: PublishedVersion | undefined): SillyState['taken'] {
  if (version?.lastModifiedMs === undefined) return undefined;
  return { etag: version.etag, lastModifiedMs: version.lastModifiedMs };
}
