/** The same plan, seed and sequence of requests have the same faults: each kind, by rate, by pattern and by schedule. */
import t from 'tap';
import { FaultEngine } from '../../../src/store/faults/engine.js';
import type { FAULT_FIELDS } from '../../../src/store/faults/parse-fault.js';
import { parseFaultPlan } from '../../../src/store/faults/parse-plan.js';

/** Each kind with all that it can draw. */
const KINDS: Readonly<Record<keyof typeof FAULT_FIELDS, string>> = {
  latency: 'time=lognormal(30ms,0.5)',
  bandwidth: 'speed=1MiB/s',
  error: 'code=SlowDown',
  reset: 'at=0..1MiB',
  truncate: 'at=anywhere',
  corrupt: 'at=anywhere flips=3',
  stall: 'at=0..64KiB time=1s..9s',
  skew: 'time=-1h',
  kill: 'moment=after',
};

const CHOICES = {
  rate: 'rate=30%',
  pattern: 'every=7 nth=2..4 limit=20',
  schedule: 'period=1s from=200ms until=700ms',
  all: 'rate=50% every=3 nth=1..2 period=1s from=100ms operation=GetObject key=a*',
} as const;

/** What happens to 200 requests, 17 ms apart. */
function effectsOf(rule: string, seed: number): string[] {
  const engine = new FaultEngine(parseFaultPlan(JSON.stringify({ seed, rules: [rule] })));
  return Array.from({ length: 200 }, (_, at) => {
    const facts = {
      operation: at % 3 === 0 ? 'PutObject' : 'GetObject',
      method: 'GET',
      bucket: 'photos',
      key: at % 5 === 0 ? 'b' : `a${at}`,
    };
    // A bandwidth's bucket is state of the moment, no draw.
    return JSON.stringify(engine.decide(facts, engine, 17 * at), (name, value: unknown) =>
      name === 'bucket' ? undefined : value,
    );
  });
}

for (const [kind, parameters] of Object.entries(KINDS)) {
  await t.test(kind, async (t) => {
    for (const [choice, conditions] of Object.entries(CHOICES)) {
      const rule = `${kind} ${parameters} ${conditions}`;
      const first = effectsOf(rule, 7);
      t.same(effectsOf(rule, 7), first, `by ${choice}, twice`);
      const fired = first.filter((each) => each !== '[]').length;
      t.ok(fired > 0 && fired < 200, `by ${choice}: ${fired} of 200`);
      const drawn = conditions.includes('rate') || /at=|lognormal|\.\./.test(parameters);
      t.equal(
        JSON.stringify(effectsOf(rule, 8)) !== JSON.stringify(first),
        drawn,
        `by ${choice}, another seed`,
      );
    }
  });
}
