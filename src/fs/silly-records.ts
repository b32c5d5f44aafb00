/**
 * Which files of a volume have names that clients made to remove them later, and where the objects of those are. In the journal, so that
 * a restart finds them again.
 */
import type { Intent } from './intent-log.js';
import type { JournaledVolume } from './journaled-volume.js';
import type { DirectoryNode, FileNode, SillyState } from './node.js';

export type SillyIntent = Extract<Intent, { kind: 'silly-name' }>;

/** A restart takes a file for unused for so much longer than it was, at most. */
const JOURNALED_EACH_MS = 3_600_000;

const sillyRef = (id: bigint): string => `silly:${id}`;

/** The part of a volume that is used here. */
interface OwnVolume extends JournaledVolume {
  keyOf(node: FileNode): string;
  nameOf(node: FileNode): string;
  parentOf(node: FileNode): DirectoryNode;
  entryKey(directory: DirectoryNode, name: string): string;
}

export class SillyRecords {
  readonly #volume: OwnVolume;
  /** By id. Held for good, with their directories: neither is to come back from the database without what is known of it here. */
  readonly #files = new Map<bigint, { readonly node: FileNode; readonly directory: DirectoryNode }>();
  /** By the key that their objects are at. */
  readonly #held = new Map<string, FileNode>();

  constructor(volume: OwnVolume) {
    this.#volume = volume;
  }

  /** All of them. */
  files(): FileNode[] {
    return [...this.#files.values()].map(({ node }) => node);
  }

  /** The removed file whose object is at a key. */
  heldAt(key: string): FileNode | undefined {
    return this.#held.get(key);
  }

  /** The object at a key is a removed file's. While that is published, whichever it is. */
  isHeld(key: string, etag: string): boolean {
    const node = this.#held.get(key);
    return node !== undefined && (node.version?.etag === etag || node.publishing !== undefined);
  }

  /** Keys that a change of the entry concerns: its own, and that of the object where it has another. */
  keysOf(directory: DirectoryNode, name: string): string[] {
    const volume = this.#volume;
    const key = volume.entryKey(directory, name);
    const id = this.#files.size === 0 ? undefined : volume.table.childId(directory.id, name);
    const node = id === undefined ? undefined : this.#files.get(id)?.node;
    return node?.silly?.heldName === undefined || node.gone ? [key] : [key, volume.keyOf(node)];
  }

  /** A client used it. The journal hears of that once an hour, without being waited for. */
  used(node: FileNode): void {
    const { clock, intents, log } = this.#volume;
    const { silly } = node;
    if (silly === undefined) return;
    silly.usedMs = clock.nowMs();
    const live = intents.live().get(sillyRef(node.id));
    if (live?.kind !== 'silly-name' || silly.usedMs - live.usedMs < JOURNALED_EACH_MS) return;
    intents
      .put(sillyRef(node.id), { ...live, usedMs: silly.usedMs })
      .catch((error: unknown) =>
        log.warn({ err: error }, 'when a removed file was last used was not journaled'),
      );
  }

  /** Resolves when it is safe on disk that the file's name, the last of `path`, is to be one for a removed file. */
  async journal(
    node: FileNode,
    path: readonly string[],
    silly: Omit<SillyIntent, 'kind' | 'volume' | 'path' | 'nodeId'>,
  ): Promise<void> {
    const { name, intents } = this.#volume;
    await intents.put(sillyRef(node.id), {
      kind: 'silly-name',
      volume: name,
      path,
      nodeId: String(node.id),
      ...silly,
    });
  }

  /** Journals the version that the removed file's object at its old key has now. */
  async journalVersion({ id, silly, version }: FileNode): Promise<void> {
    const { intents } = this.#volume;
    const ref = sillyRef(id);
    const live = intents.live().get(ref);
    if (live?.kind !== 'silly-name' || silly?.heldName === undefined || version === undefined) return;
    const { etag, size } = version;
    await intents.put(ref, { ...live, version: { etag, size } });
  }

  /** From now on it is one. The file has its name already. */
  add(node: FileNode, { heldName, withheld, usedMs, taken }: SillyState): void {
    const volume = this.#volume;
    const directory = volume.parentOf(node);
    const name = volume.nameOf(node);
    this.#letGo(node);
    node.silly = { heldName, withheld, usedMs, taken };
    this.#files.set(node.id, { node, directory });
    if (heldName !== undefined) this.#held.set(volume.keyOf(node), node);
    if (withheld) directory.unpublishedFiles.set(name, node);
    else if (!node.created) directory.unpublishedFiles.delete(name);
  }

  /** It is removed, or has an ordinary name. */
  end(node: FileNode): void {
    this.#forget(node);
    this.#volume.intents.end(sillyRef(node.id));
  }

  /** As `end`; resolves when that is safe on disk. */
  async drop(node: FileNode): Promise<void> {
    this.#forget(node);
    await this.#volume.intents.drop(sillyRef(node.id));
  }

  #forget(node: FileNode): void {
    this.#letGo(node);
    this.#files.delete(node.id);
    node.silly = undefined;
  }

  #letGo(node: FileNode): void {
    for (const [key, held] of this.#held) if (held === node) this.#held.delete(key);
  }
}
