/**
 * Files and directories as the daemon holds them in memory: what the store was last seen to have, and what isn't there yet.
 * Nodes hold state and the rules that keep it consistent; whoever changes them does the I/O.
 */
import type { ObjectHeaders } from '../store/object-store.js';
import type { WriteSession } from '../write/write-session.js';
import { AbsentNames } from './absent-names.js';
import { StreamPace } from './stream-pace.js';
import type { FileType } from './file-system.js';
import { covers, NameChanges } from './name-changes.js';

/** One version of an object at a node's key. `lastModifiedMs` is unknown until a HEAD or LIST has told it. */
export interface PublishedVersion {
  readonly etag: string;
  readonly size: number;
  readonly lastModifiedMs?: number;
}

/** A file that a client removed and has open (silly-names.ts). */
export interface SillyState {
  /** The name that it had, where the object is still at the key of that. */
  readonly heldName: string | undefined;
  /** Nothing of it is published. */
  readonly withheld: boolean;
  /** When a client last read it, wrote to it or committed it, or gave it the name (milliseconds since the epoch). */
  usedMs: number;
  /** The object when the file got the name, where LIST or HEAD had told its LastModified. */
  readonly taken?: { readonly etag: string; readonly lastModifiedMs: number } | undefined;
}

/** A publication of which it isn't known whether it reached the store. */
export interface PublicationAttempt {
  /** Bytes. */
  readonly size: number;
  /** The session that holds its bytes; undefined where there are none, or they are those of the object before. */
  readonly session: WriteSession | undefined;
  readonly metadata: ObjectHeaders['metadata'];
}

/** Never validated: older than any time to live. */
export const NEVER_MS = Number.NEGATIVE_INFINITY;

abstract class NodeState {
  /** Names the file for ever; the NFS fileid. */
  readonly id: bigint;
  /** Permission bits and owner; absent where the object says nothing and the export's defaults hold. */
  mode: number | undefined;
  uid: number | undefined;
  gid: number | undefined;
  mtimeNs = 0n;
  atimeNs = 0n;
  ctimeNs = 0n;
  /** When the store last confirmed what is held here (milliseconds since the epoch). */
  validatedMs = NEVER_MS;
  /** Moves at every change made here: an answer of the store that was asked for before is not applied. */
  epoch = 0;
  /** Mode and owner are kept in the state directory, not on the object (`--metadata`): metadata of the object, or of one that replaces it, doesn't change them. */
  attributesInState = false;
  /** The file was removed; its handles are stale. */
  gone = false;

  constructor(id: bigint) {
    this.id = id;
  }

  /** Moves ctime, strictly: it is what clients see changes by. */
  touchCtime(nowNs: bigint): void {
    this.ctimeNs = nowNs > this.ctimeNs ? nowNs : this.ctimeNs + 1n;
    this.epoch++;
  }
}

/** A file or a symlink. */
export class FileNode extends NodeState {
  readonly kind = 'file';
  type: Extract<FileType, 'file' | 'symlink'> = 'file';
  /** Bytes, counting what isn't published. */
  size = 0;
  /** The object at the node's key; undefined before the first publication, or before the store was asked. */
  version: PublishedVersion | undefined;
  /** The version that a scan showed clients, and when it was taken (milliseconds since the epoch). */
  listed: { readonly version: PublishedVersion; readonly takenMs: number } | undefined;
  /** The object's own headers, with foreign metadata, where a HEAD has told them. */
  headers: ObjectHeaders | undefined;
  /** The HEAD behind these attributes was dated late enough after LastModified to prove them (docs/decisions/0005-freshness.md). */
  proven = false;
  /** A target kept in metadata instead of the body (GeeseFS). */
  symlinkTarget: string | undefined;

