/**
 * The order in which a directory bucket lists: none that a client could guess, yet the same each time, or pages would lose keys. Names
 * of one directory are ordered by a hash of bucket and name; what lies below a directory stays together, so that a prefix that ends in
 * a slash is one stretch of the index.
 */
import { crc32 } from 'node:zlib';
import { compareUtf8 } from './utf8-order.js';

export type KeyOrder = (a: string, b: string) => number;

/** FNV-1a over the UTF-16 units, and the finish of MurmurHash3: names that differ in one character must not stay neighbours. */
function hash(text: string, start: number, end: number, seed: number): number {
  let value = seed ^ 0x811c9dc5;
  for (let at = start; at < end; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value ^= value >>> 16;
  value = Math.imul(value, 0x85ebca6b);
  value ^= value >>> 13;
  value = Math.imul(value, 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** The end of the segment that begins at `start`, its slash included. */
function segmentEnd(key: string, start: number): number {
  const slash = key.indexOf('/', start);
  return slash < 0 ? key.length : slash + 1;
}

/** An order of keys for the bucket of that name. A key that is a prefix with its slash comes before what lies below it. */
export function hashedOrder(bucketName: string): KeyOrder {
  const seed = crc32(bucketName);
  return (a, b) => {
    const shared = Math.min(a.length, b.length);
    let differs = 0;
    while (differs < shared && a.charCodeAt(differs) === b.charCodeAt(differs)) differs++;
    if (differs === a.length && differs === b.length) return 0;
    const start = differs === 0 ? 0 : a.lastIndexOf('/', differs - 1) + 1;
    // The directory's own marker first.
    if (start === a.length) return -1;
    if (start === b.length) return 1;
    const [endOfA, endOfB] = [segmentEnd(a, start), segmentEnd(b, start)];
    const order = hash(a, start, endOfA, seed) - hash(b, start, endOfB, seed);
    return order === 0 ? compareUtf8(a.slice(start, endOfA), b.slice(start, endOfB)) : order;
  };
}
