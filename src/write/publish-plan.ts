/**
 * Which parts make the new object: pure. Every part of the part map becomes one part of the upload under its own number, so
 * that what was uploaded while data arrived fits in; runs of parts unchanged since the base are copied inside S3 as few large parts
 * (numbers then have gaps, which S3 allows; in directory buckets it doesn't, and each is copied by itself). A part that is partly changed, or that holds zeros, is sent whole.
 */
import type { PartMap } from './part-map.js';

/** One part of the object to be, covering `length` bytes from `offset`. */
export interface PlannedPart {
  /**
   * - `uploaded`: it is in the upload already.
   * - `copy`: these bytes of the base, at the same offset, unchanged.
   * - `send`: to be put together from changes, base and zeros.
   */
  readonly kind: 'uploaded' | 'copy' | 'send';
  /** Index in the part map of its first byte; the part number is one more. */
  readonly index: number;
  readonly offset: number;
  readonly length: number;
}

export interface PlanInput {
  readonly partMap: PartMap;
  /** Bytes of the object to be; at least 1. */
  readonly size: number;
  /** Bytes of the base that still show where nothing was written; 0 without a base. */
  readonly baseBytes: number;
  /** Something in this part was written since the base. */
  readonly isDirty: (index: number) => boolean;
  /** The upload holds this part as it should be. */
  readonly isUploaded: (index: number) => boolean;
  /** Largest range one UploadPartCopy takes, in bytes. */
  readonly copyBytesMax: number;
  /** Part numbers may have gaps. */
  readonly partNumberGaps: boolean;
}

/** The parts in order. Their ranges follow each other from 0 to `size` without gap or overlap. */
export function planParts(input: PlanInput): PlannedPart[] {
  const { partMap, size, baseBytes } = input;
  const plan: PlannedPart[] = [];
  const last = partMap.indexAt(size - 1);
  for (let index = 0; index <= last; index += 1) {
    const offset = partMap.start(index);
    const length = Math.min(partMap.end(index), size) - offset;
    if (input.isUploaded(index)) plan.push({ kind: 'uploaded', index, offset, length });
    else if (input.isDirty(index) || offset + length > baseBytes)
      plan.push({ kind: 'send', index, offset, length });
    else pushCopy(plan, { kind: 'copy', index, offset, length }, input);
  }
  return plan;
}

/** Adds a range to copy, joined to the one before it while one request can take both and the numbers may skip. */
function pushCopy(plan: PlannedPart[], part: PlannedPart, input: PlanInput): void {
  const before = plan.at(-1);
  const fits = before?.kind === 'copy' && before.length + part.length <= input.copyBytesMax;
  if (fits && input.partNumberGaps) {
    plan[plan.length - 1] = { ...before, length: before.length + part.length };
  } else {
    plan.push(part);
  }
}
