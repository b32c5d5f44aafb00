/**
 * Keeps the young generation at one size. At the 1 MiB that V8 begins with, what 32 calls in flight need lives through a collection or two and
 * moves to the old generation, whose collections are dear; by itself it grows to 16 MiB or more, twice. Its size isn't to be set in a process that
 * runs, but it grows by a factor when enough of it has survived: so that is made to happen, once, and the factor is 1 otherwise.
 *
 * A process that has been idle is given a collection that shrinks it to what it began with (seen in V8 11.3, not in 13.6). So it is
 * looked at now and then. What it brings: docs/decisions/0040.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

const MIB = 1024 ** 2;

/** Of one of its two halves. More than 4 MiB brought little CPU, and each MiB is two of memory. */
const YOUNG_BYTES = 4 * MIB;

/** Parts of its pages have other uses: it has grown to a size when it tells this share of it. */
const SAME_SHARE = 0.9;

/** It is looked at this often, in milliseconds, and a share of a core in between is what a process has that isn't idle. */
const WATCH_MS = 2000;
const BUSY_SHARE = 0.05;

/** What survives is made of pieces of so many numbers, of 8 bytes each. */
const PIECE_LENGTH = 2048;
/** It grows when as much as its size has survived, which is found at the next collection; beyond this many sizes nothing is expected. */
const SIZES_MAX = 8;

/** Bytes of one half. */
export function youngBytes(): number {
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return space === undefined ? 0 : space.space_used_size + space.space_available_size;
}

/** Grows it to about `bytes`, by the whole factor that comes nearest to that. Takes some milliseconds where it isn't 1. */
export function growYoungGeneration(bytes: number = YOUNG_BYTES): void {
  const before = youngBytes();
  const factor = before === 0 ? 1 : Math.round(bytes / before);
  if (factor < 2) return;
  setFlagsFromString(`--semi-space-growth-factor=${String(factor)}`);
  const surviving: number[][] = [];
  const piecesMax = (SIZES_MAX * before) / (PIECE_LENGTH * 8);
  while (youngBytes() < before * factor * SAME_SHARE && surviving.length < piecesMax)
    surviving.push(new Array<number>(PIECE_LENGTH).fill(0));
  setFlagsFromString('--semi-space-growth-factor=1');
}

/** Grows it again where it was shrunk, once there is work. Ends with the process. */
export function watchYoungGeneration(): void {
  let used = process.cpuUsage();
  setInterval(() => {
    const { user, system } = process.cpuUsage(used);
    used = process.cpuUsage();
    if ((user + system) / 1000 > WATCH_MS * BUSY_SHARE) growYoungGeneration();
  }, WATCH_MS).unref();
}
