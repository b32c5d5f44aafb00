/**
 * Abort signals for operations that begin and end thousands of times a second. One of Node's takes some microseconds to make and keeps a map (Node
 * 20), and a READ from the store makes three; one of these is a single object. Whoever checks it or listens to it sees an AbortSignal; but Node's
 * `AbortSignal.any` and `fetch` need one of Node's own. `anyOf` takes signals of both kinds.
 */

type Listener = Parameters<AbortSignal['addEventListener']>[1];

/** Signal and controller in one: its maker hands it out as an AbortSignal, and so keeps `abort` to itself. */
export class LightSignal implements AbortSignal {
  onabort: AbortSignal['onabort'] = null;
  #aborted = false;
  #reason: unknown;
  #makeReason: (() => unknown) | undefined;
  /** The first listener has a field of its own, since most signals have one; the set is made for the second. */
  #listener: Listener | undefined;
  #others: Set<Listener> | undefined;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    if (this.#makeReason !== undefined) {
      this.#reason = this.#makeReason();
      this.#makeReason = undefined;
    }
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.reason;
  }

  /** Only 'abort' is listened to. It comes once, so `once` makes no difference; other options are ignored. */
  addEventListener(type: string, listener: Listener): void {
    if (type !== 'abort' || this.#aborted || listener === this.#listener) return;
    if (this.#listener === undefined) this.#listener = listener;
    else (this.#others ??= new Set()).add(listener);
  }

  removeEventListener(_type: string, listener: Listener): void {
    if (this.#listener === listener) this.#listener = undefined;
    else this.#others?.delete(listener);
  }

  /** Calls the listeners. What one throws becomes an uncaught exception, and the others are called all the same. */
  dispatchEvent(event: Event): boolean {
    if (event.type !== 'abort') return true;
    const { onabort } = this;
    if (onabort !== null) this.#call((each) => void onabort.call(this, each), event);
    // Taken one by one, since a listener may remove another.
    for (let listener = this.#taken(); listener !== undefined; listener = this.#taken())
      this.#call(listener, event);
    return true;
  }

  /** As AbortController's. */
  abort(reason?: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason ?? new DOMException('This operation was aborted', 'AbortError');
    this.#tell();
  }

  /** As `abort`, with a reason that is made when somebody asks for it: an error takes longer to make than all else here. */
  abortFor(makeReason: () => unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#makeReason = makeReason;
    this.#tell();
  }

  #tell(): void {
    if (this.onabort !== null || this.#listener !== undefined || this.#others !== undefined)
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

export interface AnyOf {
  /** Aborted when the first of the given signals is, for its reason. */
  readonly signal: AbortSignal;
  /** Stops listening to the given signals: to be called when nobody waits for `signal` any more. */
  end(): void;
}

/** `AbortSignal.any` for signals of both kinds. */
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
