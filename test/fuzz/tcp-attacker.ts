/**
 * One connection after the other: volleys of pipelined calls, each of which must be answered once and rightly; in between streams that
 * the server must cut, and clients that leave in the middle.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { encodeRecord, RecordAssembler } from '../../protocol/record-marking.js';
import type { CallGenerator, Shot } from './calls.js';
import { fatal, framed, partial, pieces } from './framing.js';
import { Owed, type OwedOptions } from './owed.js';

export interface AttackerOptions extends OwedOptions {
  readonly host: string;
  readonly port: number;
  readonly calls: CallGenerator;
  /** Milliseconds after which a reply, or the end of a connection that must be cut, counts as never. */
  readonly hangMs: number;
}

const VOLLEY_MAX = 64;

export class TcpAttacker {
  readonly #options: AttackerOptions;

  constructor(options: AttackerOptions) {
    this.#options = options;
  }

  /** Goes on while `more` says so. */
  async run(more: () => boolean): Promise<void> {
    const { random, tally } = this.#options;
    while (more()) {
      const line = await Line.open(this.#options);
      tally.connections++;
      for (let volleys = 1 + random.below(8); volleys > 0 && more() && line.usable; volleys--) {
        await this.#volley(line);
      }
      await this.#leave(line);
    }
  }

  async #volley(line: Line): Promise<void> {
    const { calls, random } = this.#options;
    const shots = Array.from({ length: 1 + random.below(VOLLEY_MAX) }, () => calls.call());
    for (const shot of shots) line.expect(shot);
    const stream = Buffer.concat(shots.map(({ message }) => framed(message, random)));
    for (const piece of pieces(stream, random)) {
      line.write(piece);
      // A slow sender: the server sees the pieces one by one.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    await line.answered();
  }

  async #leave(line: Line): Promise<void> {
    const { calls, random, tally } = this.#options;
    switch (random.below(6)) {
      case 0:
      case 1:
        // Calls before the fatal bytes may be answered, or not any more.
        if (random.oneIn(2)) line.write(encodeRecord(this.#unawaited(line).message));
        line.write(fatal(calls.noCall(), random));
        tally.records++;
        if (await line.cut()) tally.cuts++;
        else tally.fault('the connection was not cut');
        break;
      case 2:
        line.write(partial(this.#unawaited(line).message, random));
        if (random.oneIn(2)) await line.end();
        break;
      case 3:
        for (let count = random.below(VOLLEY_MAX); count > 0; count--)
          line.write(framed(this.#unawaited(line).message, random));
        break;
      case 4:
        await line.end();
        break;
      default:
    }
    line.destroy();
  }

  /** A call whose reply nobody waits for; if it comes it is judged. */
  #unawaited(line: Line): Shot {
    const shot = this.#options.calls.call();
    line.expect(shot);
    return shot;
  }
}

/** A connection and what it has still to be told. */
class Line {
  readonly #socket: Socket;
  readonly #options: AttackerOptions;
  readonly #owed: Owed;
  #closed = false;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket, options: AttackerOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#owed = new Owed(options);
    const assembler = new RecordAssembler({
      recordBytesMax: 4 << 20,
      fragmentsMax: 4096,
      emptyFragmentsMax: 0,
      reusesChunks: false,
      onRecord: (reply) => this.#receive(reply),
    });
    socket.on('data', (chunk: Buffer) => assembler.push(chunk));
    // 'close' follows.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  static async open(options: AttackerOptions): Promise<Line> {
    const socket = connect({ host: options.host, port: options.port, noDelay: true });
    await once(socket, 'connect');
    return new Line(socket, options);
  }

  get usable(): boolean {
    return !this.#closed;
  }

  expect(shot: Shot): void {
    this.#owed.expect(shot);
    this.#options.tally.records++;
  }

  write(bytes: Buffer): void {
    if (!this.#closed) this.#socket.write(bytes);
  }

  /** All that was asked is answered, or counts as a fault. */
  async answered(): Promise<void> {
    const inTime = await this.#until(() => this.#owed.count === 0 || this.#closed);
    const { count, first } = this.#owed;
    if (count === 0) return;
    const what = inTime ? 'the connection was cut' : 'no reply in time';
    this.#options.tally.fault(`${what}, ${count} replies are owed`, first);
    this.destroy();
    this.#owed.clear();
  }

  /** True when the server closes the connection. */
  async cut(): Promise<boolean> {
    return await this.#until(() => this.#closed);
  }

  /** Ends this side and waits for the other. */
  async end(): Promise<void> {
    this.#socket.end();
    if (!(await this.cut())) this.#options.tally.fault('the connection was not closed after its end');
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #receive(reply: Buffer): void {
    if (!this.#owed.receive(reply)) {
      const start = reply.subarray(0, 64).toString('hex');
      this.#options.tally.fault(`a reply that nobody asked for: ${start}`);
    }
    this.#wake();
  }

  async #until(holds: () => boolean): Promise<boolean> {
    if (holds()) return true;
    return await new Promise<boolean>((resolve) => {
      const settle = (met: boolean): void => {
        clearTimeout(timer);
        this.#wake = () => undefined;
        resolve(met);
      };
      const timer = setTimeout(() => settle(false), this.#options.hangMs);
      this.#wake = () => {
        if (holds()) settle(true);
      };
    });
  }
}
