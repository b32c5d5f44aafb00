/**
 * CREATE, SYMLINK and REMOVE; directories.ts has MKDIR and RMDIR. Each resolves when a crash can't undo it any more: the store has it, or, for a new
 * file, the journal. Changes of one entry run one after the other.
 */
import type { AttributeChanges, CreateMode } from './file-system.js';
import type { Content } from './content.js';
import type { EntryChanges, Guard, Made, Owner } from './entry-changes.js';
import { FsError } from './errors.js';
import { isMarkedBy, markedTimes } from './exclusive-marks.js';
import type { Freshness, ToRemove } from './freshness.js';
import type { Intent } from './intent-log.js';
import { dropUnpublished, journal, unpublishedRefs } from './journaling.js';
import { deleteObjectOf } from './lost-condition.js';
import type { Markers } from './markers.js';
import {
  FileNode,
  type DirectoryNode,
  type EntryChange,
  type FsNode,
  type PublishedVersion,
} from './node.js';
import type { Publishing } from './publishing.js';
import type { SillyNames } from './silly-names.js';
import { modeAfterWrite } from './set-id.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

export class Namespace {
  readonly #volume: Volume;
  readonly #freshness: Freshness;
  readonly #content: Content;
  readonly #publishing: Publishing;
  readonly #silly: SillyNames;
  readonly #markers: Markers;
  readonly #entries: EntryChanges;

  constructor(
    volume: Volume,
    parts: {
      readonly freshness: Freshness;
      readonly content: Content;
      readonly publishing: Publishing;
      readonly silly: SillyNames;
      readonly markers: Markers;
      readonly entries: EntryChanges;
    },
  ) {
    this.#volume = volume;
    this.#freshness = parts.freshness;
    this.#content = parts.content;
    this.#publishing = parts.publishing;
    this.#silly = parts.silly;
    this.#markers = parts.markers;
    this.#entries = parts.entries;
  }

  /** CREATE (RFC 1813 3.3.8). `mayTruncate` judges an UNCHECKED create of an existing file with size 0. */
  async create(
    directory: DirectoryNode,
    name: string,
    mode: CreateMode,
    owner: Owner,
    mayTruncate: Guard,
    patience?: AbortSignal,
  ): Promise<Made<FileNode>> {
    const making = async (): Promise<Made<FileNode>> => {
      const existing = await this.#freshness.entryIfAny(directory, name);
      if (existing !== undefined)
        return { node: await this.#createOver(existing, name, { mode, owner, mayTruncate }, patience) };
      const volume = this.#volume;
      await this.#silly.makeRoom(volume.entryKey(directory, name));
      const node = volume.nodes.entry(directory, name, 'file');
      const { nowNs } = volume;
      const attributes = mode.how === 'exclusive' ? this.#marked(mode.verifier, nowNs) : mode.attributes;
      this.#entries.setNew(node, attributes, owner, nowNs);
      node.created = true;
      if (mode.how === 'exclusive') node.exclusiveVerifier = mode.verifier.toString('hex');
      directory.noteCreated(name, node);
      volume.nodes.trackBusy(node);
      try {
        const { size = 0, mtimeNs } = attributes;
        if (size > 0) {
          await this.#content.setattrHeld(node, { size, ...(mtimeNs !== undefined && { mtimeNs }) });
        }
        // Who comes back without a journal finds what S3 has.
        const isInBucket = mode.how === 'exclusive' && volume.createsInBucket;
        if (!volume.commit.isStateEphemeral) await journal(volume, node);
        if (volume.commit.isStateEphemeral || isInBucket) await this.#publishNew(node, name, mode);
      } catch (error) {
        directory.unpublishedFiles.delete(name);
        await this.#publishing.abandon(node);
        volume.nodes.forget(node.id);
        this.#freshness.distrust(directory, name);
        throw toFsError(error);
      }
      const change = this.#entries.made(directory, node);
      if (node.publishable) this.#content.publishAfterRest(node);
      return { node, change };
    };
    return this.#entries.alone(directory, name, making, 'entry', patience);
  }

  /** Times that carry the verifier, where the object is put before CREATE is answered and has our metadata (exclusive-marks.ts). */
  #marked(verifier: Buffer, nowNs: bigint): AttributeChanges {
    return this.#marksObjects ? markedTimes(verifier, nowNs) : {};
  }

