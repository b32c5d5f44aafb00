import t from 'tap';
import { BLOCK_BYTES } from '../../src/memory/blocks.js';
import { MemoryBudget } from '../../src/memory/memory-budget.js';

await t.test('a block that was given back is taken again', async (t) => {
  const { blocks } = new MemoryBudget(16 * BLOCK_BYTES);
  const block = blocks.take(BLOCK_BYTES);
  blocks.giveBack(block);
  t.equal(blocks.freeBytes, BLOCK_BYTES);
  t.equal(blocks.take(BLOCK_BYTES), block);
  t.equal(blocks.freeBytes, 0);
  blocks.giveBack(block);
  t.throws(() => blocks.giveBack(Buffer.alloc(1)), RangeError);
});

await t.test('bytes are taken in blocks, and a buffer for what is left', async (t) => {
  const { blocks } = new MemoryBudget(16 * BLOCK_BYTES);
  const buffers = blocks.takeFor(2 * BLOCK_BYTES + 7);
  t.same(
    buffers.map(({ length }) => length),
    [BLOCK_BYTES, BLOCK_BYTES, 7],
  );
  for (const buffer of buffers) blocks.giveBack(buffer);
  t.equal(blocks.freeBytes, 2 * BLOCK_BYTES);
  t.same(blocks.takeFor(0), []);
});

await t.test(
  'free blocks stay while others are reserved, and go when their room is taken otherwise',
  async (t) => {
    const budget = new MemoryBudget(16 * BLOCK_BYTES);
    const { blocks } = budget;
    const taken = blocks.takeFor(16 * BLOCK_BYTES);
    for (const block of taken) blocks.giveBack(block);
    t.ok(budget.tryReserve(16 * BLOCK_BYTES));
    t.equal(blocks.freeBytes, 16 * BLOCK_BYTES);
    let otherBytes = 0;
    while (otherBytes < 16 * BLOCK_BYTES) {
      otherBytes += blocks.take(BLOCK_BYTES / 2).length;
      t.equal(blocks.freeBytes, Math.floor(16 - otherBytes / BLOCK_BYTES) * BLOCK_BYTES);
    }
  },
);
