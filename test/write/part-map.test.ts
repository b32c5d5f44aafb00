import fc from 'fast-check';
import t from 'tap';
import { createPartMap, fileBytesMax, PART_BYTES_DEFAULT, PARTS_MAX } from '../../src/write/part-map.js';

const GIB = 1024 ** 3;

await t.test('10,000 parts from 8 MiB on reach 400 GiB, and no part is over 5 GiB', async (t) => {
  const map = createPartMap();
  t.equal(map.partsMax, PARTS_MAX);
  t.ok(fileBytesMax() >= 400 * GIB);
  t.equal(map.end(PARTS_MAX - 1), fileBytesMax());
  t.equal(map.end(0) - map.start(0), PART_BYTES_DEFAULT);
  t.equal(map.end(PARTS_MAX - 1) - map.start(PARTS_MAX - 1), 10 * PART_BYTES_DEFAULT);
});

await t.test('parts follow each other, and every byte is in the part it is found in', async (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(10, 50, 10_000),
      fc.integer({ min: 1, max: 1 << 24 }),
      fc.nat(),
      (partsMax, partBytes, seed) => {
        const map = createPartMap(partBytes, partsMax);
        const index = seed % partsMax;
        const offset = Math.floor((seed / 0x7fffffff) * (map.fileBytesMax - 1));
        const found = map.indexAt(offset);
        return (
          map.end(index) === map.start(index + 1) &&
          map.end(index) > map.start(index) &&
          map.indexAt(map.start(index)) === index &&
          map.indexAt(map.end(index) - 1) === index &&
          map.start(found) <= offset &&
          offset < map.end(found)
        );
      },
    ),
  );
  t.equal(createPartMap(3, 10).start(0), 0);
});

await t.test('a bound on the part bounds the file', async (t) => {
  const map = createPartMap(8, 100);
  t.equal(map.fileBytesMaxFor(7), 0);
  t.equal(map.fileBytesMaxFor(8), 80);
  t.equal(map.fileBytesMaxFor(17), 80 + 160);
  t.equal(map.fileBytesMaxFor(1000), map.fileBytesMax);
});