  get #marksObjects(): boolean {
    const { createsInBucket, commit, metadata } = this.#volume;
    return (createsInBucket || commit.isStateEphemeral) && metadata === 'objects';
  }

  /** A new file's object is there before its CREATE is answered. EEXIST where somebody else's was there before. */
  async #publishNew(node: FileNode, name: string, { how }: CreateMode): Promise<void> {
    await this.#publishing.publishHeld(node);
    if (node.version !== undefined) return;
    // A conflict, which has told the log. An UNCHECKED create finds their file when it comes again.
    throw new FsError(how === 'unchecked' ? 'EJUKEBOX' : 'EEXIST', `somebody else made "${name}" meanwhile`);
  }

  async #createOver(
    existing: FsNode,
    name: string,
    {
      mode,
      owner,
      mayTruncate,
    }: { readonly mode: CreateMode; readonly owner: Owner; readonly mayTruncate: Guard },
    patience: AbortSignal | undefined,
  ): Promise<FileNode> {
    const taken = new FsError('EEXIST', `"${name}" exists`);
    if (existing.kind !== 'file' || existing.type !== 'file') throw taken;
    switch (mode.how) {
      case 'guarded':
        throw taken;
      case 'exclusive':
        // A retransmission of the call that made the file carries its verifier.
        if (existing.exclusiveVerifier === mode.verifier.toString('hex')) return existing;
        if (this.#marksObjects && existing.size === 0 && isMarkedBy(mode.verifier, existing)) return existing;
        throw taken;
      case 'unchecked': {
        const { size } = mode.attributes;
        if (size !== undefined) {
          mayTruncate(existing);
          const changes = { ...modeAfterWrite(existing, owner), size };
          await this.#content.setattrHeld(existing, changes, undefined, patience);
        }
        return existing;
      }
    }
  }

  /** SYMLINK (RFC 1813 3.3.10): the target is the object's body. */
  async symlink(
    directory: DirectoryNode,
    name: string,
    target: Buffer,
    attributes: AttributeChanges,
    owner: Owner,
  ): Promise<Made<FileNode>> {
    return this.#entries.alone(directory, name, async () => {
      await this.#entries.requireAbsent(directory, name);
      const volume = this.#volume;
      if (volume.metadata === 'none')
        throw new FsError(
          'ENOTSUP',
          `"${name}": a symlink is told by metadata, which --metadata none leaves out`,
        );
      await this.#silly.makeRoom(volume.entryKey(directory, name));
      const draft = new FileNode(0n);
      draft.type = 'symlink';
      const { nowNs } = volume;
      this.#entries.setNew(draft, { mode: 0o777, ...attributes }, owner, nowNs);
      const headers = volume.headersOf(draft);
      const written = await volume.store
        .put(volume.entryKey(directory, name), [target], headers, { ifNoneMatch: '*' })
        .catch((error: unknown) => {
          throw this.#entries.notMade(directory, name, error);
        });
      const node = volume.nodes.entry(directory, name, 'file');
      node.type = 'symlink';
      this.#entries.setNew(node, { mode: 0o777, ...attributes }, owner, nowNs);
      node.size = target.length;
      node.version = { ...written, size: target.length };
      node.headers = headers;
      node.proven = true;
      node.validatedMs = volume.clock.nowMs();
      volume.kept.filled(directory);
      directory.noteEntry({ name, kind: 'file', version: node.version });
      return { node, change: this.#entries.made(directory, node) };
    });
  }

  /** REMOVE (RFC 1813 3.3.12). EISDIR for a directory. Without a guard the entry's attributes aren't needed, and a HEAD is saved. */
  async remove(directory: DirectoryNode, name: string, guard: Guard | undefined): Promise<EntryChange> {
    return this.#entries.alone(directory, name, async () => {
      const volume = this.#volume;
      const { node, listed }: ToRemove =
        guard === undefined
          ? await this.#freshness.toRemove(directory, name)
          : { node: await this.#freshness.entry(directory, name) };
      guard?.(node);
      if (node.kind === 'directory') throw new FsError('EISDIR', `"${name}" is a directory`);
      if (node.attempted !== undefined) await this.#publishing.settleAttempt(node);
      const key = volume.keyOf(node);
      const removing = await this.#journalRemoval(node, key);
      const leave = await this.#markers.leave(directory, key);
      let isKept = false;
      // What isn't published is dropped last: a file that can't be removed keeps it.
      try {
        await this.#deleteObject(directory, name, node, listed);
      } catch (error) {
        if (removing !== undefined) await volume.intents.drop(removing);
        throw toFsError(error);
      } finally {
        isKept = leave();
      }
      const change = this.#entries.gone(directory, name, node);
      await this.#publishing.abandon(node);
      if (node.silly !== undefined) await volume.silly.drop(node);
      if (removing !== undefined) await volume.intents.drop(removing);
      volume.readers.forget(key);
      if (!isKept) await this.#markers.keepIfCan(directory);
      return change;
    });
  }

  async #deleteObject(
    directory: DirectoryNode,
    name: string,
    node: FileNode,
    version: PublishedVersion | undefined,
  ): Promise<void> {
    const distrusted = await deleteObjectOf(this.#volume, node, version).catch(async (error: unknown) => {
      if (!(error instanceof FsError && error.code === 'EIO')) throw error;
      this.#freshness.distrust(directory, name);
      // What isn't published of the file is kept beside the object of somebody else.
      await this.#publishing.publishHeld(node);
      throw error;
    });
    if (distrusted !== undefined) this.#freshness.distrust(directory, distrusted);
  }

  /**
   * A crash between the removal of the object and that of what the journal has of the file would take the object for somebody else's doing,
   * and keep the rest beside it. Undefined where the journal has nothing.
   */
  async #journalRemoval(node: FileNode, key: string): Promise<string | undefined> {
    const { intents, name } = this.#volume;
    const { version } = node;
    const isKnown =
      node.silly !== undefined || unpublishedRefs(node.id).some((ref) => intents.live().has(ref));
    if (version === undefined || !isKnown) return undefined;
    const ref = `remove:${node.id}`;
    const { etag } = version;
    await intents.put(ref, { kind: 'remove-file', volume: name, key, etag, nodeId: String(node.id) });
    return ref;
  }

  /** Finishes a removal that a crash interrupted. Somebody else's object stays. */
  async finishRemoval({ key, etag, nodeId }: Extract<Intent, { kind: 'remove-file' }>): Promise<void> {
    const volume = this.#volume;
    const head = await volume.store.head(key);
    const node = volume.nodes.get(BigInt(nodeId));
    const silly = node?.kind === 'file' && node.silly !== undefined ? node : undefined;
    if (head !== undefined && head.etag !== etag && silly === undefined) return;
    if (head?.etag === etag) await volume.store.delete(key, { ifMatch: etag });
    await dropUnpublished(volume, nodeId);
    if (silly === undefined) return;
    const name = volume.nameOf(silly);
    const directory = volume.parentOf(silly);
    await volume.silly.drop(silly);
    this.#entries.gone(directory, name, silly);
  }
}
