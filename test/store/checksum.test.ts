/** The CRCs of uploads: known values, any bytes in any pieces against the definition, and the embedded server's own. */
import { randomBytes } from 'node:crypto';
import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from '../support/fast-check.js';
import t from 'tap';
import { crc32c, crc64nvme } from '../../src/store/embedded/crc.js';
import {
  BodyChecksum,
  CHECKSUM_ALGORITHMS,
  compositeChecksum,
  fullChecksum,
  type ChecksumAlgorithm,
} from '../../src/store/s3/checksum.js';
import { CRC32, CRC32C, CRC64NVME, joinedCrc, type Crc } from '../../src/store/s3/crc-combine.js';
import { CRC32_DISTANCES, CRC32C_DISTANCES, foldedCrc, type Crc32 } from '../../src/store/s3/folded-crc.js';
import { TableCrc } from '../../src/store/s3/table-crc.js';

const CRCS = { crc32: CRC32, crc32c: CRC32C, crc64nvme: CRC64NVME };

/** A bit at a time, as the definition has it. */
function defined({ polynomial, width }: Crc, bytes: Uint8Array): bigint {
  const ones = (1n << BigInt(width)) - 1n;
  let register = ones;
  for (const byte of bytes) {
    register ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) register = (register >> 1n) ^ ((register & 1n) * polynomial);
  }
  return register ^ ones;
}

await t.test('the values of their catalogue', async (t) => {
  const body = [Buffer.from('123'), Buffer.alloc(0), Buffer.from('456789')];
  const expected = { crc32: 'cbf43926', crc32c: 'e3069283', crc64nvme: 'ae8b14860a799888' };
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const value = Buffer.from(expected[algorithm], 'hex').toString('base64');
    t.same(new BodyChecksum(algorithm).of(body), { algorithm, value });
    t.equal(BigInt(`0x${expected[algorithm]}`), defined(CRCS[algorithm], Buffer.from('123456789')));
  }
});

await t.test('any bytes, from any address, in any pieces', async (t) => {
  const machines = CHECKSUM_ALGORITHMS.map((algorithm) => {
    const crc = CRCS[algorithm];
    return { crc, machine: new TableCrc(crc.polynomial, crc.width) };
  });
  const anyBytes = fc.uint8Array({ maxLength: 100, size: 'max' });
  fc.assert(
    fc.property(anyBytes, fc.nat(100), fc.nat(100), (bytes, from, cut) => {
      const seen = bytes.subarray(Math.min(from, bytes.length));
      return machines.every(({ crc, machine }) => {
        const expected = defined(crc, seen);
        return (
          machine.of(seen) === expected &&
          machine.of(seen.subarray(cut), machine.of(seen.subarray(0, cut))) === expected
        );
      });
    }),
  );
  t.pass('as defined');
});

await t.test('as the embedded server has them, beyond the pieces that are worked on at a time', async (t) => {
  const theirs: Readonly<Record<ChecksumAlgorithm, (bytes: Buffer) => bigint>> = {
    crc32: (bytes) => BigInt(zlibCrc32(bytes)),
    crc32c: (bytes) => BigInt(crc32c(bytes)),
    crc64nvme: (bytes) => {
      const { high, low } = crc64nvme(bytes);
      return (BigInt(high) << 32n) | BigInt(low);
    },
  };
  const bytes = randomBytes(200_000);
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const { polynomial, width } = CRCS[algorithm];
    const machine = new TableCrc(polynomial, width);
    for (const length of [65_535, 65_536, 65_537, 131_072, 200_000])
      t.equal(machine.of(bytes.subarray(0, length)), theirs[algorithm](bytes.subarray(0, length)));
  }
});

await t.test('folded: any length in any pieces, as without folding', async (t) => {
  const bytes = randomBytes(700_000);
  const table = new TableCrc(CRC32C.polynomial, CRC32C.width);
  const castagnoli: Crc32 = (some, before = 0) => Number(table.of(some, BigInt(before)));
  for (const [distances, direct] of [
    [CRC32_DISTANCES, zlibCrc32],
    [CRC32C_DISTANCES, castagnoli],
  ] as const) {
    let directBytes = 0;
    const folded = foldedCrc(distances, (some, before) => {
      directBytes += some.length;
      return direct(some, before);
    });
    const same = (from: number, cut: number, end: number): boolean =>
      folded(bytes.subarray(cut, end), folded(bytes.subarray(from, cut))) ===
      direct(bytes.subarray(from, end));
    // Around what is folded at all, a turn of it, and the pieces that are copied in.
    for (const end of [0, 1, 19_199, 19_200, 19_201, 19_327, 19_328, 262_143, 262_144, 262_145, 524_289])
      t.ok(same(0, 0, end), `${end} bytes`);
    const anywhere = fc.nat(bytes.length);
    fc.assert(
      fc.property(anywhere, anywhere, anywhere, (...places) => {
        const [from = 0, cut = 0, end = 0] = places.sort((a, b) => a - b);
        return same(from, cut, end);
      }),
      { numRuns: 40 },
    );
    directBytes = 0;
    folded(bytes.subarray(0, 524_288));
    t.ok(directBytes > 0 && directBytes < 524_288 / 20, `${directBytes} bytes were left`);
  }
});

await t.test('the CRC of joined pieces from those of the pieces', async (t) => {
  for (const crc of Object.values(CRCS)) {
    const pieces = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
    fc.assert(
      fc.property(pieces, (bodies) => {
        const values = bodies.map((body) => ({ value: defined(crc, body), bytes: body.length }));
        return joinedCrc(crc, values) === defined(crc, Buffer.concat(bodies));
      }),
    );
  }
  t.pass('as defined');
});

await t.test('of parts: of the whole, and composed', async (t) => {
  const etag = '"900150983cd24fb0d6963f7d28e17f72"';
  const bodies = [Buffer.alloc(0), Buffer.from('123'), randomBytes(100_001), Buffer.alloc(70_000)];
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const checksum = new BodyChecksum(algorithm);
    const parts = bodies.map((body, at) => ({
      partNumber: 3 * at + 1,
      etag,
      checksum: checksum.of([body]),
      bytes: body.length,
    }));
    t.same(fullChecksum(algorithm, parts), checksum.of(bodies));
    // A copied range whose checksum the store didn't tell, or by another algorithm.
    const other = { algorithm: algorithm === 'crc32' ? 'crc32c' : 'crc32', value: 'AAAAAA==' } as const;
    for (const unknown of [{ bytes: 1 }, { checksum: checksum.of([]) }, { checksum: other, bytes: 1 }]) {
      const partly = [...parts, { partNumber: 99, etag, ...unknown }];
      t.equal(fullChecksum(algorithm, partly), undefined);
    }
    t.equal(compositeChecksum(checksum, [...parts, { partNumber: 99, etag }]), undefined);
  }
  const crc32 = (value: string): { readonly algorithm: 'crc32'; readonly value: string } => ({
    algorithm: 'crc32',
    value,
  });
  const two = [
    { partNumber: 1, etag, checksum: crc32('NSRBwg==') },
    { partNumber: 2, etag, checksum: crc32('mN1KzA==') },
  ];
  t.same(compositeChecksum(new BodyChecksum('crc32'), two), crc32('oc27sQ==-2'));
  t.equal(compositeChecksum(new BodyChecksum('crc64nvme'), []), undefined, 'S3 composes none of these');
});