  /** Made here and not in the store yet. */
  created = false;
  /** mode, owner or times differ from the object's. */
  attributesDirty = false;
  /** A client gave the file its mtime, which must reach the object. */
  timesGiven = false;
  /** Its name is one that a client made to remove it later. */
  silly: SillyState | undefined;
  /** Being renamed: what the store says of its key means nothing now. */
  relocating = false;
  /** Where it is being renamed to: what is journaled of it is journaled under this path. */
  movingTo: readonly string[] | undefined;
  /** Moves at every change of attributes: a publication that began before one leaves `attributesDirty` set. */
  attributesEpoch = 0;
  /** Changed bytes. Kept while anybody writes or anything is unpublished. */
  session: WriteSession | undefined;
  /** WRITEs and truncations inside `session` now: it must not be let go under them. */
  writers = 0;
  /** CREATE EXCLUSIVE's verifier, until the SETATTR that follows it. */
  exclusiveVerifier: string | undefined;
  /**
   * A publication that failed and may have reached the store, or one under way that sends no bytes. The file isn't changed until it is known
   * what became of it.
   */
  attempted: PublicationAttempt | undefined;
  // Both are made for those that are written: most files never are, and tens of thousands are in memory.
  #pace: StreamPace | undefined;
  #changeListeners: Set<() => void> | undefined;
  /** Addresses of clients whose bytes are not published. */
  #writtenBy: Set<string> | undefined;
  /** Those whose bytes a publication has taken, which may fail yet. */
  #sentBy: { readonly during: Promise<void> | undefined; readonly clients: ReadonlySet<string> } | undefined;
  /** A crash left something of it unpublished, which isn't looked at yet: settles when it is. Never rejects. */
  recovering: Promise<void> | undefined;
  /** The publication that runs, if any. */
  publishing: Promise<void> | undefined;
  /** Cancels the publication that is planned, if any. */
  cancelPlanned: (() => void) | undefined;

  /** Something here is not in the store, or on its way there: what the store says is older. */
  get unpublished(): boolean {
    return (
      this.publishable || this.writers > 0 || this.publishing !== undefined || this.recovering !== undefined
    );
  }

