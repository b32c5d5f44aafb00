/**
 * The verifier of an EXCLUSIVE create on the object that it puts: in what its mtime and atime have below a millisecond, where this daemon's clock has
 * nothing. Who comes again after a crash, which may have come before the answer and before anything else was written down, finds its own. RFC 1813 (3.3.8) has
 * servers keep verifiers in the times of the file; the SETATTR that follows sets them.
 */
import { createHash } from 'node:crypto';

/** Nanoseconds in a millisecond. */
const PER_MS = 1_000_000n;

interface Times {
  readonly mtimeNs: bigint;
  readonly atimeNs: bigint;
}

function marksOf(verifier: Buffer): Times {
  const digest = createHash('sha256').update(verifier).digest();
  return { mtimeNs: digest.readBigUInt64BE(0) % PER_MS, atimeNs: digest.readBigUInt64BE(8) % PER_MS };
}

/** Times of a file that is made now, with the verifier. */
export function markedTimes(verifier: Buffer, nowNs: bigint): Times {
  const marks = marksOf(verifier);
  return { mtimeNs: nowNs + marks.mtimeNs, atimeNs: nowNs + marks.atimeNs };
}

/** Times that carry the verifier, and differ from each other in nothing else. */
export function isMarkedBy(verifier: Buffer, { mtimeNs, atimeNs }: Times): boolean {
  const marks = marksOf(verifier);
  return mtimeNs % PER_MS === marks.mtimeNs && mtimeNs - marks.mtimeNs === atimeNs - marks.atimeNs;
}
