/** What a plan decides: which requests, how often, and the same again under the same seed. */
import t from 'tap';
import fc from '../../support/fast-check.js';
import type { RequestFacts } from '../../../src/store/faults/classify.js';
import { FaultEngine, type Effect } from '../../../src/store/faults/engine.js';
import { faultPlan, parseRule } from '../../../src/store/faults/parse-plan.js';

const GET: RequestFacts = { operation: 'GetObject', method: 'GET', bucket: 'b', key: 'data/1' };
const PUT: RequestFacts = { operation: 'PutObject', method: 'PUT', bucket: 'b', key: 'data/2' };
const connection = {};

function engineOf(rules: readonly string[], seed?: number): FaultEngine {
  return new FaultEngine(
    faultPlan(
      rules.map((rule) => parseRule(rule, 'rule')),
      seed,
    ),
  );
}

/** The numbers, from 1, of the requests that the rule chose among `count` like `request`. */
function chosen(rule: string, count: number, request = GET, seed?: number): readonly number[] {
  const engine = engineOf([rule], seed);
  return Array.from({ length: count }, (_, index) => index + 1).filter(
    () => engine.decide(request, connection, 0).length > 0,
  );
}

await t.test('filters: operation, method, bucket and key, the latter two with * and ?', async (t) => {
  const fits = (rule: string, request: RequestFacts): boolean =>
    engineOf([`error ${rule}`]).decide(request, connection, 0).length > 0;
  t.ok(fits('operation=PutObject,GetObject', GET));
  t.notOk(fits('operation=PutObject', GET));
  t.ok(fits('method=get', GET));
  t.notOk(fits('method=HEAD', GET));
  t.ok(fits('bucket=? key=data/*', GET));
  t.ok(fits('key=other,*/1', GET));
  t.notOk(fits('key=data', GET));
  t.notOk(fits('key=data/?', { ...GET, key: 'data/10' }));
  t.notOk(fits('key=d.ta/1', GET), 'a dot is a dot');
  t.ok(fits('key=*', { ...GET, key: undefined }), 'a request without a key has an empty one');
  t.notOk(fits('key=?*', { ...GET, key: undefined }));
});

await t.test('schedules by number', async (t) => {
  t.same(chosen('error nth=3', 10), [3]);
  t.same(chosen('error nth=3..5', 10), [3, 4, 5]);
  t.same(chosen('error every=4', 10), [4, 8]);
  t.same(chosen('error every=4 nth=1..2', 10), [1, 2, 5, 6, 9, 10]);
  t.same(chosen('error limit=2', 10), [1, 2]);
  t.same(chosen('error every=2 limit=2', 10), [2, 4]);
  t.same(chosen('error limit=0', 10), []);
});

await t.test('nth counts what the filter lets through, requests counts all', async (t) => {
  const engine = engineOf(['error nth=2 operation=PutObject', 'latency time=1ms requests=2..3']);
  const decided = [PUT, GET, GET, PUT].map((request) =>
    engine.decide(request, connection, 0).map(({ kind }) => kind),
  );
  t.same(decided, [[], ['latency'], ['latency'], ['error']]);
  t.same(engine.counts, [
    { matched: 2, chosen: 1, fired: 0 },
    { matched: 4, chosen: 2, fired: 0 },
  ]);
});

await t.test('schedules by time', async (t) => {
  const at = (rule: string, ...times: readonly number[]): readonly boolean[] => {
    const engine = engineOf([`error ${rule}`]);
    return times.map((ms) => engine.decide(GET, connection, ms).length > 0);
  };
  t.same(at('from=10s until=20s', 9_999, 10_000, 19_999, 20_000), [false, true, true, false]);
  t.same(at('until=1s', 0, 999, 1_000), [true, true, false]);
  t.same(at('period=1m from=50s', 49_999, 50_000, 60_000, 110_000), [false, true, false, true]);
});

await t.test('a rate is met, and by the seed alone', async (t) => {
  const count = 20_000;
  const some = chosen('error rate=5%', count);
  t.ok(Math.abs(some.length / count - 0.05) < 0.01, String(some.length));
  t.same(chosen('error rate=0.05', count), some, 'again');
  t.notSame(chosen('error rate=5%', count, GET, 2), some, 'another seed');
  t.equal(chosen('error rate=0', 1000).length, 0);
  t.equal(chosen('error rate=1', 1000).length, 1000);
});

