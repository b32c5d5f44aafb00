/**
 * One TCP connection: records in, calls run in parallel, replies out in the order they are ready.
 *
 *   socket ─▶ assembler ─▶ waiting ─▶ running ─▶ ready ─▶ one write per turn of the event loop ─▶ sent
 *                            │          │                                                       │
 *                            └──────────┴── past a bound the socket isn't read ──────────────────┘
 *
 * What has arrived when a bound is passed waits here; it is at most one read of the socket.
 */
import { setMaxListeners } from 'node:events';
import type { Socket } from 'node:net';
import { RecordAssembler, RecordError } from '../../protocol/record-marking.js';
import type { Logger } from '../telemetry/log.js';
import type { Caller } from './active-call.js';
import { Credentials } from './credential.js';
import { readDirectly } from './direct-read.js';
import type { Dispatcher } from './dispatcher.js';
import type { RpcLimits } from './limits.js';
import type { Load } from './load.js';
import { Outbox } from './outbox.js';
import type { RecordBuffers } from './record-buffers.js';
import { RecordPace } from './record-pace.js';
import type { Reply } from './reply.js';

/** Read at a time between large records, in bytes, while there is no buffer for one: many small calls, and little of a WRITE. */
const CONTENDED_READ_BYTES = 8 * 1024;

export interface ConnectionOptions {
  /** As accepted, and paused. */
  readonly socket: Socket;
  /** Takes what is read between large records. One for all connections: nothing stays in it. */
  readonly scratch: Buffer;
  /** Take large records. For all connections together. */
  readonly buffers: RecordBuffers;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly dispatcher: Dispatcher;
  readonly limits: RpcLimits;
  readonly load: Load;
  readonly log: Logger;
}

export class Connection {
  /** Resolves when the socket is closed and nothing waits to be sent. Handlers may still run. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #limits: RpcLimits;
  readonly #load: Load;
  readonly #caller: Caller;
  readonly #gone = new AbortController();
  readonly #assembler: RecordAssembler;
  readonly #outbox: Outbox;
  /** Records that arrived in the read that passed a bound. */
  readonly #waiting: Buffer[] = [];
  /** What was read of a large record that there is no buffer for, and behind it; at most one read of the socket. */
  #held: Buffer | undefined;
  #calls = 0;
  /** Calls begun in this turn of the event loop. Those that are answered at once are all that a connection does in it. */
  #callsThisTurn = 0;
  #requestBytes = 0;
  #turnEnds = false;
  #recordsReceived = 0;
  /** Where the read in progress goes, when that is the record's own buffer. */
  #direct: Buffer | undefined;
  #paused = false;
  #draining = false;
  #closed = false;
  /** Times by performance.now(). */
  #lastActivityMs = performance.now();
  #recordBeganMs: number | undefined;
  /** Bytes read; and those of replies that were taken while reading waited for that. */
  #movedBytes = 0;
  readonly #pace: RecordPace;
  readonly #resume = (): void => this.#admit();

