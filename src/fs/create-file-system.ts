/** Wires volumes, exports and recovery into the FileSystem that the protocols serve. */
import type { MemoryBudget } from '../memory/memory-budget.js';
import type { DiskCache } from '../read/disk/disk-cache.js';
import { DiskVolume } from '../read/disk/version-blocks.js';
import { READ_DEFAULTS } from '../read/options.js';
import { Readers } from '../read/readers.js';
import { HandleKey } from '../state/handle-key.js';
import { Journal } from '../state/journal.js';
import { NodeTable } from '../state/node-table.js';
import type { StateDirectory } from '../state/state-directory.js';
import type { ObjectStore } from '../store/object-store.js';
import type { Logger } from '../telemetry/log.js';
import type { Spool } from '../write/spool.js';
import { SpoolSegments, type SpooledPiece } from '../write/spool-segments.js';
import type { WriteOptions } from '../write/session-options.js';
import { systemClock, toNs, type Clock } from './clock.js';
import { ExportedFileSystem } from './exported-file-system.js';
import { Export, type ExportRules } from './exports.js';
import type { FileSystem } from './file-system.js';
import { IntentLog } from './intent-log.js';
import { LongOperations } from './long-operations.js';
import { farthestFromObjects, type MetadataPlace } from './metadata-place.js';
import { collectRemoved } from './collecting.js';
import { NodeCache } from './node-cache.js';
import { uploadJournal } from './journaling.js';
import { Janitor, JANITOR_RULES_DEFAULT, type JanitorRules } from './janitor.js';
import { Recovery } from './recovery.js';
import type { FileNode } from './node.js';
import { RoomForWrites } from './room-for-writes.js';
import { COMMIT_RULES_DEFAULT, type CommitRules, type Volume, type VolumeParts } from './volume.js';
import { VolumeOperations } from './volume-operations.js';

/** What a crash left is waited for so long before the rest is served. */
const SERVED_AFTER_MS = 5000;

/** One node, and one record of the node table, is kept in memory for so many bytes of the budget; but so many at least and at most. */
const BUDGET_BYTES_PER_NODE = 20 * 1024;
const NODES_MIN = 4096;
const NODES_MAX = 50_000;

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

export interface RunningFileSystem {
  readonly fs: FileSystem;
  /** Publishes what is unpublished, as far as the store allows; the number of files that could not be published. */
  drain(): Promise<number>;
  close(): Promise<void>;
}

/**
 * What is known of files lies beside the memory limit, with its room for the collector: where the limit is small, less of it is kept. 11,000 files with
 * 256 MiB.
 */
function nodesFor(budgetBytes: number): number {
  return Math.max(NODES_MIN, Math.min(NODES_MAX, Math.floor(budgetBytes / BUDGET_BYTES_PER_NODE)));
}

