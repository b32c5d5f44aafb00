import fc from '../support/fast-check.js';
import t from 'tap';
import { ExtentMap } from '../../src/write/extent-map.js';

const SPAN = 64;
const range = fc
  .tuple(fc.nat(SPAN), fc.nat(SPAN))
  .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));

await t.test('holds what a set of bytes would', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ add: fc.boolean(), range }), { maxLength: 40 }),
      range,
      // So small chunks are cut, emptied and passed over.
      fc.constantFrom(1, 2, 3, 256),
      (changes, { start, end }, chunkExtentsMax) => {
        const map = new ExtentMap(chunkExtentsMax);
        const model = Array.from({ length: SPAN }, () => false);
        for (const { add, range } of changes) {
          if (add) map.add(range.start, range.end);
          else map.remove(range.start, range.end);
          model.fill(add, range.start, range.end);
        }
        const extents = [...map];
        const fromExtents = Array.from({ length: SPAN }, () => false);
        let before = -1;
        for (const extent of extents) {
          if (extent.start <= before || extent.end <= extent.start) throw new Error('not sorted and apart');
          before = extent.end;
          fromExtents.fill(true, extent.start, extent.end);
        }
        const inside = Array.from({ length: SPAN }, () => false);
        for (const extent of map.within(start, end)) inside.fill(true, extent.start, extent.end);
        const outside = Array.from({ length: SPAN }, () => false);
        for (const extent of map.gaps(start, end)) outside.fill(true, extent.start, extent.end);
        const inRange = (at: number): boolean => at >= start && at < end;
        return (
          map.hull?.start === extents[0]?.start &&
          map.hull?.end === extents.at(-1)?.end &&
          map.bytes === model.filter(Boolean).length &&
          map.covers(start, end) === model.slice(start, end).every(Boolean) &&
          model.every((is, at) => is === fromExtents[at]) &&
          model.every((is, at) => inside[at] === (is && inRange(at))) &&
          model.every((is, at) => outside[at] === (!is && inRange(at)))
        );
      },
    ),
    { numRuns: 500 },
  );
  t.pass();
});

await t.test('clear empties it', async (t) => {
  const map = new ExtentMap();
  map.add(1, 5);
  map.clear();
  t.same([...map], []);
  t.equal(map.bytes, 0);
});

await t.test('a scattered write costs no more with 200,000 others there than with 2,000', async (t) => {
  const map = new ExtentMap();
  const count = 200_000;
  let done = 0;
  const movedUntil = (end: number): number => {
    const before = map.moved;
    for (; done < end; done += 1) {
      // Each place once, all over the file: 123,457 is prime.
      const place = 2 * ((done * 123_457) % count);
      map.add(place, place + 1);
    }
    return map.moved - before;
  };
  movedUntil(1_000);
  const few = movedUntil(2_000);
  movedUntil(count - 1_000);
  const many = movedUntil(count);
  t.equal([...map].length, count);
  t.ok(many < 3 * few, `${many} moved for 1,000 of the last, ${few} of the first`);
});
