/**
 * GETs of small files as a whole and of larger ones' beginnings, before a client reads them: their answers tell the attributes as well, so
 * that a file costs one request less. Begun ahead of a client that walks a directory (files-ahead.ts), or of small ones for a LOOKUP where
 * what is looked up is read. All are pinned to the version that was listed, bounded by an account of what was fetched in vain, and merely nice to have: one
 * that fails leaves everything to be asked for as it would have been.
 */
import { LRUCache } from 'lru-cache';
import type { ObjectVersion } from '../memory/byte-slices.js';
import { AheadAccount } from '../read/ahead-account.js';
import { LookupReads } from '../read/lookup-reads.js';
import { READ_DEFAULTS } from '../read/options.js';
import type { ObjectHead } from '../store/object-store.js';
import { NEVER_MS, type DirectoryNode, type FileNode, type FsNode, type PublishedVersion } from './node.js';
import type { Volume } from './volume.js';

/** Of a larger file the beginning is fetched, as its first READ would fetch it; not less of it than a GET of readahead. */
const BEGINNING_BYTES = READ_DEFAULTS.beginningBytes;
const BEGINNING_BYTES_MIN = READ_DEFAULTS.partBytesMin;
/** Beyond, a HEAD and a first wait are a small part of what the file takes, and its beginning would lie there for long. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;
/** Files being read for the first time that are remembered. */
const FRESH_MAX = 64;

/** A file that nobody has read for so long after it was fetched isn't going to be. */
const UNREAD_MS_MAX = 30_000;
/** Of the memory budget: files fetched and not read yet. */
const MEMORY_SHARE = 1 / 8;
/** Directories whose habits are remembered. */
const DIRECTORIES_MAX = 256;

/** What a GET told of an object, and when it was asked (milliseconds since the epoch). */
export interface ToldHead {
  readonly head: ObjectHead;
  readonly askedMs: number;
}

/** A GET under way, and what was known here when it began: its answer says nothing of what changed since. */
interface Asked {
  readonly askedMs: number;
  readonly parent: DirectoryNode;
  readonly entryChanges: number;
  /** Held, so that its epoch goes on; undefined for a name that had no node. */
  readonly node: FileNode | undefined;
  readonly epoch: number;
  readonly answer: Promise<ObjectHead | undefined>;
}

interface Fetched {
  readonly version: ObjectVersion;
  readonly begunMs: number;
  /** From its start on. */
  readonly bytes: number;
  readBytes: number;
}

export class WholeGets {
  readonly #volume: Volume;
  readonly #account = new AheadAccount();
  /** By key. */
  readonly #underWay = new Map<string, Asked>();
  /** Fetched and not read to their end, by key, the oldest first. */
  readonly #fetched = new Map<string, Fetched>();
  /** By key: files that are read for the first time, and how many of their bytes weren't so far. */
  readonly #fresh = new LRUCache<string, { readonly etag: string; left: number }>({ max: FRESH_MAX });
  readonly #habits = new LRUCache<bigint, LookupReads>({ max: DIRECTORIES_MAX });

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  /** A READ of a version begins: what it reads of a file fetched before wasn't fetched in vain. Before its own GETs begin. */
  reading(version: ObjectVersion, offset: number, count: number): void {
    const { key, etag, size } = version;
    if (size > FILE_BYTES_MAX) return;
    const { readers } = this.#volume;
    const fetched = this.#fetched.get(key);
    const ours = fetched === undefined ? 0 : Math.min(count, fetched.bytes - offset);
    if (
      fetched !== undefined &&
      ours > 0 &&
      fetched.version.etag === etag &&
      readers.holds(version, offset, ours)
    ) {
      const readBytes = Math.min(ours, fetched.bytes - fetched.readBytes);
      const isFirst = fetched.readBytes === 0;
      this.#account.read(readBytes, isFirst);
      this.#account.used(readBytes);
      if (isFirst) this.#fresh.set(key, { etag, left: size - fetched.bytes });
      fetched.readBytes += readBytes;
      if (fetched.readBytes === fetched.bytes) this.#settle(key, fetched);
      this.#readFresh(version, count - ours);
      return;
    }
    // It was evicted meanwhile, or is another version.
    if (fetched !== undefined && (ours > 0 || fetched.version.etag !== etag)) this.#settle(key, fetched);
    // What is read again from memory was paid for once.
    if (offset === 0 && !readers.holds(version, 0, count)) {
      this.#account.read(0, true);
      this.#fresh.set(key, { etag, left: size });
    }
    this.#readFresh(version, count);
  }

