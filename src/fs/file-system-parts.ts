/** What a file system is made of: its exports, and what all of them share. */
import type { MemoryBudget } from '../memory/memory-budget.js';
import type { DiskCache } from '../read/disk/disk-cache.js';
import type { StateDirectory } from '../state/state-directory.js';
import type { ObjectStore } from '../store/object-store.js';
import type { Logger } from '../telemetry/log.js';
import type { WriteOptions } from '../write/session-options.js';
import type { Spool } from '../write/spool.js';
import type { Clock } from './clock.js';
import type { ExportRules } from './exports.js';
import type { JanitorRules } from './janitor.js';
import type { MetadataPlace } from './metadata-place.js';
import type { CommitRules } from './volume.js';

export interface ExportOptions extends ExportRules {
  /** Exports of the same store share a volume: what one changes the other sees at once. */
  readonly store: ObjectStore;
  /** Names the store among all that this daemon serves, over restarts: endpoint and bucket. */
  readonly volumeName: string;
  /** How long what the store said is believed, in milliseconds. Of exports that share a volume the smallest holds. */
  readonly metadataTtlMs: number;
  /** The same of names that it doesn't have. Default: `metadataTtlMs`. */
  readonly negativeTtlMs?: number;
  /** Among whom EXCLUSIVE creates are exclusive. Default: `daemon`. Of exports that share a volume one `bucket` is enough. */
  readonly exclusiveCreate?: 'daemon' | 'bucket';
  /** Default: `objects`. Where exports that share a volume differ, `none` wins over `state`, and `state` over `objects`. */
  readonly metadata?: MetadataPlace;
  /** Directories get marker objects, `KEY/`. Default: true. Where exports that share a volume differ, `false` wins. */
  readonly directoryMarkers?: boolean;
  /** Default: `publish`. Of exports that share a volume, all must say `journal` for it to hold. */
  readonly commitPolicy?: CommitRules['policy'];
}

export interface FileSystemParts {
  readonly exports: readonly ExportOptions[];
  readonly state: StateDirectory;
  readonly budget: MemoryBudget;
  readonly spool: Spool;
  /** Keeps what is read; the caller closes it. */
  readonly diskCache?: DiskCache;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Makes handles the same on every daemon that is given the same secret. Default: the state directory's own. */
  readonly handleSecret?: Buffer;
  readonly writeOptions?: Partial<WriteOptions>;
  /** With the policy `journal`, a file is published when nothing was asked of it for so long, in milliseconds. 1 s. */
  readonly journalRestMs?: number;
  /** The state directory goes with the daemon. */
  readonly isStateEphemeral?: boolean;
  /** What is left in buckets, and when it is removed. */
  readonly janitor?: Partial<JanitorRules>;
  /** S3 requests that a store has under way at most: what is fetched ahead leaves room for others. Default: more than any. */
  readonly getsMax?: number;
  /** Small files are fetched before clients read them. Default: true. */
  readonly smallFilesAhead?: boolean;
}
