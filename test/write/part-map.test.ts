import fc from '../support/fast-check.js';
import t from 'tap';
import { createPartMap, fileBytesMax, PART_BYTES_DEFAULT, PARTS_MAX } from '../../src/write/part-map.js';

const GIB = 1024 ** 3;

await t.test('10,000 parts from 8 MiB on reach 5 TiB, and no part is over 5 GiB', async (t) => {
  const map = createPartMap();
  t.equal(map.partsMax, PARTS_MAX);
  t.equal(fileBytesMax(), 5 * 1024 * GIB);
  t.equal(map.end(0) - map.start(0), PART_BYTES_DEFAULT);
  const last = map.indexAt(5 * 1024 * GIB - 1);
  t.ok(last < PARTS_MAX, `${last + 1} parts`);
  let at = 0;
  for (let index = 0; index <= last; index += 1) {
    const bytes = map.end(index) - map.start(index);
    if (map.start(index) !== at || bytes > 5 * GIB || bytes > Math.max(PART_BYTES_DEFAULT, at / 499))
      t.fail(`part ${index}: ${bytes} bytes from ${map.start(index)}`);
    at += bytes;
  }
  t.ok(at >= 5 * 1024 * GIB, 'without a gap');
});

await t.test('parts of any first size stay within 5 GiB, and files within 5 TiB', async (t) => {
  for (const partBytes of [16 * 1024 ** 2, 100 * 1024 ** 2, GIB, 5 * GIB]) {
    const map = createPartMap(partBytes);
    t.equal(map.fileBytesMax, 5 * 1024 * GIB);
    const last = map.indexAt(map.fileBytesMax - 1);
    t.ok(map.end(last) - map.start(last) <= 5 * GIB);
  }
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
