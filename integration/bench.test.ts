/** The short form of the benchmarks: nothing has become twice as slow, nor asks S3 for anything else. */
import t from 'tap';
import { compared, readBaseline, SHORT_CASES, shortRun } from '../bench/short.js';
import { Missing } from '../bench/native.js';

await t.test(
  'a ratio beyond twice the recorded one is found, and any other number of requests',
  async (t) => {
    const before = { ratio: 3, requests: { GetObject: 21 } };
    const ask = (ratio: number, GetObject: number): number =>
      compared('case', before, { ratio, requests: { GetObject } }).length;
    t.equal(ask(6, 21), 0);
    t.equal(ask(6.1, 21), 1);
    t.equal(ask(1, 22), 1);
    t.equal(ask(1, 20), 1);
    t.equal(ask(NaN, 0), 2);
  },
);

const baseline = await readBaseline();

for (const short of SHORT_CASES) {
  const { name } = short.case;
  await t.test(`${name} is not twice as slow as recorded`, async (t) => {
    t.ok(baseline.cases[name], 'recorded');
    try {
      const { found, worse } = await shortRun(short, baseline);
      t.comment(JSON.stringify(found));
      t.same(worse, []);
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      await t.test(short.case.about, { skip: error.message }, () => undefined);
    }
  });
}
