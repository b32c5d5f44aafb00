import fc from '../support/fast-check.js';
import t from 'tap';
import { createPartMap } from '../../src/write/part-map.js';
import type { Extent } from '../../src/write/extent-map.js';
import { planParts, type PlanInput } from '../../src/write/publish-plan.js';

const PART_BYTES_MIN = 5;
const PARTS_MAX = 40;
/** A range of 200 and what goes with it of the part behind. */
const COPY_BYTES_MAX = 220;

const inputs: fc.Arbitrary<PlanInput> = fc
  .record({
    partBytes: fc.integer({ min: PART_BYTES_MIN, max: 9 }),
    size: fc.integer({ min: 1, max: 400 }),
    baseBytes: fc.nat(400),
    dirty: fc.uniqueArray(fc.tuple(fc.nat(PARTS_MAX - 1), fc.nat(8), fc.integer({ min: 1, max: 9 })), {
      selector: ([index]) => index,
    }),
    uploaded: fc.uniqueArray(fc.nat(PARTS_MAX - 1), { maxLength: 5 }),
    copyBytesMax: fc.integer({ min: 90, max: 200 }),
    partNumberGaps: fc.boolean(),
  })
  .map(({ partBytes, size, baseBytes, dirty, uploaded, copyBytesMax, partNumberGaps }) => {
    const partMap = createPartMap(partBytes, PARTS_MAX);
    const changes = new Map<number, Extent>();
    for (const [index, from, length] of dirty) {
      const start = partMap.start(index) + from;
      const end = Math.min(start + length, partMap.end(index), size);
      if (start < end) changes.set(index, { start, end });
    }
    // Those that are uploaded are full.
    for (const index of uploaded) {
      const [start, end] = [partMap.start(index), partMap.end(index)];
      if (changes.has(index) && end <= size) changes.set(index, { start, end });
    }
    const isFull = (index: number): boolean =>
      changes.get(index)?.start === partMap.start(index) && changes.get(index)?.end === partMap.end(index);
    return {
      partMap,
      size,
      baseBytes: Math.min(baseBytes, size),
      changed: (index) => changes.get(index),
      isUploaded: (index) => uploaded.includes(index) && isFull(index),
      copyBytesMax,
      partBytesMin: PART_BYTES_MIN,
      partBytesMax: COPY_BYTES_MAX,
      partNumberGaps,
    };
  });

await t.test('a plan is the whole object, within S3 rules', async (t) => {
  fc.assert(
    fc.property(inputs, (input) => {
      let at = 0;
      let number = 0;
      const plan = planParts(input);
      for (const [position, part] of plan.entries()) {
        const last = position === plan.length - 1;
        if (part.offset !== at) throw new Error(`expected a part at ${at}, got ${part.offset}`);
        if (!input.partNumberGaps && part.offset !== input.partMap.start(part.index))
          throw new Error('not where its part begins');
        if (part.length < 1) throw new Error('empty');
        if (!input.partNumberGaps && part.index !== number) throw new Error('a gap');
        if (part.index + 1 <= number || part.index >= PARTS_MAX) throw new Error('bad number');
        if (!last && part.length < PART_BYTES_MIN) throw new Error('too small');
        if (part.kind === 'copy' && part.length > COPY_BYTES_MAX) throw new Error('too large a copy');
        at += part.length;
        number = part.index + 1;
      }
      return at === input.size;
    }),
    { numRuns: 500 },
  );
  t.pass();
});

await t.test('what is copied is unchanged base, and no unchanged whole part is sent', async (t) => {
  fc.assert(
    fc.property(inputs, (input) => {
      const { partMap, size, baseBytes } = input;
      for (const { kind, offset, length } of planParts(input)) {
        const end = offset + length;
        for (let index = partMap.indexAt(offset); partMap.start(index) < end; index += 1) {
          const partEnd = Math.min(partMap.end(index), size);
          const changed = input.changed(index);
          const unchanged = changed === undefined && partEnd <= baseBytes;
          if (kind === 'copy') {
            if (end > baseBytes) throw new Error('copies what is not there');
            if (changed !== undefined && changed.start < end && changed.end > offset)
              throw new Error(`copies what was changed of part ${index}`);
          } else if (unchanged) throw new Error(`part ${index}: expected copy, got ${kind}`);
          if (input.isUploaded(index) !== (kind === 'uploaded'))
            throw new Error(`part ${index}: got ${kind}`);
        }
      }
    }),
    { numRuns: 500 },
  );
  t.pass();
});

await t.test(
  'of a changed part no more is sent than the least part, where copies are beside it',
  async (t) => {
    fc.assert(
      fc.property(inputs, (input) => {
        const plan = planParts(input);
        for (const [position, { kind, index, offset, length }] of plan.entries()) {
          const [before, next] = [plan[position - 1], plan[position + 1]];
          if (kind !== 'send' || before?.kind !== 'copy' || next?.kind !== 'copy' || !input.partNumberGaps)
            continue;
          const changed = input.changed(index);
          if (changed === undefined || before.length + length > COPY_BYTES_MAX) continue;
          const least = Math.max(PART_BYTES_MIN, changed.end - changed.start);
          if (length > least) throw new Error(`sends ${length} bytes at ${offset} where ${least} would do`);
        }
      }),
      { numRuns: 500 },
    );
    t.pass();
  },
);

await t.test('neighbours to copy are one request while they fit', async (t) => {
  const plan = planParts({
    partMap: createPartMap(10, 1000),
    size: 95,
    baseBytes: 90,
    changed: (index) => (index === 4 ? { start: 42, end: 43 } : undefined),
    isUploaded: () => false,
    copyBytesMax: 30,
    partBytesMin: 5,
    partBytesMax: 50,
    partNumberGaps: true,
  });
  t.same(plan, [
    { kind: 'copy', index: 0, offset: 0, length: 30 },
    { kind: 'copy', index: 3, offset: 30, length: 12 },
    { kind: 'send', index: 4, offset: 42, length: 5 },
    { kind: 'copy', index: 5, offset: 47, length: 23 },
    { kind: 'copy', index: 7, offset: 70, length: 20 },
    { kind: 'send', index: 9, offset: 90, length: 5 },
  ]);
});
