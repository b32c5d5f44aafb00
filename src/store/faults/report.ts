/** What a plan has done so far, as the admin call tells it: plain JSON. */
import type { FaultEngine, RuleCounts } from './engine.js';
import type { FaultKind } from './plan.js';

export interface RuleReport extends RuleCounts {
  readonly rule: Readonly<Record<string, string>>;
}

export interface FaultReport {
  /** Null without a plan. */
  readonly seed: number | null;
  /** Milliseconds since the plan was set. */
  readonly elapsedMs: number;
  /** Requests since then. */
  readonly requests: number;
  readonly rules: readonly RuleReport[];
  /** How often each kind of fault was carried out, over all rules. */
  readonly fired: Readonly<Partial<Record<FaultKind, number>>>;
}

export function faultReport(engine: FaultEngine | undefined, elapsedMs: number): FaultReport {
  if (engine === undefined)
    return { seed: null, elapsedMs: Math.round(elapsedMs), requests: 0, rules: [], fired: {} };
  const { plan, counts, requests } = engine;
  const fired: Partial<Record<FaultKind, number>> = {};
  const rules = plan.rules.map((rule, index) => {
    const count = counts[index] ?? { matched: 0, chosen: 0, fired: 0 };
    if (count.fired > 0) fired[rule.fault.kind] = (fired[rule.fault.kind] ?? 0) + count.fired;
    return { rule: rule.source, ...count };
  });
  return { seed: plan.seed, elapsedMs: Math.round(elapsedMs), requests, rules, fired };
}
