/** Calls that have no reply yet. Calls of one xid are answered in any order: their replies are judged when all have come. */
import type { Shot } from './calls.js';
import { judge, type Verdict } from './oracle.js';
import type { Pool } from './pool.js';
import type { Random } from './random.js';
import type { Tally } from './tally.js';

export interface OwedOptions {
  readonly tally: Tally;
  readonly pool: Pool;
  readonly random: Random;
}

interface Calls {
  readonly shots: Shot[];
  readonly replies: Buffer[];
}

export class Owed {
  readonly #options: OwedOptions;
  readonly #byXid = new Map<number, Calls>();
  #count = 0;

  constructor(options: OwedOptions) {
    this.#options = options;
  }

  /** Replies that are missing. */
  get count(): number {
    return this.#count;
  }

  /** A call that has none. */
  get first(): Shot | undefined {
    const [calls] = this.#byXid.values();
    return calls?.shots[0];
  }

  expect(shot: Shot): void {
    const xid = shot.message.readUInt32BE(0);
    const calls = this.#byXid.get(xid) ?? { shots: [], replies: [] };
    this.#byXid.set(xid, calls);
    calls.shots.push(shot);
    this.#count++;
  }

  /** False for a reply that nobody asked for. */
  receive(reply: Buffer): boolean {
    const xid = reply.length < 4 ? -1 : reply.readUInt32BE(0);
    const calls = this.#byXid.get(xid);
    if (calls === undefined) return false;
    this.#count--;
    const { shots, replies } = calls;
    replies.push(reply);
    if (replies.length < shots.length) return true;
    this.#byXid.delete(xid);
    const order = matching(shots, replies) ?? replies;
    shots.forEach((shot, at) => this.#judged(shot, judge(order[at] ?? reply, shot.expected)));
    return true;
  }

  clear(): void {
    this.#byXid.clear();
    this.#count = 0;
  }

  #judged(shot: Shot, verdict: Verdict): void {
    const { tally, pool, random } = this.#options;
    tally.judged(shot.expected, verdict);
    if (verdict.fault !== undefined) tally.fault(verdict.fault, shot);
    else pool.learn(verdict.result, random);
  }
}

/** The replies in the order of their calls, such that each fits; undefined when there is no such order. */
function matching(shots: readonly Shot[], replies: readonly Buffer[]): Buffer[] | undefined {
  const [shot, ...others] = shots;
  if (shot === undefined) return [];
  for (const [at, reply] of replies.entries()) {
    if (judge(reply, shot.expected).fault !== undefined) continue;
    const rest = matching(
      others,
      replies.filter((_, index) => index !== at),
    );
    if (rest !== undefined) return [reply, ...rest];
  }
  return undefined;
}
