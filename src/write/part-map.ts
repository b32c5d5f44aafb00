/**
 * Where the parts of a file lie. Parts are fixed by index from the first byte written, because data arrives before
 * the file's size is known; so that 10,000 of them still reach large files, parts grow: the first tenth has the least size, the
 * second tenth twice that, and so on. With 8 MiB: parts of 8 MiB up to 7.8 GiB, at most 80 MiB, 429 GiB in all. Pure.
 */

/** Tiers of growing parts. Ten of them make the largest file 55 times what constant parts would reach. */
const TIERS = 10;

const MIB = 1024 * 1024;

/** Size of a file's first parts unless configured, in bytes: what S3's own guidance calls a good request size. */
export const PART_BYTES_DEFAULT = 8 * MIB;

/** Most parts of a multipart upload. Source: Amazon S3 multipart upload limits. */
export const PARTS_MAX = 10_000;

export interface PartMap {
  readonly partsMax: number;
  /** Bytes of the largest file. */
  readonly fileBytesMax: number;
  /** Bytes of the largest file whose parts all have at most `partBytesMax` bytes. */
  fileBytesMaxFor(partBytesMax: number): number;
  /** First byte of part `index` (from 0). */
  start(index: number): number;
  /** The byte after part `index`. */
  end(index: number): number;
  /** The part that byte `offset` is in. */
  indexAt(offset: number): number;
}

/** The map for a least part size in bytes and a number of parts (a multiple of ten). */
export function createPartMap(partBytes: number = PART_BYTES_DEFAULT, partsMax: number = PARTS_MAX): PartMap {
  const partsPerTier = Math.floor(partsMax / TIERS);
  const tierBytes = partBytes * partsPerTier;
  /** 1 + 2 + ... + tier tiers of the first tier's size lie before `tier`. */
  const tierStart = (tier: number): number => (tierBytes * tier * (tier + 1)) / 2;
  const start = (index: number): number => {
    const tier = Math.min(Math.floor(index / partsPerTier), TIERS);
    return tierStart(tier) + (index - tier * partsPerTier) * partBytes * (tier + 1);
  };
  return {
    partsMax: partsPerTier * TIERS,
    fileBytesMax: tierStart(TIERS),
    fileBytesMaxFor: (partBytesMax) => tierStart(Math.min(TIERS, Math.floor(partBytesMax / partBytes))),
    start,
    end: (index) => start(index + 1),
    indexAt: (offset) => {
      let tier = 0;
      while (tier < TIERS - 1 && offset >= tierStart(tier + 1)) tier += 1;
      return tier * partsPerTier + Math.floor((offset - tierStart(tier)) / (partBytes * (tier + 1)));
    },
  };
}

/** Bytes of the largest file that can be written with parts of `partBytes`: 429 GiB with the default. */
export function fileBytesMax(partBytes: number = PART_BYTES_DEFAULT): number {
  return createPartMap(partBytes).fileBytesMax;
}
