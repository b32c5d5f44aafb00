/** A call while its handler runs, as the handler sees it. */
import type { Call, Credential } from './service.js';

/** Where a call came from. One object for all calls of a connection. */
export interface Caller {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly transport: 'tcp' | 'udp';
  /** Aborted when nobody can receive a reply any more. */
  readonly gone: AbortSignal;
}

export class ActiveCall implements Call {
  readonly xid: number;
  readonly credential: Credential;
  readonly #caller: Caller;
  readonly #source: AbortSignal;
  /** Made when the handler asks: most calls are answered at once, and a controller costs as much as they do. */
  #controller: AbortController | undefined;
  #releases: (() => void)[] = [];
  #settled = false;
  readonly #abort = (): void => this.#controller?.abort(this.#source.reason);

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
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#source.aborted) this.#abort();
      else this.#source.addEventListener('abort', this.#abort, { once: true });
    }
    return this.#controller.signal;
  }

  onReplySent(release: () => void): void {
    if (this.#settled) release();
    else this.#releases.push(release);
  }

  /** The handler has returned: its signal doesn't fire any more. */
  handled(): void {
    if (this.#controller !== undefined) this.#source.removeEventListener('abort', this.#abort);
  }

  /** Runs the releases, at its first call only. All of them run; the first failure is thrown then. */
  settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    const failures: unknown[] = [];
    for (const release of this.#releases) {
      try {
        release();
      } catch (error) {
        failures.push(error);
      }
    }
    this.#releases = [];
    if (failures.length > 0) throw failures[0];
  }
}
