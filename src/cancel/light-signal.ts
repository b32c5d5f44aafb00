/**
 * Abort signals for what begins and ends thousands of times a second. One of Node's takes some microseconds and keeps a map (Node 20), and a READ
 * from the store has three; these are one object each. To whoever asks them or listens they are AbortSignals; only Node's own `AbortSignal.any` and
 * `fetch` look inside. `anyOf` is for both.
 */

type Listener = Parameters<AbortSignal['addEventListener']>[1];

/** Signal and controller in one: who makes it keeps `abort` to itself by giving it out as an AbortSignal. */
export class LightSignal implements AbortSignal {
  onabort: AbortSignal['onabort'] = null;
  #aborted = false;
  #reason: unknown;
  /** There is one, as a rule. */
  #listener: Listener | undefined;
  #others: Set<Listener> | undefined;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  /** For 'abort', which comes once: `once` or not is the same. Other options aren't heeded. */
  addEventListener(type: string, listener: Listener): void {
    if (type !== 'abort' || this.#aborted || listener === this.#listener) return;
    if (this.#listener === undefined) this.#listener = listener;
    else (this.#others ??= new Set()).add(listener);
  }

  removeEventListener(_type: string, listener: Listener): void {
    if (this.#listener === listener) this.#listener = undefined;
    else this.#others?.delete(listener);
  }

  /** Calls the listeners; one that throws keeps no other from it, and is an uncaught exception. */
  dispatchEvent(event: Event): boolean {
    if (event.type !== 'abort') return true;
    const { onabort } = this;
    if (onabort !== null) this.#call((each) => void onabort.call(this, each), event);
    // One by one: a listener may take another off.
    for (let listener = this.#taken(); listener !== undefined; listener = this.#taken())
      this.#call(listener, event);
    return true;
  }

  /** As AbortController's. */
  abort(reason?: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason ?? new DOMException('This operation was aborted', 'AbortError');
    this.dispatchEvent(new Event('abort'));
  }

  #taken(): Listener | undefined {
    const [next] = this.#listener === undefined ? (this.#others ?? []) : [this.#listener];
    if (next !== undefined) this.removeEventListener('abort', next);
    return next;
  }

  #call(listener: Listener, event: Event): void {
    try {
      if (typeof listener === 'function') listener.call(this, event);
      else listener.handleEvent(event);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }
}

/** Aborted with the first of several, for its reason. */
export interface AnyOf {
  readonly signal: AbortSignal;
  /** Nobody listens any more: takes it off the others. */
  end(): void;
}

export function anyOf(signals: readonly AbortSignal[]): AnyOf {
  const any = new LightSignal();
  const listeners = signals.map((signal) => ({ signal, listener: () => any.abort(signal.reason) }));
  for (const { signal, listener } of listeners) {
    if (signal.aborted) listener();
    else signal.addEventListener('abort', listener, { once: true });
  }
  const end = (): void => {
    for (const { signal, listener } of listeners) signal.removeEventListener('abort', listener);
  };
  return { signal: any, end };
}
