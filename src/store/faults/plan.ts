/**
 * A fault plan: what goes wrong, and which requests it happens to. Pure data; parse-plan.ts reads it from text, engine.ts decides by
 * it, docs/faults.md tells it to users.
 */
import type { Delay } from '../../../config/shaping.js';

export interface FaultPlan {
  /** Everything that is drawn follows from it: the same seed and the same requests have the same faults. */
  readonly seed: number;
  readonly rules: readonly FaultRule[];
}

/** From and to, both included. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Which requests a rule is about; what isn't given holds for all. */
export interface RequestFilter {
  /** S3's names of operations, as the embedded server has them. */
  readonly operations?: readonly string[];
  readonly methods?: readonly string[];
  /** Any of these fits; `*` stands for any characters, `?` for one. */
  readonly buckets?: readonly RegExp[];
  readonly keys?: readonly RegExp[];
}

/** Which of the requests that the filter lets through it happens to; all conditions must hold. */
export interface Schedule {
  /** Counted from 1; of each `every` requests where that is given. */
  readonly nth?: Span;
  readonly every?: number;
  /** By number among all requests since the plan was set, from 1. */
  readonly requests?: Span;
  /** Milliseconds since the plan was set, or within each `periodMs` of it. */
  readonly fromMs?: number;
  /** Not included. */
  readonly untilMs?: number;
  readonly periodMs?: number;
  /** 0 to 1: how likely it is for each. */
  readonly rate?: number;
  /** At most so often. */
  readonly limit?: number;
}

/** The request's body, or the answer's. */
export type Direction = 'request' | 'answer';

/** Bytes from the start of a body: drawn from a span, or from the whole length. */
export type Offset = Span | 'anywhere';

/** Before the request is carried out, or once it is and nothing of the answer has been sent. */
export type Moment = 'before' | 'after';

/** How a truncated answer ends: short of its Content-Length; chunked and short of its last chunk; chunked and well ended. */
export type Framing = 'length' | 'chunked-cut' | 'chunked';

export type Fault =
  | { readonly kind: 'latency'; readonly time: Delay }
  | {
      readonly kind: 'bandwidth';
      readonly bytesPerSecond: number;
      /** Each connection for itself, or all that the rule is about together. */
      readonly scope: 'connection' | 'total';
      readonly directions: readonly Direction[];
    }
  | {
      readonly kind: 'error';
      readonly code: string;
      readonly status: number;
      readonly message: string;
      readonly moment: Moment;
    }
  | { readonly kind: 'reset'; readonly in: Direction; readonly at: Offset }
  | { readonly kind: 'truncate'; readonly at: Offset; readonly framing: Framing }
  | { readonly kind: 'corrupt'; readonly in: Direction; readonly at: Offset; readonly flips: number }
  /** Undefined: until the connection ends. */
  | { readonly kind: 'stall'; readonly in: Direction; readonly at: Offset; readonly time: Delay | undefined }
  | { readonly kind: 'skew'; readonly ms: number }
  | { readonly kind: 'kill'; readonly moment: Moment };

export type FaultKind = Fault['kind'];

export interface FaultRule {
  readonly name: string | undefined;
  readonly filter: RequestFilter;
  readonly schedule: Schedule;
  readonly fault: Fault;
  /** As it was given, for those who ask for the plan. */
  readonly source: Readonly<Record<string, string>>;
}
