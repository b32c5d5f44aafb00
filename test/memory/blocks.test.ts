import t from 'tap';
import fc from '../support/fast-check.js';
import { BLOCK_BYTES, Blocks, SLAB_BYTES } from '../../src/memory/blocks.js';
import { MemoryBudget } from '../../src/memory/memory-budget.js';

await t.test('a block that was given back is taken again', async (t) => {
  const { blocks } = new MemoryBudget(16 * BLOCK_BYTES);
  const block = blocks.take(BLOCK_BYTES);
  blocks.giveBack(block);
  t.equal(blocks.freeBytes, SLAB_BYTES);
  t.equal(blocks.take(BLOCK_BYTES), block);
  t.equal(blocks.freeBytes, SLAB_BYTES - BLOCK_BYTES);
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
  t.equal(blocks.freeBytes, SLAB_BYTES);
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
      t.equal(blocks.freeBytes, Math.floor((16 * BLOCK_BYTES - otherBytes) / SLAB_BYTES) * SLAB_BYTES);
    }
  },
);

await t.test('a slab is had whole, or its blocks, and whole again when all of them are back', async (t) => {
  const blocks = new Blocks(2 * SLAB_BYTES);
  const slab = blocks.takeSlab();
  const quarters = blocks.takeFor(SLAB_BYTES);
  t.equal(new Set(quarters.map(({ buffer }) => buffer)).size, 1, 'neighbours');
  t.same(
    quarters.map(({ byteOffset }) => byteOffset),
    [0, 1, 2, 3].map((at) => at * BLOCK_BYTES),
    'in order',
  );
  t.equal(blocks.takeSlab(), undefined, 'no memory is left');
  for (const quarter of quarters.slice(1)) blocks.giveBack(quarter);
  t.equal(blocks.takeSlab(), undefined, 'somebody has a block of it');
  for (const quarter of quarters.slice(0, 1)) blocks.giveBack(quarter);
  t.equal(blocks.takeSlab()?.buffer, quarters[0]?.buffer);
  t.not(slab?.buffer, quarters[0]?.buffer);
  t.equal(blocks.freeBytes, 0);
});

await t.test('blocks that had no room in a slab become one', async (t) => {
  const blocks = new Blocks(SLAB_BYTES);
  const other = blocks.take(BLOCK_BYTES / 2);
  const singles = blocks.takeFor(3 * BLOCK_BYTES);
  t.equal(new Set(singles.map(({ buffer }) => buffer)).size, 3);
  blocks.giveBack(other);
  singles.push(blocks.take(BLOCK_BYTES));
  t.equal(blocks.takeSlab(), undefined);
  for (const single of singles) blocks.giveBack(single);
  t.equal(blocks.takeSlab()?.length, SLAB_BYTES);
  t.equal(blocks.freeBytes, 0);
});

/** A cache of files up to its limit, of which the oldest go for the next one: buffers that were made anew, of `files` taken. */
function madeByCache(limitBytes: number, files: number, sizeOf: (file: number) => number): number {
  const blocks = new Blocks(limitBytes);
  const made = new Set<ArrayBufferLike>();
  const held: Buffer[] = [];
  let heldBytes = 0;
  for (let file = 0; file < files; file += 1) {
    const size = sizeOf(file);
    while (heldBytes + size > limitBytes) {
      const oldest = held.shift();
      if (oldest === undefined) break;
      heldBytes -= oldest.length;
      blocks.giveBack(oldest);
    }
    const buffer = blocks.take(size);
    made.add(buffer.buffer);
    held.push(buffer);
    heldBytes += size;
  }
  return made.size;
}

await t.test('short buffers are taken again, and none is dropped where all have one size', async (t) => {
  t.equal(
    madeByCache(16 * SLAB_BYTES, 10_000, () => 64 * 1024),
    (16 * SLAB_BYTES) / (64 * 1024),
  );
});

await t.test('few short buffers are dropped where sizes differ', async (t) => {
  let state = 1;
  const made = madeByCache(64 * SLAB_BYTES, 12_800, () => {
    state = (state * 48_271) % 2_147_483_647;
    return 4096 * (1 + (state % 63));
  });
  t.ok(made < 6400, `${made} buffers made for 12800 files`);
});

