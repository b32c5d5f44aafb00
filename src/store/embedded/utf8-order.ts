/** UTF-8 byte order of JavaScript strings, which is S3's order of keys and isn't JavaScript's own. */

/** Surrogates sort above U+E000..U+FFFF in UTF-8 though their code units are lower: shift both ranges to repair that. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** Negative, zero or positive, as Buffer.compare of the strings' UTF-8; both must be well-formed. */
export function compareUtf8(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let at = 0; at < shared; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}
