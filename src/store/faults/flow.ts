/** One body on its way under the effects of one direction: stalls, flipped bits, bandwidth, and the byte after which it is cut. */
import { pause, type FaultClock } from './clock.js';
import type { Effect, Place } from './engine.js';
import type { Direction } from './plan.js';
import type { TokenBucket } from './token-bucket.js';

/** Ends a body, and the exchange with it. */
export type CutEffect = Extract<Effect, { kind: 'reset' | 'truncate' }>;

/** Thrown by a flow where its body ends before its time. */
export class FlowCut extends Error {
  override readonly name = 'FlowCut';
  readonly effect: CutEffect;

  constructor(effect: CutEffect) {
    super(`cut by rule ${effect.rule + 1}`);
    this.effect = effect;
  }
}

export interface FlowOptions {
  readonly clock: FaultClock;
  /** Aborted when nobody waits any more, or nothing may: pauses end at once. */
  readonly signal: AbortSignal;
  readonly onFired: (effect: Effect) => void;
}

interface Event {
  readonly at: number;
  readonly effect: CutEffect | Extract<Effect, { kind: 'stall' }>;
}

interface PlacedFlip {
  readonly at: number;
  readonly mask: number;
}

/** Where `anywhere` lies in a body that doesn't tell its length. */
const ASSUMED_LENGTH_BYTES = 64 * 1024;

/** Paced bodies go on in pieces of about this long, within these sizes. */
const PIECE_MS = 10;
const PIECE_BYTES_MIN = 1024;
const PIECE_BYTES_MAX = 64 * 1024;

/** Shorter waits aren't: timers are no finer, and what is owed stays owed. */
const PAUSE_MS_MIN = 1;

export class Flow {
  readonly #options: FlowOptions;
  readonly #effects: readonly Effect[];
  readonly #buckets: readonly TokenBucket[];
  readonly #pieceBytes: number;
  #events: Event[] = [];
  #flips: readonly PlacedFlip[] = [];
  #position = 0;
  #open = false;
  #flipped = false;

  constructor(effects: readonly Effect[], direction: Direction, options: FlowOptions) {
    this.#options = options;
    this.#effects = effects.filter(
      (effect) =>
        ('in' in effect && effect.in === direction) || (effect.kind === 'truncate' && direction === 'answer'),
    );
    this.#buckets = this.#effects.flatMap((effect) => (effect.kind === 'bandwidth' ? [effect.bucket] : []));
    const slowest = Math.min(...this.#buckets.map(({ bytesPerSecond }) => bytesPerSecond));
    const piece = Math.floor((slowest * PIECE_MS) / 1000);
    this.#pieceBytes = Math.max(PIECE_BYTES_MIN, Math.min(PIECE_BYTES_MAX, piece));
  }

  /** True where bytes go through untouched and at once. */
  get isPlain(): boolean {
    return this.#effects.length === 0;
  }

  /** To be called once, before the first byte. `length` is that of the body, where it is known. Fails with FlowCut. */
  async start(length: number | undefined): Promise<void> {
    const offset = (at: Place): number =>
      typeof at === 'number' ? at : Math.floor(at.fraction * (length ?? ASSUMED_LENGTH_BYTES));
    this.#events = this.#effects
      .flatMap((effect): Event[] =>
        effect.kind === 'stall' || effect.kind === 'reset' || effect.kind === 'truncate'
          ? [{ at: offset(effect.at), effect }]
          : [],
      )
      .sort((a, b) => a.at - b.at);
    this.#flips = this.#effects
      .flatMap((effect) => (effect.kind === 'corrupt' ? effect.flips : []))
      .map(({ at, bit }) => ({ at: offset(at), mask: 1 << bit }));
    // A truncated answer has its head, even where it has nothing else.
    while (this.#events[0]?.at === 0 && this.#events[0].effect.kind !== 'truncate') await this.#next();
  }

  /** The bytes of a chunk as they are to go on, when they are to. The chunk itself is never changed. Fails with FlowCut. */
  async *pass(chunk: Buffer): AsyncGenerator<Buffer, void> {
    let rest = this.#withFlips(chunk);
    for (let event = this.#events[0]; event !== undefined; event = this.#events[0]) {
      const before = event.at - this.#position;
      if (before > rest.length) break;
      yield* this.#paced(rest.subarray(0, before));
      rest = rest.subarray(before);
      await this.#next();
    }
    yield* this.#paced(rest);
  }

  /** To be called at the end, whatever it was. */
  close(): void {
    if (this.#open) for (const bucket of this.#buckets) bucket.close();
    this.#open = false;
  }

  async #next(): Promise<void> {
    const event = this.#events.shift();
    if (event === undefined) return;
    const { effect } = event;
    this.#options.onFired(effect);
    if (effect.kind !== 'stall') throw new FlowCut(effect);
    const { clock, signal } = this.#options;
    await pause(clock, effect.ms, signal);
    // Whoever ends a stall before its time ends the exchange.
    if (signal.aborted) throw new FlowCut({ kind: 'reset', rule: effect.rule, in: effect.in, at: effect.at });
  }

  async *#paced(bytes: Buffer): AsyncGenerator<Buffer, void> {
    if (bytes.length === 0) return;
    if (this.#buckets.length === 0) {
      this.#position += bytes.length;
      yield bytes;
      return;
    }
    const { clock, signal } = this.#options;
    if (!this.#open) this.#begin(clock.nowMs());
    for (let at = 0; at < bytes.length; at += this.#pieceBytes) {
      const piece = bytes.subarray(at, at + this.#pieceBytes);
      const nowMs = clock.nowMs();
      const waitMs = Math.max(...this.#buckets.map((bucket) => bucket.reserve(piece.length, nowMs)));
      if (waitMs >= PAUSE_MS_MIN) await pause(clock, waitMs, signal);
      this.#position += piece.length;
      yield piece;
    }
  }

  #begin(nowMs: number): void {
    this.#open = true;
    for (const bucket of this.#buckets) bucket.open(nowMs);
    for (const effect of this.#effects) if (effect.kind === 'bandwidth') this.#options.onFired(effect);
  }

  #withFlips(chunk: Buffer): Buffer {
    const end = this.#position + chunk.length;
    const here = this.#flips.filter(({ at }) => at >= this.#position && at < end);
    if (here.length === 0) return chunk;
    const copy = Buffer.from(chunk);
    for (const { at, mask } of here) {
      const index = at - this.#position;
      copy[index] = (copy[index] ?? 0) ^ mask;
    }
    if (!this.#flipped) {
      this.#flipped = true;
      for (const effect of this.#effects) if (effect.kind === 'corrupt') this.#options.onFired(effect);
    }
    return copy;
  }
}
