/**
 * Operations that may outlast a client's patience. Past the deadline the caller is told EJUKEBOX while the operation goes
 * on; its retry, which comes with a new transaction id, joins the operation or collects its result.
 */
import { LightSignal } from '../cancel/light-signal.js';
import type { Clock } from './clock.js';
import { FsError } from './errors.js';

/** Linux retransmits after 60 s; an answer within about 25 s keeps every client calm. */
const JUKEBOX_AFTER_MS = 20_000;
/** How long a result waits for the retry that collects it. Clients retry JUKEBOX within 5 to 15 s. */
const RESULT_KEPT_MS = 120_000;

/** A call that changes entries of directories: the same caller with the same procedure and entries is a retry. */
export interface EntryCall {
  /** The client's address. */
  readonly caller: string;
  /** The procedure's name. */
  readonly what: string;
  /** Each as the id of its directory, a slash and its name. */
  readonly entries: readonly string[];
}

/** An operation whose caller was told EJUKEBOX, and has not collected its result yet. */
interface Owed {
  readonly call: EntryCall;
  readonly running: Promise<unknown>;
  ended: boolean;
}

export class LongOperations {
  readonly #clock: Clock;
  /** By caller, procedure and entries. */
  readonly #owed = new Map<string, Owed>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `operation`; a caller that was told EJUKEBOX about the same call gets that operation's result instead of a second run. */
  async run<T>(call: EntryCall, operation: () => Promise<T>): Promise<T> {
    const key = [call.caller, call.what, ...call.entries].join(' ');
    const owed = this.#owed.get(key);
    const running = (owed?.running as Promise<T> | undefined) ?? operation();
    let late = false;
    try {
      const result = await this.within(running, key, () => {
        late = true;
        this.#owe(key, call, running);
      });
      if (owed === undefined) this.changed(call);
      return result;
    } finally {
      // Told, be it a result or a failure: whoever asks from now on means it anew.
      if (!late && this.#owed.get(key)?.running === running) this.#owed.delete(key);
    }
  }

  /**
   * Called when a caller has changed entries. Results that it never collected for these entries are forgotten: a client makes one change of a
   * directory at a time, so it has given them up (its process was interrupted, say). Otherwise they would answer a later call on another file of the
   * same name.
   */
  changed({ caller, entries }: Pick<EntryCall, 'caller' | 'entries'>): void {
    for (const [key, { call, ended }] of this.#owed)
      if (ended && call.caller === caller && call.entries.some((entry) => entries.includes(entry)))
        this.#owed.delete(key);
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
    const patience = new LightSignal();
    const cancel = this.#clock.after(JUKEBOX_AFTER_MS, () =>
      patience.abort(
        new FsError('EJUKEBOX', `${what} waited for others longer than ${JUKEBOX_AFTER_MS} ms; try again`),
      ),
    );
    try {
      return await operation(patience);
    } finally {
      cancel();
    }
  }

  #owe(key: string, call: EntryCall, running: Promise<unknown>): void {
    const owed: Owed = { call, running, ended: false };
    this.#owed.set(key, owed);
    const end = (): void => {
      owed.ended = true;
      this.#clock.after(RESULT_KEPT_MS, () => {
        if (this.#owed.get(key) === owed) this.#owed.delete(key);
      });
    };
    running.then(end, end);
  }
}
