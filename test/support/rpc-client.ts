/**
 * An ONC RPC client for tests and benchmarks, by TCP or UDP, typed by the program that it calls. Several calls may be in
 * flight; replies are matched by xid. It can also do what no honest client does: send raw bytes, reuse an xid, cut a record
 * into fragments.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6, type Socket } from 'node:net';
import type { ArgsOf, ProcedureName, Program, ResultOf } from '../../protocol/program.js';
import { encodeRecord, RecordAssembler } from '../../protocol/record-marking.js';
import {
  AUTH_SYS,
  authsys_parms,
  NULL_AUTH,
  rpc_msg,
  RPC_VERSION,
  type opaque_auth,
  type reply_body,
} from '../../protocol/rpc.js';
import { XdrReader, XdrWriter } from '../../protocol/xdr-cursors.js';
import { encode } from '../../protocol/xdr.js';

export interface RpcClientOptions {
  readonly host: string;
  readonly port: number;
  /** 'tcp' unless given. */
  readonly transport?: 'tcp' | 'udp';
  /** For calls that give none; AUTH_NONE unless given. */
  readonly credential?: opaque_auth;
}

export interface CallOptions {
  readonly credential?: opaque_auth;
  /** Another than the next one: a retransmission. */
  readonly xid?: number;
  /** Sends the record in fragments of at most this many bytes. */
  readonly fragmentBytesMax?: number;
}

/** The server answered, but not with SUCCESS. */
export class RpcReplyError extends Error {
  override readonly name = 'RpcReplyError';
  readonly body: reply_body;
  /** accept_stat or reject_stat. */
  readonly stat: string;

  constructor(body: reply_body) {
    const stat = body.reply_stat === 'MSG_ACCEPTED' ? body.areply.reply_data.stat : body.rreply.stat;
    super(`the call was answered with ${stat}`);
    this.body = body;
    this.stat = stat;
  }
}

/** An AUTH_SYS credential. */
export function systemCredential(uid: number, gid: number, gids: readonly number[] = []): opaque_auth {
  const parms = { stamp: 0, machinename: Buffer.from('test'), uid, gid, gids: [...gids] };
  return { flavor: AUTH_SYS, body: encode(authsys_parms, parms) };
}

/** The message of a call, without record mark. */
export function encodeCall(
  xid: number,
  target: { readonly prog: number; readonly vers: number; readonly proc: number },
  args: Uint8Array = Buffer.alloc(0),
  options: { readonly credential?: opaque_auth; readonly rpcvers?: number } = {},
): Buffer {
  const { credential = NULL_AUTH, rpcvers = RPC_VERSION } = options;
  const cbody = { rpcvers, ...target, cred: credential, verf: NULL_AUTH };
  return Buffer.concat([encode(rpc_msg, { xid, body: { mtype: 'CALL', cbody } }), args]);
}

/** The largest reply that the client takes: a READ of 1 MiB, many times over. */
const RECORD_BYTES_MAX = 64 * 1024 * 1024;

/** First xid of the next client: two clients of one address must not look like retransmissions of each other. */
const firstXid = (): number => Math.floor(Math.random() * 0x80000000);

interface Waiter {
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: Error) => void;
}

type Transport = { readonly tcp: Socket } | { readonly udp: UdpSocket };

export class RpcClient {
  readonly #options: RpcClientOptions;
  #transport: Transport;
  #closed: Promise<void>;
  #xid = firstXid();
  /** In the order of sending, for each xid. */
  readonly #waiters = new Map<number, Waiter[]>();
  /** The xid of each reply, in the order of arrival. */
  readonly replied: number[] = [];

  private constructor(options: RpcClientOptions, transport: Transport) {
    this.#options = options;
    this.#transport = transport;
    this.#closed = this.#attach(transport);
  }

  static async connect(options: RpcClientOptions): Promise<RpcClient> {
    return new RpcClient(options, await openTransport(options));
  }

