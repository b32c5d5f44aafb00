/**
 * Decides what happens to each request by a fault plan. Pure but for its counts: what is drawn follows from the seed, the rule and how
 * many requests the rule has met, so that the same requests at the same times have the same faults, and a rule's draws don't depend on
 * what other rules do.
 */
import type { RequestFacts } from './classify.js';
import { normal, draw } from './random.js';
import type { Delay } from '../../../config/shaping.js';
import type { Direction, Fault, FaultPlan, FaultRule, Framing, Moment, Offset, Schedule } from './plan.js';
import { TokenBucket } from './token-bucket.js';

/** A place in a body: bytes from its start, or this part of its length, below 1. */
export type Place = number | { readonly fraction: number };

export interface Flip {
  readonly at: Place;
  /** 0 to 7. */
  readonly bit: number;
}

/** A fault that is to be carried out on one request, everything drawn. */
export type Effect = { readonly rule: number } & (
  | { readonly kind: 'latency'; readonly ms: number }
  | { readonly kind: 'bandwidth'; readonly in: Direction; readonly bucket: TokenBucket }
  | {
      readonly kind: 'error';
      readonly code: string;
      readonly status: number;
      readonly message: string;
      readonly moment: Moment;
    }
  | { readonly kind: 'reset'; readonly in: Direction; readonly at: Place }
  | { readonly kind: 'truncate'; readonly at: Place; readonly framing: Framing }
  | { readonly kind: 'corrupt'; readonly in: Direction; readonly flips: readonly Flip[] }
  | { readonly kind: 'stall'; readonly in: Direction; readonly at: Place; readonly ms: number }
  | { readonly kind: 'skew'; readonly ms: number }
  | { readonly kind: 'kill'; readonly moment: Moment }
);

/** What has become of a rule so far. */
export interface RuleCounts {
  /** Requests that its filter let through. */
  readonly matched: number;
  /** Of these, those that its schedule chose. */
  readonly chosen: number;
  /** Of these, those on which it was carried out: a reset at byte 1,000 never is on a shorter body. */
  readonly fired: number;
}

interface RuleState {
  readonly rule: FaultRule;
  matched: number;
  chosen: number;
  fired: number;
  readonly total: Readonly<Record<Direction, TokenBucket>> | undefined;
  readonly byConnection: WeakMap<object, Readonly<Record<Direction, TokenBucket>>>;
}

/** Coordinates of draws, beside the rule and the number of the request. */
const [RATE, PLACE, TIME, FLIPS] = [0, 1, 2, 3];

export class FaultEngine {
  readonly plan: FaultPlan;
  readonly #states: readonly RuleState[];
  #requests = 0;

