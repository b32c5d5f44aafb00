/**
 * The layer between an HTTP server and whoever carries out its requests: asks the engine what is to happen to each, and does it.
 *
 *     request -> engine -> [kill, error, reset before] -> body under effects -> carried out -> answer under effects
 *
 * Without a plan, and for requests that no rule chose, request and answer go through as they are.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { AnswerStream } from './answer-stream.js';
import { classify } from './classify.js';
import { monotonicClock, type FaultClock } from './clock.js';
import { FaultEngine, type Effect } from './engine.js';
import { FaultyAnswer } from './faulty-answer.js';
import { Flow, FlowCut } from './flow.js';
import type { FaultPlan } from './plan.js';
import { faultReport, type FaultReport } from './report.js';
import type { Logger } from '../../telemetry/log.js';

/** A request on its way to being carried out. */
export interface Exchange {
  readonly request: IncomingMessage;
  /** The request's body: `request` itself, or what faults left of it. */
  readonly body: Readable;
  readonly answer: AnswerStream;
  /** The client waits for `100 Continue`. */
  readonly expectsContinue: boolean;
  /** How far the server's clock is to be ahead, in milliseconds. */
  readonly skewMs: number;
}

export type CarryOut = (exchange: Exchange) => Promise<void>;

export interface FaultLayerOptions {
  readonly plan?: FaultPlan | undefined;
  readonly clock?: FaultClock;
  /** Ends the process at once; SIGKILL to itself unless told otherwise. */
  readonly kill?: () => void;
  readonly log?: Logger | undefined;
}

export class FaultLayer {
  readonly #clock: FaultClock;
  readonly #kill: () => void;
  readonly #log: Logger | undefined;
  readonly #underWay = new Set<AbortController>();
  #engine: FaultEngine | undefined;
  #sinceMs = 0;

  constructor(options: FaultLayerOptions = {}) {
    this.#clock = options.clock ?? monotonicClock;
    this.#kill = options.kill ?? (() => process.kill(process.pid, 'SIGKILL'));
    this.#log = options.log;
    this.setPlan(options.plan);
  }

  /** Sets the plan for the requests from now on, or none; counts begin anew. Those under way keep their effects. */
  setPlan(plan: FaultPlan | undefined): void {
    this.#engine = plan === undefined || plan.rules.length === 0 ? undefined : new FaultEngine(plan);
    this.#sinceMs = this.#clock.nowMs();
  }

  /** The plan and what it has done so far. */
  report(): FaultReport {
    return faultReport(this.#engine, this.#clock.nowMs() - this.#sinceMs);
  }

  /** Ends all pauses: what is delayed goes on at once, what stalls is cut off. To be called when the server is to end. */
  hurry(): void {
    for (const controller of this.#underWay) controller.abort();
  }

  /** Has a request carried out. Resolves when it has been answered, or can't be any more. */
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    expectsContinue: boolean,
    carryOut: CarryOut,
  ): Promise<void> {
    const engine = this.#engine;
    const effects =
      engine?.decide(classify(request), request.socket, this.#clock.nowMs() - this.#sinceMs) ?? [];
    if (engine === undefined || effects.length === 0) {
      return carryOut({ request, body: request, answer: response, expectsContinue, skewMs: 0 });
    }
    return this.#handleFaulty({ request, response, expectsContinue, engine, effects }, carryOut);
  }

  async #handleFaulty(
    faulty: {
      readonly request: IncomingMessage;
      readonly response: ServerResponse;
      readonly expectsContinue: boolean;
      readonly engine: FaultEngine;
      readonly effects: readonly Effect[];
    },
    carryOut: CarryOut,
  ): Promise<void> {
    const { request, response, expectsContinue, engine, effects } = faulty;
    const pauses = new AbortController();
    this.#underWay.add(pauses);
    response.once('close', () => pauses.abort());
    const onFired = (effect: Effect): void => {
      engine.countFired(effect);
      this.#log?.debug({ rule: effect.rule, fault: effect.kind, url: request.url }, 'fault');
    };
    const flowOptions = { clock: this.#clock, signal: pauses.signal, onFired };
    const flow = new Flow(effects, 'request', flowOptions);
    const skewMs = skewOf(effects, onFired);
    const answer = new FaultyAnswer(request, response, effects, { ...flowOptions, kill: this.#kill, skewMs });
    const closed = new Promise<void>((resolve) => {
      answer.once('close', () => resolve());
    });
    try {
      await flow.start(lengthOf(request));
      const instead = effects.find(
        (effect) => (effect.kind === 'error' || effect.kind === 'kill') && effect.moment === 'before',
      );
      if (instead?.kind === 'error' || instead?.kind === 'kill') {
        // A body that was never asked for may come or not: nothing after it could be told apart.
        if (expectsContinue) answer.setHeader('connection', 'close');
        answer.inject(instead);
      } else {
        const body = flow.isPlain ? request : Readable.from(faultyBody(request, flow), { objectMode: false });
        await carryOut({ request, body, answer, expectsContinue, skewMs });
      }
      await closed;
    } catch (error) {
      if (!(error instanceof FlowCut)) throw error;
      request.socket.resetAndDestroy();
    } finally {
      flow.close();
      answer.destroy();
      this.#underWay.delete(pauses);
    }
  }
}

/** The request's body under effects. A cut resets the connection, and whoever reads sees what a reset looks like. */
async function* faultyBody(request: IncomingMessage, flow: Flow): AsyncGenerator<Buffer, void> {
  try {
    // A body that is refused halfway must not take the connection with it.
    const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    for await (const chunk of chunks) yield* flow.pass(chunk);
  } catch (error) {
    if (!(error instanceof FlowCut)) throw error;
    request.socket.resetAndDestroy();
    throw Object.assign(new Error('aborted', { cause: error }), { code: 'ECONNRESET' });
  }
}

function lengthOf(request: IncomingMessage): number | undefined {
  const length = request.headers['content-length'];
  if (length !== undefined) return Number(length);
  return request.headers['transfer-encoding'] === undefined ? 0 : undefined;
}

function skewOf(effects: readonly Effect[], onFired: (effect: Effect) => void): number {
  let skewMs = 0;
  for (const effect of effects) {
    if (effect.kind !== 'skew') continue;
    skewMs += effect.ms;
    onFired(effect);
  }
  return skewMs;
}