  /** Resolves when the current connection is closed, by whichever side. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /** The TCP socket, for tests that pause it. */
  get socket(): Socket {
    if (!('tcp' in this.#transport)) throw new Error('not a TCP client');
    return this.#transport.tcp;
  }

  /** Calls a procedure. Rejects with RpcReplyError, or when the connection is closed first. */
  async call<const G extends Program, N extends ProcedureName<G>>(
    program: G,
    name: N,
    args: ArgsOf<G, N>,
    options: CallOptions = {},
  ): Promise<ResultOf<G, N>> {
    const procedure = program.procedures[name];
    if (procedure === undefined) throw new Error(`${program.name} has no procedure ${name}`);
    const target = { prog: program.number, vers: program.version, proc: procedure.number };
    const xid = options.xid ?? this.nextXid();
    const credential = options.credential ?? this.#options.credential ?? NULL_AUTH;
    const writer = new XdrWriter();
    procedure.args.encode(writer, args);
    const message = encodeCall(xid, target, Buffer.concat(writer.finish()), { credential });
    const reader = new XdrReader(await this.exchange(message, options.fragmentBytesMax));
    const { body } = rpc_msg.decode(reader);
    if (body.mtype !== 'REPLY') throw new Error('expected a reply, got a call');
    const { rbody } = body;
    if (rbody.reply_stat !== 'MSG_ACCEPTED' || rbody.areply.reply_data.stat !== 'SUCCESS') {
      throw new RpcReplyError(rbody);
    }
    const result = procedure.result.decode(reader) as ResultOf<G, N>;
    reader.end();
    return result;
  }

  /** An xid that this client hasn't used. */
  nextXid(): number {
    this.#xid = (this.#xid + 1) >>> 0;
    return this.#xid;
  }

  /** Sends a message as it is and resolves to the reply with the xid of its first four bytes. */
  async exchange(message: Buffer, fragmentBytesMax?: number): Promise<Buffer> {
    const xid = message.readUInt32BE(0);
    // Nobody would ever tell of its end.
    if (!this.#open) throw new Error('the connection is closed');
    return await new Promise<Buffer>((resolve, reject) => {
      const waiters = this.#waiters.get(xid) ?? [];
      waiters.push({ resolve, reject });
      this.#waiters.set(xid, waiters);
      this.sendRaw('tcp' in this.#transport ? encodeRecord(message, fragmentBytesMax) : message);
    });
  }

  /** Writes bytes to the stream, or sends them as one datagram. */
  sendRaw(bytes: Uint8Array): void {
    if ('tcp' in this.#transport) this.#transport.tcp.write(bytes);
    else this.#transport.udp.send(bytes);
  }

  /** Cuts the connection and opens a new one. Calls in flight fail. */
  async reconnect(): Promise<void> {
    await this.close();
    this.#transport = await openTransport(this.#options);
    this.#closed = this.#attach(this.#transport);
  }

  /** Cuts the connection. Calls in flight fail. */
  async close(): Promise<void> {
    if ('tcp' in this.#transport) this.#transport.tcp.destroy();
    else if (this.#open) this.#transport.udp.close();
    await this.#closed;
  }

  #open = false;

  #attach(transport: Transport): Promise<void> {
    const socket = 'tcp' in transport ? transport.tcp : transport.udp;
    this.#open = true;
    const closed = new Promise<void>((resolve) => {
      socket.once('close', () => {
        this.#open = false;
        this.#failAll(new Error('the connection is closed'));
        resolve();
      });
    });
    // A reset is an end like any other here: 'close' follows.
    socket.on('error', (error) => this.#failAll(error));
    if ('tcp' in transport) {
      const assembler = new RecordAssembler({
        recordBytesMax: RECORD_BYTES_MAX,
        fragmentsMax: 65536,
        emptyFragmentsMax: 0,
        reusesChunks: false,
        onRecord: (message) => this.#receive(message),
      });
      transport.tcp.on('data', (chunk: Buffer) => assembler.push(chunk));
    } else {
      transport.udp.on('message', (message) => this.#receive(message));
    }
    return closed;
  }

  #receive(message: Buffer): void {
    const xid = message.readUInt32BE(0);
    this.replied.push(xid);
    const waiters = this.#waiters.get(xid);
    const waiter = waiters?.shift();
    if (waiters?.length === 0) this.#waiters.delete(xid);
    waiter?.resolve(message);
  }

  #failAll(error: Error): void {
    const all = [...this.#waiters.values()].flat();
    this.#waiters.clear();
    for (const waiter of all) waiter.reject(error);
  }
}

async function openTransport({ host, port, transport = 'tcp' }: RpcClientOptions): Promise<Transport> {
  if (transport === 'tcp') {
    const tcp = connect({ host, port, noDelay: true });
    await once(tcp, 'connect');
    return { tcp };
  }
  const udp = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  udp.connect(port, host);
  await once(udp, 'connect');
  return { udp };
}