  /** A client begins to read the file. */
  opened(parent: DirectoryNode, node: FileNode): void {
    this.#habits.get(parent.id)?.read(node.id);
  }

  /**
   * Instead of a HEAD: the GET of the file that is under way, or one that begins now because the file is expected to be read. Undefined
   * where a HEAD is to be asked; so it is when that's what the GET comes to.
   */
  headOf(node: FileNode, key: string): Promise<ToldHead | undefined> | undefined {
    const volume = this.#volume;
    const running = this.#underWay.get(key);
    if (running !== undefined) {
      const fresh = volume.clock.nowMs() - running.askedMs < volume.metadataTtlMs;
      return fresh ? this.#told(running, node) : undefined;
    }
    const parent = volume.parentOf(node);
    const version = this.versionOf(parent, volume.nameOf(node), node);
    if (version === undefined || version.size === 0 || version.size > READ_DEFAULTS.smallFileBytes)
      return undefined;
    const habit = this.#habitOf(parent);
    habit.asked(node.id);
    const whole = { key, etag: version.etag, size: version.size };
    if (!habit.expected || !volume.readers.isUntouched(whole)) return undefined;
    const asked = this.#begin(whole, parent, node, { waits: true });
    return asked === undefined ? undefined : this.#told(asked, node);
  }

  /**
   * Fetches a file ahead, or the beginning of a larger one, as far as there is room for it in all bounds. What it resolves to was true of the store at `askedMs`: undefined when
   * the GET failed.
   */
  ahead(
    version: ObjectVersion,
    parent: DirectoryNode,
    node: FileNode | undefined,
  ): Promise<ToldHead | undefined> | undefined {
    const asked = this.#begin(version, parent, node, { waits: false });
    return asked?.answer.then((head) =>
      head === undefined || !unchanged(asked, node) ? undefined : { head, askedMs: asked.askedMs },
    );
  }

  /** Whether there is anything to fetch. */
  mayFetch(version: ObjectVersion): boolean {
    if (version.size === 0 || version.size > FILE_BYTES_MAX) return false;
    return !this.#underWay.has(version.key) && this.#volume.readers.isUntouched(version);
  }

  /** Nobody is expected to read what was fetched. */
  giveUp(version: ObjectVersion): void {
    const fetched = this.#fetched.get(version.key);
    if (fetched?.version !== version) return;
    this.#settle(version.key, fetched);
    this.#volume.readers.disregard(version);
  }

  /** The version that the store was last seen to have, by a listing or by the file's own attributes. */
  versionOf(
    parent: DirectoryNode,
    name: string,
    node: FsNode | undefined,
    listed?: { readonly version: PublishedVersion | undefined; readonly takenMs: number },
  ): PublishedVersion | undefined {
    const file = node?.kind === 'file' ? node : undefined;
    const { listing } = parent;
    const seen = [
      { version: file?.version, atMs: file?.validatedMs ?? NEVER_MS },
      { version: listing?.entries.get(name)?.version, atMs: listing?.takenMs ?? NEVER_MS },
      { version: listed?.version, atMs: listed?.takenMs ?? NEVER_MS },
      { version: file?.listed?.version, atMs: file?.listed?.takenMs ?? NEVER_MS },
    ].filter(({ version }) => version !== undefined);
    return seen.reduce<(typeof seen)[number] | undefined>(
      (latest, each) => (latest === undefined || each.atMs > latest.atMs ? each : latest),
      undefined,
    )?.version;
  }

