/**
 * Objects written by a request whose answer was lost (write-once.ts). A conditional PUT that took effect makes its own retry fail with 412,
 * and a completed upload makes its retry fail with NoSuchUpload; so after a reset or timeout such a failure is looked into with a HEAD. The
 * write is held to be ours only where the object proves it:
 * - its ETag is the MD5 we would get (PUT: of the body; complete: of the parts' MD5s), or a checksum stored with it is ours,
 * - its size and user metadata are those we sent, where we know them,
 * - it was modified since we began, by the server's clock (2 s are allowed for whole seconds and clock steps).
 * Under SSE-KMS ETags are no MD5s: then the checksum decides, and where the store keeps none the error stands. What remains:
 * somebody else who wrote the same bytes and the same metadata within the same seconds is taken for us.
 */
import { isDeepStrictEqual } from 'node:util';
import type { PartChecksum, WrittenObject } from '../object-store.js';
import { sameChecksum, unquoted } from './checksum.js';
import type { S3Context } from './context.js';
import { headAnswer } from './head.js';

export interface Evidence {
  /** ETags without quotes that this write would have given. */
  readonly etag: string | undefined;
  /** Those it may have. */
  readonly checksums: readonly (PartChecksum | undefined)[];
  /** Bytes. */
  readonly size: number | undefined;
  readonly metadata: Readonly<Record<string, string>> | undefined;
  /** performance.now() when the first attempt began. */
  readonly beganMs: number;
}

const CLOCK_SLACK_MS = 2_000;

/** The object at `key` if it is provably the one we wrote. */
export async function findOurs(
  context: S3Context,
  key: string,
  evidence: Evidence,
  signal: AbortSignal | undefined,
): Promise<WrittenObject | undefined> {
  const head = await headAnswer(context, key, signal, true);
  if (head?.etag === undefined) return undefined;
  const sameBytes =
    (evidence.etag !== undefined && unquoted(head.etag) === evidence.etag) ||
    head.checksums.some((stored) => evidence.checksums.some((sent) => sameChecksum(sent, stored)));
  const sameSize = evidence.size === undefined || head.contentLength === evidence.size;
  const sameMetadata =
    evidence.metadata === undefined ||
    isDeepStrictEqual({ ...head.headers.metadata }, lowerCased(evidence.metadata));
  if (!sameBytes || !sameSize || !sameMetadata) return undefined;

  const { dateMs, lastModifiedMs: modifiedMs } = head;
  const elapsedMs = performance.now() - evidence.beganMs;
  if (dateMs === undefined || modifiedMs === undefined) return undefined;
  if (modifiedMs < dateMs - elapsedMs - CLOCK_SLACK_MS) return undefined;
  return { etag: head.etag, lastModifiedMs: modifiedMs };
}

function lowerCased(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name.toLowerCase(), value]));
}
