/** Trials one after the other, and the sum of what they tell. Each trial's seed is the one before it and one. */
import type { Ends } from '../end-to-end/fixture.js';
import { CommandEnds } from '../support/command-ends.js';
import { Patterns } from './pattern.js';
import { planOf, planText, type Plan, type Policy } from './plan.js';
import type { Elsewhere } from './rig.js';
import { runTrial } from './trial.js';

export interface TrialsOptions {
  /** Of the first trial. */
  readonly seed: number;
  readonly trials: number;
  /** In place of the one that the seed draws. */
  readonly policy?: Policy;
  /** No trial is begun after so long. */
  readonly minutes?: number;
  /** No trial is begun after so many that failed. */
  readonly failuresMax: number;
  /** Of a seed. Default: `planOf`. */
  readonly plan?: (seed: number, policy?: Policy) => Plan;
  /** Where the daemon runs, if not here. */
  readonly elsewhere?: Elsewhere;
  readonly onBegin?: (seed: number) => void;
  readonly onEnd?: (seed: number, story: readonly string[], seconds: number) => void;
}

export interface TrialsReport {
  readonly firstSeed: number;
  readonly trials: number;
  readonly policies: Readonly<Record<string, number>>;
  readonly kills: Readonly<Record<string, number>>;
  readonly calls: number;
  readonly durableBytes: number;
  readonly lost: number;
  readonly torn: number;
  readonly other: number;
  readonly verifiersChanged: number;
  readonly unstableLost: number;
  readonly mixed: number;
  readonly orphans: number;
  readonly seconds: number;
  readonly failures: readonly { readonly seed: number; readonly story: readonly string[] }[];
}

export async function runTrials(ends: Ends, options: TrialsOptions): Promise<TrialsReport> {
  const { seed: firstSeed, policy, failuresMax, minutes = Infinity, onBegin, onEnd } = options;
  const begunMs = performance.now();
  const patterns = new Patterns();
  const policies: Record<string, number> = {};
  const kills: Record<string, number> = {};
  const failures: { seed: number; story: readonly string[] }[] = [];
  const sum = {
    ...{ trials: 0, calls: 0, durableBytes: 0, lost: 0, torn: 0, other: 0 },
    ...{ verifiersChanged: 0, unstableLost: 0, mixed: 0, orphans: 0 },
  };
  // Of the trial under way alone: whatever one has seen goes with it.
  let underWay = new CommandEnds();
  ends.teardown(() => underWay.end());
  while (
    sum.trials < options.trials &&
    failures.length < failuresMax &&
    performance.now() - begunMs < minutes * 60_000
  ) {
    const seed = firstSeed + sum.trials++;
    onBegin?.(seed);
    const trialBegunMs = performance.now();
    let story: readonly string[] = [];
    const plan = (options.plan ?? planOf)(seed, policy);
    policies[plan.isEphemeral ? 'ephemeral' : plan.policy] =
      (policies[plan.isEphemeral ? 'ephemeral' : plan.policy] ?? 0) + 1;
    try {
      underWay = new CommandEnds();
      const report = await runTrial(plan, patterns, underWay, options.elsewhere);
      for (const [kind, count] of Object.entries(report.kills)) kills[kind] = (kills[kind] ?? 0) + count;
      for (const { kind } of report.findings) sum[kind]++;
      for (const figure of SUMMED) sum[figure] += report[figure];
      ({ story } = report);
      if (report.findings.length > 0) failures.push({ seed, story });
    } catch (error) {
      sum.other++;
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      story = [planText(plan), text];
      failures.push({ seed, story });
    }
    onEnd?.(seed, story, (performance.now() - trialBegunMs) / 1000);
  }
  const seconds = Math.round((performance.now() - begunMs) / 1000);
  return { firstSeed, ...sum, policies, kills, seconds, failures };
}

const SUMMED = ['calls', 'durableBytes', 'verifiersChanged', 'unstableLost', 'mixed', 'orphans'] as const;