  constructor(plan: FaultPlan) {
    this.plan = plan;
    this.#states = plan.rules.map((rule) => ({
      rule,
      matched: 0,
      chosen: 0,
      fired: 0,
      total:
        rule.fault.kind === 'bandwidth' && rule.fault.scope === 'total'
          ? bucketPair(rule.fault.bytesPerSecond)
          : undefined,
      byConnection: new WeakMap(),
    }));
  }

  /** Requests decided on. */
  get requests(): number {
    return this.#requests;
  }

  /** In the order of the plan's rules. */
  get counts(): readonly RuleCounts[] {
    return this.#states.map(({ matched, chosen, fired }) => ({ matched, chosen, fired }));
  }

  /** Told for each effect that was carried out. */
  countFired({ rule }: Effect): void {
    const state = this.#states[rule];
    if (state !== undefined) state.fired++;
  }

  /**
   * The effects on the next request, in the order of the rules. `elapsedMs` is since the plan was set; `connection` is whatever stands
   * for the client's connection. Of faults that end an exchange (error, reset, truncate, kill) there is one at most: the first.
   */
  decide(request: RequestFacts, connection: object, elapsedMs: number): readonly Effect[] {
    this.#requests++;
    const effects: Effect[] = [];
    let ended = false;
    for (const [index, state] of this.#states.entries()) {
      const { filter, schedule, fault } = state.rule;
      if (!matches(filter, request)) continue;
      state.matched++;
      const ends = endsExchange(fault);
      if ((ends && ended) || !this.#isDue(schedule, index, state, elapsedMs)) continue;
      state.chosen++;
      ended ||= ends;
      effects.push(...this.#effectsOf(fault, index, state, connection));
    }
    return effects;
  }

  #isDue(schedule: Schedule, index: number, state: RuleState, elapsedMs: number): boolean {
    const { nth, every, requests, fromMs = 0, untilMs = Infinity, periodMs, rate, limit } = schedule;
    const inPeriodMs = periodMs === undefined ? elapsedMs : elapsedMs % periodMs;
    if (inPeriodMs < fromMs || inPeriodMs >= untilMs) return false;
    if (requests !== undefined && !within(this.#requests, requests)) return false;
    if (!isTurn(state.matched, nth, every)) return false;
    if (limit !== undefined && state.chosen >= limit) return false;
    return rate === undefined || draw(this.plan.seed, index, state.matched, RATE) < rate;
  }

  #effectsOf(fault: Fault, rule: number, state: RuleState, connection: object): readonly Effect[] {
    const random = (...coordinates: number[]): number =>
      draw(this.plan.seed, rule, state.matched, ...coordinates);
    switch (fault.kind) {
      case 'latency':
        return [{ kind: 'latency', rule, ms: drawnDelay(fault.time, random) }];
      case 'bandwidth': {
        const buckets = state.total ?? connectionBuckets(state, connection, fault.bytesPerSecond);
        return fault.directions.map((each) => ({
          kind: 'bandwidth',
          rule,
          in: each,
          bucket: buckets[each],
        }));
      }
      case 'reset':
        return [{ ...fault, rule, at: drawnPlace(fault.at, random(PLACE)) }];
      case 'truncate':
        return [{ ...fault, rule, at: drawnPlace(fault.at, random(PLACE)) }];
      case 'stall': {
        const ms = fault.time === undefined ? Infinity : drawnDelay(fault.time, random);
        return [{ kind: 'stall', rule, in: fault.in, at: drawnPlace(fault.at, random(PLACE)), ms }];
      }
      case 'corrupt': {
        const flips = Array.from({ length: fault.flips }, (_, each) => ({
          at: drawnPlace(fault.at, random(FLIPS, each, PLACE)),
          bit: Math.floor(random(FLIPS, each) * 8),
        }));
        return [{ kind: 'corrupt', rule, in: fault.in, flips }];
      }
      case 'error':
      case 'skew':
      case 'kill':
        return [{ ...fault, rule }];
    }
  }
}

function endsExchange({ kind }: Fault): boolean {
  return kind === 'error' || kind === 'reset' || kind === 'truncate' || kind === 'kill';
}

function matches(filter: FaultRule['filter'], request: RequestFacts): boolean {
  const { operations, methods, buckets, keys } = filter;
  return (
    (operations === undefined || operations.includes(request.operation)) &&
    (methods === undefined || methods.includes(request.method)) &&
    (buckets === undefined || buckets.some((each) => each.test(request.bucket ?? ''))) &&
    (keys === undefined || keys.some((each) => each.test(request.key ?? '')))
  );
}

function within(value: number, { from, to }: { readonly from: number; readonly to: number }): boolean {
  return value >= from && value <= to;
}

/** Without `nth`, it is the last of each `every`. */
function isTurn(matched: number, nth: Schedule['nth'], every: number | undefined): boolean {
  if (every === undefined) return nth === undefined || within(matched, nth);
  return within(((matched - 1) % every) + 1, nth ?? { from: every, to: every });
}

function drawnPlace(offset: Offset, random: number): Place {
  if (offset === 'anywhere') return { fraction: random };
  return offset.from + Math.floor(random * (offset.to - offset.from + 1));
}

function drawnDelay(time: Delay, random: (...coordinates: number[]) => number): number {
  switch (time.kind) {
    case 'fixed':
      return time.ms;
    case 'uniform':
      return time.fromMs + random(TIME) * (time.toMs - time.fromMs);
    case 'lognormal':
      return time.medianMs * Math.exp(time.sigma * normal(random(TIME, 0), random(TIME, 1)));
  }
}

function bucketPair(bytesPerSecond: number): Readonly<Record<Direction, TokenBucket>> {
  return { request: new TokenBucket(bytesPerSecond), answer: new TokenBucket(bytesPerSecond) };
}

function connectionBuckets(
  state: RuleState,
  connection: object,
  bytesPerSecond: number,
): Readonly<Record<Direction, TokenBucket>> {
  const known = state.byConnection.get(connection);
  if (known !== undefined) return known;
  const made = bucketPair(bytesPerSecond);
  state.byConnection.set(connection, made);
  return made;
}
