/**
 * Calls by UDP: one datagram, one message. Anybody can forge the sender of a datagram, so nothing is answered that isn't a
 * call, long replies are dropped, and what exceeds the calls in flight is dropped, too: the client sends it again.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { RECORD_MARK_BYTES } from '../../protocol/record-marking.js';
import type { Logger } from '../telemetry/log.js';
import type { Caller } from './active-call.js';
import { plainAddress } from './address.js';
import { Credentials } from './credential.js';
import type { Dispatcher } from './dispatcher.js';
import type { RpcLimits } from './limits.js';
import type { Load } from './load.js';
import type { Reply } from './reply.js';

export interface UdpEndpointOptions {
  /** Numeric address. */
  readonly host: string;
  readonly port: number;
  readonly dispatcher: Dispatcher;
  readonly limits: RpcLimits;
  readonly load: Load;
  readonly allow: (remoteAddress: string) => boolean;
  /** Aborted at the end of a shutdown: the only end that a datagram's sender has. */
  readonly shutdown: AbortSignal;
  readonly log: Logger;
}

export class UdpEndpoint {
  readonly #socket: Socket;
  readonly #options: UdpEndpointOptions;
  #calls = 0;
  #draining = false;

  private constructor(socket: Socket, options: UdpEndpointOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('message', (message, remote) => this.#receive(message, remote));
    socket.on('error', (error) => options.log.warn({ error: error.message }, 'UDP socket failed'));
  }

  /** Binds; rejects with the system's error. */
  static async bind(options: UdpEndpointOptions): Promise<UdpEndpoint> {
    const socket = createSocket({ type: isIPv6(options.host) ? 'udp6' : 'udp4' });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: options.host, port: options.port }, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    return new UdpEndpoint(socket, options);
  }

  /** Takes no further call. */
  drain(): void {
    this.#draining = true;
  }

  async close(): Promise<void> {
    this.#draining = true;
    await new Promise<void>((resolve) => this.#socket.close(resolve));
  }

  #receive(message: Buffer, remote: RemoteInfo): void {
    const { dispatcher, limits, load, allow, shutdown } = this.#options;
    const remoteAddress = plainAddress(remote.address);
    if (this.#draining || this.#calls >= limits.udpCallsMax || load.full || !allow(remoteAddress)) return;
    const local = this.#socket.address();
    const caller: Caller = {
      remoteAddress,
      remotePort: remote.port,
      localAddress: plainAddress(local.address),
      localPort: local.port,
      transport: 'udp',
      credentials: new Credentials(),
      gone: shutdown,
    };
    this.#calls++;
    load.beginCall(message.length);
    const end = (reply: Reply | undefined): void => {
      this.#calls--;
      if (reply !== undefined) this.#send(reply, remote);
      load.endCall(message.length);
    };
    const reply = dispatcher.dispatch(message, caller);
    // It doesn't reject: every failure of a call is a reply.
    if (reply instanceof Promise) void reply.then(end);
    else end(reply);
  }

  #send(reply: Reply, remote: RemoteInfo): void {
    const { limits, load, log, shutdown } = this.#options;
    if (shutdown.aborted || reply.length - RECORD_MARK_BYTES > limits.udpReplyBytesMax) {
      reply.settle();
      return;
    }
    load.queueReply(reply.length);
    const [first, ...others] = reply.chunks;
    const message = [first?.subarray(RECORD_MARK_BYTES) ?? Buffer.alloc(0), ...others];
    this.#socket.send(message, remote.port, remote.address, (error) => {
      if (error !== null)
        log.debug({ error: error.message, remoteAddress: remote.address }, 'UDP reply failed');
      reply.settle();
      load.settleReply(reply.length);
    });
  }
}
