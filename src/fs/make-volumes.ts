/** The volumes that exports show: exports of one store share one, under the strictest of their rules. */
import { DiskVolume } from '../read/disk/version-blocks.js';
import { READ_DEFAULTS } from '../read/options.js';
import { Readers } from '../read/readers.js';
import type { Clock } from './clock.js';
import type { ExportOptions, FileSystemParts } from './file-system-parts.js';
import { uploadJournal } from './journaling.js';
import type { LongOperations } from './long-operations.js';
import { farthestFromObjects } from './metadata-place.js';
import type { OpenedState } from './opened-state.js';
import { COMMIT_RULES_DEFAULT, type VolumeParts } from './volume.js';
import { VolumeOperations } from './volume-operations.js';

/** What all volumes work with. */
export interface SharedByVolumes {
  readonly state: OpenedState;
  readonly long: LongOperations;
  readonly clock: Clock;
}

/** By their names. */
export function makeVolumes(parts: FileSystemParts, shared: SharedByVolumes): Map<string, VolumeOperations> {
  const volumes = new Map<string, VolumeOperations>();
  for (const first of parts.exports) {
    if (volumes.has(first.volumeName)) continue;
    const sharing = parts.exports.filter(({ volumeName }) => volumeName === first.volumeName);
    const volume = new VolumeOperations(
      { ...environmentOf(parts, first, shared), ...strictestRules(parts, sharing) },
      { smallFilesAhead: parts.smallFilesAhead ?? true },
    );
    first.store.journalCopies?.(uploadJournal(volume.volume));
    volumes.set(first.volumeName, volume);
  }
  return volumes;
}

type Rules = Pick<
  VolumeParts,
  'commit' | 'metadataTtlMs' | 'negativeTtlMs' | 'metadata' | 'hasMarkers' | 'createsInBucket'
>;

/** Of exports that share a volume: see ExportOptions. */
function strictestRules(parts: FileSystemParts, sharing: readonly ExportOptions[]): Rules {
  return {
    commit: {
      policy: sharing.every(({ commitPolicy }) => commitPolicy === 'journal') ? 'journal' : 'publish',
      restMs: parts.journalRestMs ?? COMMIT_RULES_DEFAULT.restMs,
      isStateEphemeral: parts.isStateEphemeral ?? COMMIT_RULES_DEFAULT.isStateEphemeral,
    },
    metadataTtlMs: Math.min(...sharing.map(({ metadataTtlMs }) => metadataTtlMs)),
    negativeTtlMs: Math.min(
      ...sharing.map(({ metadataTtlMs, negativeTtlMs }) => negativeTtlMs ?? metadataTtlMs),
    ),
    metadata: farthestFromObjects(sharing.map(({ metadata }) => metadata ?? 'objects')),
    hasMarkers: sharing.every(({ directoryMarkers }) => directoryMarkers !== false),
    createsInBucket: sharing.some(({ exclusiveCreate }) => exclusiveCreate === 'bucket'),
  };
}

function environmentOf(
  parts: FileSystemParts,
  { store, volumeName }: ExportOptions,
  { state, long, clock }: SharedByVolumes,
): Omit<VolumeParts, keyof Rules> {
  const { budget, spool, log, diskCache } = parts;
  const { table, nodes, segments, intents } = state;
  const requestsMax = Math.min(READ_DEFAULTS.requestsMax, parts.getsMax ?? Infinity);
  const readers = new Readers({
    store,
    budget,
    log,
    options: { requestsMax },
    ...(diskCache !== undefined && { disk: new DiskVolume(diskCache, volumeName) }),
  });
  return {
    name: volumeName,
    store,
    table,
    nodes,
    readers,
    budget,
    spool,
    segments,
    intents,
    long,
    clock,
    log,
    losersHaveAge: parts.janitor?.conflictAgeMs !== undefined,
    ...(parts.writeOptions !== undefined && { writeOptions: parts.writeOptions }),
  };
}
