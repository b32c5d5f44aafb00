/** Numbers that look random and follow from others: no state, so that a draw doesn't depend on which draws were made before it. */

/** A number in [0, 1) that belongs to the seed and the coordinates, integers all. Mixing is MurmurHash3's, 32 bits. */
export function draw(seed: number, ...coordinates: readonly number[]): number {
  let hash = mix(seed >>> 0, Math.floor(seed / 2 ** 32));
  for (const each of coordinates) hash = mix(mix(hash, each), Math.floor(each / 2 ** 32));
  return finish(hash) / 2 ** 32;
}

function mix(hash: number, value: number): number {
  let k = Math.imul(value | 0, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) >>> 0;
}

function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A draw of the standard normal distribution from two of [0, 1): Box and Muller's. */
export function normal(u: number, v: number): number {
  return Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * v);
}
