import t from 'tap';
import { BLOCK_BYTES } from '../../src/memory/blocks.js';
import { MemoryBudget } from '../../src/memory/memory-budget.js';

await t.test('a block that was given back is taken again', async (t) => {
  const { blocks } = new MemoryBudget(16 * BLOCK_BYTES);
  const block = blocks.take();
  blocks.giveBack(block);
  t.equal(blocks.freeBytes, BLOCK_BYTES);
  t.equal(blocks.take(), block);
  t.equal(blocks.freeBytes, 0);
  t.throws(() => blocks.giveBack(Buffer.alloc(1)), RangeError);
});

await t.test('free blocks go when the budget is used for other memory', async (t) => {
  const budget = new MemoryBudget(16 * BLOCK_BYTES);
  const taken = Array.from({ length: 16 }, () => budget.blocks.take());
  for (const block of taken) budget.blocks.giveBack(block);
  for (let used = 0; used < 16; used += 1) {
    t.ok(budget.tryReserve(BLOCK_BYTES));
    const heldBytes = budget.usedBytes + budget.blocks.freeBytes;
    t.ok(heldBytes <= 18 * BLOCK_BYTES, `an eighth above the limit at most, not ${heldBytes}`);
  }
});
