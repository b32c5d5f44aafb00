import fc from '../support/fast-check.js';
import t from 'tap';
import { Blocks } from '../../src/memory/blocks.js';
import { PartMemory } from '../../src/write/part-memory.js';

const KIB = 1024;

for (const { span, lengthMax, numRuns } of [
  { span: 40_000, lengthMax: 9000, numRuns: 300 },
  { span: 3 * KIB * KIB, lengthMax: KIB * KIB, numRuns: 20 },
])
  await t.test(
    `holds what was written last, in what it said it needs: up to ${lengthMax} bytes`,
    async (t) => {
      const start = 10_000;
      const write = fc.record({
        at: fc.nat(span - 1),
        length: fc.integer({ min: 1, max: lengthMax }),
        cut: fc.boolean(),
      });
      fc.assert(
        fc.property(fc.array(write, { maxLength: 30 }), (writes) => {
          const memory = new PartMemory(start, start + span, 16 * KIB, new Blocks(Infinity));
          const model = Buffer.alloc(span);
          const known = Array.from({ length: span }, () => false);
          for (const [step, { at, length, cut }] of writes.entries()) {
            if (cut && step % 5 === 4) {
              const before = memory.capacity;
              if (memory.truncate(start + at) !== before - memory.capacity)
                throw new Error('freed is not what went');
              known.fill(false, at);
              continue;
            }
            const data = Buffer.alloc(Math.min(length, span - at), step + 1);
            const promised = memory.capacity + memory.needed(start + at, start + at + data.length);
            memory.write(start + at, data);
            if (memory.capacity !== promised)
              throw new Error(`promised ${promised}, took ${memory.capacity}`);
            if (memory.capacity > span) throw new Error('more memory than the part has bytes');
            data.copy(model, at);
            known.fill(true, at, at + data.length);
          }
          for (const extent of memory.held) {
            const bytes = Buffer.concat(memory.slices(extent.start, extent.end));
            if (!bytes.equals(model.subarray(extent.start - start, extent.end - start)))
              throw new Error('wrong bytes');
          }
          return memory.held.bytes === known.filter(Boolean).length;
        }),
        { numRuns },
      );
      t.pass();
    },
  );

await t.test('ten bytes hold a page; sequential small writes few chunks', async (t) => {
  const memory = new PartMemory(0, 8 * KIB * KIB, 256 * KIB, new Blocks(Infinity));
  memory.write(0, Buffer.alloc(10));
  t.equal(memory.capacity, 4 * KIB);
  for (let at = 10; at < KIB * KIB; at += 1000) memory.write(at, Buffer.alloc(1000));
  t.ok(memory.slices(0, KIB * KIB).length <= 12, 'chunks double up to 256 KiB');
  t.ok(memory.capacity <= KIB * KIB + 256 * KIB);
  const { capacity } = memory;
  t.equal(memory.clear(), capacity, 'all is freed');
  t.equal(memory.capacity, 0);
});

await t.test('large writes one after the other take whole blocks, wherever they begin', async (t) => {
  const bytes = 8 * KIB * KIB;
  const blocks = new Blocks(bytes);
  const memory = new PartMemory(0, bytes, 256 * KIB, blocks);
  for (let at = 1; at < bytes; at += KIB * KIB)
    memory.write(at, Buffer.alloc(Math.min(KIB * KIB, bytes - at), 1));
  t.equal(memory.capacity, bytes);
  memory.clear();
  t.equal(blocks.freeBytes, bytes, 'all of it can be used again');
});
