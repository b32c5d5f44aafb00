/** A bucket as a tree of nodes: what every operation of this layer works on. Exports are views of a volume. */
import type { MemoryBudget } from '../memory/memory-budget.js';
import type { Readers } from '../read/readers.js';
import { isErrorCode } from '../state/durable-file.js';
import type { NodeTable } from '../state/node-table.js';
import { Recent } from '../state/recent.js';
import type { ObjectHeaders, ObjectStore } from '../store/object-store.js';
import type { Logger } from '../telemetry/log.js';
import { PublishedBytes } from '../write/published-bytes.js';
import type { Spool } from '../write/spool.js';
import type { SpoolSegments } from '../write/spool-segments.js';
import type { WriteOptions } from '../write/session-options.js';
import { toNs, type Clock } from './clock.js';
import { ConflictRecords } from './conflict-records.js';
import { FsError } from './errors.js';
import type { IntentLog } from './intent-log.js';
import type { LongOperations } from './long-operations.js';
import { checkKey } from './names.js';
import { noteHidden } from './hidden-keys.js';
import { KeptDirectories } from './kept-directories.js';
import { keptMetadata, type MetadataPlace } from './metadata-place.js';
import type { NodeCache } from './node-cache.js';
import type { DirectoryNode, FileNode, FsNode } from './node.js';
import { PathLocks } from './path-locks.js';
import { writePosixMetadata } from './posix-metadata.js';
import { SillyRecords } from './silly-records.js';
import type { HiddenKeys } from './store-answers.js';

/** Renames in doubt that are remembered. A client that repeats its call does so within seconds. */
const COPIES_IN_DOUBT_MAX = 1024;

/** When what was written is published. */
export interface CommitRules {
  /** What a COMMIT is answered from: `publish`, the object in the store; `journal`, spool and journal. */
  readonly policy: 'publish' | 'journal';
  /** With `journal`, a file that nothing was asked of for so long is published, in milliseconds. */
  readonly restMs: number;
  /** The state directory goes with the daemon: nothing may rest on it. */
  readonly isStateEphemeral: boolean;
}

export const COMMIT_RULES_DEFAULT: CommitRules = {
  policy: 'publish',
  restMs: 1000,
  isStateEphemeral: false,
};

export interface VolumeParts {
  /** Names the bucket among all this daemon serves: endpoint and bucket. */
  readonly name: string;
  readonly store: ObjectStore;
  readonly table: NodeTable;
  readonly nodes: NodeCache;
  readonly readers: Readers;
  readonly budget: MemoryBudget;
  readonly spool: Spool;
  /** The spool's durable side. */
  readonly segments: SpoolSegments;
  readonly commit: CommitRules;
  readonly intents: IntentLog;
  readonly long: LongOperations;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long what the store said is believed, in milliseconds; 0 asks at every call. */
  readonly metadataTtlMs: number;
  /** The same of names that it doesn't have. */
  readonly negativeTtlMs: number;
  readonly metadata: MetadataPlace;
  /** Directories get marker objects (`--directory-markers`). */
  readonly hasMarkers: boolean;
  /** EXCLUSIVE creates put the object before they are answered. */
  readonly createsInBucket: boolean;
  /** What conflicts leave is removed by age: the journal is to know of it. */
  readonly losersHaveAge: boolean;
  readonly writeOptions?: Partial<WriteOptions>;
}

export class Volume {
  readonly name: string;
  readonly store: ObjectStore;
  readonly table: NodeTable;
  readonly nodes: NodeCache;
  readonly readers: Readers;
  readonly budget: MemoryBudget;
  readonly spool: Spool;
  /** The spool's durable side. */
  readonly segments: SpoolSegments;
  /** Small objects that are published again and again. */
  readonly published: PublishedBytes;
  readonly commit: CommitRules;
  readonly intents: IntentLog;
  readonly long: LongOperations;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metadataTtlMs: number;
  readonly negativeTtlMs: number;
  readonly metadata: MetadataPlace;
  readonly hasMarkers: boolean;
  readonly createsInBucket: boolean;
  readonly losersHaveAge: boolean;
  readonly writeOptions: Partial<WriteOptions> | undefined;
  /** Removed files that clients have open. */
  readonly silly: SillyRecords;
  /** Conflicts that clients are to hear of. */
  readonly conflicts: ConflictRecords;
  /** Directories that nothing in the bucket keeps. */
  readonly kept: KeptDirectories;
  readonly hidden: HiddenKeys;
  /** Uploads that somebody here works with, or will: not the janitor's. */
  readonly uploadsInUse = new Set<string>();
  /** Copies that RENAMEs got no answer about: target key to ETag and key of the source (move-object.ts). */
  readonly copiesInDoubt = new Recent<string, string>(COPIES_IN_DOUBT_MAX);
  /** Who may change what at the same time. */
  readonly locks = new PathLocks();

