/**
 * An answer under a plan's effects, between whoever carries out the request and the client:
 *
 *     writeHead -> latency -> stall, reset at byte 0 -> head -> body: flips, bandwidth, stalls, cut -> end
 *
 * or, where the answer is to be lost, nothing of it: once the request is carried out, an error goes out, the connection is reset, or
 * the process is killed.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { headerIn, withHeader, type AnswerHeaders, type AnswerStream } from './answer-stream.js';
import { pause } from './clock.js';
import type { Effect } from './engine.js';
import { Flow, FlowCut, type FlowOptions } from './flow.js';
import { errorDocument } from './injected-error.js';

export interface FaultyAnswerOptions extends FlowOptions {
  /** Ends the process. */
  readonly kill: () => void;
  /** How far the server's clock is ahead, in milliseconds. */
  readonly skewMs: number;
}

/** A reset drops what hasn't arrived, and clients that haven't read yet see an end in place of it: it comes so much later. */
const RESET_AFTER_MS = 5;

type Lost = Extract<Effect, { kind: 'error' | 'reset' | 'kill' }>;

/** The effect that takes the place of the answer, if one does. */
function lossIn(effects: readonly Effect[]): Lost | undefined {
  return effects.find(
    (effect): effect is Lost =>
      ((effect.kind === 'error' || effect.kind === 'kill') && effect.moment === 'after') ||
      (effect.kind === 'reset' && effect.in === 'answer' && effect.at === 0),
  );
}

export class FaultyAnswer extends Writable implements AnswerStream {
  statusCode = 200;
  readonly #request: IncomingMessage;
  readonly #real: ServerResponse;
  readonly #effects: readonly Effect[];
  readonly #options: FaultyAnswerOptions;
  readonly #flow: Flow;
  #lost: Lost | undefined;
  #head: AnswerHeaders | undefined;
  #headGone = false;

  constructor(
    request: IncomingMessage,
    real: ServerResponse,
    effects: readonly Effect[],
    options: FaultyAnswerOptions,
  ) {
    super();
    this.#request = request;
    this.#real = real;
    this.#effects = effects;
    this.#options = options;
    this.#lost = lossIn(effects);
    this.#flow = new Flow(
      effects.filter((effect) => effect !== this.#lost),
      'answer',
      options,
    );
    real.once('close', () => {
      if (!real.writableFinished) this.destroy();
    });
    // Whoever answers learns of a connection that went away by 'close', as of a ServerResponse.
    this.on('error', () => undefined);
  }

  get headersSent(): boolean {
    return this.#head !== undefined;
  }

  setHeader(name: string, value: string): this {
    this.#real.setHeader(name, value);
    return this;
  }

  writeHead(status: number, headers: AnswerHeaders = {}): this {
    this.statusCode = status;
    this.#head = headers;
    return this;
  }

  writeContinue(): void {
    if (!this.#real.destroyed) this.#real.writeContinue();
  }

  /** Answers with an effect in place of what the request would have had; it isn't carried out. */
  inject(effect: Lost): void {
    this.#lost = effect;
    this.end();
  }

  async #sendInjected(effect: Extract<Effect, { kind: 'error' }>): Promise<void> {
    const { code, message, status } = effect;
    const resource = (this.#request.url ?? '').split('?')[0] ?? '';
    const requestId = String(this.#real.getHeader('x-amz-request-id') ?? 'FAULT');
    const body = errorDocument(code, message, resource, requestId);
    const bodyless = this.#request.method === 'HEAD';
    this.writeHead(status, {
      'content-type': 'application/xml',
      ...(bodyless ? {} : { 'content-length': body.length }),
    });
    await this.#sendHead();
    this.#options.onFired(effect);
    if (!bodyless) for await (const piece of this.#flow.pass(body)) await this.#send(piece);
    await this.#endReal();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#settle(this.#take(chunk), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#settle(this.#finish(), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#flow.close();
    if (!this.#real.writableEnded) this.#real.destroy();
    callback(error);
  }

  #settle(work: Promise<void>, callback: (error?: Error | null) => void): void {
    work.then(
      () => callback(),
      async (error: unknown) => {
        if (error instanceof FlowCut) await this.#cut(error);
        // The callback of a stream that is destroyed has nobody to hear it.
        if (this.destroyed) return;
        if (error instanceof FlowCut) this.destroy();
        else callback(error instanceof Error ? error : new Error(String(error)));
      },
    );
  }

  async #take(chunk: Buffer): Promise<void> {
    if (this.#lost !== undefined) {
      // What only reads has been carried out when it begins to answer; what changes something may still fail.
      if (this.#request.method !== 'GET') return;
      await this.#lose(this.#lost);
      this.destroy();
      return;
    }
    await this.#sendHead();
    for await (const piece of this.#flow.pass(chunk)) await this.#send(piece);
  }

  async #finish(): Promise<void> {
    if (this.#lost !== undefined) {
      await this.#lose(this.#lost);
      return;
    }
    await this.#sendHead();
    await this.#endReal();
  }

  async #sendHead(): Promise<void> {
    if (this.#headGone) return;
    this.#headGone = true;
    const { clock, signal, onFired, skewMs } = this.#options;
    for (const effect of this.#effects) {
      if (effect.kind !== 'latency') continue;
      onFired(effect);
      await pause(clock, effect.ms, signal);
    }
    let headers = this.#head ?? {};
    const length = headerIn(headers, 'content-length');
    await this.#flow.start(length === undefined ? undefined : Number(length));
    const truncation = this.#effects.find((effect) => effect.kind === 'truncate');
    if (truncation !== undefined && truncation.framing !== 'length') {
      headers = withHeader(headers, 'content-length', undefined);
    }
    if (skewMs !== 0) {
      const time = headerIn(headers, 'date') ?? Date.now();
      headers = withHeader(headers, 'date', new Date(new Date(time).getTime() + skewMs).toUTCString());
    }
    if (!this.#real.destroyed) this.#real.writeHead(this.statusCode, headers);
  }

  async #send(piece: Buffer): Promise<void> {
    const real = this.#real;
    if (real.destroyed) throw new Error('the client went away');
    if (real.write(piece)) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        real.off('drain', go);
        real.off('close', go);
        resolve();
      };
      real.on('drain', go);
      real.on('close', go);
    });
  }

  async #endReal(): Promise<void> {
    const real = this.#real;
    if (real.destroyed) return;
    const closed = once(real, 'close');
    const finished = once(real, 'finish');
    real.end();
    await Promise.race([finished, closed]);
    // A body that was refused halfway would stand before the connection's next request.
    this.#request.resume();
  }

  async #lose(lost: Lost): Promise<void> {
    if (lost.kind === 'error') {
      await this.#sendInjected(lost);
      return;
    }
    this.#options.onFired(lost);
    if (lost.kind === 'kill') this.#options.kill();
    this.#request.socket.resetAndDestroy();
  }

  async #cut({ effect }: FlowCut): Promise<void> {
    const { socket } = this.#request;
    if (effect.kind === 'reset') {
      const { clock, signal } = this.#options;
      if (!socket.destroyed && this.#real.headersSent) {
        await new Promise<void>((resolve) => socket.write('', () => resolve()));
        await pause(clock, RESET_AFTER_MS, signal);
      }
      socket.resetAndDestroy();
      return;
    }
    this.#real.flushHeaders();
    if (effect.framing === 'chunked') await this.#endReal();
    else socket.destroySoon();
  }
}
