/**
 * Replies of one connection on their way out: those that become ready in a turn of the event loop leave in one write, and there is
 * one write at a time. Its end shows that the client takes replies, and what becomes ready meanwhile goes together.
 */
import type { Socket } from 'node:net';
import type { Load } from './load.js';
import { gatherChunks, type Reply } from './reply.js';

/** A write takes no further reply once it has this many bytes, so that a slow client's progress shows. */
const WRITE_BYTES_MIN = 1024 * 1024;

export interface OutboxOptions {
  readonly socket: Socket;
  readonly load: Load;
  /** The kernel has this many bytes more; before the replies are settled. */
  readonly onTaken: (bytes: number) => void;
  /** After the replies of a write were settled and the next write, if any, has begun. */
  readonly onSent: () => void;
}

export class Outbox {
  readonly #options: OutboxOptions;
  /** Replies for the next write. */
  #ready: Reply[] = [];
  /** Replies of the write that the socket hasn't confirmed. */
  #writing: readonly Reply[] | undefined;
  #bytes = 0;
  #closed = false;
  /** By performance.now(). */
  #lastDrainMs = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Bytes of replies that the kernel doesn't have yet. */
  get bytes(): number {
    return this.#bytes;
  }

  /** When the kernel last took a write, or the first reply came to an empty outbox, by performance.now(). */
  get lastDrainMs(): number {
    return this.#lastDrainMs;
  }

  /** Keeps the reply for the next write. */
  add(reply: Reply): void {
    if (this.#closed) {
      reply.settle();
      return;
    }
    if (this.#bytes === 0) this.#lastDrainMs = performance.now();
    this.#bytes += reply.length;
    this.#options.load.queueReply(reply.length);
    this.#ready.push(reply);
  }

  /** Begins a write of what is ready, unless one is under way: then that goes on with it. */
  flush(): void {
    if (this.#writing !== undefined || this.#ready.length === 0) return;
    const { socket } = this.#options;
    const replies = this.#takeReady();
    this.#writing = replies;
    const chunks = gatherChunks(replies);
    const last = chunks.pop() ?? Buffer.alloc(0);
    socket.cork();
    for (const chunk of chunks) socket.write(chunk);
    socket.write(last, () => this.#sent(replies));
    socket.uncork();
  }

  /** Drops all replies, those that come from now on as well. */
  close(): void {
    this.#closed = true;
    this.#settle(this.#ready.splice(0));
    if (this.#writing !== undefined) this.#settle(this.#writing);
    this.#writing = undefined;
  }

  /** The replies of the next write. */
  #takeReady(): readonly Reply[] {
    let bytes = 0;
    let count = 0;
    for (const reply of this.#ready) {
      if (bytes >= WRITE_BYTES_MIN) break;
      bytes += reply.length;
      count++;
    }
    return this.#ready.splice(0, count);
  }

  /** The kernel has these replies, or nobody ever will. */
  #sent(replies: readonly Reply[]): void {
    if (this.#writing !== replies) return;
    this.#writing = undefined;
    this.#lastDrainMs = performance.now();
    this.#options.onTaken(replies.reduce((bytes, reply) => bytes + reply.length, 0));
    this.#settle(replies);
    this.flush();
    this.#options.onSent();
  }

  #settle(replies: readonly Reply[]): void {
    for (const reply of replies) {
      this.#bytes -= reply.length;
      reply.settle();
      this.#options.load.settleReply(reply.length);
    }
  }
}
