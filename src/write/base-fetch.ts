/**
 * Fetches what a publication needs of the object under a file's changes: each byte that is sent with them, by as few GETs as there are
 * places far from each other, straight into the buffers it is sent from, and nothing ahead. What the daemon has of it costs no GET.
 */
import type { ByteSlices, ObjectVersion } from '../memory/byte-slices.js';
import type { ObjectStore } from '../store/object-store.js';
import { canBeChecked, getWhole } from '../store/whole-object.js';
import { Filling } from './filling.js';

/** Ranges no further apart are fetched by one GET: what lies between is written over, and takes no longer than another request. */
const JOIN_GAP_BYTES = 512 * 1024;

/**
 * Where what is read is checked, an object up to this size is fetched whole for it, as readers do: wrong bytes would be published. S3 tells
 * nothing of ranges of larger ones.
 */
const CHECKED_BYTES_MAX = 2 * 1024 * 1024;

/** Bytes of the base, and where they are to be. */
export interface Wanted {
  readonly start: number;
  readonly end: number;
  readonly targets: readonly Buffer[];
}

/** Bytes of a version that are in memory; undefined where they aren't, all of them. */
export type HeldBase = (version: ObjectVersion, offset: number, count: number) => ByteSlices | undefined;

/** `wanted` in order, without overlaps. Errors: StoreError, `precondition-failed` when the version is gone. */
export async function fetchBase(
  store: ObjectStore,
  version: ObjectVersion,
  wanted: readonly Wanted[],
  held: HeldBase | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const missing = wanted.filter((each) => !fillHeld(version, each, held));
  if (missing.length > 0 && version.size <= CHECKED_BYTES_MAX && canBeChecked(store, version)) {
    const whole = await getWhole(store, version, signal);
    for (const { start, end, targets } of missing) new Filling(targets).add(whole.subarray(start, end));
    return;
  }
  for (const run of runsOf(missing)) await fetchRun(store, version, run, signal);
}

function fillHeld(
  version: ObjectVersion,
  { start, end, targets }: Wanted,
  held: HeldBase | undefined,
): boolean {
  const bytes = held?.(version, start, end - start);
  if (bytes === undefined) return false;
  try {
    const filling = new Filling(targets);
    for (const slice of bytes.slices) filling.add(slice);
  } finally {
    bytes.release();
  }
  return true;
}

function runsOf(wanted: readonly Wanted[]): Wanted[][] {
  const runs: Wanted[][] = [];
  for (const each of wanted) {
    const last = runs.at(-1)?.at(-1);
    if (last !== undefined && each.start - last.end <= JOIN_GAP_BYTES) runs.at(-1)?.push(each);
    else runs.push([each]);
  }
  return runs;
}

async function fetchRun(
  store: ObjectStore,
  { key, etag }: ObjectVersion,
  run: readonly Wanted[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const offset = run[0]?.start ?? 0;
  const length = (run.at(-1)?.end ?? offset) - offset;
  const fillings = run.map((each) => ({ ...each, filling: new Filling(each.targets) }));
  let at = offset;
  const current = (): (typeof fillings)[number] | undefined => {
    while (fillings[0] !== undefined && at >= fillings[0].end) fillings.shift();
    return fillings[0];
  };
  const room = (): Buffer | undefined => {
    const next = current();
    return next !== undefined && at >= next.start ? next.filling.room : undefined;
  };
  const sink = (chunk: Buffer): void => {
    for (let done = 0; done < chunk.length;) {
      const next = current();
      if (next === undefined) return;
      const count =
        at < next.start
          ? Math.min(next.start - at, chunk.length - done)
          : next.filling.add(chunk.subarray(done, done + next.end - at));
      done += count;
      at += count;
    }
  };
  const options = { ifMatch: etag, room, ...(signal !== undefined && { signal }) };
  const got = await store.get(key, { offset, length }, options, sink);
  if (got.length !== length)
    throw new Error(`expected ${length} bytes at ${offset} of ${key} (${etag}), got ${got.length}`);
}