  /** Bytes of a file that is read for the first time, however much of it is read ahead; none twice. */
  #readFresh({ key, etag }: ObjectVersion, count: number): void {
    const fresh = this.#fresh.get(key);
    if (fresh?.etag !== etag) return;
    const bytes = Math.min(count, fresh.left);
    fresh.left -= bytes;
    this.#account.read(bytes, false);
    if (fresh.left === 0) this.#fresh.delete(key);
  }

  #habitOf(parent: DirectoryNode): LookupReads {
    const known = this.#habits.get(parent.id);
    if (known !== undefined) return known;
    const habit = new LookupReads();
    this.#habits.set(parent.id, habit);
    return habit;
  }

  #begin(
    version: ObjectVersion,
    parent: DirectoryNode,
    node: FileNode | undefined,
    how: { readonly waits: boolean },
  ): Asked | undefined {
    const { readers, budget, clock } = this.#volume;
    this.#expire();
    const { key, size } = version;
    const room = Math.min(
      this.#account.roomBytes,
      Math.floor(budget.limitBytes * MEMORY_SHARE) - this.#account.outstandingBytes,
    );
    const bytes = aheadOf(size, room);
    if (bytes === 0 || this.#underWay.has(key)) return undefined;
    const askedMs = clock.nowMs();
    const begun = readers.fetchAhead(version, bytes, how);
    if (begun === undefined) return undefined;
    const before = this.#fetched.get(key);
    if (before !== undefined) this.#settle(key, before);
    const fetched = { version, begunMs: askedMs, bytes: begun.bytes, readBytes: 0 };
    this.#account.began(begun.bytes);
    this.#fetched.set(key, fetched);
    const { entryChanges } = parent;
    const asked: Asked = {
      askedMs,
      parent,
      entryChanges,
      node,
      epoch: node?.epoch ?? 0,
      answer: begun.head.then((head) => {
        this.#underWay.delete(key);
        if (head === undefined && this.#fetched.get(key) === fetched) this.#settle(key, fetched);
        return head;
      }),
    };
    this.#underWay.set(key, asked);
    return asked;
  }

  async #told(asked: Asked, node: FileNode): Promise<ToldHead | undefined> {
    if (!unchanged(asked, node)) return undefined;
    const head = await asked.answer;
    return head === undefined || !unchanged(asked, node) ? undefined : { head, askedMs: asked.askedMs };
  }

  #settle(key: string, fetched: Fetched): void {
    this.#fetched.delete(key);
    this.#account.settled(fetched.bytes - fetched.readBytes, fetched.readBytes > 0);
  }

  #expire(): void {
    const beforeMs = this.#volume.clock.nowMs() - UNREAD_MS_MAX;
    for (const { version, begunMs } of this.#fetched.values()) {
      if (begunMs >= beforeMs) return;
      this.giveUp(version);
    }
  }
}

/** Bytes to fetch of a file of `size`: a small one whole or not at all. */
function aheadOf(size: number, roomBytes: number): number {
  if (size <= READ_DEFAULTS.smallFileBytes) return size <= roomBytes ? size : 0;
  if (Math.min(size, BEGINNING_BYTES) <= roomBytes) return Math.min(size, BEGINNING_BYTES);
  return roomBytes - (roomBytes % BEGINNING_BYTES_MIN);
}

/** Nothing was changed here since the GET was asked for; `node` is the one that has its name now. */
function unchanged(asked: Asked, node: FileNode | undefined): boolean {
  if (asked.node !== undefined) return node === asked.node && node.epoch === asked.epoch;
  return asked.parent.entryChanges === asked.entryChanges && (node === undefined || node.epoch === 0);
}