await t.test(
  'of faults that end an exchange the first one happens, the others happen beside it',
  async (t) => {
    const engine = engineOf([
      'latency time=5ms',
      'error',
      'reset limit=1',
      'corrupt',
      'stall time=1s',
      'kill',
    ]);
    t.same(
      engine.decide(GET, connection, 0).map(({ kind }) => kind),
      ['latency', 'error', 'corrupt', 'stall'],
    );
    t.equal(engine.counts[2]?.chosen, 0, 'its limit is not used up');
  },
);

await t.test('draws lie within what was asked for', async (t) => {
  const engine = engineOf([
    'latency time=10ms..50ms',
    'latency time=lognormal(30ms,0.5)',
    'corrupt at=100..200 flips=3',
    'stall at=anywhere',
  ]);
  const medians: number[] = [];
  for (let each = 0; each < 2000; each++) {
    const [uniform, lognormal, corrupt, stall] = engine.decide(GET, connection, 0);
    if (uniform?.kind !== 'latency' || lognormal?.kind !== 'latency') throw new Error('expected latencies');
    if (corrupt?.kind !== 'corrupt' || stall?.kind !== 'stall') throw new Error('expected both');
    if (uniform.ms < 10 || uniform.ms >= 50) t.fail(String(uniform.ms));
    for (const { at, bit } of corrupt.flips) {
      if (typeof at !== 'number' || at < 100 || at > 200 || bit < 0 || bit > 7) t.fail(JSON.stringify(at));
    }
    if (typeof stall.at === 'number' || stall.at.fraction >= 1) t.fail('expected a part of the length');
    medians.push(lognormal.ms);
  }
  const sorted = medians.sort((a, b) => a - b);
  const [median = 0, p84 = 0] = [sorted[1000], sorted[1682]];
  t.ok(Math.abs(median - 30) < 2, `median ${median}`);
  // One sigma above: exp(0.5) times the median.
  t.ok(Math.abs(p84 / median - Math.exp(0.5)) < 0.15, `84th percentile ${p84}`);
});

await t.test('bandwidth of a connection is its own, the total is shared', async (t) => {
  const engine = engineOf(['bandwidth speed=1MB/s', 'bandwidth speed=1MB/s scope=total in=answer']);
  const buckets = (whose: object): readonly unknown[] =>
    engine.decide(GET, whose, 0).map((effect) => (effect.kind === 'bandwidth' ? effect.bucket : undefined));
  const [up, down, total] = buckets(connection);
  t.notOk(up === down, 'each direction has its own');
  t.same(
    buckets(connection).map((bucket, index) => bucket === [up, down, total][index]),
    [true, true, true],
  );
  t.same(
    buckets({}).map((bucket, index) => bucket === [up, down, total][index]),
    [false, false, true],
  );
});

const RULES = [
  'error rate=30%',
  'reset in=request at=0..5000 rate=0.2 method=PUT',
  'corrupt rate=0.5 flips=2',
  'latency time=lognormal(5ms,1)',
  'stall at=anywhere every=3',
  'truncate rate=0.1 key=data/*',
  'kill nth=7',
  'skew time=-5m from=1s period=2s',
];
const rules = fc.subarray(RULES, { minLength: 1 });
const requests = fc.array(fc.record({ request: fc.constantFrom(GET, PUT), stepMs: fc.nat(500) }), {
  maxLength: 60,
});

function run(
  plan: readonly string[],
  seed: number,
  sequence: readonly { readonly request: RequestFacts; readonly stepMs: number }[],
): readonly (readonly Effect[])[] {
  const engine = engineOf(plan, seed);
  let nowMs = 0;
  return sequence.map(({ request, stepMs }) => engine.decide(request, connection, (nowMs += stepMs)));
}

await t.test('the same seed and the same requests have the same faults', async () => {
  fc.assert(
    fc.property(rules, fc.nat(), requests, (plan, seed, sequence) => {
      const [once, again] = [run(plan, seed, sequence), run(plan, seed, sequence)];
      return JSON.stringify(once) === JSON.stringify(again);
    }),
  );
});

await t.test('what a rule draws does not depend on requests that it does not match', async () => {
  fc.assert(
    fc.property(fc.nat(), requests, (seed, sequence) => {
      const rule = 'corrupt rate=0.5 operation=PutObject';
      const effects = (of: typeof sequence): string =>
        JSON.stringify(run([rule], seed, of).filter((each) => each.length > 0));
      return effects(sequence) === effects(sequence.filter(({ request }) => request === PUT));
    }),
  );
});
