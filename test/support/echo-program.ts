/** A small program whose handlers a test can hold, count and fail. */
import { program } from '../../protocol/program.js';
import { opaque, opaqueSlices, u32, xvoid } from '../../protocol/xdr.js';
import { RpcAuthError, RpcRefusal, service, type Call, type Service } from '../../src/rpc/service.js';

const BYTES_MAX = 1024 * 1024;

export const ECHO = program({
  name: 'ECHO',
  number: 0x20000001,
  version: 3,
  procedures: {
    ECHO: { number: 1, args: opaque(BYTES_MAX), result: opaque(BYTES_MAX) },
    /** Answers its argument when the test releases it. */
    HOLD: { number: 2, args: u32, result: u32 },
    /** Answers how often it was executed; 0 is not to be kept. */
    BUMP: {
      number: 3,
      args: opaque(BYTES_MAX),
      result: u32,
      nonIdempotent: true,
      cacheable: (count: number) => count !== 0,
    },
    FAIL: { number: 4, args: u32, result: xvoid },
    /** As many bytes as asked for, by reference. */
    SLICES: { number: 5, args: u32, result: opaqueSlices(BYTES_MAX) },
    /** BUMP that waits until the test releases it. */
    HELD_BUMP: { number: 6, args: u32, result: u32, nonIdempotent: true },
    WHO: { number: 7, args: xvoid, result: opaque(4096) },
  },
});

/** What FAIL throws, by its argument. */
export const FAILURES = ['Error', 'AUTH_TOOWEAK', 'SYSTEM_ERR', 'PROC_UNAVAIL'] as const;

interface Held {
  readonly value: number;
  readonly signal: AbortSignal;
  release(): void;
}

export class EchoService {
  /** Calls of HOLD and HELD_BUMP that wait, in the order of arrival. */
  readonly held: Held[] = [];
  /** Executions of BUMP and HELD_BUMP. */
  bumps = 0;
  /** BUMP answers 0, "try later". */
  jukebox = false;
  /** Replies of SLICES whose buffers were given back. */
  released = 0;
  readonly calls: Call[] = [];
  readonly #waiters: { readonly count: number; readonly resolve: () => void }[] = [];

  readonly service: Service<typeof ECHO> = service(ECHO, {
    ECHO: (bytes) => bytes,
    HOLD: (value, call) => this.#hold(value, call),
    BUMP: () => {
      this.bumps++;
      return this.jukebox ? 0 : this.bumps;
    },
    FAIL: (which) => {
      const failure = FAILURES[which];
      if (failure === 'AUTH_TOOWEAK') throw new RpcAuthError(failure);
      if (failure === 'SYSTEM_ERR' || failure === 'PROC_UNAVAIL') throw new RpcRefusal(failure, 'refused');
      throw new Error('a defect');
    },
    SLICES: (count, call) => {
      call.onReplySent(() => this.released++);
      const half = count >> 1;
      return [Buffer.alloc(half, 0xaa), Buffer.alloc(count - half, 0xbb)];
    },
    HELD_BUMP: async (value, call) => {
      this.bumps++;
      return await this.#hold(value, call);
    },
    WHO: (_, call) => {
      this.calls.push(call);
      const { credential, remoteAddress, remotePort, localAddress, localPort, transport } = call;
      return Buffer.from(
        JSON.stringify({ credential, remoteAddress, remotePort, localAddress, localPort, transport }),
      );
    },
  });

  /** Resolves when at least `count` calls are held. */
  async holding(count: number): Promise<void> {
    if (this.held.length >= count) return;
    await new Promise<void>((resolve) => this.#waiters.push({ count, resolve }));
  }

  /** Releases all held calls. */
  releaseAll(): void {
    for (const held of this.held.splice(0)) held.release();
  }

  async #hold(value: number, call: Call): Promise<number> {
    await new Promise<void>((resolve) => {
      this.held.push({ value, signal: call.signal, release: resolve });
      for (const waiter of this.#waiters) if (this.held.length >= waiter.count) waiter.resolve();
    });
    return value;
  }
}
