/** Fault plans as people write them, and what is said of those that can't be followed. */
import t from 'tap';
import fc from '../../support/fast-check.js';
import { FaultPlanError } from '../../../src/store/faults/plan-fields.js';
import { parseFaultPlan, parseRule } from '../../../src/store/faults/parse-plan.js';

const faultOf = (line: string): unknown => parseRule(line, 'rule').fault;

await t.test('every fault has its parameters and their defaults', async (t) => {
  t.same(faultOf('latency time=30ms'), { kind: 'latency', time: { kind: 'fixed', ms: 30 } });
  t.same(faultOf('latency time=10ms..1s'), {
    kind: 'latency',
    time: { kind: 'uniform', fromMs: 10, toMs: 1000 },
  });
  t.same(faultOf('latency time=lognormal(30ms,0.5)'), {
    kind: 'latency',
    time: { kind: 'lognormal', medianMs: 30, sigma: 0.5 },
  });
  t.same(faultOf('bandwidth speed=8MiB/s'), {
    kind: 'bandwidth',
    bytesPerSecond: 8 * 2 ** 20,
    scope: 'connection',
    directions: ['request', 'answer'],
  });
  t.same(faultOf('bandwidth speed=500KB/s scope=total in=answer'), {
    kind: 'bandwidth',
    bytesPerSecond: 500_000,
    scope: 'total',
    directions: ['answer'],
  });
  t.match(faultOf('error'), { code: 'InternalError', status: 500, moment: 'before' });
  t.match(faultOf('error code=SlowDown moment=after'), { code: 'SlowDown', status: 503, moment: 'after' });
  t.match(faultOf('error code=Teapot status=418'), { code: 'Teapot', status: 418 });
  t.same(faultOf('reset'), { kind: 'reset', in: 'answer', at: { from: 0, to: 0 } });
  t.same(faultOf('reset in=request at=0..1KiB'), { kind: 'reset', in: 'request', at: { from: 0, to: 1024 } });
  t.same(faultOf('truncate'), { kind: 'truncate', at: 'anywhere', framing: 'length' });
  t.same(faultOf('corrupt in=request flips=2'), { kind: 'corrupt', in: 'request', at: 'anywhere', flips: 2 });
  t.same(faultOf('stall'), { kind: 'stall', in: 'answer', at: { from: 0, to: 0 }, time: undefined });
  t.same(faultOf('stall time=indefinite'), faultOf('stall'));
  t.match(faultOf('stall time=5s'), { time: { kind: 'fixed', ms: 5000 } });
  t.same(faultOf('skew time=-1h'), { kind: 'skew', ms: -3_600_000 });
  t.same(faultOf('kill moment=after'), { kind: 'kill', moment: 'after' });
});

await t.test('a document in YAML or JSON is what its lines are', async (t) => {
  const lines = parseFaultPlan(
    'seed: 7\nrules:\n  - error code=SlowDown rate=5% key=a*,b*\n  - latency time=30ms',
  );
  const yaml = parseFaultPlan(`
seed: 7
rules:
  - fault: error
    code: SlowDown
    rate: 5%
    key: [a*, b*]
  - { fault: latency, time: 30ms }
`);
  const json = parseFaultPlan(
    JSON.stringify({
      seed: 7,
      rules: [
        { fault: 'error', code: 'SlowDown', rate: '5%', key: ['a*', 'b*'] },
        { fault: 'latency', time: '30ms' },
      ],
    }),
  );
  t.same(yaml, lines);
  t.same(json, lines);
  t.equal(lines.seed, 7);
  t.equal(parseFaultPlan('[]').seed, 1);
  t.same(parseFaultPlan('- {fault: error, nth: 3, rate: 0.5}').rules[0]?.schedule, {
    nth: { from: 3, to: 3 },
    rate: 0.5,
  });
});

await t.test('what is given back can be given again', async (t) => {
  const plan = parseFaultPlan('seed: 3\nrules: ["stall at=10..20 time=1s every=3", "kill nth=9 name=end"]');
  const again = parseFaultPlan(
    JSON.stringify({ seed: plan.seed, rules: plan.rules.map(({ source }) => source) }),
  );
  t.same(again, plan);
});

await t.test('what is wrong is told in one line', async (t) => {
  for (const [text, message] of [
    ['', 'expected a mapping with rules, or a list of rules'],
    ['a: [', /^expected YAML or JSON: /],
    ['rule: []', 'unknown name rule; a plan has seed and rules'],
    ['rules: 5', 'rules: expected a list'],
    ['seed: -1', 'seed: expected a whole number at least 0, got -1'],
    ['- 5', 'rule 1: fault: expected one of'],
    ['- [5]', 'rule 1: expected a mapping, or a line'],
    ['- error\n- explode', 'rule 2: fault: expected one of latency, bandwidth, error'],
    ['- error rate', 'rule 1: expected NAME=VALUE, got rate'],
    ['- error rate=5 ', 'rule 1: rate: expected a rate such as 0.05 or 5%, got 5'],
    ['- error nth=0', 'rule 1: nth: expected a whole number at least 1, got 0'],
    ['- error nth=5..3', 'rule 1: nth: expected a number or a span such as 5..10, got 5..3'],
    ['- error every=3 nth=4', 'rule 1: nth: expected a number up to 3, as every has it'],
    ['- error from=5s until=5s', 'rule 1: until: expected a time after from'],
    ['- error from=5', 'rule 1: from: expected a time such as 250ms, 30s or 5m, got 5'],
    ['- error period=5s from=5s', 'rule 1: period: expected a time after from'],
    ['- error code=Nonsense', /^rule 1: status: Nonsense needs one; known are AccessDenied, /],
    ['- error status=200', 'rule 1: status: expected a whole number from 400 to 599, got 200'],
    ['- error at=5', /^rule 1: error has no at; it has name, operation, /],
    ['- error code=', 'rule 1: code: expected a value'],
    ['- error code=A code=B', 'rule 1: code is given twice'],
    ['- latency', 'rule 1: time: expected a value'],
    ['- latency time=fast', 'rule 1: time: expected a time such as 30ms'],
    ['- latency time=50ms..10ms', 'rule 1: time: expected a time such as 30ms'],
    ['- bandwidth speed=8MiB', 'rule 1: speed: expected a speed such as 8MiB/s, got 8MiB'],
    ['- bandwidth speed=0B/s', 'rule 1: speed: expected a speed'],
    ['- reset at=-1', 'rule 1: at: expected bytes such as 64KiB'],
    ['- reset in=both', 'rule 1: in: expected one of request, answer, got both'],
    ['- corrupt flips=0', 'rule 1: flips: expected a whole number from 1 to 10000, got 0'],
    ['- skew', 'rule 1: time: expected a value'],
    ['- skew time=indefinite', 'rule 1: time: expected a time'],
  ] as const) {
    try {
      parseFaultPlan(text);
      t.fail(`expected a failure: ${text}`);
    } catch (error) {
      if (!(error instanceof FaultPlanError)) throw error;
      t.match(error.message, message, text);
      t.notMatch(error.message, '\n');
    }
  }
});

await t.test('whatever the text, it is a plan or a FaultPlanError', async () => {
  const line = fc.array(
    fc.constantFrom('error', 'rate=', '5%', ' ', 'nth=1..', '-', '{', 'a: ', '\n', '=', '..'),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        line.map((parts) => parts.join('')),
      ),
      (text) => {
        try {
          parseFaultPlan(text);
        } catch (error) {
          if (!(error instanceof FaultPlanError)) throw error;
        }
      },
    ),
    { numRuns: 500 },
  );
});
