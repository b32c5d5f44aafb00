/**
 * Where the parts of a file lie. Parts are fixed by index from the first byte written, because data arrives before
 * the file's size is known; so that 10,000 of them still reach the largest object, parts grow: the first tenth has the least size, each
 * tenth behind it twice that of the one before, up to the largest part. So a part is about a thousandth of the file.
 *
 *   tenth of the parts    0    1    2    3     4     5     6    7      8      9
 *   MiB a part            8   16   32   64   128   256   512   1,024  2,048  4,096
 *   GiB up to its end     7.8  23   55  117   242   492   992  1,992  3,992  5,120 (of 7,992)
 *
 * Pure.
 */

/** Tiers of growing parts. Ten of them make the largest file 1,023 times one tier. */
const TIERS = 10;

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Size of a file's first parts unless configured, in bytes: what S3's own guidance calls a good request size. */
export const PART_BYTES_DEFAULT = 8 * MIB;

/** Most parts of a multipart upload, its largest part and the largest object, in bytes. Source: Amazon S3 multipart upload limits. */
export const PARTS_MAX = 10_000;
const PART_BYTES_MAX = 5 * GIB;
const OBJECT_BYTES_MAX = 5 * 1024 * GIB;

export interface PartMap {
  readonly partsMax: number;
  /** Bytes of the largest file. */
  readonly fileBytesMax: number;
  /** First byte of part `index` (from 0). */
  start(index: number): number;
  /** The byte after part `index`. */
  end(index: number): number;
  /** The part that byte `offset` is in. */
  indexAt(offset: number): number;
}

/** The map for a least part size in bytes, at most 5 GiB, and a number of parts (a multiple of ten). */
export function createPartMap(partBytes: number = PART_BYTES_DEFAULT, partsMax: number = PARTS_MAX): PartMap {
  const partsPerTier = Math.floor(partsMax / TIERS);
  const sizes = Array.from({ length: TIERS }, (_, tier) => Math.min(partBytes * 2 ** tier, PART_BYTES_MAX));
  const starts = [0];
  for (const size of sizes) starts.push((starts.at(-1) ?? 0) + size * partsPerTier);
  const sizeIn = (tier: number): number => sizes[Math.min(tier, TIERS - 1)] ?? partBytes;
  const startOf = (tier: number): number => starts[tier] ?? 0;
  const start = (index: number): number => {
    const tier = Math.min(Math.floor(index / partsPerTier), TIERS);
    return startOf(tier) + (index - tier * partsPerTier) * sizeIn(tier);
  };
  return {
    partsMax: partsPerTier * TIERS,
    fileBytesMax: Math.min(startOf(TIERS), OBJECT_BYTES_MAX),
    start,
    end: (index) => start(index + 1),
    indexAt: (offset) => {
      let tier = 0;
      while (tier < TIERS - 1 && offset >= startOf(tier + 1)) tier += 1;
      return tier * partsPerTier + Math.floor((offset - startOf(tier)) / sizeIn(tier));
    },
  };
}

/** Bytes of the largest file that can be written with parts of `partBytes`: 5 TiB, S3's largest object, with the default. */
export function fileBytesMax(partBytes: number = PART_BYTES_DEFAULT): number {
  return createPartMap(partBytes).fileBytesMax;
}