await t.test('short buffers leave the room to others', async (t) => {
  const limitBytes = 16 * SLAB_BYTES;
  const blocks = new Blocks(limitBytes);
  const short = Array.from({ length: 256 }, () => blocks.take(64 * 1024));
  for (const buffer of short) blocks.giveBack(buffer);
  t.equal(blocks.shortFreeBytes, limitBytes, 'all are kept while nobody takes their room');
  for (let bytes = 0; bytes < limitBytes; bytes += SLAB_BYTES) t.ok(blocks.takeSlab());
  t.equal(blocks.shortFreeBytes, SLAB_BYTES, 'a sixteenth of the limit stays');
});

/** Bytes of the memory that goes with a buffer: a short one may lie in a longer one. */
function memoryOf({ length, buffer }: Buffer): number {
  return length < BLOCK_BYTES ? buffer.byteLength : length;
}

/** Bytes that show whether anybody else has written to the buffer: some of each block. */
function places({ length }: Buffer): number[] {
  const every = BLOCK_BYTES / 2;
  return [...Array.from({ length: Math.ceil(length / every) }, (_, at) => at * every), length - 1];
}

await t.test(
  'no byte is anybody else’s, and nothing is beyond the limit, whatever is taken and given back',
  async (t) => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.constant({ kind: 'block' as const, at: 0 }) },
      { weight: 3, arbitrary: fc.constant({ kind: 'slab' as const, at: 0 }) },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant('other' as const),
          at: fc.integer({ min: 1, max: BLOCK_BYTES - 1 }),
        }),
      },
      { weight: 5, arbitrary: fc.record({ kind: fc.constant('back' as const), at: fc.nat(100) }) },
    );
    const limitBytes = 5 * SLAB_BYTES + 3 * BLOCK_BYTES;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const blocks = new Blocks(limitBytes);
        const taken: { readonly buffer: Buffer; readonly mark: number }[] = [];
        let mark = 0;
        let others = 0;
        const has = (bytes: number): boolean => blocks.takenBytes + bytes <= limitBytes;
        const keep = (buffer: Buffer | undefined): void => {
          if (buffer === undefined) return;
          mark = (mark + 1) % 251;
          for (const at of places(buffer)) buffer[at] = mark;
          taken.push({ buffer, mark });
        };
        for (const { kind, at } of steps) {
          if (kind === 'block' && has(BLOCK_BYTES)) keep(blocks.take(BLOCK_BYTES));
          else if (kind === 'slab' && has(SLAB_BYTES)) keep(blocks.takeSlab());
          else if (kind === 'other' && has(at)) {
            others += 1;
            keep(blocks.take(at));
          } else if (kind === 'back') {
            const [back] = taken.splice(at % Math.max(1, taken.length), 1);
            if (back === undefined) continue;
            if (places(back.buffer).some((at) => back.buffer[at] !== back.mark)) return false;
            blocks.giveBack(back.buffer);
          }
          // What is left of slabs may be beyond it only where buffers of other sizes took the rest.
          if (others === 0 && blocks.takenBytes + blocks.freeBytes > limitBytes) return false;
          if (blocks.takenBytes !== taken.reduce((sum, { buffer }) => sum + memoryOf(buffer), 0))
            return false;
          if (blocks.takenBytes > limitBytes && blocks.shortFreeBytes > limitBytes / 16) return false;
        }
        for (const { buffer } of taken) blocks.giveBack(buffer);
        // Everything is had again, in slabs and blocks.
        let bytes = 0;
        while (bytes + SLAB_BYTES <= limitBytes && blocks.takeSlab() !== undefined) bytes += SLAB_BYTES;
        while (bytes + BLOCK_BYTES <= limitBytes) bytes += blocks.take(BLOCK_BYTES).length;
        return blocks.takenBytes === limitBytes && blocks.freeBytes === 0;
      }),
      { numRuns: 300 },
    );
    t.pass('every run');
  },
);
