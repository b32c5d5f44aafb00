import t from 'tap';
import fc from '../support/fast-check.js';
import { BlockIndex } from '../../src/read/block-index.js';
import { Fetch, type Block } from '../../src/read/fetch.js';
import { Stream } from '../../src/read/stream.js';

function block(offset: number, length: number): Block {
  const fetch = new Fetch(offset, new Stream({ start: offset, end: offset + length }, 0, 1));
  const buffer = Buffer.alloc(0);
  return {
    offset,
    length,
    buffer,
    fetch,
    filled: 0,
    pins: 0,
    consumed: false,
    readBytes: 0,
    passing: false,
    detached: false,
    use: 'none',
  };
}

await t.test('blocks and gaps agree with a map of bytes', async (t) => {
  const span = fc.record({
    start: fc.nat(60),
    length: fc.integer({ min: 1, max: 20 }),
    remove: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(span, { maxLength: 60 }), (steps) => {
      const index = new BlockIndex();
      const covered = new Set<number>();
      for (const { start, length, remove } of steps) {
        const end = start + length;
        if (remove) {
          for (const found of index.within({ start, end })) {
            index.remove(found);
            for (let at = found.offset; at < found.offset + found.length; at += 1) covered.delete(at);
          }
        } else {
          for (const gap of index.gaps({ start, end })) {
            index.add(block(gap.start, gap.end - gap.start));
            for (let at = gap.start; at < gap.end; at += 1) covered.add(at);
          }
        }
        const inGaps = index.gaps({ start: 0, end: 100 }).flatMap((gap) => range(gap.start, gap.end));
        const expected = range(0, 100).filter((at) => !covered.has(at));
        if (inGaps.join() !== expected.join())
          throw new Error(`gaps ${inGaps.join()}, expected ${expected.join()}`);
      }
      if (index.size !== index.all().length) throw new Error('size');
    }),
  );
  const index = new BlockIndex();
  t.throws(() => index.remove(block(0, 1)), /not in the index/);
});

await t.test('a span is filled when every byte of it has arrived', (t) => {
  const step = fc.record({ length: fc.integer({ min: 1, max: 12 }), filled: fc.nat(12), hole: fc.boolean() });
  const asked = fc.record({ start: fc.nat(60), length: fc.integer({ min: 1, max: 40 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), asked, (steps, { start, length }) => {
      const index = new BlockIndex();
      const arrived = new Set<number>();
      let at = 0;
      for (const { length: bytes, filled, hole } of steps) {
        if (!hole) {
          const count = Math.min(filled, bytes);
          index.add({ ...block(at, bytes), filled: count });
          for (const each of range(at, at + count)) arrived.add(each);
        }
        at += bytes;
      }
      const span = { start, end: start + length };
      return index.isFilled(span) === range(span.start, span.end).every((each) => arrived.has(each));
    }),
    { numRuns: 1000 },
  );
  t.end();
});

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, at) => start + at);
}
