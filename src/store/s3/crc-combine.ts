/** The CRC-32 of joined pieces, from the pieces' own: as S3 makes the checksum of a whole object from those of its parts. Pure. */

/** CRC-32 as in zip and PNG, reflected. */
const POLYNOMIAL = 0xedb88320;

/** A 32×32 matrix over GF(2), a column a number: what feeding zeros does to a CRC register. */
type Matrix = Uint32Array;

function times(matrix: Matrix, vector: number): number {
  let sum = 0;
  for (let bit = 0, rest = vector; rest !== 0; bit++, rest >>>= 1) {
    if ((rest & 1) === 1) sum ^= matrix[bit] ?? 0;
  }
  return sum >>> 0;
}

function squared(matrix: Matrix): Matrix {
  return matrix.map((column) => times(matrix, column));
}

/** What one zero bit does. */
function zeroBit(): Matrix {
  return Uint32Array.from({ length: 32 }, (_, bit) => (bit === 0 ? POLYNOMIAL : 2 ** (bit - 1)));
}

/** The CRC-32 of two pieces one after the other; `lengthBytes` is that of the second. */
export function combineCrc32(first: number, second: number, lengthBytes: number): number {
  let crc = first;
  // 1, 2, 4, then 8 zero bits: a byte, and its powers of two from there.
  let zeros = squared(squared(squared(zeroBit())));
  for (let left = lengthBytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) crc = times(zeros, crc);
    zeros = squared(zeros);
  }
  return (crc ^ second) >>> 0;
}
