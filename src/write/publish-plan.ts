/**
 * Which parts make the new object: pure. Every part of the part map becomes one part of the upload under its own number, so
 * that what was uploaded while data arrived fits in; runs of parts unchanged since the base are copied inside S3 as few large parts
 * (numbers then have gaps, which S3 allows; in directory buckets it doesn't, and each is copied by itself). Of a part that is partly
 * changed, what is unchanged at its beginning and end goes with the copies before and behind it, as far as S3's least part allows; the
 * rest is sent whole, as is a part that holds zeros.
 *
 *     part map    |    0    |    1    |    2    |    3    |
 *     changed                     ##
 *     plan        [ copy, number 1  ][ send, 2 ][ copy, 3   ]
 */
import type { Extent } from './extent-map.js';
import type { PartMap } from './part-map.js';

/** One part of the object to be, covering `length` bytes from `offset`. */
export interface PlannedPart {
  /**
   * - `uploaded`: it is in the upload already.
   * - `copy`: these bytes of the base, at the same offset, unchanged.
   * - `send`: to be put together from changes, base and zeros.
   */
  readonly kind: 'uploaded' | 'copy' | 'send';
  /** Of the part map; the part number is one more. A part to copy stands for those behind it, too, up to the next one planned. */
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
  /** From the first to the last byte written in this part since the base; undefined where there is none. */
  readonly changed: (index: number) => Extent | undefined;
  /** The upload holds this part as it should be. */
  readonly isUploaded: (index: number) => boolean;
  /** Parts are joined to ranges to copy of at most so many bytes; what is unchanged of a changed part may come on top. */
  readonly copyBytesMax: number;
  /** Least part but the last, and largest range that one UploadPartCopy takes, in bytes. */
  readonly partBytesMin: number;
  readonly partBytesMax: number;
  /** Part numbers may have gaps. */
  readonly partNumberGaps: boolean;
}

/** The parts in order. Their ranges follow each other from 0 to `size` without gap or overlap. */
export function planParts(input: PlanInput): PlannedPart[] {
  const { partMap, size } = input;
  const plan: PlannedPart[] = [];
  const last = partMap.indexAt(size - 1);
  for (let index = 0; index <= last; index += 1) {
    const offset = partMap.start(index);
    const length = Math.min(partMap.end(index), size) - offset;
    if (input.isUploaded(index)) plan.push({ kind: 'uploaded', index, offset, length });
    else if (isUnchanged(index, input)) pushCopy(plan, { kind: 'copy', index, offset, length }, input);
    else pushSend(plan, { kind: 'send', index, offset, length }, input);
  }
  return plan;
}

/** A part that the base has as it is. */
function isUnchanged(index: number, { partMap, size, baseBytes, changed }: PlanInput): boolean {
  return changed(index) === undefined && Math.min(partMap.end(index), size) <= baseBytes;
}

/** Adds a range to copy, joined to the one before it while one request can take both and the numbers may skip. */
function pushCopy(plan: PlannedPart[], part: PlannedPart, input: PlanInput): void {
  const before = plan.at(-1);
  // What the part before it left.
  const offset = before === undefined ? part.offset : before.offset + before.length;
  const length = part.offset + part.length - offset;
  if (before?.kind === 'copy' && input.partNumberGaps && before.length + length <= input.copyBytesMax)
    plan[plan.length - 1] = { ...before, length: before.length + length };
  else plan.push({ ...part, offset, length });
}

/** Adds a part to send, less what the copies beside it can take. */
function pushSend(plan: PlannedPart[], part: PlannedPart, input: PlanInput): void {
  const { size, baseBytes, partNumberGaps, partBytesMin, partBytesMax } = input;
  const { index, offset, length } = part;
  const end = offset + length;
  const changed = input.changed(index) ?? { start: Infinity, end: offset };
  const isBeyondBase = baseBytes < end;
  const first = Math.min(changed.start, isBeyondBase ? Math.max(offset, baseBytes) : Infinity);
  const behind = isBeyondBase ? end : Math.min(end, changed.end);
  const before = plan.at(-1);
  const joinsBefore =
    partNumberGaps && before?.kind === 'copy' && before.length + first - offset <= partBytesMax;
  const joinsNext =
    partNumberGaps && end < size && !input.isUploaded(index + 1) && isUnchanged(index + 1, input);
  const spare = end === size ? length : Math.max(0, length - partBytesMin);
  const head = joinsBefore ? Math.min(first - offset, spare) : 0;
  const tail = joinsNext ? Math.min(end - behind, spare - head) : 0;
  if (head > 0 && before !== undefined) plan[plan.length - 1] = { ...before, length: before.length + head };
  plan.push({ ...part, offset: offset + head, length: length - head - tail });
}
