import fc from 'fast-check';
import t from 'tap';
import { createPartMap } from '../../src/write/part-map.js';
import { planParts, type PlanInput } from '../../src/write/publish-plan.js';

const PART_BYTES_MIN = 5;
const PARTS_MAX = 40;

const inputs: fc.Arbitrary<PlanInput> = fc
  .record({
    partBytes: fc.integer({ min: PART_BYTES_MIN, max: 9 }),
    size: fc.integer({ min: 1, max: 400 }),
    baseBytes: fc.nat(400),
    dirty: fc.uniqueArray(fc.nat(PARTS_MAX - 1)),
    uploaded: fc.uniqueArray(fc.nat(PARTS_MAX - 1), { maxLength: 5 }),
    copyBytesMax: fc.integer({ min: 90, max: 200 }),
    partNumberGaps: fc.boolean(),
  })
  .map(({ partBytes, size, baseBytes, dirty, uploaded, copyBytesMax, partNumberGaps }) => ({
    partMap: createPartMap(partBytes, PARTS_MAX),
    size,
    baseBytes: Math.min(baseBytes, size),
    isDirty: (index) => dirty.includes(index),
    isUploaded: (index) => uploaded.includes(index) && dirty.includes(index),
    copyBytesMax,
    partNumberGaps,
  }));

await t.test('a plan is the whole object, within S3 rules', async (t) => {
  fc.assert(
    fc.property(inputs, (input) => {
      let at = 0;
      let number = 0;
      const plan = planParts(input);
      for (const [position, part] of plan.entries()) {
        const last = position === plan.length - 1;
        if (part.offset !== at) throw new Error(`expected a part at ${at}, got ${part.offset}`);
        if (part.offset !== input.partMap.start(part.index)) throw new Error('not where its part begins');
        if (!input.partNumberGaps && part.index !== number) throw new Error('a gap');
        if (part.index + 1 <= number || part.index >= PARTS_MAX) throw new Error('bad number');
        if (!last && part.length < PART_BYTES_MIN) throw new Error('too small');
        if (part.kind === 'copy' && part.length > input.copyBytesMax) throw new Error('too large a copy');
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
      const { partMap, size } = input;
      for (const part of planParts(input)) {
        const end = part.offset + part.length;
        for (let index = part.index; partMap.start(index) < end; index += 1) {
          const partEnd = Math.min(partMap.end(index), size);
          const unchanged = !input.isDirty(index) && partEnd <= input.baseBytes;
          const expected = input.isUploaded(index) ? 'uploaded' : unchanged ? 'copy' : 'send';
          if (part.kind !== expected)
            throw new Error(`part ${index}: expected ${expected}, got ${part.kind}`);
        }
      }
    }),
    { numRuns: 500 },
  );
  t.pass();
});

await t.test('neighbours to copy are one request while they fit', async (t) => {
  const plan = planParts({
    partMap: createPartMap(10, 1000),
    size: 95,
    baseBytes: 90,
    isDirty: (index) => index === 4,
    isUploaded: () => false,
    copyBytesMax: 30,
    partNumberGaps: true,
  });
  t.same(plan, [
    { kind: 'copy', index: 0, offset: 0, length: 30 },
    { kind: 'copy', index: 3, offset: 30, length: 10 },
    { kind: 'send', index: 4, offset: 40, length: 10 },
    { kind: 'copy', index: 5, offset: 50, length: 30 },
    { kind: 'copy', index: 8, offset: 80, length: 10 },
    { kind: 'send', index: 9, offset: 90, length: 5 },
  ]);
});
