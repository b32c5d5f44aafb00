/**
 * When the next GET of readahead may begin. So many may bring bytes at a time; one whose last bytes come sooner than the first byte of
 * another GET would makes room for that one already, so that no connection's share of the link is lost to a wait: with 30 ms to the first
 * byte and 8 MB/s, a GET of 4 MiB waits for 6 of 100 parts of its time. Pure.
 */
import { lengthOf, type Span } from './span.js';

/** As much of a GET as is asked here. */
export interface GetUnderWay {
  /** Its first bytes have come. */
  readonly arriving: boolean;
  /** Bytes to come. */
  readonly rest: Span;
}

/** Bytes that are about as long on their way as the first byte of a GET (parts.ts); none while that isn't known. */
export function lastBytesOf(worthBytes: number): number {
  return Number.isFinite(worthBytes) ? worthBytes : 0;
}

/** GETs beside which another one may not begin. */
export function countOf(gets: Iterable<GetUnderWay>, worthBytes: number): number {
  const lastBytes = lastBytesOf(worthBytes);
  let count = 0;
  for (const { arriving, rest } of gets) if (!arriving || lengthOf(rest) > lastBytes) count += 1;
  return count;
}
