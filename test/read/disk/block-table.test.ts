import t from 'tap';
import { randomBytes } from 'node:crypto';
import fc from '../../support/fast-check.js';
import { BlockTable } from '../../../src/read/disk/block-table.js';
import {
  CELL_BYTES,
  decodeEntry,
  encodeEntry,
  ENTRY_BYTES,
  PAGE_BYTES,
} from '../../../src/read/disk/entry.js';

function tableOf(entries: number, isLive: (segment: number) => boolean = () => true): BlockTable {
  return new BlockTable(Buffer.allocUnsafeSlow(BlockTable.bytesFor(entries)), isLive);
}

await t.test('a table takes 24 bytes an entry', (t) => {
  t.equal(BlockTable.bytesFor(8000), 8000 * 24);
  t.end();
});

await t.test('every page of a cell has a place, and every cell of an object', (t) => {
  const id = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
  const pages = tableOf(4096);
  for (let page = 0; page < 64; page += 1)
    pages.add({ id, offset: page * PAGE_BYTES, length: PAGE_BYTES, page, checksum: page }, 1);
  for (let page = 0; page < 64; page += 1)
    t.match(pages.find(id, page * PAGE_BYTES, PAGE_BYTES), {
      page,
      checksum: page,
      start: page * PAGE_BYTES,
    });
  const table = tableOf(4096);
  for (let cell = 1; cell < 200; cell += 1)
    table.add({ id, offset: cell * CELL_BYTES, length: CELL_BYTES, page: 1000 + cell, checksum: cell }, 1);
  for (let cell = 1; cell < 200; cell += 1) t.equal(table.find(id, cell * CELL_BYTES, 5)?.page, 1000 + cell);
  t.equal(table.size, 199);
  t.end();
});

await t.test('a block in a segment that is gone is gone, and its place is used again', (t) => {
  let oldest = 1;
  const table = tableOf(8, (segment) => segment >= oldest);
  const ids = Array.from({ length: 8 }, () => randomBytes(16));
  for (const id of ids) table.add({ id, offset: 0, length: CELL_BYTES, page: 0, checksum: 0 }, 1);
  t.equal(table.size, 8);
  oldest = 2;
  t.equal(table.size, 0);
  for (const id of ids) table.add({ id, offset: 0, length: CELL_BYTES, page: 7, checksum: 0 }, 2);
  for (const id of ids) t.equal(table.find(id, 0, CELL_BYTES)?.page, 7);
  // A ninth takes the place of one in the oldest segment.
  const newest = randomBytes(16);
  table.add({ id: newest, offset: 0, length: CELL_BYTES, page: 9, checksum: 0 }, 3);
  t.equal(table.find(newest, 0, CELL_BYTES)?.page, 9);
  t.equal(table.size, 8);
  t.end();
});

await t.test('what is found was added, is not removed, and holds what was asked for', (t) => {
  const block = fc.record({
    object: fc.integer({ min: 0, max: 2 }),
    page: fc.integer({ min: 0, max: 200 }),
    length: fc.integer({ min: 1, max: CELL_BYTES }),
    remove: fc.boolean(),
  });
  let found = 0;
  fc.assert(
    fc.property(fc.array(block, { maxLength: 60 }), (steps) => {
      const table = tableOf(64);
      const ids = Array.from({ length: 3 }, () => randomBytes(16));
      const added = new Map<number, { id: Buffer | undefined; offset: number; length: number }>();
      for (const [number, { object, page, length, remove }] of steps.entries()) {
        const id = ids[object] ?? Buffer.alloc(16);
        const offset = page * PAGE_BYTES;
        const fits = Math.min(length, CELL_BYTES - (offset % CELL_BYTES));
        const place = table.find(id, offset, fits);
        if (place !== undefined) {
          found += 1;
          const real = added.get(place.page);
          if (real === undefined || real.id !== id) throw new Error('found what was not added');
          if (real.offset % CELL_BYTES !== place.start || real.length !== place.length)
            throw new Error('found it changed');
          if (real.offset > offset || real.offset + real.length < offset + fits)
            throw new Error('found too little');
          if (remove) {
            table.remove(id, offset, place);
            added.delete(place.page);
            continue;
          }
        }
        table.add({ id, offset, length: fits, page: number, checksum: 0 }, 1 + (number % 3));
        added.set(number, { id, offset, length: fits });
        if (table.find(id, offset, fits) === undefined) throw new Error('what was added last is not found');
      }
    }),
    { numRuns: 300 },
  );
  t.ok(found > 50, `${found} found`);
  t.end();
});

await t.test('an entry comes back as it was, and not where a bit of it or the secret is another', (t) => {
  const secret = randomBytes(32);
  const entry = {
    id: randomBytes(16),
    offset: 2 ** 40 + 3 * PAGE_BYTES,
    length: 123_456,
    page: 2 ** 31 + 5,
    checksum: 0xfedcba98,
  };
  const bytes = encodeEntry(entry, secret);
  t.equal(bytes.length, ENTRY_BYTES);
  t.same(decodeEntry(bytes, 0, secret), entry);
  t.equal(decodeEntry(bytes, 0, randomBytes(32)), undefined);
  t.equal(decodeEntry(Buffer.alloc(ENTRY_BYTES), 0, secret), undefined);
  for (let length = 0; length < ENTRY_BYTES; length += 1)
    t.equal(decodeEntry(bytes.subarray(0, length), 0, secret), undefined);
  for (let bit = 0; bit < ENTRY_BYTES * 8; bit += 1) {
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    if (decodeEntry(flipped, 0, secret) !== undefined) t.fail(`bit ${bit}`);
  }
  t.end();
});
