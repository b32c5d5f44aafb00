/**
 * What the store has, compared with what is held in memory: attributes of files (HEAD), directories (LIST), and names.
 *
 * An answer is applied only if nothing changed here since it was asked for (`epoch`), and never to a file with unpublished
 * changes: those are authoritative until they are published under the condition that nobody else changed the object.
 */
import type { ObjectHead } from '../store/object-store.js';
import { DirectoryLooks } from './directory-looks.js';
import { FsError } from './errors.js';
import { directoryOnceAt, isPlaceTold, listingTellsAll } from './known-places.js';
import {
  NEVER_MS,
  type DirectoryNode,
  type FileNode,
  type FsNode,
  type Listing,
  type PublishedVersion,
} from './node.js';
import { readPosixMetadata } from './posix-metadata.js';
import { applySeen, seenOf, type SeenVersion } from './seen-version.js';
import { SharedRequests } from './shared-requests.js';
import { SharedHeaders, isEmptyPage } from './store-answers.js';
import { after, type Soon } from './soon.js';
import { rethrowAsFsError } from './store-errors.js';
import type { Volume } from './volume.js';
import type { WholeGets } from './whole-gets.js';

/** An entry that is to be removed. */
export interface ToRemove {
  readonly node: FsNode;
  /** The version of the file's object to delete, where a listing has shown a newer one than the node has. */
  readonly listed?: PublishedVersion;
}

/** S3's LastModified has seconds: a HEAD dated this much later can't have been overtaken by a change of the same second. */
const PROOF_AFTER_MS = 2000;

export class Freshness {
  readonly #volume: Volume;
  readonly #gets: WholeGets | undefined;
  readonly #requests: SharedRequests;
  readonly #looks: DirectoryLooks;
  readonly #headers = new SharedHeaders();

