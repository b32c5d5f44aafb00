import fc from '../support/fast-check.js';
import t from 'tap';
import { Recent } from '../../src/state/recent.js';

await t.test('what is given is what was set last, and what was used lately is there', async () => {
  const step = fc.record({
    how: fc.constantFrom('get', 'set', 'delete'),
    key: fc.integer({ min: 0, max: 20 }),
    value: fc.integer(),
  });
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 12 }), fc.array(step, { maxLength: 200 }), (countMax, steps) => {
      const recent = new Recent<number, number>(countMax);
      const all = new Map<number, number>();
      /** Keys by their last use. */
      let used: number[] = [];
      for (const { how, key, value } of steps) {
        const lately = used.slice(-Math.floor(countMax / 2));
        used = used.filter((each) => each !== key);
        if (how === 'delete') {
          recent.delete(key);
          all.delete(key);
        } else if (how === 'set') {
          recent.set(key, value);
          all.set(key, value);
          used.push(key);
        } else {
          const found = recent.get(key);
          if (found === undefined ? lately.includes(key) : found !== all.get(key)) return false;
          if (found !== undefined) used.push(key);
        }
      }
      return true;
    }),
  );
});

await t.test('there are never more than the bound', async (t) => {
  const recent = new Recent<number, number>(10);
  for (let key = 0; key < 1000; key++) recent.set(key, key);
  const found = Array.from({ length: 1000 }, (_, key) => recent.get(key)).filter(
    (each) => each !== undefined,
  );
  t.ok(found.length >= 5 && found.length <= 10, `${found.length} are there`);
});
