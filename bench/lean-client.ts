/**
 * An NFSv3 client that costs little: READ, WRITE and GETATTR are put together by hand and their answers looked at in place,
 * in one buffer that is used again. What the load driver spends it can't measure, and it shares the machine with the daemon.
 */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { NFS3 } from '../protocol/nfs3/program.js';
import { RECORD_MARK_BYTES, recordMark } from '../protocol/record-marking.js';
import { encodeCall, systemCredential } from '../test/support/rpc-client.js';

/** NFS3_OK, and the status that asks to come back later (RFC 1813 2.6). */
const OK = 0;
const JUKEBOX = 10008;

/** Bytes of an accepted reply before its results: xid, REPLY, accepted, verifier (none), SUCCESS. */
const REPLY_HEADER_BYTES = 24;
/** Bytes of fattr3. */
const FATTR3_BYTES = 84;
/** Two replies of 1 MiB with their headers: the end of one and the beginning of the next come together. */
const RECEIVE_BYTES = 2 * 1024 * 1024 + 4096;
/** A client comes back this long after JUKEBOX. Linux: 5 s. */
const JUKEBOX_RETRY_MS = 200;

/** Results of a call, behind the RPC header; valid until the callback returns. */
type Answer = (results: Buffer) => void;

interface Waiter {
  readonly answer: Answer;
  readonly reject: (error: Error) => void;
}

/** What is opaque ends on a multiple of four bytes (RFC 4506 4.10). */
const PADDING = Buffer.alloc(3);

export interface LeanClientOptions {
  readonly port: number;
  /** Called after each answer: the driver sees by it who waits for how long. */
  readonly onAnswer?: () => void;
}

export class LeanClient {
  readonly #socket: Socket;
  readonly #onAnswer: () => void;
  readonly #received = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  #filled = 0;
  readonly #waiters = new Map<number, Waiter>();
  #xid = Math.floor(Math.random() * 0x7fffffff);
  #failure: Error | undefined;

  private constructor(options: LeanClientOptions) {
    this.#onAnswer = options.onAnswer ?? ((): void => undefined);
    this.#socket = connect({
      host: '127.0.0.1',
      port: options.port,
      noDelay: true,
      onread: {
        buffer: () => this.#received.subarray(this.#filled),
        callback: (length) => {
          this.#receive(length);
          return true;
        },
      },
    });
    this.#socket.on('close', () => this.#fail(new Error('the daemon closed the connection')));
    this.#socket.on('error', (error) => this.#fail(error));
  }

  static async connect(options: LeanClientOptions): Promise<LeanClient> {
    const client = new LeanClient(options);
    await once(client.#socket, 'connect');
    return client;
  }

  /** READ; `take` sees the bytes in place. Resolves to their number. Comes back after JUKEBOX, as a kernel does. */
  async read(
    handle: Buffer,
    offset: number,
    count: number,
    take: (data: Buffer) => void = () => undefined,
  ): Promise<number> {
    const args = Buffer.concat([opaque(handle), u64(offset), u32(count)]);
    let got = 0;
    await this.#patiently(NFS3.procedures.READ.number, [args], (results) => {
      const at = results.readUInt32BE(4) === 0 ? 8 : 8 + FATTR3_BYTES;
      got = results.readUInt32BE(at);
      take(results.subarray(at + 12, at + 12 + got));
    });
    return got;
  }

  /** WRITE, UNSTABLE. `data` may be changed when this has resolved. Fails when not all was taken. */
  async write(handle: Buffer, offset: number, data: Buffer): Promise<void> {
    const args = Buffer.concat([opaque(handle), u64(offset), u32(data.length), u32(0), u32(data.length)]);
    const padding = PADDING.subarray(0, -data.length & 3);
    await this.#patiently(NFS3.procedures.WRITE.number, [args, data, padding], () => undefined);
  }

  async getattr(handle: Buffer): Promise<void> {
    await this.#patiently(NFS3.procedures.GETATTR.number, [opaque(handle)], () => undefined);
  }

  /** COMMIT of the whole file. */
  async commit(handle: Buffer): Promise<void> {
    const args = Buffer.concat([opaque(handle), u64(0), u32(0)]);
    await this.#patiently(NFS3.procedures.COMMIT.number, [args], () => undefined);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #patiently(proc: number, args: readonly Buffer[], answer: Answer): Promise<void> {
    while (!(await this.#call(proc, args, answer))) {
      await new Promise((resolve) => setTimeout(resolve, JUKEBOX_RETRY_MS));
    }
  }

  /** One call; false when the answer is JUKEBOX. */
  async #call(proc: number, args: readonly Buffer[], answer: Answer): Promise<boolean> {
    if (this.#failure !== undefined) throw this.#failure;
    const xid = (this.#xid = (this.#xid + 1) >>> 0);
    return await new Promise<boolean>((resolve, reject) => {
      this.#waiters.set(xid, {
        reject,
        answer: (results) => {
          const status = results.readUInt32BE(0);
          if (status === JUKEBOX) return resolve(false);
          if (status !== OK) return reject(new Error(`procedure ${proc} was answered with status ${status}`));
          answer(results);
          resolve(true);
        },
      });
      this.#send(xid, proc, args);
    });
  }

  #send(xid: number, proc: number, args: readonly Buffer[]): void {
    const header = encodeCall(
      xid,
      { prog: NFS3.number, vers: NFS3.version, proc },
      Buffer.alloc(0),
      CREDENTIAL,
    );
    const bytes = args.reduce((sum, { length }) => sum + length, header.length);
    const mark = u32(recordMark(bytes));
    const [first = Buffer.alloc(0), ...rest] = args;
    this.#socket.cork();
    this.#socket.write(Buffer.concat([mark, header, first]));
    for (const chunk of rest) this.#socket.write(chunk);
    this.#socket.uncork();
  }

  #receive(length: number): void {
    this.#filled += length;
    let at = 0;
    while (this.#filled - at >= RECORD_MARK_BYTES) {
      const bytes = this.#received.readUInt32BE(at) & 0x7fffffff;
      const end = at + RECORD_MARK_BYTES + bytes;
      if (end > this.#filled) break;
      this.#answered(this.#received.subarray(at + RECORD_MARK_BYTES, end));
      at = end;
    }
    this.#received.copyWithin(0, at, this.#filled);
    this.#filled -= at;
  }

  #answered(message: Buffer): void {
    const xid = message.readUInt32BE(0);
    const waiter = this.#waiters.get(xid);
    if (waiter === undefined) return;
    this.#waiters.delete(xid);
    this.#onAnswer();
    if (message.readUInt32BE(8) === 0 && message.readUInt32BE(20) === 0)
      waiter.answer(message.subarray(REPLY_HEADER_BYTES));
    else waiter.reject(new Error('the call was not accepted'));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiter of this.#waiters.values()) waiter.reject(error);
    this.#waiters.clear();
  }
}

const CREDENTIAL = { credential: systemCredential(0, 0) };

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** A variable-length opaque; handles are multiples of four bytes or padded here. */
function opaque(bytes: Buffer): Buffer {
  return Buffer.concat([u32(bytes.length), bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