  constructor(options: ConnectionOptions) {
    const { limits } = options;
    this.#options = options;
    this.#limits = limits;
    this.#load = options.load;
    this.#pace = new RecordPace(limits.contendedRecordBytesMin, limits.contendedRecordTimeoutMs);
    this.#assembler = new RecordAssembler({
      ...limits,
      reusesChunks: true,
      takeBuffer: () => options.buffers.take(),
      onRecord: (record) => this.#receive(record),
    });
    const socket = readDirectly(options.socket, {
      target: () => this.#target(),
      onBytes: (length, target) => this.#read(length, target),
    });
    this.#socket = socket;
    this.#outbox = new Outbox({
      socket,
      load: options.load,
      onTaken: (bytes) => {
        if (this.#paused) this.#movedBytes += bytes;
      },
      onSent: () => this.#sent(),
    });
    // One listener per call whose handler asked for its signal.
    setMaxListeners(0, this.#gone.signal);
    this.#caller = {
      remoteAddress: options.remoteAddress,
      remotePort: socket.remotePort ?? 0,
      localAddress: options.localAddress,
      localPort: socket.localPort ?? 0,
      transport: 'tcp',
      credentials: new Credentials(),
      gone: this.#gone.signal,
    };
    socket.on('error', (error) => {
      options.log.debug({ error: error.message, remoteAddress: options.remoteAddress }, 'connection failed');
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#close();
        resolve();
      });
    });
  }

  /** Reads no further call, answers those that run, then ends the connection. */
  drain(): void {
    this.#draining = true;
    this.#dropWaiting();
    this.#pause();
    this.#endWhenDrained();
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Cuts or ends the connection when one of its time limits has passed. `nowMs` as by performance.now(). */
  checkTimeouts(nowMs: number): void {
    const { idleTimeoutMs, partialRecordTimeoutMs, contendedRecordTimeoutMs, drainTimeoutMs } = this.#limits;
    const { buffers } = this.#options;
    if (this.#outbox.bytes > 0 && nowMs - this.#outbox.lastDrainMs > drainTimeoutMs) {
      this.#cut(`${this.#outbox.bytes} bytes of replies were not taken within ${drainTimeoutMs} ms`);
    } else if (
      this.#recordBeganMs !== undefined &&
      !this.#paused &&
      nowMs - this.#recordBeganMs > partialRecordTimeoutMs
    ) {
      this.#cut(`a record was not complete within ${partialRecordTimeoutMs} ms`);
    } else if (!buffers.wanted || !this.#keepsBufferWaiting) {
      this.#pace.reset();
    } else if (this.#pace.late(nowMs, this.#movedBytes)) {
      this.#cut(`a large record made no progress for ${contendedRecordTimeoutMs} ms while others waited`);
    }
    const idle = this.#calls === 0 && this.#outbox.bytes === 0 && this.#recordBeganMs === undefined;
    if (idle && nowMs - this.#lastActivityMs > idleTimeoutMs) {
      // A client that doesn't close its side in turn is cut at the next look.
      if (this.#socket.writableEnded) this.destroy();
      else this.drain();
    }
  }

  /** It has buffers of records that aren't complete or don't run, and that is the client's doing. */
  get #keepsBufferWaiting(): boolean {
    const { buffers, limits } = this.#options;
    if (this.#paused && this.#outbox.bytes < limits.replyBytesPerConnectionMax) return false;
    const { buffer } = this.#assembler;
    const begun = buffer !== undefined && buffers.owns(buffer);
    return begun || this.#waiting.some((record) => buffers.owns(record));
  }

  get #full(): boolean {
    return (
      this.#calls >= this.#limits.callsPerConnectionMax ||
      this.#callsThisTurn >= this.#limits.callsPerConnectionMax ||
      this.#requestBytes >= this.#limits.requestBytesPerConnectionMax ||
      this.#outbox.bytes >= this.#limits.replyBytesPerConnectionMax ||
      this.#load.full
    );
  }

  /** The bytes of a large record go to their place, all others to the scratch. */
  #target(): Buffer {
    this.#direct = this.#draining || this.#closed ? undefined : this.#assembler.target();
    if (this.#direct !== undefined) return this.#direct;
    const { scratch, buffers } = this.#options;
    // What a large record begins with would have to be kept until there is a buffer: by each of many connections, and copied.
    return buffers.exhausted ? scratch.subarray(0, CONTENDED_READ_BYTES) : scratch;
  }

  #read(length: number, target: Buffer): void {
    const direct = this.#direct;
    this.#direct = undefined;
    if (this.#draining) return;
    this.#movedBytes += length;
    this.#lastActivityMs = performance.now();
    const wasPartial = this.#assembler.partial;
    const recordsBefore = this.#recordsReceived;
    try {
      if (direct === undefined) this.#push(target.subarray(0, length));
      else this.#assembler.advance(length);
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      this.#cut(error.message);
      return;
    }
    if (!this.#assembler.partial) this.#recordBeganMs = undefined;
    else if (!wasPartial || this.#recordsReceived > recordsBefore) this.#recordBeganMs = this.#lastActivityMs;
  }

  /** Gives bytes to the assembler; keeps those that there is no buffer for, and reads no more until there is one. */
  #push(bytes: Buffer): void {
    if (this.#held !== undefined) return this.#pushOwn(Buffer.concat([this.#held, bytes]));
    const taken = this.#assembler.push(bytes);
    if (taken < bytes.length) this.#hold(Buffer.from(bytes.subarray(taken)));
  }

  /** As #push, for bytes that nobody overwrites: they are tried again with each buffer that others leave, and not copied each time. */
  #pushOwn(bytes: Buffer): void {
    // First: a call that is answered at once may make room, and whoever waits for that comes by here.
    this.#held = undefined;
    const taken = this.#assembler.push(bytes);
    if (taken < bytes.length) this.#hold(bytes.subarray(taken));
  }

  #hold(bytes: Buffer): void {
    this.#held = bytes;
    this.#options.buffers.onRoom(this.#resume);
    this.#pause();
  }

  #pushHeld(held: Buffer): void {
    try {
      this.#pushOwn(held);
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      this.#cut(error.message);
    }
  }

  #receive(record: Buffer): void {
    this.#recordsReceived++;
    if (this.#closed || this.#draining) {
      this.#options.buffers.giveBack(record);
      return;
    }
    if (this.#waiting.length > 0 || this.#full) {
      this.#waiting.push(record);
      this.#pause();
    } else {
      this.#start(record);
    }
  }

  /** Runs what waits as far as the bounds let it, and reads on when nothing waits any more. */
  #admit(): void {
    if (this.#closed || this.#draining) return;
    while (this.#waiting.length > 0 && !this.#full) {
      const record = this.#waiting.shift();
      if (record !== undefined) this.#start(record);
    }
    if (this.#held !== undefined && !this.#full) this.#pushHeld(this.#held);
    else this.#options.buffers.pass();
    if (this.#closed) return;
    if (this.#full) {
      this.#pause();
    } else if (this.#paused && this.#held === undefined) {
      this.#paused = false;
      this.#lastActivityMs = performance.now();
      // The time that the client was kept waiting is not held against it.
      if (this.#recordBeganMs !== undefined) this.#recordBeganMs = this.#lastActivityMs;
      this.#socket.resume();
    }
  }

  #pause(): void {
    if (!this.#draining && this.#load.full) this.#load.onRoom(this.#resume);
    if (this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  #start(record: Buffer): void {
    this.#calls++;
    this.#callsThisTurn++;
    this.#endTurn();
    this.#requestBytes += record.length;
    this.#load.beginCall(record.length);
    // It doesn't reject: every failure of a call is a reply.
    const reply = this.#options.dispatcher.dispatch(record, this.#caller);
    if (!(reply instanceof Promise)) {
      this.#end(record, reply);
    } else {
      void reply.then((late) => {
        this.#end(record, late);
        this.#admit();
      });
    }
    if (this.#full) this.#pause();
  }

  #end(record: Buffer, reply: Reply | undefined): void {
    this.#calls--;
    this.#requestBytes -= record.length;
    if (reply === undefined) this.#cut('a message that is no call');
    this.#answer(record, reply);
    // After the reply is queued: whoever waits for all calls to end waits for it, too.
    this.#load.endCall(record.length);
  }

  /**
   * A large record's buffer goes back when its call has ended; where the reply refers to it, when that is sent. The reply to a WRITE
   * doesn't: a client that takes no replies keeps no buffers by them.
   */
  #answer(record: Buffer, reply: Reply | undefined): void {
    const { buffers } = this.#options;
    if (reply?.chunks.some((chunk) => chunk.buffer === record.buffer) !== true) {
      buffers.giveBack(record);
      if (reply !== undefined) this.#queue(reply);
    } else if (buffers.owns(record)) {
      const settle = (): void => {
        reply.settle();
        buffers.giveBack(record);
      };
      this.#queue({ ...reply, settle });
    } else {
      this.#queue(reply);
    }
  }

  #queue(reply: Reply): void {
    this.#outbox.add(reply);
    this.#endTurn();
  }

  /** After all callbacks of this turn: the replies that they complete leave in the same write, and other connections had theirs. */
  #endTurn(): void {
    if (this.#turnEnds) return;
    this.#turnEnds = true;
    setImmediate(() => {
      this.#turnEnds = false;
      this.#callsThisTurn = 0;
      this.#outbox.flush();
      if (this.#paused) this.#admit();
    });
  }

  #sent(): void {
    this.#lastActivityMs = this.#outbox.lastDrainMs;
    this.#admit();
    this.#endWhenDrained();
  }

  #endWhenDrained(): void {
    if (!this.#draining || this.#calls > 0 || this.#outbox.bytes > 0 || this.#socket.writableEnded) return;
    this.#socket.end();
    // What else the client sends is read and thrown away: closing with unread bytes would reset the connection and could
    // take replies on their way with it.
    this.#socket.resume();
  }

  #cut(reason: string): void {
    if (this.#closed) return;
    this.#options.log.info({ reason, remoteAddress: this.#options.remoteAddress }, 'connection cut');
    this.#socket.destroy();
  }

  #close(): void {
    this.#closed = true;
    this.#gone.abort();
    this.#dropWaiting();
    this.#load.offRoom(this.#resume);
    this.#options.buffers.offRoom(this.#resume);
    this.#options.buffers.pass();
    if (this.#assembler.buffer !== undefined) this.#options.buffers.giveBack(this.#assembler.buffer);
    this.#outbox.close();
  }

  #dropWaiting(): void {
    for (const record of this.#waiting.splice(0)) this.#options.buffers.giveBack(record);
    this.#held = undefined;
  }
}