  /** With `gets`, a small file that is expected to be read is asked for by a GET instead of a HEAD. */
  constructor(volume: Volume, gets?: WholeGets) {
    this.#volume = volume;
    this.#gets = gets;
    this.#requests = new SharedRequests(volume.clock, volume.metadataTtlMs);
    this.#looks = new DirectoryLooks(volume, {
      vanished: (node) => this.#vanished(node),
      shown: (node, seen, takenMs) => void this.adopt(node, seen, takenMs),
    });
  }

  /** The node's attributes, no older than the time to live: undefined when they are so at `nowMs`, now by default. ESTALE when it is gone from the store. */
  node(node: FsNode, nowMs?: number): Promise<void> | undefined {
    return node.kind === 'directory' ? this.directory(node, nowMs) : this.file(node, nowMs);
  }

  /** As `node`, for who doesn't look into it: of a directory that nobody looked into, what its parent's listing told is all there is to know. */
  attributes(node: FsNode, nowMs?: number): Promise<void> | undefined {
    return node.kind === 'directory' && isPlaceTold(this.#volume, node, nowMs)
      ? undefined
      : this.node(node, nowMs);
  }

  file(node: FileNode, nowMs?: number): Promise<void> | undefined {
    if (node.gone) throw stale(this.#volume, node);
    if (node.recovering !== undefined) return this.#recovered(node).then(() => this.file(node));
    if (node.unpublished || node.relocating || this.#volume.isFresh(node, nowMs)) return undefined;
    if (this.#isToldByListing(node)) return undefined;
    return this.#confirmed(
      node,
      this.#requests.share(`file ${node.id}`, () => this.#head(node)),
    );
  }

  /** With `--metadata none` a listing tells all there is to know: true, and the file is fresh, where a scan showed it within the time to live. */
  #isToldByListing(node: FileNode): boolean {
    const volume = this.#volume;
    const { listed } = node;
    const seen = volume.metadata === 'none' ? seenOf(listed?.version) : undefined;
    if (listed === undefined || seen === undefined) return false;
    if (volume.clock.nowMs() - listed.takenMs >= volume.metadataTtlMs) return false;
    if (!this.#adoptWhole(node, seen, listed.takenMs)) return false;
    volume.nodes.save(node);
    return true;
  }

  /** What a crash left of the file is looked at. EJUKEBOX where that takes long. */
  async #recovered(node: FileNode): Promise<void> {
    const { long } = this.#volume;
    if (node.recovering !== undefined) await long.within(node.recovering, `recovery of file ${node.id}`);
  }

  directory(node: DirectoryNode, nowMs?: number): Promise<void> | undefined {
    if (node.gone) throw stale(this.#volume, node);
    if (this.#volume.isFresh(node, nowMs)) return undefined;
    return this.#confirmed(
      node,
      this.#requests.share(`directory ${node.id}`, () => this.#looks.look(node)),
    );
  }

  async #confirmed(node: FsNode, found: Promise<boolean>): Promise<void> {
    if (!(await found)) throw stale(this.#volume, node);
  }

  /** The entry of that name; a file's attributes no older than the time to live. ENOENT when the store has neither an object nor a prefix of that name. */
  entry(parent: DirectoryNode, name: string, nowMs?: number): Soon<FsNode> {
    return after(this.entryIfAny(parent, name, nowMs), (found) => {
      if (found !== undefined) return found;
      const volume = this.#volume;
      throw new FsError('ENOENT', `no file "${volume.prefixOf(parent)}${name}" in ${volume.name}`);
    });
  }

  /** As `entry`, but undefined where there is none. A listing taken at `sinceMs` or later counts as fresh, however old: this call asked for it. */
  entryIfAny(
    parent: DirectoryNode,
    name: string,
    nowMs?: number,
    sinceMs = Infinity,
  ): Soon<FsNode | undefined> {
    const volume = this.#volume;
    const id = volume.table.childId(parent.id, name);
    const known = id === undefined ? undefined : volume.nodes.get(id);
    if (known?.kind === 'file' && known.recovering !== undefined)
      return this.#recovered(known).then(() => this.entryIfAny(parent, name));
    if (known !== undefined && this.#isTrusted(known, nowMs)) return known;
    if (known?.kind === 'file' && known.silly?.withheld === true)
      return this.#stillThere(known).then((there) => (there ? known : undefined));
    const listing = this.#currentListing(parent, name, sinceMs);
    // Of a directory the LIST of itself tells more than one of its parent.
    const once = listing === undefined ? directoryOnceAt(volume, parent, name) : undefined;
    const renewing =
      once === undefined &&
      this.#renewed(parent, name, sinceMs, (since) => this.entryIfAny(parent, name, undefined, since));
    if (renewing instanceof Promise) return renewing;
    if (listing !== undefined) {
      const listed = listing.entries.get(name);
      if (known !== undefined && listed?.kind !== known.kind && volume.nodes.isHeld(known)) return known;
      const isOldNews = known === undefined && volume.clock.nowMs() - listing.takenMs >= volume.negativeTtlMs;
      if (listed === undefined && !isOldNews) {
        // Somebody else removed it: whoever makes the name anew makes another file.
        if (known !== undefined) this.#vanished(known);
        else if (volume.negativeTtlMs > volume.metadataTtlMs) parent.negatives.set(name, listing.takenMs);
        return undefined;
      }
      if (listed !== undefined) {
        const node = volume.nodes.entry(parent, name, listed.kind);
        const seen = seenOf(listed.version);
        const isFile = node.kind === 'file' && seen !== undefined;
        if (isFile && this.adopt(node, seen, listing.takenMs)) return node;
        if (node.kind === 'directory' && listingTellsAll(volume, 'directory')) {
          node.notePlace(listing.takenMs, volume.nowNs);
          if (isPlaceTold(volume, node)) return node;
        }
        // Gone since it was listed; or a prefix that only an unfinished upload has, which directory buckets list.
        return this.#stillThere(node).then((there) => (there ? node : undefined));
      }
    }
    const absentMs = parent.negatives.get(name) ?? NEVER_MS;
    if (volume.clock.nowMs() - absentMs < volume.negativeTtlMs) return undefined;
    return this.#requests.share(`entry ${parent.id}/${name}`, () => this.#probe(parent, name, once ?? known));
  }

  /**
   * As `entry`, for a caller that removes it and doesn't look at its attributes. So a file needs no HEAD: its attributes may be older than the time
   * to live, and the version that a listing has shown since comes with it.
   */
  toRemove(parent: DirectoryNode, name: string, sinceMs = Infinity): Soon<ToRemove> {
    const volume = this.#volume;
    const id = volume.table.childId(parent.id, name);
    const known = id === undefined ? undefined : volume.nodes.get(id);
    const file = known?.kind === 'file' ? known : undefined;
    const isOurs = known !== undefined && (file === undefined || !isAsListed(file) || this.#isTrusted(file));
    if (isOurs) return after(this.entry(parent, name), (node) => ({ node }));
    const renewing = this.#renewed(parent, name, sinceMs, (since) => this.toRemove(parent, name, since));
    if (renewing !== undefined) return renewing;
    const listing = this.#currentListing(parent, name, sinceMs);
    const listed = listing === undefined ? this.#shownVersion(file) : listing.entries.get(name)?.version;
    if (listed === undefined) return after(this.entry(parent, name), (node) => ({ node }));
    return { node: volume.nodes.entry(parent, name, 'file'), listed };
  }

  /** The version that a scan showed a client within the time to live. Only of a file that was never looked at: such a file wasn't changed here since. */
  #shownVersion(known: FileNode | undefined): PublishedVersion | undefined {
    if (known?.listed === undefined || known.version !== undefined) return undefined;
    const { clock, metadataTtlMs } = this.#volume;
    return clock.nowMs() - known.listed.takenMs < metadataTtlMs ? known.listed.version : undefined;
  }

  /** The listing that covers a name, if it is within the time to live or was taken at `sinceMs` or later. */
  #currentListing(parent: DirectoryNode, name: string, sinceMs: number): Listing | undefined {
    const { clock, metadataTtlMs } = this.#volume;
    const listing = parent.listingOf(name);
    if (listing === undefined || listing.takenMs >= sinceMs) return listing;
    return clock.nowMs() - listing.takenMs < metadataTtlMs ? listing : undefined;
  }

  /**
   * Where the listing that covers the name is too old, asks for a new one, shared by all who look at names of the directory, and then calls `again`
   * with the time from which listings count as fresh. Undefined where that isn't so, or was done for this call before (`sinceMs`): a store may take
   * longer to answer than the time to live.
   */
  #renewed<T>(
    parent: DirectoryNode,
    name: string,
    sinceMs: number,
    again: (sinceMs: number) => Soon<T>,
  ): Promise<T> | undefined {
    const { clock, metadataTtlMs } = this.#volume;
    const isOld = parent.listingOf(name) !== undefined && !this.#currentListing(parent, name, sinceMs);
    if (!isOld || sinceMs !== Infinity || metadataTtlMs === 0) return undefined;
    const askedMs = clock.nowMs();
    return this.directory(parent)?.then(() => again(askedMs));
  }

  /** Makes the next look at a name ask the store. */
  distrust(directory: DirectoryNode, name: string): void {
    const volume = this.#volume;
    directory.forgetListing();
    directory.negatives.delete(name);
    const record = volume.table.child(directory.id, name);
    const node = record === undefined ? undefined : volume.nodes.get(record.id);
    if (node !== undefined) node.validatedMs = NEVER_MS;
  }

  #isTrusted(node: FsNode, nowMs?: number): boolean {
    const ours = node.kind === 'file' ? node.unpublished || node.relocating : node.permanent;
    return ours || this.#volume.isFresh(node, nowMs);
  }

  /** Takes over what a listing shows of a file; true when it proves the attributes held, or is all there is to know. */
  adopt(node: FileNode, seen: SeenVersion, atMs: number): boolean {
    if (node.unpublished) return true;
    if (this.#volume.metadata === 'none') return this.#adoptWhole(node, seen, atMs);
    const { version } = node;
    const same =
      version !== undefined &&
      version.etag === seen.etag &&
      version.size === seen.size &&
      version.lastModifiedMs === seen.lastModifiedMs;
    // What an earlier start kept here is not on the object.
    const isOnlyInState = node.attributesInState && this.#volume.metadata === 'objects';
    if (same && node.proven && !isOnlyInState) {
      node.validatedMs = Math.max(node.validatedMs, atMs);
      return true;
    }
    if (version !== undefined && version.etag !== seen.etag) node.validatedMs = NEVER_MS;
    return false;
  }

  /** With `--metadata none`, where a listing tells as much as a HEAD. True when the file is fresh afterwards. */
  #adoptWhole(node: FileNode, seen: SeenVersion, atMs: number): boolean {
    const volume = this.#volume;
    // What is known here is newer.
    if (node.relocating || atMs <= node.validatedMs) return volume.isFresh(node);
    const { version } = node;
    const isSame = version?.etag === seen.etag && version.lastModifiedMs === seen.lastModifiedMs;
    if (!isSame) node.headers = undefined;
    // Another start may ask for metadata.
    node.proven = false;
    applySeen(volume, node, seen, {}, atMs);
    // The state database needs no more than the name of a file that nobody has looked at.
    if (version !== undefined && !isSame) volume.nodes.save(node);
    return true;
  }

  /** What a HEAD told of a file that was asked for at `askedMs`: an answer is as old as its question. */
  applyHead(node: FileNode, head: ObjectHead, askedMs: number): void {
    const { metadata } = this.#volume;
    node.headers = this.#headers.of(head);
    node.proven = metadata !== 'none' && head.dateMs - head.lastModifiedMs >= PROOF_AFTER_MS;
    applySeen(this.#volume, node, head, metadata === 'none' ? {} : readPosixMetadata(head.metadata), askedMs);
    this.#volume.nodes.save(node);
  }

  async #head(node: FileNode): Promise<boolean> {
    const volume = this.#volume;
    const { epoch } = node;
    const key = volume.keyOf(node);
    const asking = this.#gets?.headOf(node, key);
    const told = asking && (await asking);
    // What was fetched ahead has told it meanwhile.
    if (asking !== undefined && told === undefined && !node.gone && volume.isFresh(node)) return true;
    const askedMs = told?.askedMs ?? volume.clock.nowMs();
    const head = told?.head ?? (await volume.store.head(key).catch(rethrowAsFsError));
    if (node.gone) return false;
    if (node.unpublished || node.relocating) return true;
    // It, or a directory above it, was renamed meanwhile, or there and back.
    if (volume.keyOf(node) !== key || (node.epoch !== epoch && node.validatedMs === NEVER_MS))
      return this.#head(node);
    if (node.epoch !== epoch) return true;
    // What somebody else put at the key of a removed file is not that file.
    const isOther = node.silly?.heldName !== undefined && head?.etag !== node.version?.etag;
    if (head === undefined || isOther) {
      this.#vanished(node);
      return false;
    }
    this.applyHead(node, head, askedMs);
    return true;
  }

  async #probe(parent: DirectoryNode, name: string, known: FsNode | undefined): Promise<FsNode | undefined> {
    const volume = this.#volume;
    if (known !== undefined && (await this.#stillThere(known))) return known;
    for (;;) {
      const key = volume.entryKey(parent, name);
      const askedMs = volume.clock.nowMs();
      const [isOutdated, head, page] = await parent
        .during(async (changes) => {
          const answers = await Promise.all([
            volume.store.head(key),
            volume.store.list({ prefix: `${key}/`, delimiter: '/', maxKeys: 1 }),
          ]);
          return [changes.concerns(name), ...answers] as const;
        })
        .catch(rethrowAsFsError);
      // The directory may have been renamed meanwhile.
      if (!isOutdated && volume.entryKey(parent, name) === key) {
        const isDirectory = !isEmptyPage(page);
        const isRemoved = head !== undefined && volume.hidden.isRemoved(key, head.etag);
        return this.#probed(parent, name, { head: isRemoved ? undefined : head, isDirectory, askedMs });
      }
      // Something was made or removed here meanwhile: what is held now is newer than the answer.
      const made = volume.table.child(parent.id, name);
      const node = made === undefined ? undefined : volume.nodes.get(made.id);
      if (node !== undefined && this.#isTrusted(node)) return node;
    }
  }

  async #probed(
    parent: DirectoryNode,
    name: string,
    answer: {
      readonly head: ObjectHead | undefined;
      readonly isDirectory: boolean;
      readonly askedMs: number;
    },
  ): Promise<FsNode | undefined> {
    const volume = this.#volume;
    const { head, isDirectory, askedMs } = answer;
    const record = volume.table.child(parent.id, name);
    const known = record === undefined ? undefined : volume.nodes.peek(record.id);
    const kind = isDirectory ? 'directory' : head === undefined ? undefined : 'file';
    if (known !== undefined && !known.gone && known.kind !== kind && volume.nodes.isHeld(known)) return known;
    if (isDirectory) {
      const node = volume.nodes.entry(parent, name, 'directory');
      await this.directory(node);
      return node;
    }
    if (head === undefined) {
      parent.negatives.set(name, askedMs);
      return undefined;
    }
    const node = volume.nodes.entry(parent, name, 'file');
    if (!node.unpublished) this.applyHead(node, head, askedMs);
    return node;
  }

  async #stillThere(node: FsNode): Promise<boolean> {
    try {
      await this.node(node);
      return true;
    } catch (error) {
      if (error instanceof FsError && error.code === 'ESTALE') return false;
      throw error;
    }
  }

  /** Somebody else removed it. */
  #vanished(node: FsNode): void {
    const volume = this.#volume;
    const record = volume.table.get(node.id);
    const parent = record === undefined ? undefined : volume.nodes.peek(record.parent);
    if (record !== undefined && parent?.kind === 'directory') {
      parent.noteVanished(record.name, volume.clock.nowMs());
      parent.touchEntries(volume.nowNs);
    }
    if (node.kind === 'file' && node.silly !== undefined) volume.silly.end(node);
    volume.nodes.forget(node.id);
  }
}

const stale = (volume: Volume, node: FsNode): FsError =>
  new FsError('ESTALE', `file ${node.id} is gone from ${volume.name}`);

/** Whether the object at the file's key is the file, as far as is known here. */
const isAsListed = ({ silly, attempted, recovering }: FileNode): boolean =>
  silly === undefined && attempted === undefined && recovering === undefined;
