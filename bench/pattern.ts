/** Bytes of which each page tells its file and offset: a page at the wrong place or from another file is found out. */
export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
const PAGE_BYTES = 4096;

/** Pseudo-random, so that nothing on the way can compress or share it. */
const GROUND = ((): Buffer => {
  const bytes = Buffer.allocUnsafeSlow(MIB);
  let state = 0x2545f491;
  for (let at = 0; at < MIB; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE(state, at);
  }
  return bytes;
})();

/** Fills `target` with the bytes that file `seed` has from `offset` on, a multiple of a page; `generation` tells rewrites apart. */
export function fillPattern(target: Buffer, seed: number, offset: number, generation = 0): Buffer {
  for (let at = 0; at < target.length;) {
    const from = (offset + at) % MIB;
    at += GROUND.copy(target, at, from, Math.min(MIB, from + target.length - at));
  }
  for (let at = 0; at + 16 <= target.length; at += PAGE_BYTES) {
    target.writeUInt32LE(seed, at);
    target.writeUInt32LE(generation, at + 4);
    target.writeDoubleLE(offset + at, at + 8);
  }
  return target;
}

/** Throws unless `data` is what file `seed` has from `offset` on. */
export function checkPattern(data: Buffer, seed: number, offset: number, generation = 0): void {
  const expected = fillPattern(SCRATCH.subarray(0, data.length), seed, offset, generation);
  if (expected.equals(data)) return;
  const at = data.findIndex((byte, index) => byte !== expected[index]);
  const page = at - (at % PAGE_BYTES);
  const shown = data.subarray(page, page + 16).toString('hex');
  throw new Error(`wrong bytes in file ${seed} at ${offset + at} (its page begins with ${shown})`);
}

/** Checks run one after the other, each within one turn. */
const SCRATCH = Buffer.allocUnsafeSlow(2 * MIB);