  /** Whether it is being streamed. */
  get pace(): StreamPace {
    return (this.#pace ??= new StreamPace());
  }

  /** Bytes by clients at these addresses are not published. */
  writtenBy(clients: Iterable<string>): void {
    const all = (this.#writtenBy ??= new Set());
    for (const client of clients) all.add(client);
  }

  /** The clients whose bytes are not published: the caller publishes them, or says who lost, or gives them back. */
  takeWriters(): ReadonlySet<string> {
    const taken = this.#writtenBy ?? new Set();
    this.#writtenBy = undefined;
    this.#sentBy = taken.size === 0 ? undefined : { during: this.publishing, clients: taken };
    return taken;
  }

  /** Addresses of all whose bytes are not published yet, also while they are on their way. */
  get unpublishedWriters(): ReadonlySet<string> {
    const all = new Set(this.#writtenBy);
    if (this.publishing !== undefined && this.#sentBy?.during === this.publishing)
      for (const client of this.#sentBy.clients) all.add(client);
    return all;
  }

  /** Told of each WRITE and SETATTR until it is taken away: by them who waits for the file to rest knows that it doesn't. */
  onChange(listener: () => void): void {
    (this.#changeListeners ??= new Set()).add(listener);
  }

  /** Takes away what was given to `onChange`. */
  offChange(listener: () => void): void {
    this.#changeListeners?.delete(listener);
  }

  /** A WRITE or SETATTR is about to be made. */
  noteChange(): void {
    for (const listener of [...(this.#changeListeners ?? [])]) listener();
  }

  /** There is something to publish now. */
  get publishable(): boolean {
    return this.created || this.attributesDirty || this.session?.dirty === true;
  }
}

/** An entry of a directory as LIST showed it, or as a change made here left it. */
export interface ListedEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory';
  /** Of files, where LIST told it. */
  readonly version?: PublishedVersion;
}

/** Where an entry stands in S3's order: directories are listed as prefixes, with their slash. */
export const sortKeyOf = (entry: Pick<ListedEntry, 'name' | 'kind'>): string =>
  entry.kind === 'directory' ? `${entry.name}/` : entry.name;

/** Entries of a directory by a page of LIST, kept up to date with changes made here. */
export interface Listing {
  readonly takenMs: number;
  readonly entries: Map<string, ListedEntry>;
  /** The last sort key that the page covers. Absent: it covers the whole directory. */
  readonly until?: string;
  /** How a scan goes on behind it. */
  readonly goesOn?: {
    /** The directory's keys began with it. */
    readonly prefix: string;
    /** The store's own. */
    readonly token: string;
    /** The directory's `entryChanges` when it was taken. */
    readonly entryChanges: number;
  };
}

interface Times {
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** A directory's times right before and right after one change of its entries. */
export interface EntryChange {
  readonly before: Times;
  readonly after: Times;
}

export class DirectoryNode extends NodeState {
  readonly kind = 'directory';
  readonly type = 'directory';
  /** The root of a volume or an export: there even when no key lies under it. */
  permanent = false;
  /** Nobody looked into it: all that is known of it is that its parent's listing had it then (milliseconds since the epoch). */
  onlyListedMs: number | undefined;
  /** The marker object `key/`: absent, unknown (undefined), or the version whose metadata was read. */
  marker: { readonly etag: string; readonly lastModifiedMs: number | undefined } | null | undefined;
  markerHeaders: ObjectHeaders | undefined;
  /** Size of the marker in bytes, known where `markerHeaders` is: normally 0, but other S3 users may put bytes there. */
  markerBytes = 0;
  /** The listing of a directory that fits one page. */
  listing: Listing | undefined;
  /** The first page of a larger directory. */
  beginning: Listing | undefined;
  /** Files made here that the store doesn't have yet. */
  readonly unpublishedFiles = new Map<string, FileNode>();
  /** When each name was found absent. */
  readonly negatives = new AbsentNames();
  /** Changes of entries made here. */
  entryChanges = 0;
  /** One for each LIST or HEAD about entries that is under way. */
  #underWay: Set<NameChanges<ListedEntry>> | undefined;

  /** The listing of its parent that was taken at `takenMs` has it. Where nobody looked into it, its times begin at `nowNs`. */
  notePlace(takenMs: number, nowNs: bigint): void {
    if (this.ctimeNs === 0n) {
      this.touchCtime(nowNs);
      this.mtimeNs = this.ctimeNs;
      this.atimeNs = this.ctimeNs;
    } else if (this.onlyListedMs === undefined) return;
    this.onlyListedMs = Math.max(this.onlyListedMs ?? NEVER_MS, takenMs);
  }

  /** An entry came or went: both times move (POSIX). What this one change did to them, for clients that cache the directory. */
  touchEntries(nowNs: bigint): EntryChange {
    const before = { mtimeNs: this.mtimeNs, ctimeNs: this.ctimeNs };
    this.touchCtime(nowNs);
    this.mtimeNs = this.ctimeNs;
    this.entryChanges++;
    return { before, after: { mtimeNs: this.mtimeNs, ctimeNs: this.ctimeNs } };
  }

  /** Runs `ask`, a request about entries, with a record of what is changed here until it ends. */
  async during<T>(ask: (changes: NameChanges<ListedEntry>) => Promise<T>): Promise<T> {
    const changes = new NameChanges<ListedEntry>();
    const underWay = (this.#underWay ??= new Set());
    underWay.add(changes);
    try {
      return await ask(changes);
    } finally {
      underWay.delete(changes);
    }
  }

  /** The listing that covers a name: where it doesn't have the name, there was no such entry. */
  listingOf(name: string): Listing | undefined {
    const { listing, beginning } = this;
    if (listing !== undefined || beginning === undefined) return listing;
    return covers(beginning.until, name) ? beginning : undefined;
  }

  /** The least number of entries, as far as a listing shows them. */
  get listedEntries(): number {
    return (this.listing ?? this.beginning)?.entries.size ?? 0;
  }

  /** Called when a file was made here that the store doesn't have yet. */
  noteCreated(name: string, node: FileNode): void {
    this.negatives.delete(name);
    this.unpublishedFiles.set(name, node);
    this.#changed(name, undefined);
  }

  /** Keeps the listing true after a change made here. */
  noteEntry(entry: ListedEntry): void {
    this.negatives.delete(entry.name);
    this.#changed(entry.name, entry);
  }

  /** A listing has the name: found absent before, it was made since. */
  noteListed(name: string, takenMs: number): void {
    if (this.negatives.size > 0 && (this.negatives.get(name) ?? takenMs) < takenMs)
      this.negatives.delete(name);
  }

  /** Called when an entry was removed here, or renamed away. */
  noteAbsent(name: string, nowMs: number): void {
    this.unpublishedFiles.delete(name);
    this.negatives.set(name, nowMs);
    this.#changed(name, undefined);
  }

  /** Called when the store was found not to have the entry any more. It may have it again by now, so answers under way aren't used. */
  noteVanished(name: string, nowMs: number): void {
    this.noteAbsent(name, nowMs);
    this.#underWay?.forEach((changes) => changes.changedUnknown());
  }

  /** Called when entries have changed and it isn't known how: neither listings nor answers under way are used. */
  forgetListing(): void {
    this.entryChanges++;
    this.listing = undefined;
    this.beginning = undefined;
    this.#underWay?.forEach((changes) => changes.changedUnknown());
  }

  #changed(name: string, entry: ListedEntry | undefined): void {
    this.entryChanges++;
    this.#underWay?.forEach((changes) => changes.changed(name, entry));
    if (entry === undefined) (this.listing ?? this.beginning)?.entries.delete(name);
    else this.listingOf(name)?.entries.set(name, entry);
  }
}

export type FsNode = FileNode | DirectoryNode;
