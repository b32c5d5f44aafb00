/** A GET that a test holds: its bytes go to the sink when the test says so. */
import type { StoreError } from '../../src/store/errors.js';
import type { ByteSink } from '../../src/store/object-store.js';
import type { StoreCall } from './memory-store.js';

export class HeldGet {
  readonly call: StoreCall;
  /** Settles with the GET. */
  readonly settled: Promise<void>;
  /** Bytes delivered so far. */
  delivered = 0;
  readonly #bytes: Buffer;
  readonly #sink: ByteSink;
  #over = false;
  #resolve: () => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  constructor(call: StoreCall, bytes: Buffer, sink: ByteSink) {
    this.call = call;
    this.#bytes = bytes;
    this.#sink = sink;
    this.settled = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** It was finished, failed or aborted. */
  get over(): boolean {
    return this.#over;
  }

  /** Gives the sink up to `count` more bytes; the GET goes on. */
  deliver(count: number): void {
    if (this.#over) return;
    const chunk = Buffer.from(this.#bytes.subarray(this.delivered, this.delivered + count));
    this.delivered += chunk.length;
    if (chunk.length > 0) this.#sink(chunk);
    chunk.fill(0xee);
  }

  /** Delivers what is left and ends the GET. */
  finish(): void {
    this.deliver(this.#bytes.length);
    this.#over = true;
    this.#resolve();
  }

  fail(error: StoreError): void {
    this.#over = true;
    this.#reject(error);
  }
}
