/**
 * Keeps V8's young generation at one size. It has two halves ("semi-spaces"), which begin at 1 MiB each. At that size the objects of 32 calls in flight
 * survive a collection or two and move to the old generation, whose collections are expensive; left alone, the halves grow to 16 MiB or more each. V8
 * has no call that sets the size in a running process, but it grows the young generation by a factor when enough of it has survived a collection. So
 * the factor is set, enough objects are made to survive, once, and the factor is 1 otherwise.
 *
 * When a process has been idle, V8 collects and shrinks the halves to their first size (seen in V8 11.3, not in 13.6). So the size is checked now and
 * then. Measurements: docs/decisions/0040-javascript-heap.md.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

const MIB = 1024 ** 2;

/** Size of one half. More than 4 MiB saved little CPU, and each MiB here is two of memory. */
const YOUNG_BYTES = 4 * MIB;

/** V8 uses part of each page for itself: the halves have grown when the statistics tell this share of the wanted size. */
const SAME_SHARE = 0.9;

/** Time between checks. */
const WATCH_MS = 2000;
/** Share of a core beyond which a process counts as busy: an idle one needs no larger young generation, and would be shrunk again. */
const BUSY_SHARE = 0.05;

/** Length of the arrays that are made to survive: numbers of 8 bytes. */
const PIECE_LENGTH = 2048;
/**
 * V8 grows the halves when as many bytes as one holds have survived, and finds that out at the next collection. After this many times the size of a
 * half it won't any more, and the attempt ends.
 */
const SIZES_MAX = 8;

/** Bytes of one half; 0 where V8 has no such statistics. */
export function youngBytes(): number {
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return space === undefined ? 0 : space.space_used_size + space.space_available_size;
}

/** Grows one half to about `bytes`, by the nearest whole factor: does nothing where that is 1 or less, else takes some milliseconds. */
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

/** Checks every `WATCH_MS`, until the process ends, and grows the halves again where V8 shrank them and the process is busy. */
export function watchYoungGeneration(): void {
  let used = process.cpuUsage();
  setInterval(() => {
    const { user, system } = process.cpuUsage(used);
    used = process.cpuUsage();
    if ((user + system) / 1000 > WATCH_MS * BUSY_SHARE) growYoungGeneration();
  }, WATCH_MS).unref();
}
