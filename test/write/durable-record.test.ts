import fc from '../support/fast-check.js';
import t from 'tap';
import { DurableRecord, type RecordChange, type SafeExtent } from '../../src/write/durable-record.js';

const PART = 16;
const STATE = { partBytes: PART, partsMax: 100 };

const extent = (start: number, end: number, segment: number): SafeExtent => ({
  start,
  end,
  piece: { segment, position: 0, bytes: end - start, crc32: 0 },
});
const change = (extents: readonly SafeExtent[], keptBytes?: number): RecordChange => ({
  sizeBytes: 1000,
  baseBytes: 0,
  ...(keptBytes !== undefined && { keptBytes }),
  parts: [],
  extents,
});

/** Which piece has each byte: later ones win. */
function shown(extents: readonly SafeExtent[]): (number | undefined)[] {
  const bytes: (number | undefined)[] = Array.from({ length: 10 * PART });
  for (const { start, end, piece } of extents) bytes.fill(piece.segment, start, end);
  return bytes;
}

const steps = fc.array(
  fc.record({
    part: fc.nat(9),
    from: fc.nat(PART - 1),
    bytes: fc.integer({ min: 1, max: PART }),
    cut: fc.option(fc.nat(160), { freq: 8 }),
  }),
  { maxLength: 60 },
);

await t.test('a record shows what was written last, and frees what nothing of shows', async () => {
  fc.assert(
    fc.property(steps, (history) => {
      const record = new DurableRecord(STATE);
      const expected: (number | undefined)[] = Array.from({ length: 10 * PART });
      const freed = new Set<number>();
      for (const [at, { part, from, bytes, cut }] of history.entries()) {
        if (cut !== null) expected.fill(undefined, cut);
        const start = part * PART + from;
        const end = Math.min(start + bytes, (part + 1) * PART);
        expected.fill(at, start, end);
        const pieces = record.apply(change([extent(start, end, at)], cut ?? undefined));
        for (const { segment } of pieces) {
          if (freed.has(segment) || expected.includes(segment)) return false;
          freed.add(segment);
        }
      }
      const again = DurableRecord.from(
        JSON.parse(JSON.stringify(record)) as ReturnType<DurableRecord['toJSON']>,
      );
      const kept = record.extents.map(({ piece }) => piece.segment);
      return (
        JSON.stringify(shown(record.extents)) === JSON.stringify(expected) &&
        JSON.stringify(shown(again.extents)) === JSON.stringify(expected) &&
        kept.length === record.extentCount &&
        kept.every((segment) => !freed.has(segment)) &&
        kept.length + freed.size === history.length
      );
    }),
    { numRuns: 300 },
  );
});
