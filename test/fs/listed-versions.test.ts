/** What scans showed of files, packed, beside a map. */
import fc from '../support/fast-check.js';
import t from 'tap';
import { ListedVersions, type ListedVersion } from '../../src/fs/listed-versions.js';

const HALF = 8;
const version = fc.record(
  {
    etag: fc.oneof(fc.string({ maxLength: 48 }), fc.string({ unit: 'grapheme', maxLength: 20 })),
    size: fc.maxSafeNat(),
    lastModifiedMs: fc.nat(),
  },
  { requiredKeys: ['etag', 'size'] },
);
const step = fc.record({
  isTake: fc.boolean(),
  // Few ids, and some that share their low bits.
  id: fc.bigInt({ min: 0n, max: 23n }).map((id) => (id % 3n === 0n ? id << 40n : id) + 16n),
  listed: fc.record({ version, takenMs: fc.nat() }),
});

await t.test(
  'any steps: what is told of a file is the last that was shown, and the last half are told',
  async () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
        const versions = new ListedVersions(2 * HALF);
        const model = new Map<bigint, ListedVersion>();
        /** In the order in which they were shown, told or not. */
        const shown = new Set<bigint>();
        for (const { isTake, id, listed } of steps) {
          if (!isTake) {
            model.delete(id);
            model.set(id, listed);
            versions.set(id, listed);
            continue;
          }
          const found = versions.take(id);
          const expected = model.get(id);
          const isRecent = model.has(id) && [...shown].slice(-HALF).includes(id);
          const isLong = Buffer.byteLength(expected?.version.etag ?? '') > 48;
          if (found === undefined ? isRecent && !isLong : !sameVersion(found, expected))
            throw new Error(`${id}: ${JSON.stringify(found)}`);
          model.delete(id);
          if (versions.take(id) !== undefined) throw new Error('told twice');
        }
      }),
      { numRuns: 1000 },
    );
  },
);

function sameVersion(found: ListedVersion, expected: ListedVersion | undefined): boolean {
  const { version } = found;
  return (
    found.takenMs === expected?.takenMs &&
    version.size === expected.version.size &&
    version.lastModifiedMs === expected.version.lastModifiedMs &&
    version.etag === Buffer.from(expected.version.etag).toString()
  );
}
