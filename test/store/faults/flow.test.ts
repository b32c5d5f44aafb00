/** Bodies under effects, by a clock that the tests move: how long they take, and that their bytes are theirs. */
import t from 'tap';
import fc from '../../support/fast-check.js';
import type { RequestFacts } from '../../../src/store/faults/classify.js';
import { FaultEngine } from '../../../src/store/faults/engine.js';
import { Flow, FlowCut } from '../../../src/store/faults/flow.js';
import { faultPlan, parseRule } from '../../../src/store/faults/parse-plan.js';
import { FakeClock } from '../../support/fake-clock.js';

const REQUEST: RequestFacts = { operation: 'GetObject', method: 'GET', bucket: 'b', key: 'k' };

interface Passed {
  readonly bytes: Buffer;
  readonly ms: number;
  readonly cut: boolean;
}

/** Passes chunks through; time moves on whenever nothing else does. */
async function pass(rules: readonly string[], chunks: readonly Buffer[]): Promise<Passed> {
  const engine = new FaultEngine(faultPlan(rules.map((rule) => parseRule(rule, 'rule'))));
  const effects = engine.decide(REQUEST, {}, 0);
  const clock = new FakeClock(0);
  const signal = new AbortController().signal;
  const flow = new Flow(effects, 'answer', { clock, signal, onFired: (effect) => engine.countFired(effect) });
  const passed: Buffer[] = [];
  let state: 'under way' | 'whole' | 'cut' = 'under way';
  const work = (async () => {
    try {
      await flow.start(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
      for (const chunk of chunks) for await (const piece of flow.pass(chunk)) passed.push(piece);
      state = 'whole';
    } catch (error) {
      if (!(error instanceof FlowCut)) throw error;
      state = 'cut';
    } finally {
      flow.close();
    }
  })();
  while ((state as string) === 'under way') {
    await new Promise(setImmediate);
    if (clock.size > 0) clock.advance(1);
  }
  await work;
  return { bytes: Buffer.concat(passed), ms: clock.nowMs(), cut: (state as string) === 'cut' };
}

await t.test('a body takes its size by the bandwidth, the narrowest of several', async (t) => {
  const chunks = [Buffer.alloc(50_000), Buffer.alloc(1), Buffer.alloc(49_999)];
  // The clock moves by whole milliseconds.
  const near = (ms: number, expected: number): boolean => t.ok(ms >= expected && ms <= expected + 1, `${ms}`);
  near((await pass(['bandwidth speed=100KB/s'], chunks)).ms, 1000);
  const both = ['bandwidth speed=1MB/s', 'bandwidth speed=200KB/s scope=total'];
  near((await pass(both, chunks)).ms, 500);
  t.equal((await pass(['bandwidth speed=100KB/s in=request'], chunks)).ms, 0, 'the other direction');
});

await t.test('a stall takes its time, between two bytes', async (t) => {
  const { ms, bytes } = await pass(['stall at=5 time=2s', 'stall time=1s'], [Buffer.from('0123456789')]);
  t.equal(ms, 3000);
  t.equal(bytes.toString(), '0123456789');
});

await t.test('a cut comes after its byte, whatever the chunks', async () => {
  const chunk = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
  await fc.assert(
    fc.asyncProperty(fc.array(chunk), fc.nat(100), async (chunks, at) => {
      const whole = Buffer.concat(chunks);
      const { bytes, cut } = await pass([`reset at=${at}`], chunks);
      return cut === at <= whole.length && bytes.equals(cut ? whole.subarray(0, at) : whole);
    }),
  );
});

await t.test('flips change the bits they say, and never the chunks that came', async () => {
  const body = fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes));
  await fc.assert(
    fc.asyncProperty(body, fc.nat(), fc.nat(), async (whole, split, place) => {
      const at = place % whole.length;
      const middle = split % whole.length;
      const before = Buffer.from(whole);
      const { bytes } = await pass([`corrupt at=${at}`], [whole.subarray(0, middle), whole.subarray(middle)]);
      const wrong = [...whole.keys()].filter((index) => bytes[index] !== before[index]);
      return whole.equals(before) && bytes.length === whole.length && wrong.length === 1 && wrong[0] === at;
    }),
  );
});
