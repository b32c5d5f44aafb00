/**
 * Operations that may outlast a client's patience. Past the deadline the caller is told EJUKEBOX while the operation goes
 * on; its retry, which comes with a new transaction id, joins the operation or collects its result.
 */
import type { Clock } from './clock.js';
import { FsError } from './errors.js';

/** Linux retransmits after 60 s; an answer within about 25 s keeps every client calm. */
const JUKEBOX_AFTER_MS = 20_000;
/** How long a result waits for the retry that collects it. Clients retry JUKEBOX within 5 to 15 s. */
const RESULT_KEPT_MS = 120_000;

export class LongOperations {
  readonly #clock: Clock;
  /** Operations whose caller was told to come back, by who asked for what. */
  readonly #owed = new Map<string, Promise<unknown>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `operation`; a caller that was told EJUKEBOX about `key` gets that operation's result instead of a second run. */
  async run<T>(key: string, operation: () => Promise<T>): Promise<T> {
    const owed = this.#owed.get(key) as Promise<T> | undefined;
    const running = owed ?? operation();
    let late = false;
    try {
      return await this.within(running, key, () => {
        late = true;
        this.#owe(key, running);
      });
    } finally {
      // Told, be it a result or a failure: whoever asks from now on means it anew.
      if (!late && this.#owed.get(key) === running) this.#owed.delete(key);
    }
  }

  /** `running`'s result, or EJUKEBOX past the deadline. For operations that join by themselves when they are called again. */
  within<T>(running: Promise<T>, what: string, onLate?: () => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const cancel = this.#clock.after(JUKEBOX_AFTER_MS, () => {
        onLate?.();
        reject(
          new FsError('EJUKEBOX', `${what} takes longer than ${JUKEBOX_AFTER_MS} ms and goes on; try again`),
        );
      });
      running.then(
        (value) => {
          cancel();
          resolve(value);
        },
        (error: unknown) => {
          cancel();
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }

  /**
   * Runs `operation` with a signal that is aborted with EJUKEBOX past the deadline. For operations that give up by it while they wait
   * for others and have changed nothing: the caller is told to come back, and nothing of this call happens later.
   */
  async patiently<T>(what: string, operation: (patience: AbortSignal) => Promise<T>): Promise<T> {
    const patience = new AbortController();
    const cancel = this.#clock.after(JUKEBOX_AFTER_MS, () =>
      patience.abort(
        new FsError('EJUKEBOX', `${what} waited for others longer than ${JUKEBOX_AFTER_MS} ms; try again`),
      ),
    );
    try {
      return await operation(patience.signal);
    } finally {
      cancel();
    }
  }

  #owe(key: string, running: Promise<unknown>): void {
    this.#owed.set(key, running);
    const forget = (): void => {
      this.#clock.after(RESULT_KEPT_MS, () => {
        if (this.#owed.get(key) === running) this.#owed.delete(key);
      });
    };
    running.then(forget, forget);
  }
}
