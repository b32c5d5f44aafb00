/** A call while its handler runs, as the handler sees it. */
import { LightSignal } from '../cancel/light-signal.js';
import type { Credentials } from './credential.js';
import type { Call, Credential } from './service.js';

/** Where a call came from. One object for all calls of a connection. */
export interface Caller {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly transport: 'tcp' | 'udp';
  readonly credentials: Credentials;
  /** Aborted when nobody can receive a reply any more. */
  readonly gone: AbortSignal;
}

export class ActiveCall implements Call {
  readonly xid: number;
  readonly credential: Credential;
  readonly #caller: Caller;
  readonly #source: AbortSignal;
  /** Made when the handler asks: most calls are answered at once. */
  #signal: LightSignal | undefined;
  #abort: (() => void) | undefined;
  #releases: (() => void)[] | undefined;
  #settled = false;

  /** `source` is what aborts the call's own signal while it runs. */
  constructor(xid: number, credential: Credential, caller: Caller, source: AbortSignal) {
    this.xid = xid;
    this.credential = credential;
    this.#caller = caller;
    this.#source = source;
  }

  get remoteAddress(): string {
    return this.#caller.remoteAddress;
  }

  get remotePort(): number {
    return this.#caller.remotePort;
  }

  get localAddress(): string {
    return this.#caller.localAddress;
  }

  get localPort(): number {
    return this.#caller.localPort;
  }

  get transport(): 'tcp' | 'udp' {
    return this.#caller.transport;
  }

  get signal(): AbortSignal {
    this.#signal ??= this.#makeSignal();
    return this.#signal;
  }

  #makeSignal(): LightSignal {
    const signal = new LightSignal();
    const source = this.#source;
    this.#abort = () => signal.abort(source.reason);
    if (source.aborted) this.#abort();
    else source.addEventListener('abort', this.#abort, { once: true });
    return signal;
  }

  /** Somebody waits for the reply to be sent. */
  get hasReleases(): boolean {
    return this.#releases !== undefined;
  }

  onReplySent(release: () => void): void {
    if (this.#settled) release();
    else (this.#releases ??= []).push(release);
  }

  /** The handler has returned: its signal doesn't fire any more. */
  handled(): void {
    if (this.#abort !== undefined) this.#source.removeEventListener('abort', this.#abort);
  }

  /** Runs the releases, at its first call only. All of them run; the first failure is thrown then. */
  settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    const releases = this.#releases;
    if (releases === undefined) return;
    this.#releases = undefined;
    const failures: unknown[] = [];
    for (const release of releases) {
      try {
        release();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