/** Recovers what a crash left, then serves. Fails when the journal or a store can't be read. */
export async function createFileSystem(parts: FileSystemParts): Promise<RunningFileSystem> {
  const { state, log } = parts;
  const clock = parts.clock ?? systemClock;
  const secret = parts.handleSecret ?? state.secret;
  const nodesMax = nodesFor(parts.budget.limitBytes);
  const table = NodeTable.open(state.path, {
    secret,
    nowMs: () => clock.nowMs(),
    cachedNodesMax: nodesMax,
  });
  const { journal, entries } = await Journal.open(state.journalPath);
  const intents = new IntentLog(journal, entries, (error) =>
    log.error({ err: error }, 'the journal could not be written'),
  );
  await parts.spool.begin();
  const segments = await SpoolSegments.open(parts.spool, log, piecesOf(intents));
  const long = new LongOperations(clock);
  const nodes = new NodeCache(table, nodesMax);

  const volumes = new Map<string, VolumeOperations>();
  const readers: Readers[] = [];
  for (const options of parts.exports) {
    if (volumes.has(options.volumeName)) continue;
    const sharing = parts.exports.filter(({ volumeName }) => volumeName === options.volumeName);
    const requestsMax = Math.min(READ_DEFAULTS.requestsMax, parts.getsMax ?? Infinity);
    const reader = new Readers({
      store: options.store,
      budget: parts.budget,
      log,
      options: { requestsMax },
      ...(parts.diskCache !== undefined && { disk: new DiskVolume(parts.diskCache, options.volumeName) }),
    });
    readers.push(reader);
    const volumeParts: VolumeParts = {
      name: options.volumeName,
      store: options.store,
      table,
      nodes,
      readers: reader,
      budget: parts.budget,
      spool: parts.spool,
      segments,
      commit: {
        policy: sharing.every(({ commitPolicy }) => commitPolicy === 'journal') ? 'journal' : 'publish',
        restMs: parts.journalRestMs ?? COMMIT_RULES_DEFAULT.restMs,
        isStateEphemeral: parts.isStateEphemeral ?? COMMIT_RULES_DEFAULT.isStateEphemeral,
      },
      intents,
      long,
      clock,
      log,
      losersHaveAge: parts.janitor?.conflictAgeMs !== undefined,
      metadataTtlMs: Math.min(...sharing.map(({ metadataTtlMs }) => metadataTtlMs)),
      negativeTtlMs: Math.min(
        ...sharing.map(({ metadataTtlMs, negativeTtlMs }) => negativeTtlMs ?? metadataTtlMs),
      ),
      metadata: farthestFromObjects(sharing.map(({ metadata }) => metadata ?? 'objects')),
      hasMarkers: sharing.every(({ directoryMarkers }) => directoryMarkers !== false),
      createsInBucket: sharing.some(({ exclusiveCreate }) => exclusiveCreate === 'bucket'),
      ...(parts.writeOptions !== undefined && { writeOptions: parts.writeOptions }),
    };
    const volume = new VolumeOperations(volumeParts, { smallFilesAhead: parts.smallFilesAhead ?? true });
    options.store.journalCopies?.(uploadJournal(volume.volume));
    volumes.set(options.volumeName, volume);
  }
  tellOfOthers(intents, volumes, log);
  const closeState = async (): Promise<void> => {
    await segments.close();
    await journal.close();
    await table.close();
  };
  const recoveries = await beginAll([...volumes.values()]).catch(async (error: unknown) => {
    await closeState();
    throw error;
  });
  await soonOrLater(
    clock,
    recoveries.map(({ done }) => done),
  );
  const janitors = [...volumes].map(([name, operations]) => {
    const writable = parts.exports.filter(({ volumeName, readOnly }) => volumeName === name && !readOnly);
    const rules = { ...JANITOR_RULES_DEFAULT, ...parts.janitor };
    return new Janitor(
      operations,
      rules,
      writable.map(({ prefix }) => prefix),
    );
  });
  janitors.forEach((janitor, at) => void recoveries[at]?.done.then(() => janitor.begin()));
  // Last: a start that failed has lost nothing.
  const verifier = await state.takeWriteVerifier();
  const stopCollecting = collectRemoved(nodes, clock, log);

  const exports = parts.exports.flatMap((options) => {
    const volume = volumes.get(options.volumeName);
    return volume === undefined ? [] : [new Export(options, volume)];
  });
  const fs = new ExportedFileSystem({
    exports,
    handles: new HandleKey(secret),
    long,
    room: new RoomForWrites([...volumes.values()].map(({ publishing }) => publishing)),
    verifier,
    startedNs: toNs(clock.nowMs()),
  });

  /** Files whose bytes are all safe in the state directory, as of a moment (their epochs then). */
  const kept = new Map<FileNode, number>();
  const drain = async (): Promise<number> => {
    await Promise.all(recoveries.map((recovery) => recovery.stop()));
    const left = recoveries.reduce((sum, recovery) => sum + recovery.left, 0);
    if (left > 0) log.error({ files: left }, 'files of an earlier run are left to the next start');
    const failures = (
      await Promise.all([...volumes.values()].map(({ publishing }) => publishing.publishAll()))
    ).flat();
    for (const error of failures) log.error({ err: error }, 'a file could not be published before the end');
    await Promise.all([...volumes.values()].map(({ volume }) => keepUnpublished(volume, kept, log)));
    return failures.length + left;
  };
  const close = async (): Promise<void> => {
    const isUnsafe = (node: FileNode): boolean =>
      node.session?.dirty === true ? kept.get(node) !== node.epoch : node.writers > 0;
    const unsafe = nodes.busy().filter(isUnsafe).length;
    for (const recovery of recoveries) void recovery.stop();
    await Promise.all([stopCollecting(), ...janitors.map((janitor) => janitor.end())]);
    try {
      for (const reader of readers) await reader.close();
      for (const { volume, scans } of volumes.values()) {
        volume.published.close();
        scans.close();
      }
      // Acknowledged unstable data is gone with this process if any is left: then clients must see another verifier.
      if (unsafe === 0) await state.saveWriteVerifier(verifier);
    } finally {
      await closeState();
    }
  };
  return { fs, drain, close };
}

/** What the store doesn't take before the end is the next start's, as bytes that a COMMIT was answered for are. */
async function keepUnpublished(volume: Volume, kept: Map<FileNode, number>, log: Logger): Promise<void> {
  if (volume.commit.isStateEphemeral) return;
  const left = volume.nodes
    .busy()
    .filter(
      ({ id, session, gone }) =>
        !gone && session?.dirty === true && volume.table.volumeOf(id) === volume.name,
    );
  await Promise.all(
    left.map(async (node) => {
      const { epoch } = node;
      try {
        await volume.touching(node, async () => node.session?.keep());
        kept.set(node, epoch);
      } catch (error) {
        log.error(
          { err: error, file: String(node.id) },
          'what is not published of a file could not be kept for the next start',
        );
      }
    }),
  );
}

/** All of them or none: those that began end when another can't. */
async function beginAll(volumes: readonly VolumeOperations[]): Promise<Recovery[]> {
  const begun = await Promise.allSettled(volumes.map((volume) => Recovery.begin(volume)));
  const recoveries = begun.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const failed = begun.find((each) => each.status === 'rejected');
  if (failed === undefined) return recoveries;
  await Promise.all(recoveries.map((recovery) => recovery.stop()));
  throw failed.reason;
}

/** Resolves when all is done, or has taken long enough: the rest goes on beside the calls of clients. */
function soonOrLater(clock: Clock, tasks: readonly Promise<void>[]): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(SERVED_AFTER_MS, resolve);
    void Promise.all(tasks).then(() => {
      cancel();
      resolve();
    });
  });
}

/** What is unfinished in buckets that are not exported this time stays as it is: nobody may take it for done. */
function tellOfOthers(intents: IntentLog, served: ReadonlyMap<string, unknown>, log: Logger): void {
  const others = new Map<string, number>();
  for (const { volume } of intents.live().values())
    if (!served.has(volume)) others.set(volume, (others.get(volume) ?? 0) + 1);
  for (const [volume, unfinished] of others)
    log.error(
      { volume, unfinished },
      `${volume} is not exported now: what was answered and isn't in the bucket yet waits in the state directory until it is again`,
    );
}

/** What of the spool the journal names. */
function piecesOf(intents: IntentLog): SpooledPiece[] {
  return [...intents.live().values()].flatMap((intent) =>
    intent.kind === 'written' ? intent.record.extents.map(({ piece }) => piece) : [],
  );
}
