/**
 * An ONC RPC program as data (RFC 5531 section 8): its numbers, and each procedure's argument and result codecs. Handlers,
 * the test client and the benchmarks take their types from it, so a missing procedure doesn't compile.
 */
import type { Codec, Infer } from './xdr.js';

export interface Procedure<A = unknown, R = unknown> {
  /** The procedure's number in its program. */
  readonly number: number;
  readonly args: Codec<A>;
  readonly result: Codec<R>;
  /** True where a second execution of the same call would do harm: its reply is kept for retransmissions. */
  readonly nonIdempotent?: boolean;
  /** True where calls come in streams, thousands a second: their replies are kept apart, so that they push out none of other calls. */
  readonly bulk?: boolean;
  /** False for a result that asks the caller to try again: its reply is not kept. */
  readonly cacheable?: (result: R) => boolean;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a procedure's own types are recovered by Infer
export type Procedures = Readonly<Record<string, Procedure<any, any>>>;

export interface Program<P extends Procedures = Procedures> {
  readonly name: string;
  readonly number: number;
  readonly version: number;
  readonly procedures: P;
}

/** Keeps the literal type of the procedures. */
export function program<const P extends Procedures>(definition: Program<P>): Program<P> {
  return definition;
}

/** Names of a program's procedures, their argument types and their result types. */
export type ProcedureName<G extends Program> = Extract<keyof G['procedures'], string>;
export type ArgsOf<G extends Program, N extends ProcedureName<G>> = Infer<G['procedures'][N]['args']>;
export type ResultOf<G extends Program, N extends ProcedureName<G>> = Infer<G['procedures'][N]['result']>;

/** One handler for each procedure of a program; `Call` is what the RPC layer tells a handler about its caller. */
export type Handlers<G extends Program, Call> = {
  readonly [N in ProcedureName<G>]: (
    args: ArgsOf<G, N>,
    call: Call,
  ) => ResultOf<G, N> | Promise<ResultOf<G, N>>;
};
