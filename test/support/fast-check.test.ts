/** Failures of random tests are told in time. */
import t from 'tap';
import fc, { shrinkFor } from './fast-check.js';

const NUMBERS = fc.array(fc.nat(), { minLength: 100, maxLength: 200, size: 'max' });

await t.test('a failure is told as it is when there is no time for smaller ones', async (t) => {
  let failed = 0;
  const details = await fc.check(
    fc.asyncProperty(NUMBERS, async (numbers) => {
      // Goes on for as long as it may: the smaller ones pass.
      if (failed > 0) return await new Promise<void>(() => undefined);
      failed += 1;
      throw new Error(`${numbers.length} numbers`);
    }),
    { plugins: [shrinkFor(1)] },
  );
  t.ok(details.failed);
  const [numbers] = details.counterexample as [number[]];
  t.match(details.errorInstance, { message: `${numbers.length} numbers` });
  t.equal(details.counterexamplePath, '0');
});

await t.test('what passes has all the time it takes', async (t) => {
  const details = await fc.check(
    fc.asyncProperty(fc.nat(), async () => new Promise<void>((resolve) => setTimeout(resolve, 2))),
    { numRuns: 20, plugins: [shrinkFor(1)] },
  );
  t.same([details.failed, details.interrupted, details.numRuns], [false, false, 20]);
});

await t.test('within the time, failures are made smaller', async (t) => {
  const details = fc.check(
    fc.property(NUMBERS, (numbers) => numbers.every((number) => number < 7)),
    { plugins: [shrinkFor(60_000)] },
  );
  t.ok(details.failed);
  const [numbers] = details.counterexample as [number[]];
  t.same(
    numbers.filter((number) => number !== 0),
    [7],
  );
});