  constructor(parts: VolumeParts) {
    this.name = parts.name;
    this.store = parts.store;
    this.table = parts.table;
    this.nodes = parts.nodes;
    this.readers = parts.readers;
    this.budget = parts.budget;
    this.spool = parts.spool;
    this.segments = parts.segments;
    this.published = new PublishedBytes(parts.budget);
    this.commit = parts.commit;
    this.intents = parts.intents;
    this.long = parts.long;
    this.clock = parts.clock;
    this.log = parts.log;
    this.metadataTtlMs = parts.metadataTtlMs;
    this.negativeTtlMs = parts.negativeTtlMs;
    this.metadata = parts.metadata;
    this.hasMarkers = parts.hasMarkers;
    this.createsInBucket = parts.createsInBucket;
    this.losersHaveAge = parts.losersHaveAge;
    this.writeOptions = parts.writeOptions;
    this.silly = new SillyRecords(this);
    this.conflicts = new ConflictRecords(this);
    this.kept = new KeptDirectories(this);
    this.hidden = {
      note: noteHidden(parts.log, parts.name),
      isRemoved: (key, etag) => this.silly.isHeld(key, etag),
    };
  }

  get nowNs(): bigint {
    return toNs(this.clock.nowMs());
  }

  get root(): DirectoryNode {
    return this.nodes.root(this.name);
  }

  /** Names from the volume's root. ESTALE when the file, or a directory above it, is gone. */
  pathOf(node: FsNode): string[] {
    const path = node.gone ? undefined : this.table.path(node.id);
    if (path === undefined) throw new FsError('ESTALE', `file ${node.id} of ${this.name} was removed`);
    return path;
  }

  /** The object's key. */
  keyOf(node: FileNode): string {
    const path = this.pathOf(node);
    const held = node.silly?.heldName;
    return (held === undefined ? path : [...path.slice(0, -1), held]).join('/');
  }

  /** The directory's prefix, which is its marker's key: empty for the root, else with a trailing slash. */
  prefixOf(directory: DirectoryNode): string {
    const path = this.pathOf(directory);
    return path.length === 0 ? '' : `${path.join('/')}/`;
  }

  /** The key of an entry; ENAMETOOLONG beyond what S3 can hold. */
  entryKey(directory: DirectoryNode, name: string): string {
    return checkKey(this.prefixOf(directory) + name);
  }

  /** The directory that holds the node. */
  parentOf(node: FsNode): DirectoryNode {
    const record = this.table.get(node.id);
    const parent = record === undefined ? undefined : this.nodes.get(record.parent);
    if (parent?.kind !== 'directory')
      throw new FsError('ESTALE', `the directory of file ${node.id} was removed`);
    return parent;
  }

  nameOf(node: FsNode): string {
    return this.table.get(node.id)?.name ?? '';
  }

  isFresh(node: FsNode, nowMs = this.clock.nowMs()): boolean {
    return nowMs - node.validatedMs < this.metadataTtlMs;
  }

  /**
   * The headers that an object is written with: what it had, and our attributes where they are kept on objects. 'without times' is for an upload that
   * only begins: the times may change before its end.
   */
  headersOf(node: FsNode, times: 'with times' | 'without times' = 'with times'): ObjectHeaders {
    const kept = node.kind === 'file' ? node.headers : node.markerHeaders;
    if (this.metadata !== 'objects')
      return { ...kept, metadata: keptMetadata(kept?.metadata ?? {}, node.type) };
    return {
      ...kept,
      metadata: writePosixMetadata(kept?.metadata ?? {}, {
        type: node.type,
        mode: node.mode,
        uid: node.uid,
        gid: node.gid,
        ...(times === 'with times' && { mtimeNs: node.mtimeNs, atimeNs: node.atimeNs }),
      }),
    };
  }

  /** Whether modes, owners and times that clients set on such a node are kept in the state directory only. */
  keepsAttributesInState(kind: FsNode['kind']): boolean {
    return this.metadata !== 'objects' || (kind === 'directory' && !this.hasMarkers);
  }

  /** Resolves when the attributes that only the state directory has are on the disk. ENOSPC, EIO. */
  async attributesFlushed(node: FsNode): Promise<void> {
    if (!node.attributesInState || this.commit.isStateEphemeral) return;
    await this.table.flushed().catch((error: unknown) => {
      const cause = error instanceof Error ? error.cause : undefined;
      const code = isErrorCode(cause, 'ENOSPC', 'EDQUOT') ? 'ENOSPC' : 'EIO';
      throw new FsError(code, `attributes of file ${node.id} could not be kept`, { cause: error });
    });
  }

  /** Runs `task` while the node's key stays what it is: nobody renames or removes the node, or a directory above it. */
  touching<T>(node: FsNode, task: () => Promise<T>, patience?: AbortSignal): Promise<T> {
    return this.locks.run(
      () => ({ touches: [node.kind === 'file' ? this.keyOf(node) : this.prefixOf(node)] }),
      task,
      patience,
    );
  }
}
