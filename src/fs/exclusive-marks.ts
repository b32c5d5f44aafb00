/**
 * Keeps the verifier of an EXCLUSIVE create on the object that the call puts. A hash of it is in the digits of mtime and atime below a millisecond, which
 * this daemon's clock leaves at zero. A crash may come before the call is answered and before anything else is written down: when the client repeats the
 * call, the object's times show that it is its own. RFC 1813 (3.3.8) suggests keeping the verifier in the file's times, since the client sets them by
 * the SETATTR that follows.
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

/** Times for a file that is made at `nowNs`, carrying the verifier. `nowNs` is a whole number of milliseconds. */
export function markedTimes(verifier: Buffer, nowNs: bigint): Times {
  const marks = marksOf(verifier);
  return { mtimeNs: nowNs + marks.mtimeNs, atimeNs: nowNs + marks.atimeNs };
}

/** Whether a file's times carry the verifier: both are one time in milliseconds, with its two marks below. */
export function isMarkedBy(verifier: Buffer, { mtimeNs, atimeNs }: Times): boolean {
  const marks = marksOf(verifier);
  return mtimeNs % PER_MS === marks.mtimeNs && mtimeNs - marks.mtimeNs === atimeNs - marks.atimeNs;
}
