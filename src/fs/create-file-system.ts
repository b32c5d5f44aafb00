/** Wires volumes, exports and recovery into the FileSystem that the protocols serve. */
import { HandleKey } from '../state/handle-key.js';
import type { Logger } from '../telemetry/log.js';
import { systemClock, toNs, type Clock } from './clock.js';
import { collectRemoved } from './collecting.js';
import { Draining } from './draining.js';
import { ExportedFileSystem } from './exported-file-system.js';
import { Export } from './exports.js';
import type { FileSystem } from './file-system.js';
import type { FileSystemParts } from './file-system-parts.js';
import type { IntentLog } from './intent-log.js';
import { Janitor, JANITOR_RULES_DEFAULT } from './janitor.js';
import { LongOperations } from './long-operations.js';
import { makeVolumes } from './make-volumes.js';
import { openState } from './opened-state.js';
import { Recovery } from './recovery.js';
import { RoomForWrites } from './room-for-writes.js';
import type { VolumeOperations } from './volume-operations.js';

/** What a crash left is waited for so long before the rest is served. */
const SERVED_AFTER_MS = 5000;

export interface RunningFileSystem {
  readonly fs: FileSystem;
  /** Publishes what is unpublished, as far as the store allows; the number of files that could not be published. */
  drain(): Promise<number>;
  close(): Promise<void>;
}

type Volumes = ReadonlyMap<string, VolumeOperations>;

/** Recovers what a crash left, then serves. Fails when the journal or a store can't be read. */
export async function createFileSystem(parts: FileSystemParts): Promise<RunningFileSystem> {
  const { log } = parts;
  const clock = parts.clock ?? systemClock;
  const secret = parts.handleSecret ?? parts.state.secret;
  const state = await openState(parts, secret, clock);
  const long = new LongOperations(clock);
  const volumes = makeVolumes(parts, { state, long, clock });
  const all = [...volumes.values()];
  tellOfOthers(state.intents, volumes, log);
  const recoveries = await beginAll(all).catch(async (error: unknown) => {
    await state.close();
    throw error;
  });
  await soonOrLater(
    clock,
    recoveries.map(({ done }) => done),
  );
  const janitors = makeJanitors(parts, volumes);
  janitors.forEach((janitor, at) => void recoveries[at]?.done.then(() => janitor.begin()));
  // Last: a start that failed has lost nothing.
  const verifier = await parts.state.takeWriteVerifier();
  const stopCollecting = collectRemoved(state.nodes, clock, log);

  const fs = new ExportedFileSystem({
    exports: makeExports(parts, volumes),
    handles: new HandleKey(secret),
    long,
    room: new RoomForWrites(all.map(({ publishing }) => publishing)),
    verifier,
    startedNs: toNs(clock.nowMs()),
  });
  const draining = new Draining(all, recoveries, log);
  const close = async (): Promise<void> => {
    const isLossless = !state.nodes.busy().some((node) => draining.isUnsafe(node));
    for (const recovery of recoveries) void recovery.stop();
    await Promise.all([stopCollecting(), ...janitors.map((janitor) => janitor.end())]);
    try {
      await closeVolumes(all);
      // Acknowledged unstable data is gone with this process if any is left: then clients must see another verifier.
      if (isLossless) await parts.state.saveWriteVerifier(verifier);
    } finally {
      await state.close();
    }
  };
  return { fs, drain: () => draining.run(), close };
}

/** One a volume, in their order. */
function makeJanitors(parts: FileSystemParts, volumes: Volumes): Janitor[] {
  const rules = { ...JANITOR_RULES_DEFAULT, ...parts.janitor };
  return [...volumes].map(([name, operations]) => {
    const writable = parts.exports.filter(({ volumeName, readOnly }) => volumeName === name && !readOnly);
    return new Janitor(
      operations,
      rules,
      writable.map(({ prefix }) => prefix),
    );
  });
}

function makeExports(parts: FileSystemParts, volumes: Volumes): Export[] {
  return parts.exports.flatMap((options) => {
    const volume = volumes.get(options.volumeName);
    return volume === undefined ? [] : [new Export(options, volume)];
  });
}

async function closeVolumes(volumes: readonly VolumeOperations[]): Promise<void> {
  for (const { volume } of volumes) await volume.readers.close();
  for (const { volume, scans } of volumes) {
    volume.published.close();
    scans.close();
  }
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
